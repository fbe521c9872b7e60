//! One peer: the machines put together, and nothing else.
//!
//! [`Peer::handle`] is all there is. It is told what happened and says, in order, what is to be done. It has no
//! sockets, clock, files, threads or dice of its own, so the daemon and the simulator run the same peer.

use crate::{
    bidding::{self, Bidding},
    context::{Config, Context},
    effect::{Effect, Judgement},
    execution::{self, Execution},
    input::Input,
    jobs::Jobs,
    offers::Gate,
    record::Record,
    reputation::Reputation,
    settlement::{self, Refusal},
    timers::Timer,
};
use alloc::vec::Vec;
use pocketmesh_types::{ClaimId, Instant, LeaseId, PeerId};
use pocketmesh_wire::{Message, Verified};

/// One peer as a state machine.
#[derive(Debug)]
pub struct Peer {
    context: Context,
    gate: Gate,
    bidding: Bidding,
    execution: Execution,
    jobs: Jobs,
}

impl Peer {
    /// A peer that has just started and knows nobody.
    pub fn new(config: Config) -> Self {
        Self {
            context: Context::new(config),
            gate: Gate::default(),
            bidding: Bidding::default(),
            execution: Execution::default(),
            jobs: Jobs::default(),
        }
    }

    /// Takes a fact from the journal of the run before, in order, before the first input.
    pub fn restore(&mut self, record: Record) {
        self.jobs.restore(&mut self.context, record);
    }

    /// Takes a record of money from the journal of the run before, in order, before the first input. What does not follow from
    /// those before it is refused: the journal is damaged then, which is to be told as [`Input::MoneyFailed`].
    pub fn restore_money(&mut self, record: &pocketmesh_ledger::Record) -> Result<(), Refusal> {
        self.context.money.restore(record, &self.context.config.money.open)
    }

    /// Goes on where the run before was.
    #[must_use]
    pub fn resume(&mut self, now: Instant) -> Vec<Effect> {
        self.context.now = now;
        self.jobs.resume(&mut self.context);
        self.context.take_effects()
    }

    /// Tells the peer what happened; says what is to be done, in this order.
    #[must_use]
    pub fn handle(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        self.context.now = self.context.now.max(now);
        match input {
            Input::PeerConnected { peer, prefix } => self.on_connected(peer, prefix),
            Input::PeerDisconnected { peer } => self.on_disconnected(peer),
            Input::MessageReceived { from, message } => self.on_message(from, message),
            Input::GossipHeard { token, depth, message } => self.on_gossip(token, depth, message),
            Input::ExecutionFinished { run, result } => {
                if !self.execution.on_finished(&mut self.context, run, &result) {
                    self.jobs.on_finished(&mut self.context, run, result);
                }
            }
            Input::Fetched { item, found } => {
                self.execution.on_fetched(&mut self.context, item, found);
                self.jobs.on_fetched(&mut self.context, item, found);
            }
            Input::Mesh { peers, contacts } => self.context.set_mesh(peers, contacts),
            Input::Sent { peer, bytes } => self.context.reputation.sent(peer, bytes),
            Input::PartsRead { job, parts } => self.jobs.on_parts_read(&mut self.context, job, parts),
            Input::Stored { record } => self.jobs.on_stored(&mut self.context, record),
            Input::Paid { id, payment } => {
                self.context.money.on_paid(id, payment);
                self.context.say_again_soon();
            }
            Input::Kept { id } => {
                self.context.money.on_stored(id);
                // Somebody has paid: what waited for it goes on.
                self.execution.start_runs(&mut self.context);
            }
            Input::MoneyFailed { reason } => {
                self.context.money.on_journal_failed(reason);
                self.set_slots(0);
            }
            Input::DeviceChanged { slots } => self.set_slots(slots),
            Input::WallClock(wall) => self.context.set_wall_clock(wall),
            Input::Command { id, command } => self.jobs.on_command(&mut self.context, id, command),
            Input::DeadlineReached => {}
        }
        while let Some(timer) = self.context.timers.pop_due(self.context.now) {
            self.on_timer(timer);
        }
        self.context.take_effects()
    }

