//! Gossip in: which offers are passed on, which are held, which are held against their sender. specs/offers.md.

use crate::{context::Context, effect::Judgement, lottery::Reach};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;
use pocketmesh_types::{Hash, Instant, JobId, OfferId, PeerId, Price, limits};
use pocketmesh_wire::{Message, Verified, message::Offer};

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
    /// Judges a gossiped statement by where it came, its age, its novelty and how much its author says.
    pub fn judge(&mut self, context: &Context, heard_at: u8, message: &Verified<Message>) -> Judgement {
        let (statement, author) = ((message.signer, message.id), message.signer);
        let (depth, expires, is_thrifty) = match &message.content {
            Message::Offer(Offer { depth, fraction, expires, .. }) => {
                (*depth, *expires, Reach { depth: *depth, fraction: *fraction }.is_thrifty())
            }
            Message::OfferClosed(closed) => (closed.depth, closed.expires, true),
            _ => return Judgement::Reject,
        };
        // Its author has signed how far it may go: somebody else has brought it before more peers, or to others.
        if depth != heard_at {
            return Judgement::Reject;
        }
        if !is_thrifty {
            return Judgement::Drop;
        }
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
    /// Whether our bid waits for a connection with the requester.
    pub reaching: bool,
    /// The id of our bid, once it is sent.
    pub bid: Option<Hash>,
    /// What the auction says that we are to be paid, once it is closed.
    pub due: Option<Price>,
    /// Who else won a seat of it, the first few: they fetch the same program at the same time.
    pub fellows: Vec<PeerId>,
}

impl Held {
    fn is_committed(&self) -> bool {
        self.reaching || self.bid.is_some()
    }
}

/// Offers held, at most [`limits::OFFERS_HELD_MAX`]. Each has a timer, by which it is let go.
#[derive(Debug, Default)]
pub struct Board {
    held: BTreeMap<OfferOf, Held>,
    committed: usize,
}

impl Board {
    /// Holds an offer; says whether there was room.
    pub fn hold(&mut self, id: OfferOf, offer: Offer) -> bool {
        let room = self.held.len() < limits::OFFERS_HELD_MAX;
        if room {
            self.held.entry(id).or_insert(Held { offer, reaching: false, bid: None, due: None, fellows: Vec::new() });
        }
        room
    }

    /// An offer that is held.
    pub fn get(&self, id: &OfferOf) -> Option<&Held> {
        self.held.get(id)
    }

    /// Takes note that we want to bid for an offer, and wait for a connection.
    pub fn on_reach(&mut self, id: &OfferOf) {
        self.commit(id, |held| held.reaching = true);
    }

    /// Takes note of our bid for an offer.
    pub fn on_bid(&mut self, id: &OfferOf, bid: Hash) {
        self.commit(id, |held| held.bid = Some(bid));
    }

    fn commit(&mut self, id: &OfferOf, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.held.get_mut(id) {
            self.committed += usize::from(!held.is_committed());
            change(held);
        }
    }

    /// Takes note of what a lease must pay, and of who else won.
    pub fn on_won(&mut self, id: &OfferOf, due: Option<Price>, fellows: Vec<PeerId>) {
        if let Some(held) = self.held.get_mut(id) {
            (held.due, held.fellows) = (due, fellows);
        }
    }

    /// Lets an offer go.
    pub fn take(&mut self, id: &OfferOf) -> Option<Held> {
        let held = self.held.remove(id)?;
        self.committed -= usize::from(held.is_committed());
        Some(held)
    }

    /// The offers of one job.
    pub fn of_job(&self, job: &JobId) -> Vec<OfferOf> {
        self.held.iter().filter(|(_, held)| held.offer.job == *job).map(|(&id, _)| id).collect()
    }

    /// The offers of a requester that wait for a connection with it.
    pub fn reaching(&self, requester: &PeerId) -> Vec<OfferOf> {
        let waits = |(id, held): &(&OfferOf, &Held)| id.1 == *requester && held.reaching && held.bid.is_none();
        self.held.iter().filter(waits).map(|(&id, _)| id).collect()
    }

    /// How many bids are out, or about to be sent, that were not answered yet.
    pub fn committed(&self) -> usize {
        self.committed
    }
}
