//! Publishes messages into a swarm and follows each: who heard it, from whom, and how long after its teller.

use super::swarm::{Heard, Member, Swarm};
use pocketmesh_types::PeerId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// An offer's size; below the 1,000 bytes from which GossipSub tells neighbours that it has a message already, so that
/// this is the case with more copies.
const MESSAGE_BYTES: usize = 512;
/// Messages on their way at once.
const UNDER_WAY_MAX: usize = 4;
/// GossipSub offers a message to stragglers for 1.5 s. When nothing was heard for so long, nothing more comes.
const QUIET: Duration = Duration::from_secs(4);
/// When no copy of anything came for so long, none is on its way.
const QUIET_COPIES: Duration = Duration::from_millis(400);
/// One message's way.
struct Way {
    publisher: PeerId,
    published: Instant,
    /// From whom, and when.
    heard: BTreeMap<PeerId, (PeerId, Instant)>,
}

impl Way {
    /// Links between the publisher and `peer`; none if they lead through somebody of whom nothing is known.
    fn hops(&self, peer: PeerId) -> Option<usize> {
        let (mut hops, mut at) = (0, peer);
        while at != self.publisher {
            at = self.heard.get(&at)?.0;
            hops += 1;
        }
        Some(hops)
    }

    /// The time between the teller's hearing of it and `peer`'s.
    fn hop_delay(&self, peer: PeerId) -> Option<Duration> {
        let (from, at) = self.heard[&peer];
        let told = if from == self.publisher { self.published } else { self.heard.get(&from)?.1 };
        Some(at.saturating_duration_since(told))
    }
}

/// What became of a number of messages.
#[derive(Debug)]
pub struct Spread {
    /// The share of (message, living peer) pairs in which the peer heard the message.
    pub delivery: f64,
    /// Copies beyond the first for each such pair.
    pub duplicates: f64,
    /// Sorted.
    hops: Vec<usize>,
    /// Sorted.
    hop_delays: Vec<Duration>,
}

impl Spread {
    /// So many thousandths of the messages heard came over no more links than this.
    pub fn hops(&self, thousandths: usize) -> usize {
        self.hops[(self.hops.len() - 1) * thousandths / 1000]
    }

    pub fn hops_mean(&self) -> f64 {
        self.hops.iter().sum::<usize>() as f64 / self.hops.len() as f64
    }

    /// So many thousandths of the links took no longer than this, in milliseconds.
    pub fn hop_delay_ms(&self, thousandths: usize) -> f64 {
        self.hop_delays[(self.hop_delays.len() - 1) * thousandths / 1000].as_secs_f64() * 1e3
    }
}

/// Messages of one phase, and those who publish and hear them.
pub struct Spreading<'a> {
    swarm: &'a mut Swarm,
    /// First copies seen before this phase. The same bytes are gossiped once only, so it stands in every message.
    before: u64,
    listeners: BTreeSet<PeerId>,
    publishers: Vec<Member>,
    ways: BTreeMap<Vec<u8>, Way>,
    /// Those that some listener has not heard, and of which there is hope.
    under_way: BTreeSet<Vec<u8>>,
}

impl<'a> Spreading<'a> {
    /// Among these peers, each of which publishes and hears.
    pub fn among(swarm: &'a mut Swarm, members: &[Member]) -> Self {
        let listeners = members.iter().map(|member| member.id).collect();
        let before = swarm.copies.seen().0;
        Self {
            swarm,
            before,
            listeners,
            publishers: members.to_vec(),
            ways: BTreeMap::new(),
            under_way: BTreeSet::new(),
        }
    }

    /// Publishes so many messages, each by a random peer, and follows them to their end.
    pub async fn publish_all(mut self, messages: usize) -> Spread {
        let again_before = self.swarm.copies.seen().1;
        for number in 0..messages {
            self.publish(number).await;
            self.until_under_way(UNDER_WAY_MAX).await;
        }
        self.until_under_way(0).await;
        self.until_quiet().await;
        let (first, again) = self.swarm.copies.seen();
        let heard: usize = self.ways.values().map(|way| way.heard.len()).sum();
        assert_eq!(first - self.before, heard as u64, "each first copy in the log is a message that a peer heard");
        self.spread(again - again_before)
    }

    async fn publish(&mut self, number: usize) {
        let mut bytes = vec![0; MESSAGE_BYTES];
        let mut random =
            blake3::Hasher::new().update(format!("{number} after {}", self.before).as_bytes()).finalize_xof();
        random.fill(&mut bytes);
        let pick = usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
        let publisher = &self.publishers[pick % self.publishers.len()];
        let way = Way { publisher: publisher.id, published: Instant::now(), heard: BTreeMap::new() };
        self.ways.insert(bytes.clone(), way);
        self.under_way.insert(bytes.clone());
        publisher.handle.publish([0; 32], 0, bytes).await.expect("published");
    }

    /// Until at most so many messages are on their way to somebody. Of those that make no progress nothing is hoped.
    async fn until_under_way(&mut self, most: usize) {
        while self.under_way.len() > most {
            match timeout(QUIET, self.swarm.heard.recv()).await {
                Ok(heard) => self.on_heard(heard.expect("they run")),
                Err(_) => self.under_way.clear(),
            }
        }
    }

    fn on_heard(&mut self, heard: Heard) {
        let Some(way) = self.ways.get_mut(&heard.bytes) else { return };
        if !self.listeners.contains(&heard.by) {
            return;
        }
        assert!(way.heard.insert(heard.by, (heard.from, heard.at)).is_none(), "heard once");
        if way.heard.len() + 1 == self.listeners.len() {
            self.under_way.remove(&heard.bytes);
        }
    }

    /// Until no further copies come in.
    async fn until_quiet(&mut self) {
        let mut seen = None;
        while seen != Some(self.swarm.copies.seen()) {
            seen = Some(self.swarm.copies.seen());
            while let Ok(heard) = timeout(QUIET_COPIES, self.swarm.heard.recv()).await {
                self.on_heard(heard.expect("they run"));
            }
        }
    }

    fn spread(&self, again: u64) -> Spread {
        let pairs = (self.ways.len() * (self.listeners.len() - 1)) as f64;
        let each = || self.ways.values().flat_map(|way| way.heard.keys().map(move |peer| (way, *peer)));
        let mut hops: Vec<_> = each().filter_map(|(way, peer)| way.hops(peer)).collect();
        let mut hop_delays: Vec<_> = each().filter_map(|(way, peer)| way.hop_delay(peer)).collect();
        hops.sort_unstable();
        hop_delays.sort_unstable();
        Spread { delivery: each().count() as f64 / pairs, duplicates: again as f64 / pairs, hops, hop_delays }
    }
}
