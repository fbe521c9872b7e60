//! No honest worker is refuted or told that it was; and whoever was refuted gets no lease of that requester again.

use super::{Checker, Found};
use crate::{
    seen::Seen,
    truth::{Truth, index_of},
};
use pocketmesh_protocol::{Event, Record, effect::LeaseOver};
use pocketmesh_types::PeerId;
use pocketmesh_wire::{Message, message::EndReason};
use std::collections::{BTreeMap, BTreeSet};

/// Who was refuted by whom.
#[derive(Debug, Default)]
pub struct Blame {
    refuted: BTreeMap<u32, BTreeSet<u32>>,
    /// Whoever was refuted by whom, whether that is remembered or not: it may be told late.
    ever: BTreeSet<(u32, u32)>,
    liars: BTreeSet<u32>,
    honest: BTreeSet<u32>,
    convicted: BTreeSet<u32>,
    honest_convicted: BTreeSet<u32>,
    times: u64,
}

impl Blame {
    fn on_refuted(&mut self, truth: &Truth, by: u32, worker: &PeerId, found: &mut Found) {
        let index = index_of(worker);
        self.refuted.entry(by).or_default().insert(index);
        self.ever.insert((by, index));
        self.times += 1;
        let who = truth.who(worker);
        if who.behaviour.may_lie() {
            self.liars.insert(index);
            return;
        }
        self.honest.insert(index);
        if !truth.is_faulty(who.arch) && !truth.is_faulty(truth.peers[by as usize].arch) {
            found.add(|| format!("peer {by} has refuted peer {index}, which is honest"));
        }
    }
}

impl Checker for Blame {
    fn name(&self) -> &'static str {
        "blame"
    }

    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::Notice { at, event: Event::Refuted { worker, .. } } => self.on_refuted(truth, *at, worker, found),
            Seen::Notice { at, event: Event::Leased { worker, .. } } => {
                let (index, who) = (index_of(worker), truth.who(worker));
                if !who.whitewash && self.refuted.get(at).is_some_and(|refuted| refuted.contains(&index)) {
                    found.add(|| format!("peer {at} gives a lease to peer {index}, which it has refuted"));
                }
            }
            Seen::Notice {
                at,
                event: Event::LeaseOver { worker, reason: LeaseOver::Ended(EndReason::Refuted), .. },
            } => {
                let index = index_of(worker);
                let was_refuted = self.refuted.get(at).is_some_and(|refuted| refuted.contains(&index));
                if truth.is_honest(index) && !was_refuted {
                    found.add(|| format!("peer {at} has thrown out peer {index}, which is honest"));
                }
            }
            Seen::Heard { to, from, message: Message::Void(_), .. } => {
                let fair = truth.peers[*from as usize].behaviour.is_fair_requester();
                let was_refuted = self.ever.contains(&(*from, *to));
                if fair && !was_refuted {
                    found.add(|| format!("peer {to} is told by peer {from} of a refutation that there was not"));
                }
            }
            Seen::OnDisk { at, record: Record::Convicted { worker, .. } } => {
                let index = index_of(worker);
                if truth.who(worker).behaviour.may_lie() {
                    self.convicted.insert(index);
                } else {
                    self.honest_convicted.insert(index);
                    found.add(|| format!("peer {at} has convicted peer {index}, which is honest"));
                }
            }
            Seen::Started { at, disk, .. } => {
                // The record of a refutation may be lost in a crash: nothing waits for it.
                let on_disk = disk.iter().filter_map(|record| match record {
                    Record::Refuted { worker, .. } => Some(index_of(worker)),
                    _ => None,
                });
                self.refuted.insert(*at, on_disk.collect());
            }
            _ => {}
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("refutations", self.times as f64),
            ("liars_refuted", self.liars.len() as f64),
            ("honest_refuted", self.honest.len() as f64),
            ("liars_convicted", self.convicted.len() as f64),
            ("honest_convicted", self.honest_convicted.len() as f64),
        ]
    }
}
