//! Finding workers: the offer, its auction, the leases. specs/auction.md, specs/jobs.md §3.

use crate::{
    auction::{self, Book, SealedBid, Terms},
    context::Context,
    effect::{Effect, Event},
    jobs::{
        active::{Active, Auctioned, Device, Offering, Phase},
        leases::{Granted, HEARTBEAT},
        paying,
    },
    lottery::{self, Reach, Turnout},
    record::Record,
    timers::Timer,
};
use alloc::collections::BTreeMap;
use core::time::Duration;
use pocketmesh_types::{Hash, Instant, LeaseId, OfferId, PeerId, Price, limits};
use pocketmesh_wire::{
    Message, envelope,
    message::{Bid, Ext, Lease, Offer, Standing},
};

/// How long an offer is good for: it must cross the mesh, and its lease must be answered.
const OFFER_LIFE: Duration = Duration::from_secs(60);
/// How long a job without enough workers waits after an auction; doubled while auctions bring nobody.
const OFFER_AGAIN_MIN: Duration = Duration::from_secs(1);
/// The longest time between two offers of a job that could use more workers.
const OFFER_AGAIN_MAX: Duration = Duration::from_secs(30);
/// Somebody has come or gone: a new offer may come sooner than planned, but not sooner than this after the last.
const OFFER_GAP: Duration = Duration::from_secs(5);
/// How much longer bids are taken where most peers are strangers: those whom an offer is for have to be found, and who bids
/// has to connect. An auction closes by its bids before that, as a rule.
const SEEK: Duration = Duration::from_secs(3);
/// Auctions kept for people to see.
const AUCTIONS_KEPT_MAX: usize = 256;

impl Active {
    /// Asks for workers soon, if more would help.
    pub(super) fn want_workers(&mut self, context: &mut Context) {
        if self.offering.is_none() && self.seats_wanted() > 0 {
            let earliest = self.closed.as_ref().map_or(Instant::default(), |last| last.opened + OFFER_GAP);
            let soon = context.now + OFFER_AGAIN_MIN;
            context.timers.set_sooner(Timer::OfferAgain(self.id), soon.max(earliest));
        }
    }

    /// How many more leases would have something to do.
    fn seats_wanted(&self) -> usize {
        if self.phase != Phase::Running {
            return 0;
        }
        let unseated = (self.job.tasks - self.next) as usize;
        let wanting = self.wanting.len() + self.audits_wanting.len();
        let seats = unseated.saturating_mul(usize::from(self.rule().seats)) + wanting;
        seats.min(self.leases_max().saturating_sub(self.live.len()))
    }

    /// Publishes an offer, if workers are wanted and somebody is there to hear it.
    pub(super) fn offer(&mut self, context: &mut Context) {
        self.share_out(context);
        let seats = self.seats_wanted();
        if self.offering.is_some() || seats == 0 {
            return;
        }
        let here = context.peers.keys().filter(|peer| !self.employs(peer) && !self.distrusts(context, peer)).count();
        let free = here + context.strangers();
        self.schedule_next_offer(context);
        if free == 0 {
            return;
        }
        // Two thirds of the bids can win.
        let enough = (seats + seats / 2).clamp(limits::BIDS_WANTED_MIN, limits::BIDS_WANTED);
        let bids_wanted = u16::try_from(free.min(enough)).expect("at most BIDS_WANTED");
        let peers = context.peers.len() + context.strangers();
        let share = match &self.closed {
            Some(last) => last.turnout.next_share(),
            None => lottery::first_share(bids_wanted, peers),
        };
        let nonce = context.secret();
        let reach = Reach::of(share, nonce.to_u64());
        let window = lottery::window(reach.fraction);
        // A topic whose peers have to be looked up first, by us and by those who bid, takes its time.
        let window = if context.strangers() > 0 { window + SEEK } else { window };
        let offer = Offer {
            seats: u16::try_from(seats).expect("at most LEASES_PER_JOB_MAX"),
            bids_wanted,
            depth: reach.depth,
            fraction: reach.fraction,
            nonce_hash: auction::nonce_hash(&nonce),
            closes_ms: u32::try_from(window.as_millis()).expect("some seconds at most"),
            ..self.make_offer(context)
        };
        self.attempts = self.attempts.saturating_add(1);
        let expires = offer.expires;
        let message = Message::from(offer.clone());
        let id = OfferId(envelope::id(&message));
        let book = Book::new(nonce, Terms::of(id, &offer), context.now, window);
        context.timers.set(Timer::AuctionCloses(self.id), book.deadline());
        context.emit(Effect::Publish { message, near: id, depth: reach.depth });
        context.notify(Event::Offered { job: self.id, offer: id, seats: offer.seats, peers });
        let turnout = Turnout::new(id, reach, bids_wanted);
        let (devices, opened) = (BTreeMap::new(), context.now);
        self.offering = Some(Offering { offer: id, book, turnout, devices, expires, opened });
    }

    /// An offer of this job; the auction's part of it is still to be filled in.
    fn make_offer(&self, context: &Context) -> Offer {
        Offer {
            job: self.id,
            program: self.job.program,
            program_len: self.job.program_len,
            profile: self.job.profile,
            tasks: (self.job.tasks - self.finals.len()).max(1),
            input_bytes: self.inputs.bytes(),
            limits: self.job.limits,
            ceiling: self.job.max_price,
            per_gib: self.job.per_gib,
            expected_fuel: self.burnt.mean().or(self.expected_fuel),
            seats: 0,
            bids_wanted: 0,
            depth: 0,
            fraction: 0,
            contacts: context.contacts.clone(),
            nonce_hash: Hash::default(),
            closes_ms: 0,
            expires: context.wall() + OFFER_LIFE,
            attempt: self.attempts,
            ext: Ext::new(),
        }
    }

