//! Whatever a peer holds is bounded. specs/leases.md §3, specs/jobs.md §4, `types::limits`.

use super::{Checker, Found};
use crate::{seen::Seen, truth::Truth};
use pocketmesh_protocol::{Peer, jobs::active::Active};
use pocketmesh_types::limits;

/// Own runs of one job at once: as many as where all results are confirmed.
const CHECKS_PER_JOB: usize = 16;
/// Voids that a worker looks into at once.
const DEFENCES: usize = 4;
/// Open seats of one lease: four windows of half a message each.
const OPEN_PER_LEASE: usize = 4 * limits::TASKS_PER_MESSAGE_MAX / 2;
/// Leases that are over and still shown.
const LEASES_KEPT: usize = 1024;

/// The most that was seen.
#[derive(Debug, Default)]
pub struct Queues {
    sandbox: usize,
    leases: usize,
    ballots: usize,
}

impl Queues {
    fn job(&mut self, at: u32, job: &Active, found: &mut Found) {
        self.ballots = self.ballots.max(job.ballots.len());
        let granted = job.leases.len();
        let open = (granted + 1) * OPEN_PER_LEASE;
        if granted > LEASES_KEPT + limits::LEASES_PER_JOB_MAX || job.live().count() > limits::LEASES_PER_JOB_MAX {
            found.add(|| format!("peer {at}: a job with {granted} leases"));
        }
        if job.ballots.len() > open {
            found.add(|| format!("peer {at}: a job with {} open tasks", job.ballots.len()));
        }
    }
}

impl Checker for Queues {
    fn name(&self) -> &'static str {
        "queues"
    }

    fn see(&mut self, _truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        let &Seen::Sampled { at, peer, slots, queued, running } = seen else { return };
        let peer: &Peer = peer;
        let (leases, runs) = peer.load();
        let jobs = peer.jobs().iter().count();
        let work = 2 * usize::from(slots) + CHECKS_PER_JOB * jobs + DEFENCES;
        self.sandbox = self.sandbox.max(queued + running);
        self.leases = self.leases.max(leases);
        if runs > 2 * usize::from(slots) + DEFENCES || queued + running > work {
            found.add(|| format!("peer {at}: {queued} tasks wait and {running} run on {slots} slots"));
        }
        if leases > limits::LEASES_PER_WORKER_MAX {
            found.add(|| format!("peer {at} holds {leases} leases"));
        }
        peer.jobs().iter().for_each(|job| self.job(at, job, found));
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("most_in_sandbox", self.sandbox as f64),
            ("most_leases_held", self.leases as f64),
            ("most_open_tasks", self.ballots as f64),
        ]
    }
}
