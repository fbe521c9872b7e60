//! Which seats were paid or forfeited: a seat is one worker's place at one task, and is paid at most once.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use pocketmesh_types::{JobId, PeerId, RangeSet, TaskIndex, limits};

/// Jobs that are over, and may not be paid again, remembered. Older ones are, like all jobs, kept apart by their nonce.
const CLOSED_MAX: usize = 1 << 14;

/// The seats of jobs that are not over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seats {
    /// By who is the other side, then the job, then whose seats they are.
    taken: BTreeMap<PeerId, BTreeMap<(JobId, PeerId), RangeSet>>,
    closed: BTreeSet<JobId>,
    closed_in_order: VecDeque<JobId>,
    /// An audit forgets no job.
    forgets: bool,
}

/// Why seats cannot be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Taken {
    /// Paid or forfeited before.
    #[error("tasks {start} to {end} of job {job} were paid to this worker, or forfeited by it, before", job = .job.short())]
    Before {
        /// Which job.
        job: JobId,
        /// The first of them.
        start: TaskIndex,
        /// The first that is none of them.
        end: TaskIndex,
    },
    /// The job is over.
    #[error("job {job} is over", job = .0.short())]
    Over(JobId),
    /// Too many jobs at once.
    #[error("{max} jobs with this peer are under way", max = limits::JOBS_PER_PEER_MAX)]
    TooManyJobs,
}

impl Seats {
    /// Forgets a job some time after it is over, to stay small.
    pub fn forgetful() -> Self {
        Self { forgets: true, ..Self::default() }
    }

    /// Checks that these seats of `worker`, in a job shared with `other`, are free.
    pub fn check(
        &self,
        other: PeerId,
        job: JobId,
        worker: PeerId,
        tasks: &[(TaskIndex, TaskIndex)],
    ) -> Result<(), Taken> {
        if self.closed.contains(&job) {
            return Err(Taken::Over(job));
        }
        let Some(jobs) = self.taken.get(&other) else { return Ok(()) };
        let Some(taken) = jobs.get(&(job, worker)) else {
            return if jobs.len() >= limits::JOBS_PER_PEER_MAX && self.forgets {
                Err(Taken::TooManyJobs)
            } else {
                Ok(())
            };
        };
        match tasks.iter().find(|&&(start, end)| !taken.is_disjoint(start..end)) {
            Some(&(start, end)) => Err(Taken::Before { job, start, end }),
            None => Ok(()),
        }
    }

    /// Takes seats that were checked.
    pub fn take(&mut self, other: PeerId, job: JobId, worker: PeerId, tasks: &[(TaskIndex, TaskIndex)]) {
        let taken = self.taken.entry(other).or_default().entry((job, worker)).or_default();
        for &(start, end) in tasks {
            taken.insert_range(start..end);
        }
    }

    /// A job is over: none of its seats is paid any more.
    pub fn close(&mut self, job: JobId) {
        self.taken.retain(|_, jobs| {
            jobs.retain(|(of, _), _| *of != job);
            !jobs.is_empty()
        });
        if self.closed.insert(job) {
            self.closed_in_order.push_back(job);
        }
        if self.forgets
            && self.closed_in_order.len() > CLOSED_MAX
            && let Some(oldest) = self.closed_in_order.pop_front()
        {
            self.closed.remove(&oldest);
        }
    }
}
