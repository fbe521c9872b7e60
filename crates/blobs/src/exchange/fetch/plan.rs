//! Who is asked for which part next. Decides; never waits, reads or writes.
//!
//! The rarest part goes first, so that many fetchers of one blob soon have different parts to give each other. A peer is
//! not asked for what a much faster one has too: a slow first provider then sends each part about once. When nothing is
//! left that nobody was asked for, a part that is overdue is asked of a second peer.

use super::share::{Share, Sharing};
use crate::tree::PART_BYTES;
use pocketmesh_types::PeerId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// So many times faster, and what both have is left to the faster one.
const MUCH_FASTER: f64 = 2.0;
/// A part is asked of so many peers at once at most.
const ASKED_MAX: usize = 2;
/// A provider is asked for so much ahead: a slow one for one part at a time, so that what it has not begun to send can
/// be had from whoever gets it meanwhile.
const AHEAD: Duration = Duration::from_millis(250);
/// A part is overdue when it takes so many times as long as parts of that peer do.
const OVERDUE_FACTOR: f64 = 3.0;
/// Weight of the latest measurement of a peer's rate.
const RATE_WEIGHT: f64 = 0.3;

/// See the module.
#[derive(Debug)]
pub struct Plan {
    /// Wanted parts that are not here.
    missing: BTreeMap<u32, Missing>,
    /// Of these, those that nobody was asked for.
    open: BTreeSet<u32>,
    sources: BTreeMap<PeerId, Source>,
    /// Mixes the order in which equally rare parts are asked for, differently for each fetch.
    salt: u64,
    /// A part that was asked for so long ago is overdue.
    overdue_after: Duration,
    /// Which parts are ours to ask the source for, where others fetch too.
    share: Option<Share>,
}

#[derive(Debug, Default)]
struct Missing {
    asked: Vec<(PeerId, Instant)>,
}

#[derive(Debug, Default)]
struct Source {
    /// A bit for each part that it has; `None` while it is taken to have all.
    parts: Option<Vec<u8>>,
    /// Bytes a second; 0 before the first measurement.
    rate: f64,
}

impl Source {
    fn has(&self, part: u32) -> bool {
        let at = part as usize;
        self.parts.as_ref().is_none_or(|bits| bits.get(at / 8).is_some_and(|byte| byte & (1 << (at % 8)) != 0))
    }
}

impl Plan {
    /// A plan to get these parts.
    pub fn new(parts: impl Iterator<Item = u32>, salt: u64, overdue_after: Duration) -> Self {
        let open: BTreeSet<u32> = parts.collect();
        let missing = open.iter().map(|&part| (part, Missing::default())).collect();
        Self { missing, open, sources: BTreeMap::new(), salt, overdue_after, share: None }
    }

    /// The same, with the source asked for our share of it only.
    pub fn shared(mut self, sharing: Option<&Sharing>) -> Self {
        self.share = sharing.map(|sharing| Share::of(sharing, self.open.iter().copied(), Instant::now()));
        self
    }

    /// Whether every part is here.
    pub fn is_done(&self) -> bool {
        self.missing.is_empty()
    }

    /// Every part came from elsewhere.
    pub fn clear(&mut self) {
        self.missing.clear();
        self.open.clear();
    }

    /// A peer can be asked, and may have all.
    pub fn join(&mut self, peer: PeerId) {
        self.sources.entry(peer).or_default();
    }

    /// A peer cannot be asked any more, nor will it answer what it was asked.
    pub fn leave(&mut self, peer: PeerId) {
        self.sources.remove(&peer);
        for (&part, missing) in &mut self.missing {
            missing.asked.retain(|&(asked, _)| asked != peer);
            if missing.asked.is_empty() {
                self.open.insert(part);
            }
        }
    }

    /// A peer has said which parts it has.
    pub fn learn(&mut self, peer: PeerId, parts: Vec<u8>) {
        if let Some(source) = self.sources.get_mut(&peer) {
            source.parts = Some(parts);
        }
    }

    /// Whether a peer has said which parts it has, so that it may have more by now.
    pub fn is_partial(&self, peer: PeerId) -> bool {
        self.sources.get(&peer).is_some_and(|source| source.parts.is_some())
    }

    /// A peer took `span` for `bytes`.
    pub fn measure(&mut self, peer: PeerId, bytes: usize, span: Duration) {
        if let Some(source) = self.sources.get_mut(&peer) {
            let rate = bytes as f64 / span.as_secs_f64().max(1e-6);
            let weight = if source.rate == 0.0 { 1.0 } else { RATE_WEIGHT };
            source.rate += (rate - source.rate) * weight;
        }
    }

