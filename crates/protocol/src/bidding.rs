//! The worker's side of the market: whether to bid, when, and what. specs/bidding.md.
//!
//! The price is the peer's true cost: the auction makes that the best bid (specs/auction.md §4).

use crate::{
    auction,
    context::Context,
    effect::Event,
    lottery,
    offers::{Board, Held},
    timers::Timer,
};
use core::time::Duration;
use pocketmesh_types::{Hash, OfferId, PeerId};
use pocketmesh_wire::{
    Message, Verified, envelope,
    message::{Bid, Closing, Ext, Offer, OfferClosed},
};

/// How many leases and bids a slot may carry: enough that a lost bid costs no idle time. Guess.
const COMMITMENTS_PER_SLOT: usize = 4;
/// How often stale offers are looked for.
const STALE_EVERY: Duration = Duration::from_secs(30);

/// Why an offer was not answered with a bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// This device may not work now.
    Paused,
    /// Its slots are spoken for.
    Busy,
    /// The ceiling is below our price.
    TooCheap,
    /// A task may use more memory than this device gives.
    TooLarge,
    /// It is to be run under another profile.
    OtherProfile,
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

    /// An offer was heard for the first time: bid at once, later, or not.
    pub fn on_offer(&mut self, context: &mut Context, offer: Verified<Offer>, leases: usize) {
        let (id, requester) = (OfferId(offer.id), offer.signer);
        self.counters.heard += 1;
        context.notify(Event::OfferHeard { offer: id, requester });
        if self.pass(context, &offer.content, leases).is_some() {
            return;
        }
        let wait = lottery::wait(lottery::ticket(id, context.config.me), offer.content.fraction);
        let closes = Duration::from_millis(u64::from(offer.content.closes_ms));
        if wait > closes {
            return;
        }
        if self.board.hold(id, Held { requester, offer: offer.content, heard: context.now, bid: None }) {
            context.timers.set(Timer::BidTurn(id), context.now + wait);
            context.timers.set_sooner(Timer::OffersStale, context.now + STALE_EVERY);
        }
    }

    /// Why this peer would not bid for such an offer now, if it would not.
    pub fn pass(&self, context: &Context, offer: &Offer, leases: usize) -> Option<Pass> {
        let commitments = leases + self.board.bids_out();
        if context.slots == 0 {
            Some(Pass::Paused)
        } else if offer.profile != context.config.profile {
            Some(Pass::OtherProfile)
        } else if offer.ceiling < context.config.ask {
            Some(Pass::TooCheap)
        } else if offer.limits.memory > context.config.memory_max {
            Some(Pass::TooLarge)
        } else if commitments >= COMMITMENTS_PER_SLOT * usize::from(context.slots) {
            Some(Pass::Busy)
        } else {
            None
        }
    }

    /// The lottery's turn has come for an offer that is still held.
    pub fn on_turn(&mut self, context: &mut Context, id: OfferId, leases: usize) {
        let Some(held) = self.board.get(&id).filter(|held| held.bid.is_none()) else { return };
        if !context.peers.contains_key(&held.requester) || self.pass(context, &held.offer, leases).is_some() {
            self.board.drop_offer(&id);
            return;
        }
        let bid = Message::from(Bid {
            offer: id,
            price: context.config.ask,
            slots: context.slots,
            expires: held.offer.expires,
            ext: Ext::new(),
        });
        let requester = held.requester;
        if let Some(held) = self.board.get_mut(&id) {
            held.bid = Some(envelope::id(&bid));
        }
        self.counters.bid += 1;
        context.send(requester, bid);
        context.notify(Event::BidSent { offer: id });
    }

    /// Bids are no longer taken: forget the offer unless we have bid.
    pub fn on_closed(&mut self, context: &mut Context, author: PeerId, closed: &OfferClosed) {
        let ours = |held: &Held| held.requester == author && held.bid.is_none();
        if self.board.get(&closed.offer).is_some_and(ours) {
            self.board.drop_offer(&closed.offer);
            context.timers.cancel(Timer::BidTurn(closed.offer));
        }
    }

    /// How an auction ended. A winner's offer is held until its lease comes.
    pub fn on_closing(&mut self, context: &mut Context, from: PeerId, closing: &Closing) {
        let Some(held) = self.board.get(&closing.offer).filter(|held| held.requester == from) else { return };
        let Some(bid) = held.bid else { return };
        let checked = auction::check(&held.offer, closing, context.config.me, bid, context.config.ask);
        context.notify(Event::BidAnswered {
            offer: closing.offer,
            standing: closing.standing,
            honest: checked.is_ok(),
        });
        if closing.standing == pocketmesh_wire::message::Standing::Won {
            self.counters.won += 1;
        } else {
            self.board.drop_offer(&closing.offer);
        }
    }

    /// Takes out the offer that a lease from `from` answers, if we have bid for it.
    pub fn take_won(&mut self, from: PeerId, offer: &OfferId) -> Option<(Offer, Hash)> {
        let held = self.board.get(offer).filter(|held| held.requester == from)?;
        let bid = held.bid?;
        self.board.drop_offer(offer).map(|held| (held.offer, bid))
    }

    /// Lets go what has expired.
    pub fn on_stale(&mut self, context: &mut Context) {
        self.board.drop_stale(context.wall());
        if !self.board.is_empty() {
            context.timers.set(Timer::OffersStale, context.now + STALE_EVERY);
        }
    }
}
