//! Double entry: what is debited to one account is credited to another, always. specs/ledger.md §2.
//!
//! Every entry names a counterparty. An amount is first *reserved*, then *posted* or *void*; or posted at once. What is posted
//! carries an id, and an id posts once. After each entry the sum of all debits equals that of all credits, or the entry is
//! refused and nothing has changed; a sum that cannot be held is an error. No amount is ever rounded, and none wraps.

mod balance;
mod series;

pub use balance::Balance;
pub use series::{Series, TransferId};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use balance::{Side, Totals};
use pocketmesh_types::{Credits, Instant, PeerId, limits};
use series::{Progress, Seen};

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// What all have promised us for work.
    Revenue,
    /// What we have promised to all for work.
    Expense,
    /// One with a counterparty.
    With(PeerId, Book),
}

/// The accounts with one counterparty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Book {
    /// What it owes us: debits less credits.
    Receivable,
    /// What we owe it: credits less debits.
    Payable,
    /// What it owed, and we have given up.
    WrittenOff,
    /// What was settled outside of these books, by a driver.
    Settled,
}

/// An amount on its way from one account to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Posts once.
    pub id: TransferId,
    /// Where it goes.
    pub debit: Account,
    /// Where it comes from.
    pub credit: Account,
    /// How much, in atto-credits.
    pub amount: Credits,
}

/// Numbers reservations; a number is never used again before a restart, and none outlives one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReservationId(u64);

/// An amount that is not posted yet, and already counts against what may be reserved or posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reservation {
    peer: PeerId,
    debit: Account,
    credit: Account,
    amount: Credits,
    expires: Instant,
}

/// Whether a transfer was posted by this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// Yes.
    Now,
    /// It had been before; nothing changed.
    Before,
}

/// Why an entry was refused. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Debit and credit are one account, or one is another peer's.
    #[error("debit and credit are not two accounts of one counterparty")]
    Accounts,
    /// A sum would be larger than can be held.
    #[error("a balance would be larger than can be counted")]
    Overflow,
    /// More would be taken out of an account than is in it.
    #[error("an account holds {held} atto-credits, and {asked} were to be taken out", held = .held.0, asked = .asked.0)]
    Short {
        /// What is in it, less what is reserved.
        held: Credits,
        /// What was asked.
        asked: Credits,
    },
    /// The id was used for another transfer.
    #[error("transfer {0} was another one")]
    Conflict(u64),
    /// Transfers before this one are missing.
    #[error("transfer {found} came and {expected} is next")]
    Gap {
        /// The next number of this series.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The reservation is posted, void or expired.
    #[error("the reservation is over")]
    Over,
    /// More was to be posted than was reserved.
    #[error("{reserved} atto-credits were reserved, and more was to be posted", reserved = .0.0)]
    AboveReservation(Credits),
    /// Too many reservations with this peer.
    #[error("{max} reservations are open with this peer", max = limits::RESERVATIONS_PER_PEER_MAX)]
    TooManyReservations,
    /// Too many counterparties.
    #[error("there are accounts with {max} peers already", max = limits::COUNTERPARTIES_MAX)]
    TooManyPeers,
    /// Debits and credits would not be equal: a fault of this program.
    #[error("debits and credits would differ; this is a fault of the program, and nothing was entered")]
    Unbalanced,
}

/// All of one counterparty, in bounded space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shelf {
    balances: [Balance; 4],
    series: [Progress; Series::COUNT],
    open: BTreeSet<ReservationId>,
}

impl Shelf {
    fn is_blank(&self) -> bool {
        *self == Self::default()
    }
}

/// The books of one peer, about all its counterparties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    revenue: Balance,
    expense: Balance,
    shelves: BTreeMap<PeerId, Shelf>,
    reservations: BTreeMap<ReservationId, Reservation>,
    by_expiry: BTreeSet<(Instant, ReservationId)>,
    next_reservation: u64,
    totals: Totals,
}

/// What an entry does to the two balances that it touches.
#[derive(Debug, Clone, Copy)]
enum Step {
    Reserve,
    Release,
    Post,
}

impl Books {
    /// What an account holds. One that was never used holds nothing.
    pub fn balance(&self, account: Account) -> Balance {
        match account {
            Account::Revenue => self.revenue,
            Account::Expense => self.expense,
            Account::With(peer, book) => {
                self.shelves.get(&peer).map(|shelf| shelf.balances[book as usize]).unwrap_or_default()
            }
        }
    }

