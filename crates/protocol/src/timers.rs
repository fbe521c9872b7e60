//! Timers as values: the driver learns only the next deadline, so there is nothing to go stale outside.

use alloc::collections::{BTreeMap, BTreeSet};
use pocketmesh_types::{Instant, JobId, LeaseId, OfferId, PeerId};

/// What a deadline is for. Setting a timer again moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The lottery lets us bid for this offer of this peer; or our bid for it is no longer answered.
    Offer(OfferId, PeerId),
    /// Bids for this job's offer close.
    AuctionCloses(JobId),
    /// This job wants workers and may be offered again.
    OfferAgain(JobId),
    /// A seat of this job may have become slow, or a reveal overdue.
    Overdue(JobId),
    /// A requester has been gone too long.
    RequesterGone(LeaseId),
    /// Results of a lease have waited long enough for company.
    Flush(LeaseId),
    /// A sign of life is due to all requesters.
    Heartbeat,
    /// Payments without a quittance are said again.
    SayAgain,
}

/// The timers that are set.
#[derive(Debug, Default)]
pub struct Timers {
    by_time: BTreeSet<(Instant, Timer)>,
    by_timer: BTreeMap<Timer, Instant>,
}

impl Timers {
    /// Sets `timer` to go off at `at`, whatever it was set to before.
    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.cancel(timer);
        self.by_time.insert((at, timer));
        self.by_timer.insert(timer, at);
    }

    /// Sets `timer` unless it goes off earlier already.
    pub fn set_sooner(&mut self, timer: Timer, at: Instant) {
        if self.by_timer.get(&timer).is_none_or(|&set| at < set) {
            self.set(timer, at);
        }
    }

    /// Forgets `timer`.
    pub fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.by_timer.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    /// When the next one goes off.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.by_time.first().map(|&(at, _)| at)
    }

    /// Takes out the next timer that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let &(at, timer) = self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.by_time.remove(&(at, timer));
        self.by_timer.remove(&timer);
        Some(timer)
    }
}
