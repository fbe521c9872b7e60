//! Gossip in: which offers are passed on, which are held, which are held against their sender. specs/offers.md.

use crate::{context::Context, effect::Judgement};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;
use pocketmesh_types::{Hash, Instant, JobId, OfferId, PeerId, Price, UnixTime, limits};
use pocketmesh_wire::message::Offer;

/// Offers and notices of one requester that are passed on in one [`WINDOW`]. Guess: ten jobs that look for workers as
/// often as they may.
const PER_REQUESTER_MAX: u32 = 120;
/// Over which the above is counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Ids remembered in each of two generations, so that what came once does not count twice.
const SEEN_MAX: usize = 2 * limits::OFFERS_HELD_MAX;

/// The state of gossip: what was seen, and how much of whom.
#[derive(Debug, Default)]
pub struct Gate {
    /// By author too: whoever repeats another's words must not get in their way.
    seen: BTreeSet<(PeerId, Hash)>,
    seen_before: BTreeSet<(PeerId, Hash)>,
    since: Instant,
    counts: BTreeMap<PeerId, u32>,
}

impl Gate {
    /// Judges a gossiped statement by its age, its novelty and how much its author says.
    pub fn judge(&mut self, context: &Context, id: Hash, author: PeerId, expires: UnixTime) -> Judgement {
        let statement = (author, id);
        let is_known = self.seen.contains(&statement) || self.seen_before.contains(&statement);
        if is_known || !context.is_current(expires, limits::OFFER_LIFE_MAX) || self.is_too_much(context.now, author) {
            return Judgement::Drop;
        }
        if self.seen.len() >= SEEN_MAX {
            self.seen_before = core::mem::take(&mut self.seen);
        }
        self.seen.insert(statement);
        Judgement::PassOn
    }

    fn is_too_much(&mut self, now: Instant, author: PeerId) -> bool {
        if now.since(self.since) >= WINDOW {
            self.since = now;
            self.counts.clear();
        }
        if self.counts.len() >= limits::OFFERS_HELD_MAX && !self.counts.contains_key(&author) {
            return true;
        }
        let count = self.counts.entry(author).or_default();
        *count += 1;
        *count > PER_REQUESTER_MAX
    }
}

/// An offer, and who makes it: anybody can repeat the words of another's offer.
pub type OfferOf = (OfferId, PeerId);

/// An offer that this peer may serve, or has bid for.
#[derive(Debug, Clone)]
pub struct Held {
    /// The offer.
    pub offer: Offer,
    /// The id of our bid, once it is sent.
    pub bid: Option<Hash>,
    /// What the auction says that we are to be paid, once it is closed.
    pub due: Option<Price>,
}

/// Offers held, at most [`limits::OFFERS_HELD_MAX`]. Each has a timer, by which it is let go.
#[derive(Debug, Default)]
pub struct Board {
    held: BTreeMap<OfferOf, Held>,
    bids_out: usize,
}

impl Board {
    /// Holds an offer; says whether there was room.
    pub fn hold(&mut self, id: OfferOf, offer: Offer) -> bool {
        let room = self.held.len() < limits::OFFERS_HELD_MAX;
        if room {
            self.held.entry(id).or_insert(Held { offer, bid: None, due: None });
        }
        room
    }

    /// An offer that is held.
    pub fn get(&self, id: &OfferOf) -> Option<&Held> {
        self.held.get(id)
    }

    /// Takes note of our bid for an offer that had none.
    pub fn on_bid(&mut self, id: &OfferOf, bid: Hash) {
        if let Some(held) = self.held.get_mut(id).filter(|held| held.bid.is_none()) {
            held.bid = Some(bid);
            self.bids_out += 1;
        }
    }

    /// Takes note of what a lease must pay.
    pub fn on_won(&mut self, id: &OfferOf, due: Option<Price>) {
        if let Some(held) = self.held.get_mut(id) {
            held.due = due;
        }
    }

    /// Lets an offer go.
    pub fn take(&mut self, id: &OfferOf) -> Option<Held> {
        let held = self.held.remove(id)?;
        self.bids_out -= usize::from(held.bid.is_some());
        Some(held)
    }

    /// The offers of one job.
    pub fn of_job(&self, job: &JobId) -> Vec<OfferOf> {
        self.held.iter().filter(|(_, held)| held.offer.job == *job).map(|(&id, _)| id).collect()
    }

    /// How many bids are out that were not answered yet.
    pub fn bids_out(&self) -> usize {
        self.bids_out
    }
}
