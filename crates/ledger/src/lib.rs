//! The form that our records of money and verdicts take on disk.
//!
//! For now that is one thing, the hash-chained [`journal`]. Bytes in, bytes out: this crate opens no file, reads no
//! clock and starts no thread, so every crash and every flipped bit can be tried in a test without a disk. The file
//! itself, its locking and its syncing are `crates/store`'s.
#![no_std]
extern crate alloc;

pub mod journal;