    /// When [`Input::DeadlineReached`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.context.timers.next_deadline()
    }

    /// The jobs of this peer, to look at.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// What was seen of others.
    pub fn reputation(&self) -> &Reputation {
        &self.context.reputation
    }

    /// What this peer owes, and is owed.
    pub fn settlement(&self) -> &settlement::State {
        &self.context.money
    }

    /// What the bidding side has done.
    pub fn bidding(&self) -> bidding::Counters {
        self.bidding.counters()
    }

    /// What the working side has done.
    pub fn execution(&self) -> execution::Counters {
        self.execution.counters()
    }

    /// Leases held as a worker, and executions under way.
    pub fn load(&self) -> (usize, usize) {
        (self.execution.leases(), self.execution.running())
    }

    /// Connected peers.
    pub fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.context.peers.keys()
    }

    /// What this device gives from now on. Nothing where money is stopped: what it did for others could not be paid.
    fn set_slots(&mut self, slots: u16) {
        let is_stopped = self.context.money.accounts().halted().is_some();
        self.context.slots = if is_stopped { 0 } else { slots };
        self.execution.on_device_changed(&mut self.context);
    }

    fn on_connected(&mut self, peer: PeerId, prefix: Option<crate::input::Prefix>) {
        self.context.peers.insert(peer, prefix);
        if self.context.money.on_connected(peer) {
            self.context.say_again_soon();
        }
        self.bidding.on_connected(&mut self.context, peer);
        self.execution.on_connected(&mut self.context, peer);
        self.jobs.on_connected(&mut self.context, peer);
    }

    fn on_disconnected(&mut self, peer: PeerId) {
        self.context.peers.remove(&peer);
        self.execution.on_disconnected(&mut self.context, peer);
        self.jobs.on_disconnected(&mut self.context, peer);
    }

    fn on_gossip(&mut self, token: u64, depth: u8, message: Verified<Message>) {
        let author = message.signer;
        let judgement = self.gate.judge(&self.context, depth, &message);
        self.context.emit(Effect::Judge { token, judgement });
        if judgement != Judgement::PassOn || author == self.context.config.me {
            return;
        }
        match message.content {
            Message::Offer(offer) if !self.execution.serves(&offer.job) => {
                let offer = Verified { signer: author, id: message.id, content: offer, attached: message.attached };
                self.bidding.on_offer(&mut self.context, offer, self.execution.busy());
            }
            Message::OfferClosed(closed) => self.bidding.on_closed(&mut self.context, author, &closed),
            _ => {}
        }
    }

    fn on_message(&mut self, from: PeerId, message: Verified<Message>) {
        let context = &mut self.context;
        match message.content {
            Message::Bid(bid) => self.jobs.on_bid(context, from, message.id, &bid),
            Message::Closing(closing) => self.bidding.on_closing(context, from, &closing),
            Message::Lease(lease) => {
                let held = self.bidding.take_won(context, from, &lease.offer);
                if let Some(job) = self.execution.on_lease(context, from, LeaseId(message.id), lease, held) {
                    self.bidding.on_served(context, &job);
                }
            }
            Message::Decline(decline) => self.jobs.on_decline(context, from, &decline),
            Message::Assign(assign) => self.execution.on_assign(context, from, assign),
            Message::HandBack(back) => self.jobs.on_hand_back(context, from, &back),
            Message::Heartbeat(heartbeat) => self.jobs.on_heartbeat(context, from, &heartbeat),
            Message::Commit(commit) => self.jobs.on_commit(context, from, commit),
            Message::Reveal(reveal) => self.execution.on_reveal(context, from, reveal),
            Message::Claim(claim) => {
                self.jobs.on_claim(context, from, ClaimId(message.id), &claim, message.attached);
            }
            Message::ClaimAck(ack) => self.execution.on_ack(context, from, &ack),
            Message::Verdicts(verdicts) => self.execution.on_verdicts(context, from, &verdicts),
            Message::Void(void) => self.execution.on_void(context, from, &void),
            Message::LeaseEnd(end) => self.execution.on_end(context, from, end.lease),
            Message::Payment(payment) => {
                let open = context.config.money.open;
                context.money.on_statements(from, payment.statements, &open);
            }
            Message::Job(_) | Message::Offer(_) | Message::OfferClosed(_) => {
                context.emit(Effect::Disconnect { peer: from, reason: "a gossip message sent directly" });
            }
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        let context = &mut self.context;
        match timer {
            Timer::Offer(offer, of) => self.bidding.on_waited(context, (offer, of), self.execution.busy()),
            Timer::AuctionCloses(job) => self.jobs.on_auction_closes(context, job),
            Timer::OfferAgain(job) => self.jobs.on_offer_again(context, job),
            Timer::Overdue(job) => self.jobs.on_overdue(context, job),
            Timer::RequesterGone(lease) => self.execution.on_requester_gone(context, lease),
            Timer::Flush(lease) => self.execution.flush(context, lease),
            Timer::Heartbeat => self.execution.heartbeat(context),
            Timer::SayAgain => context.say_again(),
        }
    }
}
