//! A copier executes nothing, so nothing that it commits to may help to decide a task on which several must agree: not
//! what it guessed, nor what it saw others claim. Alone it is a liar like any other: the error meter counts it.
//!
//! Two things a requester cannot know, and they are counted, not forbidden: what was shown before it was killed, and what a
//! middle job shows of results whose window is voided later; there its audits bound what a copier can do.

use super::{Checker, Found};
use crate::{
    scenario::Behaviour,
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_protocol::FinalTask;
use pocketmesh_types::{JobId, LeaseId, Policy, TaskIndex};
use pocketmesh_wire::{Message, message::Claim};
use std::collections::{BTreeMap, BTreeSet};

/// Claims of copiers that were accepted.
#[derive(Debug, Default)]
pub struct Copies {
    shown: BTreeSet<(JobId, TaskIndex)>,
    /// What was asked for before its requester was killed, and shown then or later.
    forgotten: BTreeSet<(JobId, TaskIndex)>,
    /// Leases under which something was asked for, and whose requester was not killed since.
    asked: BTreeMap<LeaseId, u32>,
    /// What its requester has executed itself.
    run_here: BTreeSet<(JobId, TaskIndex)>,
    /// Commitments of copiers to tasks of which nothing was shown.
    blind: BTreeSet<(JobId, TaskIndex, u32)>,
    after_restart: u64,
    after_void: u64,
    paid: u64,
}

impl Copies {
    fn on_final(&mut self, truth: &Truth, at: u32, job: &JobId, tasks: &[FinalTask], found: &mut Found) {
        let Some(facts) = truth.job(job).filter(|_| truth.is_honest(at)) else { return };
        let wanted = match facts.job.policy {
            Policy::Replicas(seats) => Some(usize::from(seats)),
            Policy::Audited(_) => None,
        };
        for task in tasks {
            let key = (*job, task.task);
            let (copied, honest): (Vec<u32>, Vec<u32>) =
                task.workers.iter().map(index_of).partition(|&worker| is_copier(truth, worker));
            if copied.is_empty() || self.run_here.contains(&key) || wanted.is_some_and(|wanted| honest.len() >= wanted)
            {
                continue;
            }
            let is_blind = copied.iter().any(|&worker| self.blind.contains(&(*job, task.task, worker)));
            if !is_blind && self.forgotten.contains(&key) {
                self.after_restart += 1;
            } else if !is_blind && wanted.is_none() {
                self.after_void += 1;
            } else if task.workers.len() > 1 {
                found.add(|| format!("peer {at}, task {}: decided by what peer {} copied", task.task, copied[0]));
            }
        }
    }

    fn on_start(&mut self, truth: &Truth, at: u32) {
        let is_its = |(job, _): &&(JobId, TaskIndex)| truth.job(job).is_some_and(|facts| facts.requester == at);
        self.forgotten.extend(self.shown.iter().filter(is_its));
        self.asked.retain(|_, requester| *requester != at);
    }

    fn on_claim(&mut self, claim: &Claim) {
        let tasks = claim.results.iter().map(|row| (claim.job, row.task));
        self.shown.extend(tasks.clone());
        if !self.asked.contains_key(&claim.lease) {
            self.forgotten.extend(tasks);
        }
    }
}

fn is_copier(truth: &Truth, index: u32) -> bool {
    truth.peers[index as usize].behaviour == Behaviour::Copier
}

impl Checker for Copies {
    fn name(&self) -> &'static str {
        "copies"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::Said { from, message: Message::Commit(commit), .. } if is_copier(truth, *from) => {
                for row in &commit.commits {
                    // What it says last counts: it may have lost an earlier lease.
                    let entry = (commit.job, row.task, *from);
                    if self.shown.contains(&(commit.job, row.task)) {
                        self.blind.remove(&entry);
                    } else {
                        self.blind.insert(entry);
                    }
                }
            }
            Seen::Said { from, message: Message::Reveal(reveal), .. } => {
                self.asked.insert(reveal.lease, *from);
            }
            Seen::Said { message: Message::Claim(claim), .. } => self.on_claim(claim),
            Seen::Started { at, .. } => self.on_start(truth, *at),
            Seen::Ran { at, job, task, .. } => {
                let facts = &truth.jobs[*job as usize];
                if facts.requester == *at {
                    self.run_here.insert((facts.id, *task));
                }
            }
            Seen::Final { at, job, tasks } => self.on_final(truth, *at, job, tasks, found),
            Seen::Said { to, message: Message::Verdicts(verdicts), .. } if is_copier(truth, index_of(to)) => {
                self.paid += verdicts.accepted.len() as u64;
            }
            _ => {}
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("copies_deciding_after_restart", self.after_restart as f64),
            ("copies_deciding_after_void", self.after_void as f64),
            ("copies_paid", self.paid as f64),
        ]
    }
}
