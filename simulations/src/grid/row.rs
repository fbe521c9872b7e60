//! What is reported of a cell, and what it must keep.

use super::{
    cell::{Audits, Cell, Mechanism},
    tally::{Estimate, Tally},
};
use pocketmesh_protocol::verification::sizing;
use serde::Serialize;

/// An error so many times the target needs no longer run to be believed.
const FAR_ABOVE: f64 = 1.5;

/// One row of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// How results are checked.
    pub mechanism: String,
    /// Against whom.
    pub attacker: &'static str,
    /// The share of the seats that they hold, in parts per million.
    pub saboteurs_ppm: u32,
    /// Results in a window.
    pub n: u32,
    /// The most of the accepted results that may be wrong; for audits.
    pub target: Option<f64>,
    /// Audits in a window; none where they do not reach the target.
    pub audits: Option<u32>,
    /// The error at worst, by the formula.
    pub formula: Option<f64>,
    /// What was found, if there was anything to be run.
    pub found: Option<Found>,
    /// What a first run had found, if it had to be run again: it was above the target.
    pub first: Option<Found>,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Windows that ended.
    pub windows: usize,
    /// Those of them that were voided.
    pub voided: usize,
    /// Results that were accepted.
    pub accepted: u64,
    /// Those of them that are wrong.
    pub wrong: u64,
    /// The share of the accepted that is wrong.
    pub error: f64,
    /// The lower end of its interval, 95 %, by a bootstrap over windows.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The standard deviation of the resampled shares.
    pub deviation: f64,
    /// Executions per result that are paid: the result, and the audits of its window.
    pub paid: f64,
    /// All executions per result: voided windows with their audits, and own decisions, too.
    pub all: f64,
    /// Own decisions per million results.
    pub decisions_ppm: f64,
}

/// All rows as JSON, one a line.
pub fn json(rows: &[Row]) -> serde_json::Result<String> {
    let lines: Vec<String> = rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

impl Row {
    /// A cell whose target is out of reach.
    pub fn unreachable(cell: &Cell) -> Self {
        Self {
            mechanism: cell.mechanism_name(),
            attacker: cell.attacker.name(),
            saboteurs_ppm: cell.saboteurs.0,
            n: cell.n(),
            target: cell.target().map(|target| f64::from(target.error.0) / 1e9),
            audits: None,
            formula: None,
            found: None,
            first: None,
        }
    }

    /// A cell that was run.
    pub fn of(cell: &Cell, tally: &Tally, error: &Estimate) -> Self {
        let accepted = tally.accepted() as f64;
        let found = Found {
            windows: tally.windows.len(),
            voided: tally.voided(),
            accepted: tally.accepted(),
            wrong: tally.wrong(),
            error: error.mean,
            low: error.low,
            high: error.high,
            deviation: error.deviation,
            paid: tally.paid as f64 / accepted,
            all: tally.all as f64 / accepted,
            decisions_ppm: tally.decisions as f64 * 1e6 / accepted,
        };
        let formula = match (cell.mechanism, cell.audits()) {
            (Mechanism::Audits(Audits { n, by, .. }), Some(k)) => Some(sizing::error(n, k, cell.saboteurs, by)),
            _ => None,
        };
        Self { audits: cell.audits(), formula, found: Some(found), ..Self::unreachable(cell) }
    }

    /// What this row breaks: the target, or what it may cost.
    pub fn broken(&self) -> Vec<String> {
        let (Some(target), Some(found)) = (self.target, &self.found) else { return Vec::new() };
        let mut broken = Vec::new();
        if found.low > target {
            let (error, low) = (found.error, found.low);
            broken.push(format!("{}: error {error:.2e}, and surely {low:.2e}; the target is {target:e}", self.title()));
        }
        if let Some(most) = self.most_paid().filter(|&most| found.paid > most) {
            broken.push(format!(
                "{}: {:.4} executions per result are paid, more than {most}",
                self.title(),
                found.paid
            ));
        }
        broken
    }

    /// Whether all of the interval is above the target, but not so far that this cannot be chance.
    pub fn is_just_above(&self) -> bool {
        let (Some(target), Some(found)) = (self.target, &self.found) else { return false };
        found.low > target && found.error < FAR_ABOVE * target
    }

    /// What was promised of late seats in long windows.
    fn most_paid(&self) -> Option<f64> {
        if self.mechanism != "late seats" || self.n != 10_000 {
            return None;
        }
        match (self.target.map(|target| (target * 1e9).round() as u32), self.saboteurs_ppm) {
            (Some(1_000_000), ..=200_000) => Some(1.02),
            (Some(100_000), ..=200_000) => Some(1.11),
            (Some(100_000), ..=300_000) => Some(1.19),
            _ => None,
        }
    }

    /// The row in words.
    pub fn title(&self) -> String {
        let target = self.target.map(|target| format!(", target {target:e}")).unwrap_or_default();
        let share = f64::from(self.saboteurs_ppm) / 1e4;
        format!("{}, {}, {share} %, n = {}{target}", self.mechanism, self.attacker, self.n)
    }
}
