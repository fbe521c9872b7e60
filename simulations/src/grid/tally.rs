//! What came of a cell's windows, and how sure one can be of it.

use crate::dice::Dice;

/// What came of all windows of a cell.
#[derive(Debug, Default)]
pub struct Tally {
    /// Of each window: results accepted, and how many of them are wrong. A voided window has none.
    pub windows: Vec<(u32, u32)>,
    /// Executions of accepted results and of audits in windows that became final.
    pub paid: u64,
    /// All executions: those of voided windows and our own decisions, too.
    pub all: u64,
    /// Own runs that decided who is right.
    pub decisions: u64,
}

/// A share and its interval.
#[derive(Debug, Clone, Copy)]
pub struct Estimate {
    /// The share.
    pub mean: f64,
    /// Below it with a chance of 2.5 %.
    pub low: f64,
    /// Above it with a chance of 2.5 %.
    pub high: f64,
    /// How much it varies: the standard deviation of the resampled shares.
    pub deviation: f64,
}

impl Tally {
    /// Results that were accepted.
    pub fn accepted(&self) -> u64 {
        self.windows.iter().map(|&(accepted, _)| u64::from(accepted)).sum()
    }

    /// Those of them that are wrong.
    pub fn wrong(&self) -> u64 {
        self.windows.iter().map(|&(_, wrong)| u64::from(wrong)).sum()
    }

    /// Windows that were voided.
    pub fn voided(&self) -> usize {
        self.windows.iter().filter(|&&(accepted, _)| accepted == 0).count()
    }

    /// The share of accepted results that is wrong, with the percentile interval of a bootstrap over windows.
    ///
    /// Where nothing wrong was accepted a bootstrap sees nothing: then the upper end is three windows of `cheat` wrong
    /// results each (the rule of three).
    pub fn error(&self, resamples: usize, cheat: u32, dice: &mut Dice) -> Estimate {
        let accepted = self.accepted().max(1) as f64;
        let mean = self.wrong() as f64 / accepted;
        if self.wrong() == 0 {
            return Estimate { mean, low: 0.0, high: 3.0 * f64::from(cheat) / accepted, deviation: 0.0 };
        }
        let mut shares: Vec<f64> = (0..resamples).map(|_| self.resampled(dice)).collect();
        shares.sort_by(f64::total_cmp);
        let at = |part: f64| shares[((resamples - 1) as f64 * part).round() as usize];
        let centre = shares.iter().sum::<f64>() / resamples as f64;
        let variance = shares.iter().map(|share| (share - centre).powi(2)).sum::<f64>() / resamples as f64;
        Estimate { mean, low: at(0.025), high: at(0.975), deviation: variance.sqrt() }
    }

    fn resampled(&self, dice: &mut Dice) -> f64 {
        let (mut accepted, mut wrong) = (0u64, 0u64);
        for _ in 0..self.windows.len() {
            let (results, lies) = self.windows[dice.index(self.windows.len())];
            accepted += u64::from(results);
            wrong += u64::from(lies);
        }
        wrong as f64 / accepted.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_binomial_where_windows_are_all_or_nothing() {
        let windows = (0..10_000).map(|at| (100, if at % 10 == 0 { 100 } else { 0 })).collect();
        let tally = Tally { windows, ..Tally::default() };
        let found = tally.error(1_000, 100, &mut Dice::new(1, "test"));
        assert!((found.mean - 0.1).abs() < 1e-12 && (found.deviation - 0.003).abs() < 0.0003, "{found:?}");
        assert!((found.low - 0.0941).abs() < 0.0008 && (found.high - 0.1059).abs() < 0.0008, "{found:?}");
    }

    #[test]
    fn nothing_seen_is_not_nothing_at_all() {
        let tally = Tally { windows: vec![(100, 0); 30], ..Tally::default() };
        let found = tally.error(10, 2, &mut Dice::new(1, "test"));
        assert!(found.mean == 0.0 && (found.high - 0.002).abs() < 1e-12);
    }
}
