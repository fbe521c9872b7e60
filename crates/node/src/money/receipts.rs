//! `receipts.cbor`: what was paid for a job, in a file that anybody can check without us. specs/ledger.md §8.

mod check;
mod gather;

pub use check::{Account, Paid, Refused, check};
pub use gather::{GatherError, gather};

use pocketmesh_types::{Bytes, Hash, JobId, PeerId};
use pocketmesh_wire::cbor;
use serde::{Deserialize, Serialize};

/// The version of files that this release writes, and the only one that it reads.
pub const VERSION: u16 = 1;
/// The longest file: the receipts of the largest job, in slices of the usual size, take 60 MB.
pub const FILE_BYTES_MAX: usize = 128 << 20;

/// The receipts of one job, with the vouchers that pay them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    v: u16,
    job: JobId,
    client: PeerId,
    payments: Vec<Payment>,
    /// Over all that is before it, so that a slip of a disk is told from an attempt at fraud.
    checksum: Hash,
}

/// One payment, and where on its lane it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Payment {
    /// Receipts on the lane before it, and the roots of their full halves: the voucher's root is over them, too.
    before: u64,
    peaks: Vec<Hash>,
    /// All receipts that it pays, those of other jobs as well.
    receipts: Vec<Bytes>,
    voucher: Bytes,
    /// The payee's word that it has this voucher, if it is here.
    quittance: Option<Bytes>,
}

impl File {
    fn new(job: JobId, client: PeerId, payments: Vec<Payment>) -> Self {
        let mut file = Self { v: VERSION, job, client, payments, checksum: Hash::default() };
        file.checksum = file.sum();
        file
    }

    fn sum(&self) -> Hash {
        let blank = Self { checksum: Hash::default(), ..self.clone() };
        Hash::of_parts("pocketmesh receipts file 1", &[&cbor::encode(&blank)])
    }
}

#[cfg(test)]
mod tests;
