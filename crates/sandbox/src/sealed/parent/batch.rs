//! A batch: tasks that were handed to a runner together, and how far it has come.

use super::held::Place;
use super::queue::Entry;
use crate::task::{Executed, Failure, Kept};
use std::time::{Duration, Instant};

/// How long past a task's limit an answer may still be on its way.
const GRACE: Duration = Duration::from_millis(5);

/// The tasks, and how many of them have ended.
pub(super) struct Batch {
    tasks: Vec<(Box<Entry>, Place)>,
    /// The number of the first task; the others follow.
    first: u64,
    done: usize,
    started: Instant,
    /// When the last answer came: since then the first task that is not done has been running.
    since: Instant,
}

impl Batch {
    pub(super) fn new(tasks: Vec<(Box<Entry>, Place)>, first: u64) -> Self {
        let now = Instant::now();
        Self { tasks, first, done: 0, started: now, since: now }
    }

    /// The tasks and their numbers.
    pub(super) fn tasks(&self) -> impl Iterator<Item = (u64, &Entry, Place)> {
        (self.first..).zip(&self.tasks).map(|(sequence, (entry, place))| (sequence, &**entry, *place))
    }

    /// The runner has it all.
    pub(super) fn start(&mut self) {
        self.started = Instant::now();
        self.since = self.started;
    }

    /// The task that runs now.
    pub(super) fn running(&self) -> Option<&Entry> {
        self.tasks.get(self.done).map(|(entry, _)| &**entry)
    }

    /// When the runner is too late with the task that runs now. One that was stopped has no time left.
    pub(super) fn due(&self) -> Instant {
        let wall = |entry: &Entry| if entry.is_told() { 0 } else { entry.task.limits.wall_ms };
        let wall = Duration::from_millis(self.running().map_or(0, wall));
        self.since.checked_add(wall + GRACE).unwrap_or_else(|| self.since + Duration::from_secs(1 << 30))
    }

    /// Whether somebody has to be told that a task was stopped.
    pub(super) fn has_stopped(&self) -> bool {
        self.tasks[self.done..].iter().any(|(entry, _)| entry.stop.is_raised() && !entry.is_told())
    }

    /// Tells them. What the runner says about these tasks is not passed on.
    pub(super) fn tell_stopped(&mut self) {
        for (entry, _) in &mut self.tasks[self.done..] {
            if entry.stop.is_raised() {
                entry.tell(Err(Failure::Stopped));
            }
        }
    }

    /// The number of the task that runs now.
    pub(super) fn expected(&self) -> u64 {
        self.first + self.done as u64
    }

    /// The task that runs now has ended.
    pub(super) fn on_end(&mut self, result: Result<Executed<Kept>, Failure>) {
        if let Some((entry, _)) = self.tasks.get_mut(self.done) {
            entry.tell(result);
        }
        self.done += 1;
        self.since = Instant::now();
    }

    /// How long each task took, one like the other, and whose they were.
    pub(super) fn times(&self) -> (Duration, impl Iterator<Item = u64>) {
        let count = u32::try_from(self.tasks.len().max(1)).unwrap_or(u32::MAX);
        ((self.since - self.started) / count, self.tasks.iter().map(|(_, place)| place.program))
    }

    /// Whether there was one task only.
    pub(super) fn is_single(&self) -> bool {
        self.tasks.len() == 1
    }

    /// The tasks that have not ended; the first of them was running.
    pub(super) fn into_rest(self) -> impl DoubleEndedIterator<Item = Box<Entry>> {
        self.tasks.into_iter().skip(self.done).map(|(entry, _)| entry)
    }
}
