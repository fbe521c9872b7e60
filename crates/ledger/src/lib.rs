//! What is owed, to whom and why; and the form that records of it take on disk.
//!
//! Amounts move between [`books`] in double entry; [`lanes`] of cumulative vouchers say how much was promised; [`slices`]
//! decide what is paid when; [`accounts`] are all of that, folded from the journal's [`record`]s; an [`audit`] folds them once
//! more and looks at every signature. [`service`] orders work by credit, [`driver`] is the seam for a chain. The hash-chained
//! [`journal`] holds it all. Bytes in, bytes out: this crate opens no file, reads no clock and starts no thread, so every
//! crash and every flipped bit can be tried in a test without a disk. The file itself, its locking and its syncing are
//! `crates/store`'s.
#![no_std]
extern crate alloc;

pub mod accounts;
pub mod audit;
pub mod books;
pub mod driver;
pub mod journal;
pub mod lanes;
pub mod record;
pub mod seats;
pub mod service;
pub mod slices;

pub use accounts::Accounts;
pub use audit::Audit;
pub use record::{Entry, Record};
