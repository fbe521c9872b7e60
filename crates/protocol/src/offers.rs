//! Gossip in: which offers are passed on, which are held, which are held against their sender. specs/offers.md.

use crate::{context::Context, effect::Judgement};
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;
use pocketmesh_types::{Hash, Instant, OfferId, PeerId, UnixTime, limits};
use pocketmesh_wire::message::Offer;

/// Offers and notices of one requester that are passed on in one [`WINDOW`]. Guess: a requester with ten jobs a minute.
const PER_REQUESTER_MAX: u32 = 60;
/// Over which the above is counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Ids remembered, so that what came once does not count twice.
const SEEN_MAX: usize = 4 * limits::OFFERS_HELD_MAX;

/// The state of gossip: what was seen, and how much of whom.
#[derive(Debug, Default)]
pub struct Gate {
    seen: BTreeSet<Hash>,
    rates: BTreeMap<PeerId, (Instant, u32)>,
}

impl Gate {
    /// Judges a gossiped statement by its age, its novelty and how much its author says.
    pub fn judge(&mut self, context: &Context, id: Hash, author: PeerId, expires: UnixTime) -> Judgement {
        if !context.is_current(expires, limits::OFFER_LIFE_MAX) || self.seen.contains(&id) {
            return Judgement::Drop;
        }
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        self.seen.insert(id);
        if self.is_too_much(context.now, author) { Judgement::Drop } else { Judgement::PassOn }
    }

    fn is_too_much(&mut self, now: Instant, author: PeerId) -> bool {
        if self.rates.len() >= limits::OFFERS_HELD_MAX {
            self.rates.retain(|_, (since, _)| now.since(*since) < WINDOW);
        }
        if self.rates.len() >= limits::OFFERS_HELD_MAX && !self.rates.contains_key(&author) {
            return true;
        }
        let (since, count) = self.rates.entry(author).or_insert((now, 0));
        if now.since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count > PER_REQUESTER_MAX
    }
}

/// An offer that this peer may serve, or has bid for.
#[derive(Debug, Clone)]
pub struct Held {
    /// Who offers.
    pub requester: PeerId,
    /// The offer.
    pub offer: Offer,
    /// When it was first heard.
    pub heard: Instant,
    /// The id of our bid, once it is sent.
    pub bid: Option<Hash>,
}

/// Offers held, at most [`limits::OFFERS_HELD_MAX`].
#[derive(Debug, Default)]
pub struct Board {
    held: BTreeMap<OfferId, Held>,
}

impl Board {
    /// Holds an offer; when the board is full it is let go.
    pub fn hold(&mut self, id: OfferId, held: Held) -> bool {
        let room = self.held.len() < limits::OFFERS_HELD_MAX;
        if room {
            self.held.insert(id, held);
        }
        room
    }

    /// An offer that is held.
    pub fn get(&self, id: &OfferId) -> Option<&Held> {
        self.held.get(id)
    }

    /// An offer that is held.
    pub fn get_mut(&mut self, id: &OfferId) -> Option<&mut Held> {
        self.held.get_mut(id)
    }

    /// Lets an offer go.
    pub fn drop_offer(&mut self, id: &OfferId) -> Option<Held> {
        self.held.remove(id)
    }

    /// How many bids are out that were not answered yet.
    pub fn bids_out(&self) -> usize {
        self.held.values().filter(|held| held.bid.is_some()).count()
    }

    /// Lets go what has expired.
    pub fn drop_stale(&mut self, wall: UnixTime) {
        self.held.retain(|_, held| held.offer.expires >= wall);
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}
