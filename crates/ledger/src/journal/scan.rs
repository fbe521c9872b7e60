//! Behind a frame that cannot be read: is there proof that it had been on disk?
//!
//! specs/journal.md §4. A later head of this file that says "synced beyond that record" proves that the record had
//! been stored and may have been acknowledged. Without one, the stretch is what a crash leaves of the last batch.

use super::frame::{BATCH_BYTES_MAX, HEAD_BYTES, Head, MARKER};
use alloc::vec::Vec;

/// Looks through all bytes behind an unreadable frame, in pieces of any size.
#[derive(Debug)]
pub(super) struct Scan {
    /// The number of the unreadable record.
    sequence: u64,
    /// Bytes looked at so far, the unreadable frame's included.
    pub(super) bytes: u64,
    /// The end of the last piece: a head may lie across two.
    carry: Vec<u8>,
}

/// What the scan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// A head at this distance from the unreadable frame's start.
    LaterHead(u64),
    /// More bytes than are ever written between two syncs.
    TooLong,
}

impl Scan {
    pub(super) fn new(sequence: u64) -> Self {
        Self { sequence, bytes: 0, carry: Vec::new() }
    }

    /// Takes the next bytes; `Some` as soon as there is proof.
    pub(super) fn feed(&mut self, bytes: &[u8], key: &[u8; 32]) -> Option<Proof> {
        let start = self.bytes - self.carry.len() as u64;
        let mut window = core::mem::take(&mut self.carry);
        window.extend_from_slice(bytes);
        self.bytes += bytes.len() as u64;
        let found = window.windows(HEAD_BYTES).position(|head| self.proves(head, key));
        if let Some(at) = found {
            return Some(Proof::LaterHead(start + at as u64));
        }
        if self.bytes > BATCH_BYTES_MAX as u64 {
            return Some(Proof::TooLong);
        }
        let keep = window.len().min(HEAD_BYTES - 1);
        self.carry = window.split_off(window.len() - keep);
        None
    }

    fn proves(&self, bytes: &[u8], key: &[u8; 32]) -> bool {
        if !bytes.starts_with(&MARKER) {
            return false;
        }
        let bytes = bytes.try_into().expect("windows have the length of a head");
        Head::decode(bytes, key).is_some_and(|head| head.synced > self.sequence)
    }
}
