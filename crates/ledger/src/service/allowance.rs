//! Allowances: unpaid work, refilled by time, shared by whoever may be one person.

use alloc::collections::BTreeMap;
use pocketmesh_types::{Credits, Instant, PeerId, limits};

/// A public address prefix (/24 or /48). Private addresses have none.
pub type Prefix = [u8; 6];

/// How much is given for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// What one owner's bucket holds when it is full.
    pub owner_max: Credits,
    /// What comes back to it each second.
    pub owner_per_second: Credits,
    /// What all together may take when nothing was taken for long; half of it is kept for peers with history.
    pub total_max: Credits,
    /// What comes back to all together each second.
    pub total_per_second: Credits,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applicant {
    /// Its name.
    pub peer: PeerId,
    /// Where it is, if that is public.
    pub prefix: Option<Prefix>,
    /// Whether it has ever done anything for us.
    pub has_history: bool,
}

/// New names of one public prefix are one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Prefix(Prefix),
    Peer(PeerId),
}

impl Owner {
    fn of(applicant: Applicant) -> Self {
        match (applicant.has_history, applicant.prefix) {
            (false, Some(prefix)) => Self::Prefix(prefix),
            _ => Self::Peer(applicant.peer),
        }
    }
}

/// What was taken lately, and by whom.
#[derive(Debug, Clone)]
pub struct Allowances {
    rates: Rates,
    for_all: Bucket,
    for_known: Bucket,
    owners: BTreeMap<Owner, Bucket>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    level: Credits,
    at: Instant,
}

impl Bucket {
    fn full(max: Credits, now: Instant) -> Self {
        Self { level: max, at: now }
    }

    /// What is in it now. Rounded down, and time that has not earned a whole unit is kept.
    fn refill(&mut self, max: Credits, per_second: Credits, now: Instant) -> Credits {
        let micros = now.since(self.at).as_micros();
        let earned = per_second.0.checked_mul(micros).map_or(u128::MAX, |product| product / 1_000_000);
        if earned > 0 {
            self.level = Credits(self.level.0.saturating_add(earned)).min(max);
            self.at = now;
        }
        self.level
    }

    /// Takes what was checked to be in it.
    fn take(&mut self, amount: Credits) {
        self.level = self.level.checked_sub(amount).unwrap_or_default();
    }
}

fn halved(amount: Credits) -> Credits {
    Credits(amount.0 / 2)
}

impl Allowances {
    /// Full buckets for everybody.
    pub fn new(rates: Rates, now: Instant) -> Self {
        let half = Bucket::full(halved(rates.total_max), now);
        Self { rates, for_all: half, for_known: half, owners: BTreeMap::new() }
    }

    /// Takes `amount` out of an allowance, all of it or nothing; says which.
    pub fn draw(&mut self, applicant: Applicant, amount: Credits, now: Instant) -> bool {
        let Rates { owner_max, owner_per_second, .. } = self.rates;
        let owner = Owner::of(applicant);
        if !self.make_room(owner, now) {
            return false;
        }
        let of_all = self.refilled(now, false);
        let of_known = if applicant.has_history { self.refilled(now, true) } else { Credits::default() };
        let bucket = self.owners.entry(owner).or_insert_with(|| Bucket::full(owner_max, now));
        let of_owner = bucket.refill(owner_max, owner_per_second, now);
        let of_both = of_all.checked_add(of_known).unwrap_or(Credits(u128::MAX));
        if amount > of_owner || amount > of_both {
            return false;
        }
        bucket.take(amount);
        let from_known = amount.min(of_known);
        self.for_known.take(from_known);
        self.for_all.take(amount.checked_sub(from_known).unwrap_or_default());
        true
    }

    /// Whether so much could be taken.
    pub fn holds(&self, applicant: Applicant, amount: Credits, now: Instant) -> bool {
        let (half, per_half) = (halved(self.rates.total_max), halved(self.rates.total_per_second));
        let level = |mut bucket: Bucket, max, per_second| bucket.refill(max, per_second, now);
        let of_all = level(self.for_all, half, per_half);
        let of_known = if applicant.has_history { level(self.for_known, half, per_half) } else { Credits::default() };
        let Rates { owner_max, owner_per_second, .. } = self.rates;
        let owner = self.owners.get(&Owner::of(applicant));
        let of_owner = owner.map_or(owner_max, |&bucket| level(bucket, owner_max, owner_per_second));
        amount <= of_owner && amount <= of_all.checked_add(of_known).unwrap_or(Credits(u128::MAX))
    }

    fn refilled(&mut self, now: Instant, known: bool) -> Credits {
        let (max, per_second) = (halved(self.rates.total_max), halved(self.rates.total_per_second));
        let bucket = if known { &mut self.for_known } else { &mut self.for_all };
        bucket.refill(max, per_second, now)
    }

    /// Forgets full buckets if there are too many; without room, nobody new is given anything.
    fn make_room(&mut self, owner: Owner, now: Instant) -> bool {
        if self.owners.len() < limits::ALLOWANCE_BUCKETS_MAX || self.owners.contains_key(&owner) {
            return true;
        }
        let Rates { owner_max, owner_per_second, .. } = self.rates;
        self.owners.retain(|_, bucket| bucket.refill(owner_max, owner_per_second, now) < owner_max);
        self.owners.len() < limits::ALLOWANCE_BUCKETS_MAX
    }
}
