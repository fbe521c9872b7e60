//! Whom to dial, and when to ask around: the bookkeeping of discovery, without a socket and without a clock of its own.
//!
//! Candidates come from answers, the local network, earlier runs and the user; nobody is believed further than that a
//! dial may be tried. Everything is bounded, and peers that never answered make room first.

use crate::{address::ADDRESSES_PER_PEER_MAX, event::Via, identity, place::Place};
use libp2p::Multiaddr;
use pocketmesh_types::{PeerId, limits::OFFER_DEPTH_MAX};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

/// Peers that we know addresses of.
const CANDIDATES_MAX: usize = 1024;
/// Peers remembered as heard of, so that `Learned` comes once each.
const LEARNED_MAX: usize = 8192;
/// Peers handed out to be kept for the next run, the latest first.
const ANCHORS_MAX: usize = 128;
/// A candidate that never answered is forgotten after so many dials.
const FAILURES_MAX: u32 = 6;
/// Dials of discovered peers at once.
pub(crate) const DIALLING_MAX: usize = 16;
/// With fewer peers than this we keep asking often.
const FEW: usize = 8;

const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(300);
const ASK_FIRST: Duration = Duration::from_secs(1);
const ASK_LAST_FEW: Duration = Duration::from_secs(15);
const ASK_LAST: Duration = Duration::from_secs(300);
/// News of a peer are waited for a moment, for more usually follow.
const ASK_SOON: Duration = Duration::from_millis(150);

/// `first`, doubled `times` times, at most `last`.
pub(crate) fn backoff(first: Duration, times: u32, last: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(last)
}

/// Addresses of one peer, and how dialling it went.
#[derive(Debug, Clone)]
struct Candidate {
    addresses: Vec<Multiaddr>,
    failures: u32,
    next_dial: Instant,
    last_met: Option<Instant>,
    connected: bool,
    /// In how many bits its place agrees with ours: hashed once and not at each look.
    distance: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Discovery {
    me: PeerId,
    place: Place,
    candidates: HashMap<PeerId, Candidate>,
    learned: HashMap<PeerId, Via>,
    /// None until there is somebody to ask.
    next_ask: Option<Instant>,
    asked: u32,
    order: RandomState,
}

/// How many peers we are connected to at each distance: by the bits in which their place agrees with ours.
#[derive(Debug)]
pub(crate) struct Crowd {
    me: Place,
    peers: [usize; OFFER_DEPTH_MAX as usize + 1],
}

impl Crowd {
    /// Nobody is connected.
    pub(crate) fn new(me: PeerId) -> Self {
        Self { me: place_of(&me), peers: [0; _] }
    }

    /// `peer` is connected, or soon will be.
    pub(crate) fn add(&mut self, peer: &PeerId) {
        self.peers[distance(&self.me, peer)] += 1;
    }
}

fn distance(me: &Place, peer: &PeerId) -> usize {
    usize::from(me.agreement(&place_of(peer)))
}

fn place_of(peer: &PeerId) -> Place {
    Place::of_peer(identity::libp2p_of(*peer))
}

impl Discovery {
    /// Knows nobody yet.
    pub(crate) fn new(me: PeerId) -> Self {
        Self {
            me,
            place: place_of(&me),
            candidates: HashMap::new(),
            learned: HashMap::new(),
            next_ask: None,
            asked: 0,
            order: RandomState::new(),
        }
    }

    /// `peer` was heard of. True the first time.
    pub(crate) fn learn(&mut self, peer: PeerId, via: Via) -> bool {
        if peer == self.me || self.learned.contains_key(&peer) {
            return false;
        }
        if self.learned.len() >= LEARNED_MAX {
            let candidates = &self.candidates;
            self.learned.retain(|peer, _| candidates.contains_key(peer));
        }
        self.learned.insert(peer, via);
        true
    }

