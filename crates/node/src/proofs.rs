//! Fraud proofs: files that let anybody replay a refuted claim, without a daemon and without trusting who wrote them.
//! specs/proofs.md.
//!
//! A proof holds the job, the worker's sealed claim, the requester's sealed void, and the bytes that the task was run on. All of
//! it hangs together by hashes and two signatures, so a changed byte is found before anything is run. What is proved is
//! decided by running the task here, not by what the file says.

pub(crate) mod claims;
mod evidence;
mod shelf;

pub use claims::Claims;
pub use evidence::{Account, Rejected, Verdict, read, verify};
pub(crate) use evidence::{Parts, Proof};
pub use shelf::{Shelf, name_of};

/// The largest proof, in bytes: a program of the largest size, what it reads, and the statements.
pub const PROOF_BYTES_MAX: usize = 96 << 20;
/// What a task read, its input and the job's files together, is left out of a proof if it has more bytes.
pub const READ_BYTES_MAX: u64 = 24 << 20;
