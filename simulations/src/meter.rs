//! What is counted in a run: messages, bytes, auctions, jobs; and a fingerprint of the order of events.
//!
//! Counting never changes what happens.

use crate::{
    seen::Seen,
    truth::Truth,
    world::{SECOND, What},
};
use pocketmesh_protocol::{Event, Judgement, Record, Reply};
use pocketmesh_types::JobId;
use pocketmesh_wire::{Kind, Message};
use std::collections::BTreeMap;

/// Kinds of messages.
const KINDS: usize = Kind::ALL.len();
/// Samples kept of each measure.
const SAMPLES_MAX: usize = 200_000;

/// One second of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Second {
    /// Bytes of direct messages sent.
    pub direct_bytes: u64,
    /// Bytes of gossip received, copies not counted.
    pub gossip_bytes: u64,
    /// Messages sent or heard.
    pub messages: u64,
    /// Tasks final so far.
    pub tasks_final: u64,
    /// Jobs on disk and not over.
    pub jobs_open: u64,
    /// Peers that are up.
    pub up: u64,
}

/// All that is counted.
#[derive(Debug, Default)]
pub struct Meter {
    /// Events so far.
    pub events: u64,
    /// A fingerprint of them.
    pub print: u64,
    /// Connections given up because of a loss.
    pub lost: u64,
    /// Messages that came again.
    pub replayed: u64,
    /// Partitions.
    pub partitions: u64,
    /// Crashes.
    pub crashes: u64,
    /// Journals that could not be taken for what they say of money.
    pub journals_refused: u64,
    /// Disconnections on purpose.
    pub shunned: u64,
    /// New names taken.
    pub renamed: u64,
    /// Jobs that found their peer down.
    pub not_submitted: u64,
    /// Jobs refused.
    pub refused: u64,
    /// When the phases were over.
    pub phases_end: u64,
    /// Tasks that sandboxes ended.
    pub executions: u64,
    /// Those of them that were a requester's own.
    pub own_runs: u64,
    /// Fuel burnt for others.
    pub fuel_for_others: u64,
    /// Bytes fetched.
    pub fetched_bytes: u64,
    /// Bytes of look-ups and of connections that were made for a bid.
    pub overhead_bytes: u64,
    /// Direct messages by kind: how many, how many bytes.
    pub sent: [(u64, u64); KINDS],
    /// Gossip by kind: published, heard, bytes heard.
    pub gossip: [(u64, u64, u64); KINDS],
    /// Second by second.
    pub seconds: Vec<Second>,
    /// Time that peers were up, in seconds.
    pub peer_seconds: u64,
    /// Samples of what is measured, by name.
    pub samples: BTreeMap<&'static str, Vec<f64>>,
    now: Second,
    bids: u64,
    offers: u64,
    offered: BTreeMap<JobId, u64>,
}