    /// Everybody with whom there is an account.
    pub fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.shelves.keys()
    }

    /// The id that the next transfer of this series gets.
    pub fn next_id(&self, peer: PeerId, series: Series) -> TransferId {
        let number = self.shelves.get(&peer).map_or(0, |shelf| shelf.series[series as usize].next());
        TransferId { peer, series, number }
    }

    /// Posts a transfer. The same one again changes nothing.
    pub fn post(&mut self, transfer: Transfer) -> Result<Posted, Refused> {
        if self.is_known(&transfer)? {
            return Ok(Posted::Before);
        }
        self.enter(transfer.id.peer, transfer.debit, transfer.credit, transfer.amount, Step::Post)?;
        self.take_note(&transfer);
        Ok(Posted::Now)
    }

    fn is_known(&self, transfer: &Transfer) -> Result<bool, Refused> {
        let TransferId { peer, series, number } = transfer.id;
        let progress = self.shelves.get(&peer).map(|shelf| &shelf.series[series as usize]);
        match progress.map_or(Seen::of_none(number), |progress| progress.seen(number, transfer)) {
            Seen::Next => Ok(false),
            Seen::Before => Ok(true),
            Seen::Conflict => Err(Refused::Conflict(number)),
            Seen::Gap(expected) => Err(Refused::Gap { expected, found: number }),
        }
    }

    fn take_note(&mut self, transfer: &Transfer) {
        let shelf = self.shelves.get_mut(&transfer.id.peer).expect("an entry makes its shelf");
        shelf.series[transfer.id.series as usize].note(transfer);
    }

    /// Reserves an amount until `expires`: it counts against both accounts at once, and is posted or void later.
    pub fn reserve(
        &mut self,
        peer: PeerId,
        debit: Account,
        credit: Account,
        amount: Credits,
        expires: Instant,
    ) -> Result<ReservationId, Refused> {
        let open = self.shelves.get(&peer).map_or(0, |shelf| shelf.open.len());
        if open >= limits::RESERVATIONS_PER_PEER_MAX {
            return Err(Refused::TooManyReservations);
        }
        self.enter(peer, debit, credit, amount, Step::Reserve)?;
        let id = ReservationId(self.next_reservation);
        self.next_reservation += 1;
        self.reservations.insert(id, Reservation { peer, debit, credit, amount, expires });
        self.by_expiry.insert((expires, id));
        self.shelves.get_mut(&peer).expect("an entry makes its shelf").open.insert(id);
        Ok(id)
    }

    /// Posts a transfer that was reserved, all of it or less; what is left of the reservation is void. Where the transfer had been
    /// posted before, nothing changes.
    pub fn post_reserved(&mut self, id: ReservationId, transfer: Transfer) -> Result<Posted, Refused> {
        if self.is_known(&transfer)? {
            return Ok(Posted::Before);
        }
        let reservation = *self.reservations.get(&id).ok_or(Refused::Over)?;
        let Reservation { peer, debit, credit, amount, .. } = reservation;
        if (transfer.id.peer, transfer.debit, transfer.credit) != (peer, debit, credit) {
            return Err(Refused::Accounts);
        }
        if transfer.amount > amount {
            return Err(Refused::AboveReservation(amount));
        }
        self.enter(peer, debit, credit, amount, Step::Release)?;
        if let Err(refused) = self.enter(peer, debit, credit, transfer.amount, Step::Post) {
            self.enter(peer, debit, credit, amount, Step::Reserve).expect("it was reserved a moment ago");
            return Err(refused);
        }
        self.forget(id, &reservation);
        self.take_note(&transfer);
        Ok(Posted::Now)
    }

    /// Changes the amount of an open reservation.
    pub fn amend(&mut self, id: ReservationId, amount: Credits) -> Result<(), Refused> {
        let Some(reservation) = self.reservations.get(&id) else { return Err(Refused::Over) };
        let Reservation { peer, debit, credit, amount: was, expires } = *reservation;
        match amount.checked_sub(was) {
            Some(more) => self.enter(peer, debit, credit, more, Step::Reserve)?,
            None => self.enter(peer, debit, credit, was.checked_sub(amount).unwrap_or_default(), Step::Release)?,
        }
        self.reservations.insert(id, Reservation { peer, debit, credit, amount, expires });
        Ok(())
    }

    /// Gives up a reservation; says whether it was open.
    pub fn void(&mut self, id: ReservationId) -> bool {
        let Some(&reservation) = self.reservations.get(&id) else { return false };
        let Reservation { peer, debit, credit, amount, .. } = reservation;
        self.enter(peer, debit, credit, amount, Step::Release).expect("what is reserved can be released");
        self.forget(id, &reservation);
        if self.shelves.get(&peer).is_some_and(Shelf::is_blank) {
            self.shelves.remove(&peer);
        }
        true
    }

    /// Gives up all reservations whose time has come, and says which.
    pub fn expire(&mut self, now: Instant) -> Vec<ReservationId> {
        let due = self.by_expiry.iter().take_while(|(expires, _)| *expires <= now);
        let due: Vec<ReservationId> = due.map(|&(_, id)| id).collect();
        for &id in &due {
            self.void(id);
        }
        due
    }

    /// When the next reservation expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.by_expiry.first().map(|&(expires, _)| expires)
    }

    fn forget(&mut self, id: ReservationId, reservation: &Reservation) {
        self.reservations.remove(&id);
        self.by_expiry.remove(&(reservation.expires, id));
        if let Some(shelf) = self.shelves.get_mut(&reservation.peer) {
            shelf.open.remove(&id);
        }
    }

    /// One entry: both balances, the totals, the check; then, if all hold, both are written.
    fn enter(
        &mut self,
        peer: PeerId,
        debit: Account,
        credit: Account,
        amount: Credits,
        step: Step,
    ) -> Result<(), Refused> {
        let is_ours = |account| !matches!(account, Account::With(other, _) if other != peer);
        if debit == credit || !is_ours(debit) || !is_ours(credit) {
            return Err(Refused::Accounts);
        }
        if !self.shelves.contains_key(&peer) && self.shelves.len() >= limits::COUNTERPARTIES_MAX {
            return Err(Refused::TooManyPeers);
        }
        let (old_debit, old_credit) = (self.balance(debit), self.balance(credit));
        let new_debit = step.apply(old_debit, Side::Debit, amount)?;
        let new_credit = step.apply(old_credit, Side::Credit, amount)?;
        check_floor(debit, new_debit, amount)?;
        check_floor(credit, new_credit, amount)?;
        let totals = self.totals.with(old_debit, new_debit)?.with(old_credit, new_credit)?;
        if !totals.are_balanced() {
            return Err(Refused::Unbalanced);
        }
        self.shelves.entry(peer).or_default();
        self.write(debit, new_debit);
        self.write(credit, new_credit);
        self.totals = totals;
        Ok(())
    }

    fn write(&mut self, account: Account, balance: Balance) {
        match account {
            Account::Revenue => self.revenue = balance,
            Account::Expense => self.expense = balance,
            Account::With(peer, book) => self.shelves.entry(peer).or_default().balances[book as usize] = balance,
        }
    }

    /// Adds up every account anew; says whether debits equal credits, posted and reserved, and the totals that are kept.
    pub fn are_balanced(&self) -> bool {
        let own = [self.revenue, self.expense];
        let all = own.iter().chain(self.shelves.values().flat_map(|shelf| &shelf.balances));
        let sum = all.copied().try_fold(Totals::default(), |sum, balance| sum.with(Balance::default(), balance));
        sum.is_ok_and(|sum| sum == self.totals && sum.are_balanced())
    }
}

