//! The worker's side of the market: whether to bid, when, and what. specs/bidding.md.
//!
//! The price is the peer's true cost: the auction makes that the best bid (specs/auction.md §4).

use crate::{
    auction,
    context::Context,
    effect::{Effect, Event},
    lottery,
    offers::{Board, Held, OfferOf},
    settlement,
    timers::Timer,
};
use core::time::Duration;
use pocketmesh_ledger::service::Priority;
use pocketmesh_types::{JobId, OfferId, PeerId, Tariff, limits};
use pocketmesh_wire::{
    Message, Verified, envelope,
    message::{Bid, Closing, Ext, Offer, OfferClosed, Standing},
};

/// How many busy leases and bids a slot may carry: enough that a lost bid costs no idle time. Guess.
const COMMITMENTS_PER_SLOT: usize = 4;
/// How long a connection with a requester may take.
const REACH_WITHIN: Duration = Duration::from_secs(5);
/// How long bids are taken, at most, before a bid that was not answered is given up; a requester could say years.
const CLOSES_MAX: Duration = Duration::from_secs(10);
/// Beyond that, how long the answer and the lease may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why an offer was not answered with a bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// This device may not work now.
    Paused,
    /// Its slots are spoken for.
    Busy,
    /// The ceiling is below our price, or what is paid for a GiB below our floor.
    TooCheap,
    /// A task may use more memory than this device gives.
    TooLarge,
    /// It is to be run under another profile.
    OtherProfile,
    /// It has gone stale while we waited.
    Stale,
    /// Its author has voided a claim of ours for which we stand.
    Unjust,
    /// Its author has no credit with us.
    NoCredit,
}

/// The bidding side of a peer.
#[derive(Debug, Default)]
pub struct Bidding {
    board: Board,
    counters: Counters,
}

/// What the bidding side has done since the peer started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Offers heard for the first time.
    pub heard: u64,
    /// Bids sent.
    pub bid: u64,
    /// Bids that won a lease.
    pub won: u64,
}

impl Bidding {
    /// What this side has done since the peer started.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// An offer was heard for the first time: bid at once, later, or not. `busy` leases have tasks.
    pub fn on_offer(&mut self, context: &mut Context, offer: Verified<Offer>, busy: usize) {
        let id = (OfferId(offer.id), offer.signer);
        self.counters.heard += 1;
        context.notify(Event::OfferHeard { offer: id.0, requester: id.1 });
        let wait = lottery::wait(lottery::ticket(id.0, context.config.me), offer.content.fraction);
        if wait > closes(&offer.content) || self.pass(context, &offer.signer, &offer.content, busy).is_some() {
            return;
        }
        if self.board.hold(id, offer.content) {
            context.timers.set(Timer::Offer(id.0, id.1), context.now + wait);
        }
    }

    /// Why this peer would not bid for such an offer now, if it would not.
    pub fn pass(&self, context: &Context, author: &PeerId, offer: &Offer, busy: usize) -> Option<Pass> {
        let tariff = Tariff { price: context.config.ask, per_gib: offer.per_gib };
        let commitments = busy + self.board.committed();
        let cost = settlement::first_cost(tariff, offer.limits.fuel);
        let served = context.money.would_serve(context.applicant(*author), cost, context.now);
        if !context.reputation.is_served(author) {
            Some(Pass::Unjust)
        } else if context.slots == 0 {
            Some(Pass::Paused)
        } else if offer.profile != context.config.profile {
            Some(Pass::OtherProfile)
        } else if offer.ceiling < context.config.ask || offer.per_gib < context.config.floor_per_gib {
            Some(Pass::TooCheap)
        } else if offer.limits.memory > context.config.memory_max {
            Some(Pass::TooLarge)
        } else if commitments >= COMMITMENTS_PER_SLOT * usize::from(context.slots) {
            Some(Pass::Busy)
        } else if served.is_none() {
            Some(Pass::NoCredit)
        } else if served == Some(Priority::Idle) && commitments >= usize::from(context.slots) {
            // Whoever owes us more than we bear on trust is served when nobody else waits.
            Some(Pass::Busy)
        } else if !context.is_current(offer.expires, limits::OFFER_LIFE_MAX) {
            Some(Pass::Stale)
        } else {
            None
        }
    }

