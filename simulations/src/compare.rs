//! Two results side by side: ratios, with 95 % intervals where something was measured often enough to resample it.

use crate::{
    dice::Dice,
    report::{Report, number},
};
use std::fmt::Write as _;

/// Times that samples are drawn anew.
const RESAMPLED: usize = 1_000;
/// Values drawn of each sample: more do not narrow an interval that people read.
const DRAWN_MAX: usize = 2_000;

/// The ratio of two means with its 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The second mean over the first.
    pub ratio: f64,
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// The ratio of the means of `after` and `before`.
pub fn ratio(before: &[f64], after: &[f64], dice: &mut Dice) -> Option<Ratio> {
    if before.len() < 2 || after.len() < 2 || mean(before) == 0.0 {
        return None;
    }
    let mut drawn = |values: &[f64]| {
        let count = values.len().min(DRAWN_MAX);
        let sum: f64 = (0..count).map(|_| values[dice.index(values.len())]).sum();
        sum / count as f64
    };
    let mut ratios: Vec<f64> = (0..RESAMPLED).map(|_| drawn(after) / drawn(before).max(f64::MIN_POSITIVE)).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[((RESAMPLED as f64 * share) as usize).min(RESAMPLED - 1)];
    Some(Ratio { ratio: mean(after) / mean(before), low: at(0.025), high: at(0.975) })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Both results as a table.
pub fn table(before: &Report, after: &Report) -> String {
    let mut dice = Dice::new(0, "bootstrap");
    let mut text = format!(
        "before: {}, seed {}, {} peers\nafter:  {}, seed {}, {} peers\n\n",
        before.scenario, before.seed, before.peers, after.scenario, after.seed, after.peers
    );
    let head = ("measure", "before", "after", "ratio", "95 %");
    row(&mut text, &[head.0, head.1, head.2, head.3, head.4]);
    for (name, values) in &before.samples {
        let Some(others) = after.samples.get(name) else { continue };
        let Some(found) = ratio(values, others, &mut dice) else { continue };
        let interval = format!("{:.3} to {:.3}", found.low, found.high);
        let (one, other) = (number(mean(values)), number(mean(others)));
        row(&mut text, &[&format!("mean of {name}"), &one, &other, &format!("{:.3}", found.ratio), &interval]);
    }
    for (name, &value) in &before.figures {
        let Some(&other) = after.figures.get(name) else { continue };
        let ratio = if value == 0.0 { "-".to_owned() } else { format!("{:.3}", other / value) };
        row(&mut text, &[name, &number(value), &number(other), &ratio, ""]);
    }
    text
}

fn row(text: &mut String, cells: &[&str; 5]) {
    let [name, before, after, ratio, interval] = cells;
    // Writing to a string does not fail.
    let _ = writeln!(text, "{name:40} {before:>14} {after:>14} {ratio:>9}  {interval}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_ratio_and_narrows_with_more_samples() {
        let mut dice = Dice::new(5, "test");
        let mut draw = |count: usize, mean: f64| (0..count).map(|_| dice.exponential(mean)).collect::<Vec<f64>>();
        let (few, many, twice) = (draw(50, 1.0), draw(2_000, 1.0), draw(2_000, 2.0));
        let mut dice = Dice::new(6, "test");
        let (wide, narrow) = (ratio(&few, &twice, &mut dice).unwrap(), ratio(&many, &twice, &mut dice).unwrap());
        assert!((narrow.low..narrow.high).contains(&2.0), "{narrow:?}");
        assert!(wide.high - wide.low > narrow.high - narrow.low);
    }
}