impl Step {
    fn apply(self, balance: Balance, side: Side, amount: Credits) -> Result<Balance, Refused> {
        match self {
            Self::Reserve => balance.reserve(side, amount),
            Self::Release => balance.release(side, amount),
            Self::Post => balance.post(side, amount),
        }
    }
}

/// Nobody can owe less than nothing: what is taken out of what is owed, reservations included, is there. And nobody can owe so much
/// that the sums over all would overflow.
fn check_floor(account: Account, new: Balance, asked: Credits) -> Result<(), Refused> {
    if matches!(account, Account::With(..)) && new.is_beyond(limits::BALANCE_MAX) {
        return Err(Refused::Overflow);
    }
    let (into, out) = match account {
        Account::With(_, Book::Receivable) => (new.debits, new.credits.checked_add(new.credits_reserved)),
        Account::With(_, Book::Payable) => (new.credits, new.debits.checked_add(new.debits_reserved)),
        Account::Revenue | Account::Expense | Account::With(_, Book::WrittenOff | Book::Settled) => return Ok(()),
    };
    let out = out.ok_or(Refused::Overflow)?;
    if out <= into {
        return Ok(());
    }
    let held = into.checked_add(asked).and_then(|sum| sum.checked_sub(out)).unwrap_or_default();
    Err(Refused::Short { held, asked })
}
