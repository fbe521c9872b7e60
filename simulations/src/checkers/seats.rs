//! Those who agree on a task are different peers, behind different public prefixes.

use super::{Checker, Found};
use crate::{
    seen::Seen,
    truth::{Truth, index_of},
};
use std::collections::BTreeSet;

/// It remembers nothing.
#[derive(Debug)]
pub struct Seats;

impl Checker for Seats {
    fn name(&self) -> &'static str {
        "seats"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        let Seen::Final { at, tasks, .. } = seen else { return };
        for task in tasks.iter().filter(|task| task.workers.len() > 1) {
            let (mut peers, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
            for worker in &task.workers {
                let index = index_of(worker);
                let prefix = truth.peers[index as usize].prefix;
                if !peers.insert(worker) || prefix.is_some_and(|prefix| !prefixes.insert(prefix)) {
                    found.add(|| format!("peer {at}, task {}: peer {index} sat with itself", task.task));
                }
            }
        }
    }
}
