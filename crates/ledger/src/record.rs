//! Records of money, as the journal holds them. specs/ledger.md §4.
//!
//! A record holds statements as they were signed, byte for byte, so that whoever reads the journal can check them without
//! believing its owner. Opened, it is an [`Entry`]: what the accounts are made of.

use alloc::{string::String, vec::Vec};
use pocketmesh_types::{
    Bytes, Credits, Hash, JobId, PeerId, Quittance, Receipt, ReceiptId, Signed, Statement, TaskIndex, Voucher, limits,
};
use serde::{Deserialize, Serialize};

/// The version of records that this release writes, and the only one that it reads.
pub const VERSION: u16 = 1;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version.
    pub v: u16,
    /// What happened.
    pub content: Content,
}

/// What happened, with statements as they were signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// We paid. On disk before it is sent.
    Paid(Payment),
    /// We were paid. On disk before we rely on it.
    Received(Payment),
    /// A payee has our voucher, and agrees.
    Acknowledged(Bytes),
    /// A debt to us is given up.
    WrittenOff {
        /// Whose.
        peer: PeerId,
        /// How much.
        amount: Credits,
    },
    /// A debt was settled outside, by a driver.
    Settled {
        /// With whom.
        peer: PeerId,
        /// Whose debt it was.
        by: Debtor,
        /// How much of it.
        amount: Credits,
        /// What the driver can find it by.
        reference: Hash,
    },
    /// Results of a worker that are void: their seats are never paid.
    Forfeited {
        /// The job.
        job: JobId,
        /// Who requested it.
        client: PeerId,
        /// Whose seats.
        payee: PeerId,
        /// Their tasks, as half-open ranges.
        tasks: Vec<(TaskIndex, TaskIndex)>,
    },
    /// A job is over: nothing more is paid for it.
    Closed(JobId),
}

/// Receipts, and the voucher that pays them; all sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The receipts, in the order of their lane.
    pub receipts: Vec<Bytes>,
    /// The voucher.
    pub voucher: Bytes,
}

/// Whose debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Debtor {
    /// Ours.
    Us,
    /// The other peer's.
    Them,
}

/// A record, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// We paid.
    Paid(Opened),
    /// We were paid.
    Received(Opened),
    /// A payee has our voucher.
    Acknowledged(Quittance),
    /// A debt to us is given up.
    WrittenOff(PeerId, Credits),
    /// A debt was settled outside.
    Settled(PeerId, Debtor, Credits),
    /// Seats that are never paid.
    Forfeited {
        /// The job.
        job: JobId,
        /// Who requested it.
        client: PeerId,
        /// Whose seats.
        payee: PeerId,
        /// Their tasks, as half-open ranges.
        tasks: Vec<(TaskIndex, TaskIndex)>,
    },
    /// A job is over.
    Closed(JobId),
}

/// A payment whose signatures were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The receipts, with their ids.
    pub receipts: Vec<(ReceiptId, Receipt)>,
    /// The voucher.
    pub voucher: Voucher,
}

/// Why a record cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a later release.
    #[error("it has version {0}, and this release reads version 1; use the release that wrote it")]
    Version(u16),
    /// A statement in it is bad.
    #[error("its {what} {at} cannot be relied upon: {reason}")]
    Statement {
        /// "receipt", "voucher" or "quittance".
        what: &'static str,
        /// Which of them, from 0.
        at: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// More receipts than a voucher pays at once.
    #[error("it pays {0} receipts at once; at most {max} are allowed", max = limits::RECEIPTS_PER_VOUCHER_MAX)]
    TooManyReceipts(usize),
}

/// How a sealed statement is opened: its signature is checked, by its signer's key, over its bytes as they are.
///
/// `pocketmesh_wire::statement::open` does it; this crate knows no signatures.
pub trait Open {
    /// The statement, or what is wrong with it.
    fn open(&self, sealed: &[u8]) -> Result<Signed, String>;
}

impl<F: Fn(&[u8]) -> Result<Signed, String>> Open for F {
    fn open(&self, sealed: &[u8]) -> Result<Signed, String> {
        self(sealed)
    }
}

impl Record {
    /// A record of this release.
    pub fn new(content: Content) -> Self {
        Self { v: VERSION, content }
    }

    /// Opens every statement in it.
    pub fn open(&self, open: &impl Open) -> Result<Entry, Unreadable> {
        if self.v != VERSION {
            return Err(Unreadable::Version(self.v));
        }
        Ok(match &self.content {
            Content::Paid(payment) => Entry::Paid(payment.open(open)?),
            Content::Received(payment) => Entry::Received(payment.open(open)?),
            Content::Acknowledged(sealed) => match opened("quittance", 0, sealed, open)?.statement {
                Statement::Quittance(quittance) => Entry::Acknowledged(quittance),
                _ => return Err(other_kind("quittance", 0)),
            },
            &Content::WrittenOff { peer, amount } => Entry::WrittenOff(peer, amount),
            &Content::Settled { peer, by, amount, .. } => Entry::Settled(peer, by, amount),
            Content::Forfeited { job, client, payee, tasks } => {
                Entry::Forfeited { job: *job, client: *client, payee: *payee, tasks: tasks.clone() }
            }
            &Content::Closed(job) => Entry::Closed(job),
        })
    }
}

impl Payment {
    /// Opens every statement in it.
    pub fn open(&self, open: &impl Open) -> Result<Opened, Unreadable> {
        if self.receipts.len() > limits::RECEIPTS_PER_VOUCHER_MAX {
            return Err(Unreadable::TooManyReceipts(self.receipts.len()));
        }
        let mut receipts = Vec::with_capacity(self.receipts.len());
        for (at, sealed) in self.receipts.iter().enumerate() {
            let Signed { id, statement } = opened("receipt", at, sealed, open)?;
            let Statement::Receipt(receipt) = statement else { return Err(other_kind("receipt", at)) };
            receipts.push((ReceiptId(id), receipt));
        }
        match opened("voucher", 0, &self.voucher, open)?.statement {
            Statement::Voucher(voucher) => Ok(Opened { receipts, voucher }),
            _ => Err(other_kind("voucher", 0)),
        }
    }
}

fn opened(what: &'static str, at: usize, sealed: &Bytes, open: &impl Open) -> Result<Signed, Unreadable> {
    open.open(sealed).map_err(|reason| Unreadable::Statement { what, at, reason })
}

fn other_kind(what: &'static str, at: usize) -> Unreadable {
    Unreadable::Statement { what, at, reason: "it is a statement of another kind".into() }
}
