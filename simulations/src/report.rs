//! What came of a run: figures for people, and the same as JSON for `compare`.

use crate::{World, checkers::Violation, scenario::Expected};
use pocketmesh_types::JobId;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Write as _};

/// What came of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// What it shows.
    pub about: String,
    /// The seed.
    pub seed: u64,
    /// The command that repeats the run exactly.
    pub command: String,
    /// A fingerprint of the order of all events: equal for equal runs.
    pub fingerprint: String,
    /// Peers in all.
    pub peers: u64,
    /// Virtual seconds.
    pub seconds: f64,
    /// What was counted.
    pub figures: BTreeMap<String, f64>,
    /// What was measured more than once.
    pub samples: BTreeMap<String, Vec<f64>>,
    /// Direct messages by kind: how many, how many bytes.
    pub direct: BTreeMap<String, (u64, u64)>,
    /// What must not be and was found.
    pub violations: Vec<String>,
    /// How often something was found.
    pub violations_in_all: u64,
    /// The same by checker.
    pub violations_by_checker: BTreeMap<String, u64>,
    /// How far the jobs are that should be over.
    pub stuck: Vec<String>,
    /// What was expected and is not so.
    pub unmet: Vec<String>,
    /// How long the run took, in seconds of this machine; not part of what a seed decides.
    pub took_s: f64,
    /// The most memory that the process had, in MiB.
    pub rss_mib: f64,
}

/// How the run was started, and what it took.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// The scenario's name.
    pub scenario: String,
    /// The command that repeats it.
    pub command: String,
    /// Seconds of this machine.
    pub took_s: f64,
    /// Memory in MiB.
    pub rss_mib: f64,
}

impl Report {
    /// The report of a world whose run is over.
    pub fn of(world: &World, how: Circumstances) -> Self {
        let mut figures: BTreeMap<String, f64> = BTreeMap::new();
        let counted = world.meter.figures(&world.overlay).into_iter().chain(world.checkers.figures());
        figures.extend(counted.map(|(name, value)| (name.to_owned(), value)));
        let samples: BTreeMap<String, Vec<f64>> =
            world.meter.samples.iter().map(|(name, values)| ((*name).to_owned(), values.clone())).collect();
        for (name, values) in &samples {
            for (suffix, share) in [("p50", 0.5), ("p95", 0.95)] {
                figures.insert(format!("{name}_{suffix}"), quantile(values, share));
            }
        }
        let unmet = world.plan.expect.iter().filter_map(|expected| unmet(expected, &figures)).collect();
        let kinds = pocketmesh_wire::Kind::ALL.iter().zip(world.meter.sent);
        Self {
            scenario: how.scenario,
            about: world.plan.about.clone(),
            seed: world.seed,
            command: how.command,
            fingerprint: format!("{:016x}", world.meter.print),
            peers: world.nodes.len() as u64,
            seconds: world.now as f64 / 1e6,
            figures,
            samples,
            direct: kinds.filter(|(_, sent)| sent.0 > 0).map(|(kind, sent)| (kind.name().to_owned(), sent)).collect(),
            violations: world.checkers.found.first.iter().map(line_of).collect(),
            violations_in_all: world.checkers.found.count,
            violations_by_checker: world
                .checkers
                .found
                .by_checker
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            stuck: world.checkers.open().iter().take(STUCK_SHOWN).filter_map(|job| stuck(world, job)).collect(),
            unmet,
            took_s: how.took_s,
            rss_mib: how.rss_mib,
        }
    }

    /// Whether nothing was found and everything expected is so.
    pub fn passed(&self) -> bool {
        self.violations_in_all == 0 && self.unmet.is_empty()
    }

    /// A figure; 0 if it was not counted.
    pub fn figure(&self, name: &str) -> f64 {
        self.figures.get(name).copied().unwrap_or_default()
    }

    /// The report as a table.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{}, seed {}: {}\n{} peers, {:.0} s of virtual time, {:.0} peer-hours\n\n",
            self.scenario,
            self.seed,
            self.about,
            self.peers,
            self.seconds,
            self.figure("peer_hours")
        );
        let width = self.figures.keys().map(String::len).max().unwrap_or_default();
        for (name, value) in &self.figures {
            line(&mut text, &format!("  {name:width$}  {}", number(*value)));
        }
        let per_second = self.figure("peer_hours") * 3_600.0 / self.took_s.max(1e-9);
        line(&mut text, &format!("\n  {:16} {:>12} {:>14}", "direct messages", "count", "bytes"));
        for (kind, (count, bytes)) in &self.direct {
            line(&mut text, &format!("  {kind:16} {count:>12} {bytes:>14}"));
        }
        line(
            &mut text,
            &format!(
                "\n{:.1} s on this machine: {} peer-seconds a second, {} events a second, {:.0} MiB",
                self.took_s,
                number(per_second),
                number(self.figure("events") / self.took_s.max(1e-9)),
                self.rss_mib
            ),
        );
        line(&mut text, &format!("fingerprint {}", self.fingerprint));
        self.verdict(&mut text);
        text
    }

    fn verdict(&self, text: &mut String) {
        if self.passed() {
            return line(text, "\nall checkers are content");
        }
        line(text, &format!("\nFAILED: {} violations, {} unmet", self.violations_in_all, self.unmet.len()));
        for found in self.violations.iter().chain(&self.stuck).chain(&self.unmet) {
            line(text, &format!("  {found}"));
        }
        line(text, &format!("\nto see exactly this again:\n  {}", self.command));
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

/// Jobs that are shown with how far they are.
const STUCK_SHOWN: usize = 3;

fn stuck(world: &World, job: &JobId) -> Option<String> {
    let facts = world.truth.job(job)?;
    let node = &world.nodes[facts.requester as usize];
    let active = node.peer.as_ref().and_then(|peer| peer.jobs().get(job));
    let (progress, links) = (active.map(|active| active.progress()), node.links.len());
    // One of the tasks that are not final tells more than their number.
    let ballot = active.and_then(|active| active.ballots.iter().find(|(task, _)| !active.finals.contains(**task)));
    let lives = active.map(|active| {
        active.live().map(|(lease, granted)| (lease, granted.worker, granted.window)).collect::<Vec<_>>()
    });
    let (by, number) = (facts.requester, &facts.job.name);
    Some(format!("peer {by} with {links} connections, job {number}: {progress:?} {ballot:?} {lives:?}"))
}

fn line_of(found: &Violation) -> String {
    format!("{} at {:.3} s: {}", found.checker, found.at as f64 / 1e6, found.what)
}

fn unmet(expected: &Expected, figures: &BTreeMap<String, f64>) -> Option<String> {
    let Some(&value) = figures.get(&expected.figure) else {
        return Some(format!("`{}` was expected, and nothing of the name was counted", expected.figure));
    };
    let (min, max) = (expected.min.unwrap_or(f64::NEG_INFINITY), expected.max.unwrap_or(f64::INFINITY));
    let is_met = (min..=max).contains(&value);
    (!is_met).then(|| format!("`{}` is {}, expected {min} to {max}", expected.figure, number(value)))
}

/// The value below which this share of the values is; 0 if there are none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

/// A number as people read it.
pub fn number(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        v if v.abs() >= 1e7 => format!("{v:.3e}"),
        v if v.fract() == 0.0 => format!("{v:.0}"),
        v if v.abs() >= 100.0 => format!("{v:.1}"),
        v if v.abs() >= 0.01 => format!("{v:.4}"),
        v => format!("{v:.2e}"),
    }
}
