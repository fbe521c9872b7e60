//! Finding workers: the offer, its auction, the leases. specs/auction.md, specs/jobs.md §3.

use crate::{
    auction::{self, Book, SealedBid, Terms},
    context::Context,
    effect::{Effect, Event},
    jobs::active::{Active, Auctioned, Granted, Offering, Phase},
    lottery::{self, Turnout},
    timers::Timer,
};
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;
use pocketmesh_types::{Hash, LeaseId, OfferId, PeerId, Price, limits};
use pocketmesh_wire::{
    Message, envelope,
    message::{Bid, Closing, Ext, Lease, Offer, OfferClosed, Standing},
};

/// How long bids are taken: five rounds of the lottery. In a small mesh the count closes it much sooner.
const BIDS_FOR: Duration = Duration::from_secs(1);
/// How long an offer is good for: it must cross the mesh, and its lease must be answered.
const OFFER_LIFE: Duration = Duration::from_secs(60);
/// The shortest time between two offers of a job.
const OFFER_AGAIN_MIN: Duration = Duration::from_secs(1);
/// The longest time between two offers of a job that lacks workers.
const OFFER_AGAIN_MAX: Duration = Duration::from_secs(30);
/// A sign of life is due this often.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A worker's own word for its slots counts up to this; its window then follows what it delivers. Guess.
const SLOTS_BELIEVED_MAX: u16 = 64;
/// How much larger than its slots a worker's first window is: tasks are on their way while others run.
const FIRST_WINDOW_PER_SLOT: usize = 2;

impl Active {
    /// Asks for workers soon, if more would help.
    pub(super) fn want_workers(&mut self, context: &mut Context) {
        if self.offering.is_none() && self.seats_wanted() > 0 {
            context.timers.set_sooner(Timer::OfferAgain(self.id), context.now + OFFER_AGAIN_MIN);
        }
    }

    /// How many more leases would have something to do.
    fn seats_wanted(&self) -> usize {
        if self.phase != Phase::Running {
            return 0;
        }
        let unseated = (self.job.tasks - self.next) as usize;
        let seats = unseated.saturating_mul(usize::from(self.job.policy.seats())) + self.wanting.len();
        seats.min(limits::LEASES_PER_JOB_MAX.saturating_sub(self.live().count()))
    }

    /// Publishes an offer, if workers are wanted and somebody is there to hear it.
    pub(super) fn offer(&mut self, context: &mut Context) {
        let seats = self.seats_wanted();
        if self.offering.is_some() || seats == 0 {
            return;
        }
        let taken: BTreeSet<PeerId> = self.live().map(|(_, granted)| granted.worker).collect();
        let free = context.peers.keys().filter(|peer| !taken.contains(peer) && !self.excluded.contains(peer)).count();
        self.schedule_next_offer(context);
        if free == 0 {
            return;
        }
        let bids_wanted = u16::try_from(free.min(limits::BIDS_WANTED as usize)).expect("at most BIDS_WANTED");
        let fraction = self.fraction.unwrap_or_else(|| lottery::first_fraction(bids_wanted, context.peers.len()));
        let nonce = context.secret();
        let offer = self.make_offer(context, seats, bids_wanted, fraction, &nonce);
        let message = Message::from(offer.clone());
        let id = OfferId(envelope::id(&message));
        let book = Book::new(nonce, Terms::of(id, &offer), context.now, BIDS_FOR);
        context.timers.set(Timer::AuctionCloses(self.id), book.deadline());
        context.emit(Effect::Publish(message));
        let peers = context.peers.len();
        context.notify(Event::Offered { job: self.id, offer: id, seats: offer.seats, peers });
        self.offering = Some(Offering {
            offer: id,
            book,
            turnout: Turnout::new(id, fraction, bids_wanted),
            slots: BTreeMap::new(),
            distrusted: BTreeSet::new(),
            expires: offer.expires,
            opened: context.now,
        });
    }

    fn make_offer(&self, context: &Context, seats: usize, bids_wanted: u16, fraction: u64, nonce: &Hash) -> Offer {
        Offer {
            job: self.id,
            program: self.job.program,
            program_len: self.job.program_len,
            profile: self.job.profile,
            tasks: (self.job.tasks - self.finals.len()).max(1),
            input_bytes: self.inputs.bytes(),
            limits: self.job.limits,
            ceiling: self.job.max_price,
            seats: u16::try_from(seats).expect("at most LEASES_PER_JOB_MAX"),
            bids_wanted,
            fraction,
            nonce_hash: auction::nonce_hash(nonce),
            closes_ms: u32::try_from(BIDS_FOR.as_millis()).expect("a second"),
            expires: context.wall() + OFFER_LIFE,
            attempt: u32::try_from(self.auctions.len()).unwrap_or(u32::MAX),
            ext: Ext::new(),
        }
    }