    /// How many parts a peer is to be asked for at a time, at most `max`.
    pub fn ahead(&self, peer: PeerId, max: usize) -> usize {
        let rate = self.sources.get(&peer).map_or(0.0, |source| source.rate);
        let parts = rate * AHEAD.as_secs_f64() / PART_BYTES as f64;
        1 + (parts as usize).min(max - 1)
    }

    /// A part is here.
    pub fn done(&mut self, part: u32) {
        if let Some(share) = &mut self.share {
            share.done(part, Instant::now());
        }
        self.missing.remove(&part);
        self.open.remove(&part);
    }

    /// A peer will not give a part that it was asked for.
    pub fn put_back(&mut self, peer: PeerId, part: u32) {
        if let Some(missing) = self.missing.get_mut(&part) {
            missing.asked.retain(|&(asked, _)| asked != peer);
            if missing.asked.is_empty() {
                self.open.insert(part);
            }
        }
    }

    /// What to ask this peer for now; it counts as asked.
    pub fn next(&mut self, peer: PeerId, now: Instant) -> Option<u32> {
        if let Some(share) = &mut self.share {
            share.look(now);
        }
        let part = self.rarest(peer).or_else(|| self.overdue(peer, now))?;
        self.open.remove(&part);
        self.missing.get_mut(&part)?.asked.push((peer, now));
        Some(part)
    }

    fn rarest(&self, peer: PeerId) -> Option<u32> {
        let me = self.sources.get(&peer)?;
        let given_elsewhere = |part: u32| {
            let mut others = self.sources.iter().filter(|(other, source)| **other != peer && source.rate > 0.0);
            others.any(|(_, source)| source.has(part))
        };
        let may_be_asked = |part: &u32| {
            me.has(*part) && self.share.as_ref().is_none_or(|share| share.allows(peer, *part, given_elsewhere(*part)))
        };
        if self.sources.len() == 1 {
            // Nobody to trade with: in order, as disks like it.
            return self.open.iter().copied().find(may_be_asked);
        }
        let others = || self.sources.iter().filter(|(other, _)| **other != peer);
        let is_spared = |other: &PeerId| self.share.as_ref().is_some_and(|share| share.spares(*other));
        let faster: Vec<&Source> = others()
            .filter(|(other, source)| me.rate > 0.0 && source.rate > MUCH_FASTER * me.rate && !is_spared(other))
            .map(|(_, source)| source)
            .collect();
        let partial: Vec<&Source> = others().map(|(_, source)| source).filter(|other| other.parts.is_some()).collect();
        let mine = self.open.iter().copied().filter(may_be_asked);
        let for_me = mine.filter(|&part| !faster.iter().any(|other| other.has(part)));
        for_me.min_by_key(|&part| (partial.iter().filter(|other| other.has(part)).count(), self.mixed(part)))
    }

    /// The part that another peer was asked for the longest ago, if that is too long.
    fn overdue(&self, peer: PeerId, now: Instant) -> Option<u32> {
        let me = self.sources.get(&peer)?;
        let late = self.missing.iter().filter_map(|(&part, missing)| {
            let (first, since) = missing.asked.first()?;
            let free = *first != peer && missing.asked.len() < ASKED_MAX;
            (free && me.has(part) && now.duration_since(*since) >= self.patience_with(*first)).then_some((*since, part))
        });
        late.min().map(|(_, part)| part)
    }

    /// How long this peer may take over a part before it is overdue: a slow line is not a dead one.
    fn patience_with(&self, peer: PeerId) -> Duration {
        let rate = self.sources.get(&peer).map_or(0.0, |source| source.rate);
        let usual = if rate > 0.0 { PART_BYTES as f64 / rate } else { 0.0 };
        self.overdue_after.max(Duration::from_secs_f64((OVERDUE_FACTOR * usual).min(3600.0)))
    }

    fn mixed(&self, part: u32) -> u64 {
        mix(self.salt, part)
    }
}