    /// How `peer` was first heard of.
    pub(crate) fn via(&self, peer: &PeerId) -> Option<Via> {
        self.learned.get(peer).copied()
    }

    /// `peer` may be found at these addresses.
    pub(crate) fn suggest(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        if peer == self.me || addresses.is_empty() || !self.make_room(&peer) {
            return;
        }
        let place = self.place;
        let candidate = self.candidates.entry(peer).or_insert_with(|| Candidate {
            addresses: vec![],
            failures: 0,
            next_dial: now,
            last_met: None,
            connected: false,
            distance: distance(&place, &peer),
        });
        for address in addresses {
            if !candidate.addresses.contains(&address) {
                candidate.addresses.insert(0, address);
            }
        }
        candidate.addresses.truncate(ADDRESSES_PER_PEER_MAX);
    }

    /// True if `peer` is a candidate or can become one: the one that failed most often leaves for it.
    fn make_room(&mut self, peer: &PeerId) -> bool {
        if self.candidates.len() < CANDIDATES_MAX || self.candidates.contains_key(peer) {
            return true;
        }
        let failed = self.candidates.iter().filter(|(_, c)| !c.connected && c.failures > 0);
        let worst = failed.max_by_key(|(_, c)| (c.last_met.is_none(), c.failures)).map(|(peer, _)| *peer);
        worst.is_some_and(|worst| self.candidates.remove(&worst).is_some())
    }

    /// Who should be dialled now, at most `room` of them: who failed least first, and of these who is at a distance at which we
    /// have the fewest connections, so that there are some on every topic that we listen to. Each is then given time to answer.
    /// `busy` are being talked to already.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        room: usize,
        busy: impl Fn(&PeerId) -> bool,
        mut crowd: Crowd,
    ) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let due = self.candidates.iter().filter(|(peer, c)| !c.connected && c.next_dial <= now && !busy(peer));
        // Among equals everybody has an order of its own, or those first in a common one would be dialled by all.
        let mut due: Vec<_> = due.map(|(peer, c)| (c.failures, self.order.hash_one(peer), *peer, c.distance)).collect();
        due.sort_unstable();
        let mut chosen = Vec::new();
        while chosen.len() < room && !due.is_empty() {
            let best = (0..due.len()).min_by_key(|&at| (due[at].0, crowd.peers[due[at].3])).unwrap_or_default();
            let (_, _, peer, distance) = due.remove(best);
            crowd.peers[distance] += 1;
            chosen.push(peer);
        }
        let due = chosen.into_iter();
        due.filter_map(|peer| {
            let candidate = self.candidates.get_mut(&peer)?;
            candidate.next_dial = now + backoff(RETRY_FIRST, candidate.failures + 5, RETRY_LAST);
            Some((peer, candidate.addresses.clone()))
        })
        .collect()
    }

    /// A dial of `peer` failed.
    pub(crate) fn failed(&mut self, peer: &PeerId, now: Instant) {
        let Some(candidate) = self.candidates.get_mut(peer) else { return };
        candidate.failures += 1;
        candidate.next_dial = now + backoff(RETRY_FIRST, candidate.failures, RETRY_LAST);
        if candidate.failures >= FAILURES_MAX && candidate.last_met.is_none() {
            self.candidates.remove(peer);
        }
    }

    /// `peer` is connected and one of us.
    pub(crate) fn met(&mut self, peer: &PeerId, now: Instant) {
        if let Some(candidate) = self.candidates.get_mut(peer) {
            (candidate.failures, candidate.connected, candidate.last_met) = (0, true, Some(now));
        }
        self.ask_soon(now);
    }

    /// The last connection with `peer` closed. It is not dialled for `pause`, longer each time it fails.
    pub(crate) fn parted(&mut self, peer: &PeerId, now: Instant, pause: Duration) {
        if let Some(candidate) = self.candidates.get_mut(peer) {
            (candidate.connected, candidate.next_dial) = (false, now + pause.max(RETRY_FIRST));
        }
    }

    /// `peer` is not one of us: nothing of it is kept.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.candidates.remove(peer);
    }

    /// There is news, or somebody new to ask.
    pub(crate) fn ask_soon(&mut self, now: Instant) {
        self.asked = 0;
        let soon = now + ASK_SOON;
        self.next_ask = Some(self.next_ask.map_or(soon, |next| next.min(soon)));
    }

    /// Whether somebody is to be asked within a second.
    pub(crate) fn asks_soon(&self, now: Instant) -> bool {
        self.next_ask.is_some_and(|next| next <= now + ASK_FIRST)
    }

    /// Whether it is time to ask around, with so many peers connected; if so, the next time is set.
    pub(crate) fn ask_now(&mut self, now: Instant, connected: usize) -> bool {
        let due = self.next_ask.is_some_and(|next| next <= now);
        if due {
            let last = if connected < FEW { ASK_LAST_FEW } else { ASK_LAST };
            self.next_ask = Some(now + backoff(ASK_FIRST, self.asked, last));
            self.asked += 1;
        }
        due
    }

    /// Peers that were met, the latest first, with their addresses: what a restart needs.
    pub(crate) fn anchors(&self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let met = self.candidates.iter().filter_map(|(peer, c)| c.last_met.map(|met| (c.connected, met, peer, c)));
        let mut met: Vec<_> = met.collect();
        met.sort_by_key(|(connected, met, peer, _)| std::cmp::Reverse((*connected, *met, **peer)));
        met.truncate(ANCHORS_MAX);
        met.into_iter().map(|(_, _, peer, c)| (*peer, c.addresses.clone())).collect()
    }
}

