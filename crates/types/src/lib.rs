//! The vocabulary of the mesh: ids, time, credits, jobs, outcomes and limits.
//!
//! Every other crate imports this one and it imports none of ours. Nothing here reads a clock, rolls dice, opens a
//! file or talks to anybody: these are the nouns, and the few rules that belong to a noun alone.
#![no_std]
extern crate alloc;

pub mod arch;
pub mod bytes;
pub mod credits;
pub mod id;
pub mod job;
pub mod limits;
pub mod merkle;
pub mod outcome;
pub mod parts;
pub mod payment;
pub mod peer;
pub mod range_set;
pub mod time;
pub mod tree;

pub use arch::Arch;
pub use bytes::Bytes;
pub use credits::{Credits, Fuel, PerGib, Price, Tariff, Work};
pub use id::{BlobId, ClaimId, Hash, JobId, LeaseId, NetworkId, OfferId, ProfileId, ReceiptId, VoucherId};
pub use job::{Auditors, Job, Policy, Target, TaskIndex, TaskInput};
pub use outcome::{Exit, Outcome, Output};
pub use payment::{Lane, Quittance, Receipt, Signed, Statement, Voucher};
pub use peer::PeerId;
pub use range_set::RangeSet;
pub use time::{Instant, UnixTime};
pub use tree::Tree;