impl Meter {
    /// Something is about to happen.
    pub fn on_event(&mut self, at: u64, what: &What) {
        self.events += 1;
        let who = match what {
            What::Say { to, from, .. } => u64::from(*to) << 32 | u64::from(*from),
            What::Written { at, .. } | What::Kept { at, .. } | What::Ran { at, .. } | What::Deadline { at, .. } => {
                u64::from(*at)
            }
            _ => u64::MAX,
        };
        for word in [at, who] {
            self.print = (self.print ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    /// A direct message is sent.
    pub fn on_sent(&mut self, kind: Kind, bytes: usize) {
        let count = &mut self.sent[kind as usize];
        count.0 += 1;
        count.1 += bytes as u64;
        self.now.messages += 1;
        self.now.direct_bytes += bytes as u64;
    }

    /// Look-ups and new connections take bytes that carry no message.
    pub fn on_overhead(&mut self, bytes: u64) {
        self.overhead_bytes += bytes;
        self.now.direct_bytes += bytes;
    }

    /// Gossip is published.
    pub fn published(&mut self, kind: Kind) {
        self.gossip[kind as usize].0 += 1;
    }

    /// Gossip is heard.
    pub fn gossip_heard(&mut self, kind: Kind, bytes: u32) {
        let count = &mut self.gossip[kind as usize];
        count.1 += 1;
        count.2 += u64::from(bytes);
        self.now.messages += 1;
        self.now.gossip_bytes += u64::from(bytes);
    }

    /// Gossip is judged.
    pub fn on_judgement(&mut self, _judgement: Judgement) {}

    /// A command is answered.
    pub fn on_reply(&mut self, reply: &Reply) {
        self.refused += u64::from(matches!(reply, Reply::Refused(_)));
    }

    /// Bytes are fetched.
    pub fn fetched(&mut self, bytes: u64) {
        self.fetched_bytes += bytes;
    }

    /// A second is over.
    pub fn tick(&mut self, up: usize) {
        self.now.up = up as u64;
        self.peer_seconds += up as u64;
        self.seconds.push(self.now);
        let Second { tasks_final, jobs_open, .. } = self.now;
        self.now = Second { tasks_final, jobs_open, ..Second::default() };
    }

    fn sample(&mut self, name: &'static str, value: f64) {
        let samples = self.samples.entry(name).or_default();
        if samples.len() < SAMPLES_MAX {
            samples.push(value);
        }
    }

    /// Looks at what passes.
    pub fn see(&mut self, truth: &Truth, now: u64, seen: &Seen<'_>) {
        match seen {
            Seen::Heard { message: Message::Bid(_), .. } => self.bids += 1,
            Seen::Ran { at, job, .. } => {
                self.executions += 1;
                let facts = &truth.jobs[*job as usize];
                self.own_runs += u64::from(facts.requester == *at);
                self.fuel_for_others += if facts.requester == *at { 0 } else { facts.fuel.0 };
            }
            Seen::Notice { event, .. } => self.on_notice(now, event),
            Seen::OnDisk { record, .. } => self.on_record(truth, now, record),
            Seen::Final { tasks, .. } => self.now.tasks_final += tasks.len() as u64,
            _ => {}
        }
    }

    fn on_notice(&mut self, now: u64, event: &Event) {
        match event {
            Event::Offered { job, .. } => {
                self.offers += 1;
                self.offered.entry(*job).or_insert(now);
            }
            Event::AuctionClosed { bids, .. } => self.sample("bids_counted", *bids as f64),
            Event::Leased { job, .. } => {
                // The first lease of a job ends the wait; later ones are not for want of any.
                if let Some(began) = self.offered.get_mut(job).filter(|began| **began != u64::MAX) {
                    let waited = now - *began;
                    *began = u64::MAX;
                    self.sample("offer_to_lease_ms", waited as f64 / 1e3);
                }
            }
            _ => {}
        }
    }

    fn on_record(&mut self, truth: &Truth, now: u64, record: &Record) {
        match record {
            Record::Submitted { .. } => self.now.jobs_open += 1,
            Record::Closed { job, .. } => {
                self.now.jobs_open = self.now.jobs_open.saturating_sub(1);
                self.offered.remove(job);
                if let Some(facts) = truth.job(job) {
                    self.sample("job_s", (now - facts.at) as f64 / SECOND as f64);
                }
            }
            _ => {}
        }
    }

    /// Everything counted, by name.
    pub fn figures(&self, overlay: &crate::overlay::Overlay) -> Vec<(&'static str, f64)> {
        let up = self.peer_seconds.max(1) as f64;
        let direct: (u64, u64) = self.sent.iter().fold((0, 0), |sum, kind| (sum.0 + kind.0, sum.1 + kind.1));
        let heard: (u64, u64) = self.gossip.iter().fold((0, 0), |sum, kind| (sum.0 + kind.1, sum.1 + kind.2));
        let copies = 1.0 + overlay.gossip.duplicates_per_peer_max;
        let finals = self.seconds.last().map_or(0, |second| second.tasks_final).max(self.now.tasks_final);
        vec![
            ("events", self.events as f64),
            ("peer_hours", up / 3_600.0),
            ("direct_messages_per_peer_s", direct.0 as f64 / up),
            ("direct_bytes_per_peer_s", direct.1 as f64 / up),
            ("lookup_and_connect_bytes_per_peer_s", self.overhead_bytes as f64 / up),
            ("bytes_per_peer_s", (direct.1 + self.overhead_bytes + heard.1) as f64 / up),
            ("gossip_messages_per_peer_s", heard.0 as f64 / up),
            ("gossip_bytes_per_peer_s", heard.1 as f64 / up),
            ("gossip_bytes_per_peer_s_with_copies", heard.1 as f64 * copies / up),
            ("bids_per_offer", self.bids as f64 / self.offers.max(1) as f64),
            ("offers", self.offers as f64),
            ("executions", self.executions as f64),
            ("own_runs", self.own_runs as f64),
            ("gigafuel_for_others", self.fuel_for_others as f64 / 1e9),
            ("money_journals_refused", self.journals_refused as f64),
            ("executions_per_result", self.executions as f64 / finals.max(1) as f64),
            ("own_runs_per_result", self.own_runs as f64 / finals.max(1) as f64),
            ("fetched_bytes", self.fetched_bytes as f64),
            ("connections_lost", self.lost as f64),
            ("messages_replayed", self.replayed as f64),
            ("partitions", self.partitions as f64),
            ("crashes", self.crashes as f64),
            ("disconnected_on_purpose", self.shunned as f64),
            ("new_names", self.renamed as f64),
            ("jobs_not_submitted", self.not_submitted as f64),
            ("jobs_refused", self.refused as f64),
        ]
    }
}
