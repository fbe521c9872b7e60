//! Which seats were paid or forfeited: a seat is one worker's place at one task, and is paid at most once.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use pocketmesh_types::{JobId, PeerId, RangeSet, TaskIndex, limits};

/// Jobs that are over, and may not be paid again, remembered. Older ones are, like all jobs, kept apart by their nonce.
const CLOSED_MAX: usize = 1 << 14;

/// The seats of jobs that are not over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seats {
    /// By who is the other side.
    taken: BTreeMap<PeerId, Jobs>,
    closed: BTreeSet<JobId>,
    closed_in_order: VecDeque<JobId>,
    /// An audit forgets no job.
    forgets: bool,
}

/// The seats that are taken in the jobs shared with one peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Jobs {
    /// By the job, and whose seats they are.
    taken: BTreeMap<(JobId, PeerId), RangeSet>,
    /// In the order in which they began.
    in_order: VecDeque<(JobId, PeerId)>,
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
        let Some(taken) = jobs.taken.get(&(job, worker)) else {
            let is_full = self.forgets && worker == other && jobs.taken.len() >= limits::JOBS_PER_PEER_MAX;
            return if is_full { Err(Taken::TooManyJobs) } else { Ok(()) };
        };
        match tasks.iter().find(|&&(start, end)| !taken.is_disjoint(start..end)) {
            Some(&(start, end)) => Err(Taken::Before { job, start, end }),
            None => Ok(()),
        }
    }

    /// Takes seats that were checked. Of a client's jobs we know no end: where there are too many, the oldest is forgotten. Who pays
    /// is kept from paying twice by its own books.
    pub fn take(&mut self, other: PeerId, job: JobId, worker: PeerId, tasks: &[(TaskIndex, TaskIndex)]) {
        let Jobs { taken, in_order } = self.taken.entry(other).or_default();
        if !taken.contains_key(&(job, worker)) {
            in_order.push_back((job, worker));
            if self.forgets
                && in_order.len() > limits::JOBS_PER_PEER_MAX
                && let Some(oldest) = in_order.pop_front()
            {
                taken.remove(&oldest);
            }
        }
        let taken = taken.entry((job, worker)).or_default();
        for &(start, end) in tasks {
            taken.insert_range(start..end);
        }
    }

    /// Whether a seat was paid or forfeited, as far as that is remembered.
    pub fn is_taken(&self, other: &PeerId, job: JobId, worker: PeerId, task: TaskIndex) -> bool {
        let taken = self.taken.get(other).and_then(|jobs| jobs.taken.get(&(job, worker)));
        self.closed.contains(&job) || taken.is_some_and(|taken| taken.contains(task))
    }

    /// Whether a job is over, as far as that is remembered.
    pub fn is_closed(&self, job: &JobId) -> bool {
        self.closed.contains(job)
    }

    /// A job is over: none of its seats is paid any more.
    pub fn close(&mut self, job: JobId) {
        self.taken.retain(|_, jobs| {
            jobs.taken.retain(|(of, _), _| *of != job);
            jobs.in_order.retain(|(of, _)| *of != job);
            !jobs.taken.is_empty()
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
