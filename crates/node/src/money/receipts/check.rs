//! Checking a file of receipts: everything in it, in the order of specs/ledger.md §8, and nothing outside of it.

use super::{FILE_BYTES_MAX, File, Payment, VERSION};
use crate::money::open_sealed;
use pocketmesh_ledger::{
    record::{self, Opened, Unreadable},
    seats::{Seats, Taken},
};
use pocketmesh_types::{
    Bytes, Credits, JobId, Lane, PeerId, Quittance, Statement, VoucherId, limits, merkle::Frontier, payment::Invalid,
};
use pocketmesh_wire::cbor;
use std::collections::BTreeMap;

/// What a file says, once all of it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Which job.
    pub job: JobId,
    /// Who pays.
    pub client: PeerId,
    /// Who is paid, and what.
    pub paid: Vec<Paid>,
    /// All of it, in atto-credits.
    pub total: Credits,
    /// Vouchers in the file.
    pub vouchers: usize,
    /// Signatures that were checked.
    pub signatures: usize,
}

/// What one worker is paid for the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// Who.
    pub payee: PeerId,
    /// By how many receipts.
    pub receipts: usize,
    /// For how many results.
    pub tasks: u64,
    /// The fuel that these took.
    pub fuel: u128,
    /// What was moved for them, in bytes.
    pub bytes: u128,
    /// How much, in atto-credits.
    pub amount: Credits,
    /// Of that, what the payee says itself that it was promised.
    pub acknowledged: Credits,
}

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It cannot be read.
    #[error("it is no file of receipts, or was changed: {0}")]
    Form(#[from] cbor::DecodeError),
    /// Written by a later release.
    #[error("it has version {0}, and this release reads version 1: use the release that wrote it")]
    Version(u16),
    /// Changed since it was written.
    #[error("it was changed after it was written: its checksum does not fit")]
    Checksum,
    /// A payment in it is bad.
    #[error("its payment {at} is bad: {fault}")]
    Payment {
        /// Which, from 0.
        at: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// More than can be counted.
    #[error("it comes to more than can be counted")]
    Overflow,
}

/// What is wrong with a payment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A statement in it does not open.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Something in a receipt is out of bounds.
    #[error("a receipt is wrong: {0}")]
    Receipt(#[from] Invalid),
    /// It is of another client, or its receipts are not of its voucher.
    #[error("its statements are not of one client, payee and lane")]
    Parties,
    /// None of its receipts is of the job.
    #[error("it pays nothing for the job")]
    OtherJob,
    /// What is before it cannot be.
    #[error("no lane has {0} receipts with these roots")]
    Before(u64),
    /// The voucher's root is over other receipts.
    #[error("the voucher's root is not over these receipts")]
    Root,
    /// The voucher's sum does not fit.
    #[error("the voucher's sum does not fit its receipts and the payment before")]
    Sum,
    /// It overlaps another payment.
    #[error("it stands where another payment of its lane does")]
    Overlap,
    /// A seat is paid twice.
    #[error(transparent)]
    Seat(#[from] Taken),
    /// The quittance is of another voucher.
    #[error("its quittance is of another voucher")]
    Quittance,
}

/// What is known of a lane while the file is read.
#[derive(Debug, Clone, Copy)]
struct Reached {
    receipts: u64,
    cumulative: Credits,
}

#[derive(Default)]
struct Check {
    lanes: BTreeMap<(PeerId, Lane), Reached>,
    seats: Seats,
    paid: BTreeMap<PeerId, Paid>,
    signatures: usize,
}

/// Checks the bytes of a file, all of them.
pub fn check(bytes: &[u8]) -> Result<Account, Refused> {
    let file: File = cbor::decode(bytes, FILE_BYTES_MAX)?;
    if file.v != VERSION {
        return Err(Refused::Version(file.v));
    }
    if file.checksum != file.sum() {
        return Err(Refused::Checksum);
    }
    let mut check = Check::default();
    for (at, payment) in file.payments.iter().enumerate() {
        check.take(&file, payment).map_err(|fault| Refused::Payment { at, fault })?;
    }
    let sum = check.paid.values().try_fold(Credits::default(), |sum, paid| sum.checked_add(paid.amount));
    Ok(Account {
        job: file.job,
        client: file.client,
        total: sum.ok_or(Refused::Overflow)?,
        paid: check.paid.into_values().collect(),
        vouchers: file.payments.len(),
        signatures: check.signatures,
    })
}

impl Check {
    fn take(&mut self, file: &File, payment: &Payment) -> Result<(), Fault> {
        let sealed = record::Payment { receipts: payment.receipts.clone(), voucher: payment.voucher.clone() };
        let opened = sealed.open(&open_sealed)?;
        self.signatures += opened.receipts.len() + 1;
        let added = self.check_parties(file, &opened)?;
        self.check_lane(payment, &opened, added)?;
        let acknowledged = match &payment.quittance {
            None => false,
            Some(quittance) => self.check_quittance(quittance, &payment.voucher)?,
        };
        let payee = opened.voucher.payee;
        for (_, receipt) in opened.receipts.iter().filter(|(_, receipt)| receipt.job == file.job) {
            self.seats.check(payee, receipt.job, payee, &receipt.tasks)?;
            self.seats.take(payee, receipt.job, payee, &receipt.tasks);
            let zero = Credits::default();
            let none = Paid { payee, receipts: 0, tasks: 0, fuel: 0, bytes: 0, amount: zero, acknowledged: zero };
            let paid = self.paid.entry(payee).or_insert(none);
            let total = receipt.total().ok_or(Fault::Sum)?;
            paid.receipts += 1;
            paid.tasks += receipt.count();
            paid.fuel += u128::from(receipt.fuel.0);
            paid.bytes += u128::from(receipt.bytes);
            paid.amount = paid.amount.checked_add(total).ok_or(Fault::Sum)?;
            if acknowledged {
                paid.acknowledged = paid.acknowledged.checked_add(total).ok_or(Fault::Sum)?;
            }
        }
        Ok(())
    }

    /// All of it is between the client and one payee; what its receipts come to.
    fn check_parties(&self, file: &File, opened: &Opened) -> Result<Credits, Fault> {
        let voucher = &opened.voucher;
        let is_one = |receipt: &pocketmesh_types::Receipt| {
            (receipt.client, receipt.payee, receipt.lane) == (voucher.client, voucher.payee, voucher.lane)
        };
        if voucher.client != file.client || !opened.receipts.iter().all(|(_, receipt)| is_one(receipt)) {
            return Err(Fault::Parties);
        }
        if !opened.receipts.iter().any(|(_, receipt)| receipt.job == file.job) {
            return Err(Fault::OtherJob);
        }
        let mut added = Credits::default();
        for (_, receipt) in &opened.receipts {
            receipt.check()?;
            added = receipt.total().and_then(|total| added.checked_add(total)).ok_or(Fault::Sum)?;
        }
        Ok(added)
    }

    /// The voucher is over what is before and these receipts; and the payments of a lane fit each other.
    fn check_lane(&mut self, payment: &Payment, opened: &Opened, added: Credits) -> Result<(), Fault> {
        let Payment { before, peaks, .. } = payment;
        let voucher = &opened.voucher;
        let mut frontier = Frontier::from_peaks(*before, peaks.clone()).ok_or(Fault::Before(*before))?;
        opened.receipts.iter().for_each(|(id, _)| frontier.push(id.0));
        if frontier.root() != voucher.receipts_root {
            return Err(Fault::Root);
        }
        let promised_before = voucher.cumulative.checked_sub(added).ok_or(Fault::Sum)?;
        let lane = (voucher.payee, voucher.lane);
        let reached = self.lanes.get(&lane).copied();
        let Reached { receipts, cumulative } =
            reached.unwrap_or(Reached { receipts: 0, cumulative: Credits::default() });
        match before.cmp(&receipts) {
            std::cmp::Ordering::Less => return Err(Fault::Overlap),
            std::cmp::Ordering::Equal if promised_before != cumulative => return Err(Fault::Sum),
            std::cmp::Ordering::Greater if promised_before < cumulative => return Err(Fault::Sum),
            _ => {}
        }
        if self.lanes.len() >= limits::COUNTERPARTIES_MAX && reached.is_none() {
            return Err(Fault::Parties);
        }
        self.lanes.insert(lane, Reached { receipts: frontier.len(), cumulative: voucher.cumulative });
        Ok(())
    }

    fn check_quittance(&mut self, sealed: &Bytes, voucher: &Bytes) -> Result<bool, Fault> {
        let open = |reason| Unreadable::Statement { what: "quittance", at: 0, reason };
        self.signatures += 1;
        match open_sealed(sealed).map_err(open)?.statement {
            Statement::Quittance(quittance) if is_quittance_of(&quittance, voucher) => Ok(true),
            _ => Err(Fault::Quittance),
        }
    }
}

/// Whether a quittance is of this sealed voucher.
pub(super) fn is_quittance_of(quittance: &Quittance, voucher: &Bytes) -> bool {
    open_sealed(voucher).is_ok_and(|signed| match signed.statement {
        Statement::Voucher(voucher) => {
            let said = (quittance.voucher, quittance.client, quittance.payee, quittance.lane, quittance.cumulative);
            said == (VoucherId(signed.id), voucher.client, voucher.payee, voucher.lane, voucher.cumulative)
        }
        _ => false,
    })
}