/// The finaliser of SplitMix64: any order will do as long as two salts have different ones.
pub fn mix(salt: u64, part: u32) -> u64 {
    let mut mixed = salt ^ (u64::from(part) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_secs(2);

    fn peer(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    fn plan(parts: u32, peers: u8) -> Plan {
        let mut plan = Plan::new(0..parts, 7, LATE);
        (1..=peers).for_each(|number| plan.join(peer(number)));
        plan
    }

    #[test]
    fn one_source_is_asked_in_order_and_for_each_part_once() {
        let (mut plan, now) = (plan(3, 1), Instant::now());
        let asked: Vec<_> = std::iter::from_fn(|| plan.next(peer(1), now)).collect();
        assert_eq!(asked, [0, 1, 2]);
        assert_eq!(plan.next(peer(1), now + LATE * 2), None);
    }

    #[test]
    fn the_rarest_part_goes_first_and_only_to_who_has_it() {
        let (mut plan, now) = (plan(8, 3), Instant::now());
        plan.learn(peer(2), vec![0b0111_1111]);
        plan.learn(peer(3), vec![0b0011_1111]);
        assert_eq!(plan.next(peer(1), now), Some(7));
        assert_eq!(plan.next(peer(1), now), Some(6));
        let rest: BTreeSet<_> = std::iter::from_fn(|| plan.next(peer(3), now)).collect();
        assert_eq!(rest, BTreeSet::from([0, 1, 2, 3, 4, 5]));
        assert_eq!(plan.next(peer(2), now), None);
    }

    #[test]
    fn two_fetches_ask_in_different_orders() {
        let order = |salt| {
            let mut plan = Plan::new(0..64, salt, LATE);
            plan.join(peer(1));
            plan.join(peer(2));
            std::iter::from_fn(|| plan.next(peer(1), Instant::now())).collect::<Vec<_>>()
        };
        assert_ne!(order(1), order(2));
        assert_eq!(order(1).len(), 64);
    }

    #[test]
    fn what_a_much_faster_peer_has_is_left_to_it() {
        let (mut plan, now) = (plan(8, 2), Instant::now());
        plan.learn(peer(2), vec![0b0000_1111]);
        plan.measure(peer(1), 1000, Duration::from_secs(1));
        plan.measure(peer(2), 10_000, Duration::from_secs(1));
        let slow: BTreeSet<_> = std::iter::from_fn(|| plan.next(peer(1), now)).collect();
        assert_eq!(slow, BTreeSet::from([4, 5, 6, 7]));
        plan.leave(peer(2));
        assert!(plan.next(peer(1), now).is_some_and(|part| part < 4));
    }

    #[test]
    fn fellows_are_asked_for_their_parts_however_much_faster_the_source_is() {
        let sharing = Sharing { me: peer(3), source: peer(1), fellows: vec![peer(2)] };
        let mut plan = Plan::new(0..8, 7, LATE).shared(Some(&sharing));
        let now = Instant::now();
        (1..=2).for_each(|number| plan.join(peer(number)));
        let mine: BTreeSet<_> = std::iter::from_fn(|| plan.next(peer(1), now)).collect();
        assert!((1..8).contains(&mine.len()), "{mine:?}");
        plan.measure(peer(1), 1_000_000, Duration::from_secs(1));
        plan.measure(peer(2), 1000, Duration::from_secs(1));
        plan.learn(peer(2), vec![0xff]);
        let theirs: BTreeSet<_> = std::iter::from_fn(|| plan.next(peer(2), now)).collect();
        assert_eq!(&mine | &theirs, (0..8).collect());
    }

    #[test]
    fn a_fast_peer_is_asked_further_ahead_than_a_slow_one() {
        let mut plan = plan(8, 3);
        plan.measure(peer(1), PART_BYTES as usize, Duration::from_secs(1));
        plan.measure(peer(2), PART_BYTES as usize, Duration::from_millis(1));
        assert_eq!([1, 2, 3].map(|number| plan.ahead(peer(number), 4)), [1, 4, 1]);
    }

    #[test]
    fn an_overdue_part_is_asked_of_one_other_peer() {
        let (mut plan, now) = (plan(1, 3), Instant::now());
        assert_eq!(plan.next(peer(1), now), Some(0));
        assert_eq!(plan.next(peer(2), now), None);
        let later = now + LATE;
        assert_eq!(plan.next(peer(1), later), None);
        assert_eq!(plan.next(peer(2), later), Some(0));
        assert_eq!(plan.next(peer(3), later), None);
        plan.done(0);
        assert!(plan.is_done());
    }

    #[test]
    fn a_slow_peer_is_given_the_time_that_it_needs() {
        let (mut plan, now) = (plan(1, 2), Instant::now());
        plan.measure(peer(1), PART_BYTES as usize, LATE * 2);
        assert_eq!(plan.next(peer(1), now), Some(0));
        assert_eq!(plan.next(peer(2), now + LATE * 2), None);
        assert_eq!(plan.next(peer(2), now + LATE * 7), Some(0));
    }

    #[test]
    fn the_parts_of_a_peer_that_leaves_are_asked_of_others() {
        let (mut plan, now) = (plan(4, 2), Instant::now());
        let asked: BTreeSet<_> = std::iter::from_fn(|| plan.next(peer(1), now)).collect();
        assert_eq!((asked.len(), plan.next(peer(2), now)), (4, None));
        plan.leave(peer(1));
        let again: BTreeSet<_> = std::iter::from_fn(|| plan.next(peer(2), now)).collect();
        assert_eq!(again, asked);
        assert_eq!(plan.next(peer(1), now), None);
        plan.put_back(peer(2), 3);
        assert_eq!(plan.next(peer(2), now), Some(3));
    }
}