/// An address of a peer that introduces us, dialled while that peer is not connected.
#[derive(Debug)]
pub(crate) struct Introducer {
    pub(crate) address: Multiaddr,
    /// Who lives there, once known.
    pub(crate) peer: Option<PeerId>,
    dialling: bool,
    failures: u32,
    next_dial: Instant,
}

impl Introducer {
    /// To be dialled at once.
    pub(crate) fn new(address: Multiaddr, now: Instant) -> Self {
        Self { address, peer: None, dialling: false, failures: 0, next_dial: now }
    }

    /// Whether to dial now; if so, [`Self::answered`] or [`Self::failed`] must follow.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        let due = !self.dialling && self.next_dial <= now;
        self.dialling |= due;
        due
    }

    /// `peer` answered there.
    pub(crate) fn answered(&mut self, peer: PeerId, now: Instant) {
        (self.dialling, self.failures, self.peer) = (false, 0, Some(peer));
        self.next_dial = now + RETRY_FIRST;
    }

    /// Nobody of use answered. True the first time in a row, when it is worth a line in the log.
    pub(crate) fn failed(&mut self, now: Instant, connected: usize) -> bool {
        let last = if connected < FEW { ASK_LAST_FEW } else { RETRY_LAST };
        self.dialling = false;
        self.next_dial = now + backoff(RETRY_FIRST, self.failures, last);
        self.failures += 1;
        self.failures == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: PeerId = PeerId([0; 32]);

    fn peer(n: u16) -> PeerId {
        let mut bytes = [1; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        PeerId(bytes)
    }

    fn at(port: u16) -> Vec<Multiaddr> {
        vec![format!("/ip4/8.8.8.8/tcp/{port}").parse().expect("an address")]
    }

    fn nobody() -> Crowd {
        Crowd::new(ME)
    }

    #[test]
    fn those_are_dialled_first_who_are_where_we_know_the_fewest() {
        let (mut discovery, now) = (Discovery::new(ME), Instant::now());
        (1..1_000).for_each(|n| discovery.suggest(peer(n), at(n), now));
        let mut crowd = nobody();
        discovery.due(now, 32, |_| false, nobody()).iter().for_each(|(peer, _)| crowd.add(peer));
        // Half of all peers are at distance 0, a quarter at 1: the nearest seven distances have all that there are.
        assert!(crowd.peers[..7].iter().all(|&count| (3..=6).contains(&count)), "{crowd:?}");
    }

    #[test]
    fn a_peer_is_learned_once_and_we_are_not_a_peer() {
        let mut discovery = Discovery::new(ME);
        assert!(discovery.learn(peer(1), Via::Mdns));
        assert!(!discovery.learn(peer(1), Via::Inbound));
        assert!(!discovery.learn(ME, Via::Mdns));
        assert_eq!(discovery.via(&peer(1)), Some(Via::Mdns));
    }

    #[test]
    fn a_candidate_is_dialled_once_until_it_fails_or_parts() {
        let (mut discovery, now) = (Discovery::new(ME), Instant::now());
        discovery.suggest(peer(1), at(1), now);
        assert_eq!(discovery.due(now, 9, |_| false, nobody()), vec![(peer(1), at(1))]);
        assert_eq!(discovery.due(now, 9, |_| false, nobody()), vec![]);
        discovery.failed(&peer(1), now);
        assert_eq!(discovery.due(now + RETRY_FIRST, 9, |_| false, nobody()), vec![]);
        assert_eq!(discovery.due(now + 2 * RETRY_FIRST, 9, |_| false, nobody()).len(), 1);
        discovery.met(&peer(1), now);
        assert_eq!(discovery.due(now + RETRY_LAST, 9, |_| false, nobody()), vec![]);
        discovery.parted(&peer(1), now, Duration::ZERO);
        assert_eq!(discovery.due(now + RETRY_FIRST, 9, |_| false, nobody()).len(), 1);
    }

    #[test]
    fn who_never_answers_is_forgotten_and_who_was_met_is_not() {
        let (mut discovery, now) = (Discovery::new(ME), Instant::now());
        discovery.suggest(peer(1), at(1), now);
        discovery.suggest(peer(2), at(2), now);
        discovery.met(&peer(2), now);
        discovery.parted(&peer(2), now, Duration::ZERO);
        for _ in 0..FAILURES_MAX {
            discovery.failed(&peer(1), now);
            discovery.failed(&peer(2), now);
        }
        assert_eq!(discovery.candidates.len(), 1);
        assert_eq!(discovery.anchors(), vec![(peer(2), at(2))]);
    }

    #[test]
    fn inventions_do_not_push_out_peers_that_were_met() {
        let (mut discovery, now) = (Discovery::new(ME), Instant::now());
        discovery.suggest(peer(0), at(1), now);
        discovery.met(&peer(0), now);
        for n in 1..3000 {
            discovery.suggest(peer(n), at(n), now);
            discovery.failed(&peer(n), now);
        }
        assert_eq!(discovery.candidates.len(), CANDIDATES_MAX);
        assert!(discovery.candidates.contains_key(&peer(0)));
    }

    #[test]
    fn asking_slows_down_until_there_is_news() {
        let (mut discovery, mut now) = (Discovery::new(ME), Instant::now());
        assert!(!discovery.ask_now(now, 0), "there is nobody to ask");
        discovery.ask_soon(now);
        now += ASK_SOON;
        let mut waits = vec![];
        for _ in 0..6 {
            assert!(discovery.ask_now(now, 3));
            let next = discovery.next_ask.expect("set");
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
        discovery.ask_soon(now);
        assert!(discovery.ask_now(now + ASK_SOON, 3));
    }

    #[test]
    fn an_introducer_is_dialled_again_after_a_while() {
        let now = Instant::now();
        let mut introducer = Introducer::new(at(1).remove(0), now);
        assert!(introducer.due(now) && !introducer.due(now));
        assert!(introducer.failed(now, 0));
        assert!(!introducer.due(now) && introducer.due(now + RETRY_FIRST));
        assert!(!introducer.failed(now, 0), "said once");
    }
}
