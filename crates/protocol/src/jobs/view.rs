//! What people see of a job: numbers, taken at one moment.

use crate::jobs::active::{Active, Auctioned, Counts, Phase};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use pocketmesh_types::{ClaimId, Credits, PeerId, Price, TaskIndex};

/// A job's progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How far it is.
    pub phase: Phase,
    /// All tasks.
    pub tasks: TaskIndex,
    /// Tasks that are final.
    pub done: TaskIndex,
    /// Tasks whose result is here, and held until its audits agree.
    pub held: TaskIndex,
    /// Tasks that somebody is at work on.
    pub running: usize,
    /// Workers with a lease.
    pub workers: usize,
    /// What was counted.
    pub counts: Counts,
}

/// What one worker did for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerView {
    /// Who.
    pub worker: PeerId,
    /// At which price, last.
    pub price: Price,
    /// Seats that came to a commitment or claim.
    pub done: u64,
    /// Tasks that it holds.
    pub running: usize,
    /// Seats whose outcome is final.
    pub accepted: u64,
    /// Accepted ones that came late.
    pub late: u64,
    /// Claims refuted, or dropped because of that.
    pub voided: u64,
    /// What is owed.
    pub owed: Credits,
    /// Whether it has a lease now.
    pub leased: bool,
    /// Whether a claim of it was refuted, or it broke the protocol.
    pub excluded: bool,
}

impl Active {
    /// A job's progress.
    pub fn progress(&self) -> Progress {
        Progress {
            phase: self.phase,
            tasks: self.job.tasks,
            done: self.finals.len(),
            held: TaskIndex::try_from(self.held.len()).unwrap_or(TaskIndex::MAX),
            running: self.ballots.values().filter(|ballot| ballot.decided.is_none()).count(),
            workers: self.live().count(),
            counts: self.counts,
        }
    }

    /// The claims that may still be refuted.
    pub fn claims_open(&self) -> BTreeSet<ClaimId> {
        let stated = self.ballots.values().flat_map(|ballot| ballot.claims().map(|(_, claim, _)| claim));
        self.held.values().map(|held| held.claim).chain(stated).collect()
    }

    /// Whether this claim is about one of these tasks, and open.
    pub fn is_open(&self, claim: ClaimId, tasks: impl IntoIterator<Item = TaskIndex>) -> bool {
        let states = |task: &TaskIndex| {
            let ballot = self.ballots.get(task);
            self.held.get(task).is_some_and(|held| held.claim == claim)
                || ballot.is_some_and(|ballot| ballot.claims().any(|(_, stated, _)| stated == claim))
        };
        tasks.into_iter().any(|task| states(&task))
    }

    /// What each worker did, all its leases together.
    pub fn workers(&self) -> Vec<WorkerView> {
        let mut rows: BTreeMap<PeerId, WorkerView> = BTreeMap::new();
        for granted in self.leases.values() {
            let row = rows.entry(granted.worker).or_insert_with(|| WorkerView {
                worker: granted.worker,
                price: granted.price,
                done: 0,
                running: 0,
                accepted: 0,
                late: 0,
                voided: 0,
                owed: Credits::default(),
                leased: false,
                excluded: self.excluded.contains(&granted.worker),
            });
            row.price = granted.price;
            row.done += granted.done;
            row.running += granted.running.len();
            row.accepted += granted.accepted;
            row.late += granted.late;
            row.voided += granted.voided;
            row.owed = row.owed.checked_add(granted.owed).unwrap_or(row.owed);
            row.leased |= granted.over.is_none();
        }
        rows.into_values().collect()
    }

    /// What the offers so far came to.
    pub fn auctioned(&self) -> &[Auctioned] {
        &self.auctions
    }
}
