//! How far a job is, on standard error: a bar on a terminal, now and then a line elsewhere, nothing when quiet.

use crate::context::Context;
use crate::quantity;
use crate::terminal::one_line;
use indicatif::{ProgressBar, ProgressStyle};
use pocketmesh_api::{JobState, JobSummary};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How often the bar's clockwork turns.
const TICK: Duration = Duration::from_millis(120);

/// What the person sees of a running job.
pub struct Progress {
    shape: Shape,
    pace: Pace,
}

enum Shape {
    Bar(ProgressBar),
    Lines { last: Instant },
    Nothing,
}

impl Progress {
    /// In the shape that fits the person's terminal and flags.
    pub fn new(context: &Context) -> Self {
        let shape = match (context.quiet, io::stderr().is_terminal()) {
            (true, _) => Shape::Nothing,
            (false, true) => Shape::Bar(bar()),
            (false, false) => Shape::Lines { last: Instant::now() },
        };
        Self { shape, pace: Pace::default() }
    }

    /// Shows a snapshot.
    pub fn update(&mut self, job: &JobSummary) {
        let now = Instant::now();
        let here = job.done + job.held;
        self.pace.see(now, here);
        match &mut self.shape {
            Shape::Bar(bar) => {
                bar.set_length(u64::from(job.tasks));
                bar.set_position(u64::from(here));
                bar.set_message(words(job, &self.pace, now));
            }
            Shape::Lines { last } if now.duration_since(*last) >= LINE_EVERY && !job.state.is_final() => {
                *last = now;
                crate::output::note(format!("{here}/{} tasks, {}", job.tasks, words(job, &self.pace, now)));
            }
            Shape::Lines { .. } | Shape::Nothing => {}
        }
    }

    /// Shows a line that stays.
    pub fn line(&self, text: &str) {
        match &self.shape {
            Shape::Bar(bar) => bar.suspend(|| crate::output::note(one_line(text))),
            Shape::Lines { .. } => crate::output::note(one_line(text)),
            Shape::Nothing => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shape::Bar(bar) = &self.shape {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    // A style that does not parse is one to mend, not one to stop a job for.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:28.cyan/blue} {pos}/{len} tasks  {wide_msg}") {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.enable_steady_tick(TICK);
    bar
}

fn words(job: &JobSummary, pace: &Pace, now: Instant) -> String {
    let (mut parts, here) = (Vec::new(), job.done + job.held);
    if job.held > 0 {
        parts.push(format!("{} final and {} held for audits", job.done, job.held));
    }
    if job.running > 0 {
        parts.push(format!("{} running", job.running));
    }
    if job.voided > 0 {
        parts.push(format!("{} voided", job.voided));
    }
    if let Some(rate) = pace.rate(now, here) {
        parts.push(format!("{rate:.1}/s"));
        let left = f64::from(job.tasks.saturating_sub(here)) / rate;
        if job.state == JobState::Running {
            parts.push(format!("{} left", quantity::span(Duration::from_secs(left.ceil() as u64))));
        }
    }
    if job.state != JobState::Running || parts.is_empty() {
        parts.push(one_line(&job.message));
    }
    parts.join(", ")
}

/// Tasks per second, from the first task that was seen to be done.
#[derive(Debug, Default)]
struct Pace {
    start: Option<(Instant, u32)>,
    seen: u32,
}

/// A rate over less than this says nothing.
const PACE_SPAN_MIN: Duration = Duration::from_millis(300);

impl Pace {
    fn see(&mut self, now: Instant, done: u32) {
        if self.start.is_none() || done < self.seen {
            self.start = Some((now, done));
        }
        self.seen = done;
    }

    /// None until there is something to tell.
    fn rate(&self, now: Instant, done: u32) -> Option<f64> {
        let (start, before) = self.start?;
        let span = now.duration_since(start);
        let rate = f64::from(done.saturating_sub(before)) / span.as_secs_f64();
        (span >= PACE_SPAN_MIN && rate > 0.0 && rate.is_finite()).then_some(rate.max(0.001))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_api::Regime;
    use pocketmesh_types::{JobId, UnixTime};

    fn job(state: JobState, done: u32) -> JobSummary {
        JobSummary {
            id: JobId::default(),
            name: "n".into(),
            state,
            tasks: 100,
            done,
            held: 0,
            running: 7,
            voided: 1,
            failed_tasks: 0,
            executions: 0,
            own_runs: 0,
            regime: Regime::Unknown,
            created: UnixTime(0),
            finished: None,
            message: "waiting for bids: 3 peers heard\nthe offer".into(),
        }
    }

    #[test]
    fn the_pace_counts_from_the_first_snapshot() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.see(start, 40);
        assert_eq!(pace.rate(start, 40), None);
        let later = start + Duration::from_secs(2);
        pace.see(later, 60);
        assert_eq!(pace.rate(later, 60), Some(10.0));
    }

    #[test]
    fn a_running_job_tells_its_pace_and_what_is_left() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.see(start, 0);
        let later = start + Duration::from_secs(4);
        pace.see(later, 20);
        assert_eq!(words(&job(JobState::Running, 20), &pace, later), "7 running, 1 voided, 5.0/s, 16 s left");
    }

    #[test]
    fn held_results_are_not_taken_for_final_ones() {
        let job = JobSummary { held: 30, ..job(JobState::Running, 20) };
        let said = words(&job, &Pace::default(), Instant::now());
        assert_eq!(said, "20 final and 30 held for audits, 7 running, 1 voided");
    }

    #[test]
    fn a_waiting_job_tells_what_it_waits_for_on_one_line() {
        let said = words(&job(JobState::Waiting, 0), &Pace::default(), Instant::now());
        assert_eq!(said, "7 running, 1 voided, waiting for bids: 3 peers heard the offer");
    }
}