    /// Doubles the time between offers while they bring nobody. Whoever lost an auction, though there is work left, may
    /// soon bid again.
    fn schedule_next_offer(&self, context: &mut Context) {
        let in_vain = self.auctions.iter().rev().take(5).take_while(|auctioned| auctioned.leases == 0).count();
        let enough = self.live.len() >= usize::from(self.rule().seats);
        let lost_out = self.auctions.last().is_some_and(|auctioned| auctioned.bids > auctioned.leases);
        let doubled = (OFFER_AGAIN_MIN * (1 << in_vain)).min(OFFER_AGAIN_MAX);
        let wait = match (enough, lost_out) {
            (true, true) => OFFER_GAP,
            (true, false) => OFFER_AGAIN_MAX,
            (false, _) => doubled,
        };
        context.timers.set(Timer::OfferAgain(self.id), context.now + wait);
    }

    fn distrusts(&self, context: &Context, peer: &PeerId) -> bool {
        let is_avoided = self.avoided.get(peer).is_some_and(|&(_, until)| context.now < until);
        is_avoided || self.excluded.contains(peer) || context.reputation.is_distrusted(peer)
    }

    /// Whether this is our open offer, or the one before.
    pub fn is_offering(&self, offer: &OfferId) -> bool {
        [&self.offering, &self.closed].into_iter().flatten().any(|offering| offering.offer == *offer)
    }

    /// A sealed bid.
    pub(super) fn on_bid(&mut self, context: &mut Context, bidder: PeerId, id: Hash, bid: &Bid) {
        let prefix = context.peers.get(&bidder).copied().flatten();
        let (employed, distrusted) = (self.employs(&bidder), self.distrusts(context, &bidder));
        let is_late = self.offering.as_ref().is_none_or(|offering| offering.offer != bid.offer);
        let Some(offering) = (if is_late { &mut self.closed } else { &mut self.offering }) else { return };
        offering.turnout.on_bid(bidder, prefix);
        let delivery_ppm = context.reputation.delivery_ppm(&bidder);
        let sealed = SealedBid { bidder, bid: id, price: bid.price, delivery_ppm, prefix };
        if distrusted {
            offering.book.turn_away(bidder, Standing::Distrusted);
        } else if !employed && offering.book.on_bid(context.now, sealed).is_ok() {
            offering.devices.insert(bidder, Device { slots: bid.slots, arch: bid.arch });
        }
        if is_late {
            // The others have had their answer when the auction was closed.
            offering.book.closing_for(&bidder).into_iter().for_each(|closing| context.send(bidder, closing));
        } else if offering.book.is_full() {
            self.close_auction(context);
        }
    }

    /// Closes the auction: everybody who bid learns how it went, winners get leases and their first tasks.
    pub(super) fn close_auction(&mut self, context: &mut Context) {
        let Some(mut offering) = self.offering.take() else { return };
        context.timers.cancel(Timer::AuctionCloses(self.id));
        let clearing = offering.book.close();
        context.emit(offering.closed());
        Self::disclose(context, &offering);
        self.choose_regime(clearing.winners.len());
        for seat in &clearing.winners {
            // It may have been refuted, in this job or another, since its bid was counted.
            if self.distrusts(context, &seat.bidder) {
                continue;
            }
            let device = offering.devices.get(&seat.bidder).copied().unwrap_or_default();
            self.grant(context, offering.offer, seat.bidder, seat.price, device);
        }
        let auctioned = Auctioned {
            bids: offering.book.entries().len(),
            leases: clearing.winners.len(),
            open_for: context.now.since(offering.opened),
        };
        if self.auctions.len() == AUCTIONS_KEPT_MAX {
            self.auctions.remove(0);
        }
        self.auctions.push(auctioned);
        self.closed = Some(offering);
        context.notify(Event::AuctionClosed { job: self.id, bids: auctioned.bids, leases: auctioned.leases });
        self.schedule_next_offer(context);
        self.fill_all(context);
        self.watch(context);
        self.stir();
    }

    fn disclose(context: &mut Context, offering: &Offering) {
        let bidders: alloc::vec::Vec<PeerId> = context.peers.keys().copied().collect();
        for bidder in bidders {
            if let Some(closing) = offering.book.closing_for(&bidder) {
                context.send(bidder, closing);
            }
        }
    }

    fn grant(&mut self, context: &mut Context, offer: OfferId, worker: PeerId, price: Price, device: Device) {
        let lease = Lease {
            offer,
            worker,
            job: self.job.clone(),
            price,
            heartbeat_ms: u32::try_from(HEARTBEAT.as_millis()).expect("seconds"),
            commit_first: self.rule().commits_first,
            slice_tasks: limits::SLICE_TASKS_DEFAULT,
            hold_back_tasks: limits::HOLD_BACK_TASKS,
            fee: price.fee(self.job.program_len),
            ext: Ext::new(),
        };
        let fee = lease.fee;
        let message = Message::from(lease);
        let id = LeaseId(envelope::id(&message));
        // Nothing waits for it: what is delivered under the lease comes after it in the journal.
        context.store(Record::Granted { job: self.id, lease: id, worker, price, fee });
        context.money.on_granted(id, self.id, worker, self.tariff(price), fee, paying::terms());
        context.send(worker, message);
        context.notify(Event::Leased { job: self.id, worker, price });
        self.add_lease(id, Granted::new(context, worker, price, device));
    }
}