    /// An offer that is held has waited: for its turn in the lottery, or in vain for a connection or for an answer to our bid.
    pub fn on_waited(&mut self, context: &mut Context, id: OfferOf, busy: usize) {
        let Some(Held { offer, reaching: false, bid: None, .. }) = self.board.get(&id) else {
            self.board.take(&id);
            return;
        };
        if self.pass(context, &id.1, offer, busy).is_some() {
            self.board.take(&id);
        } else if context.peers.contains_key(&id.1) {
            self.bid(context, id);
        } else {
            let contacts = offer.contacts.clone();
            self.board.on_reach(&id);
            context.timers.set(Timer::Offer(id.0, id.1), context.now + REACH_WITHIN);
            context.emit(Effect::Reach { peer: id.1, contacts });
        }
    }

    /// A peer is connected: bids that wait for it are sent.
    pub fn on_connected(&mut self, context: &mut Context, peer: PeerId) {
        for id in self.board.reaching(&peer) {
            if context.slots > 0 {
                self.bid(context, id);
            } else {
                self.let_go(context, &id);
            }
        }
    }

    fn bid(&mut self, context: &mut Context, id: OfferOf) {
        let Some(Held { offer, .. }) = self.board.get(&id) else { return };
        let answer_within = closes(offer).min(CLOSES_MAX) + ANSWER_WITHIN;
        let bid = Message::from(Bid {
            offer: id.0,
            price: context.config.ask,
            slots: context.slots,
            arch: context.config.arch,
            expires: offer.expires,
            ext: Ext::new(),
        });
        self.board.on_bid(&id, envelope::id(&bid));
        self.counters.bid += 1;
        context.timers.set(Timer::Offer(id.0, id.1), context.now + answer_within);
        context.send(id.1, bid);
        context.notify(Event::BidSent { offer: id.0 });
    }

    /// Bids are no longer taken: forget the offer unless we have bid.
    pub fn on_closed(&mut self, context: &mut Context, author: PeerId, closed: &OfferClosed) {
        let id = (closed.offer, author);
        if self.board.get(&id).is_some_and(|held| held.bid.is_none()) {
            self.let_go(context, &id);
        }
    }

    /// How an auction ended. A winner's offer is held until its lease comes; where the disclosure does not add up, no
    /// lease is taken.
    pub fn on_closing(&mut self, context: &mut Context, from: PeerId, closing: &Closing) {
        let id = (closing.offer, from);
        let Some((held, bid)) = self.board.get(&id).and_then(|held| Some((held, held.bid?))) else { return };
        let checked = auction::check(&held.offer, closing, context.config.me, bid, context.config.ask);
        let (offer, standing) = (closing.offer, closing.standing);
        context.notify(Event::BidAnswered { offer, standing, honest: checked.is_ok() });
        match checked {
            Ok(checked) if standing == Standing::Won => {
                self.counters.won += 1;
                let fellows = auction::fellows(&held.offer, closing, &context.config.me);
                self.board.on_won(&id, checked.price, fellows);
            }
            _ => drop(self.let_go(context, &id)),
        }
    }

    /// Takes out the offer that a lease from `from` answers, if we have bid for it.
    pub fn take_won(&mut self, context: &mut Context, from: PeerId, offer: &OfferId) -> Option<Held> {
        let id = (*offer, from);
        self.board.get(&id)?.bid?;
        self.let_go(context, &id)
    }

    /// This job is served now: its other offers are of no interest.
    pub fn on_served(&mut self, context: &mut Context, job: &JobId) {
        for id in self.board.of_job(job) {
            self.let_go(context, &id);
        }
    }

    fn let_go(&mut self, context: &mut Context, id: &OfferOf) -> Option<Held> {
        context.timers.cancel(Timer::Offer(id.0, id.1));
        self.board.take(id)
    }
}

fn closes(offer: &Offer) -> Duration {
    Duration::from_millis(u64::from(offer.closes_ms))
}