    /// Doubles the time between offers while they bring nobody.
    fn schedule_next_offer(&self, context: &mut Context) {
        let in_vain = self.auctions.iter().rev().take_while(|auctioned| auctioned.leases == 0).count();
        let enough = self.live().count() >= usize::from(self.job.policy.seats());
        let doubled = OFFER_AGAIN_MIN * (1 << in_vain.min(5));
        let wait = if enough { OFFER_AGAIN_MAX } else { doubled.min(OFFER_AGAIN_MAX) };
        context.timers.set(Timer::OfferAgain(self.id), context.now + wait + BIDS_FOR);
    }

    /// Whether this is our open offer.
    pub fn is_offering(&self, offer: &OfferId) -> bool {
        self.offering.as_ref().is_some_and(|offering| offering.offer == *offer)
    }

    /// A sealed bid.
    pub(super) fn on_bid(&mut self, context: &mut Context, bidder: PeerId, id: Hash, bid: &Bid) {
        let taken = self.live().any(|(_, granted)| granted.worker == bidder);
        let Some(offering) = &mut self.offering else { return };
        let prefix = context.peers.get(&bidder).copied().flatten();
        offering.turnout.on_bid(bidder, prefix);
        if taken {
            return;
        }
        if self.excluded.contains(&bidder) || context.reputation.is_distrusted(&bidder) {
            if offering.distrusted.len() < limits::BIDS_PER_OFFER_MAX {
                offering.distrusted.insert(bidder);
            }
            return;
        }
        let delivery_ppm = context.reputation.delivery_ppm(&bidder);
        let sealed = SealedBid { bidder, bid: id, price: bid.price, delivery_ppm, prefix };
        // Whoever is turned away learns why when the auction closes.
        if offering.book.on_bid(context.now, sealed).is_ok() {
            offering.slots.insert(bidder, bid.slots);
        }
        if offering.book.is_full() {
            self.close_auction(context);
        }
    }

    /// Closes the auction: everybody who bid learns how it went, winners get leases and their first tasks.
    pub(super) fn close_auction(&mut self, context: &mut Context) {
        let Some(mut offering) = self.offering.take() else { return };
        context.timers.cancel(Timer::AuctionCloses(self.id));
        let clearing = offering.book.close();
        context.emit(Effect::Publish(OfferClosed { offer: offering.offer, expires: offering.expires }.into()));
        self.disclose(context, &offering);
        for seat in &clearing.winners {
            let slots = offering.slots.get(&seat.bidder).copied().unwrap_or(1);
            self.grant(context, offering.offer, seat.bidder, seat.price, slots);
        }
        self.fraction = Some(offering.turnout.next_fraction());
        let auctioned = Auctioned {
            bids: offering.book.entries().len(),
            leases: clearing.winners.len(),
            open_for: context.now.since(offering.opened),
        };
        self.auctions.push(auctioned);
        context.notify(Event::AuctionClosed { job: self.id, bids: auctioned.bids, leases: auctioned.leases });
        self.schedule_next_offer(context);
        self.fill_all(context);
        context.timers.set_sooner(Timer::Overdue(self.id), context.now + super::judging::SWEEP);
    }

    fn disclose(&self, context: &mut Context, offering: &Offering) {
        let bidders = context.peers.keys().copied();
        let closings: alloc::vec::Vec<(PeerId, Closing)> =
            bidders.filter_map(|bidder| Some((bidder, offering.book.closing_for(&bidder)?))).collect();
        let nothing_won = |closing: Closing| Closing { standing: Standing::Distrusted, ..closing };
        if let Some((_, any)) = closings.first().cloned() {
            for &bidder in &offering.distrusted {
                context.send(bidder, nothing_won(any.clone()));
            }
        }
        for (bidder, closing) in closings {
            context.send(bidder, closing);
        }
    }

    fn grant(&mut self, context: &mut Context, offer: OfferId, worker: PeerId, price: Price, slots: u16) {
        let lease = Lease {
            offer,
            worker,
            job: self.job.clone(),
            price,
            heartbeat_ms: u32::try_from(HEARTBEAT.as_millis()).expect("seconds"),
            commit_first: crate::verification::Rule::commits_first(&self.rule()),
            ext: Ext::new(),
        };
        let message = Message::from(lease);
        let id = LeaseId(envelope::id(&message));
        context.send(worker, message);
        context.notify(Event::Leased { job: self.id, worker, price });
        self.leases.insert(id, Granted::new(context, worker, price, slots));
    }
}

impl Granted {
    fn new(context: &Context, worker: PeerId, price: Price, slots: u16) -> Self {
        let window = FIRST_WINDOW_PER_SLOT * usize::from(slots.min(SLOTS_BELIEVED_MAX));
        Self {
            worker,
            prefix: context.peers.get(&worker).copied().flatten(),
            price,
            since: context.now,
            heard: context.now,
            gone: None,
            running: BTreeSet::new(),
            window,
            window_min: window,
            done: 0,
            accepted: 0,
            voided: 0,
            late: 0,
            owed: pocketmesh_types::Credits::default(),
            over: None,
        }
    }

    /// Whether a sign of life is overdue.
    pub fn is_silent(&self, now: pocketmesh_types::Instant) -> bool {
        now.since(self.heard) > HEARTBEAT * crate::execution::HEARTBEATS_MISSED_MAX
    }
}
