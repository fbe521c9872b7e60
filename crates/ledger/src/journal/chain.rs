//! The writing end: turns payloads into frames.

use super::{
    Header,
    frame::{Head, PAYLOAD_BYTES_MAX, chain_value},
};
use alloc::vec::Vec;
use pocketmesh_types::Hash;

/// Where a journal stands: what the next frame is chained to.
///
/// The caller writes what [`Chain::append`] yields, syncs the file, and only then calls [`Chain::mark_synced`].
/// It never puts more than [`super::BATCH_BYTES_MAX`] between two syncs.
#[derive(Debug, Clone)]
pub struct Chain {
    pub(super) key: [u8; 32],
    pub(super) value: [u8; 32],
    pub(super) next: u64,
    pub(super) synced: u64,
}

/// Why a payload cannot be framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Longer than [`PAYLOAD_BYTES_MAX`].
    #[error("a record of {0} bytes is longer than a journal takes ({PAYLOAD_BYTES_MAX} bytes); split it")]
    TooLong(usize),
}

impl Chain {
    /// The chain of a journal that has its header and nothing else, both on disk.
    pub fn new(header: &Header) -> Self {
        let (key, value) = header.seed();
        Self { key, value, next: header.first_sequence, synced: header.first_sequence }
    }

    /// Appends the frame of `payload` to `out` and returns the record's number.
    pub fn append(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<u64, AppendError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(AppendError::TooLong(payload.len()));
        }
        Ok(self.frame(false, payload, out))
    }

    /// Appends a seal to `out`: a frame without payload that proves all before it to have been synced, so that
    /// damage to the last batch can be told from a torn write. Written when a journal is closed in order.
    pub fn seal(&mut self, out: &mut Vec<u8>) {
        self.frame(true, &[], out);
    }

    /// All frames so far are on disk.
    pub fn mark_synced(&mut self) {
        self.synced = self.next;
    }

    /// The number that the next frame gets.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The chain value after the newest frame: equal values mean equal histories.
    pub fn value(&self) -> Hash {
        Hash(self.value)
    }

    fn frame(&mut self, seal: bool, payload: &[u8], out: &mut Vec<u8>) -> u64 {
        let sequence = self.next;
        let head = Head { seal, payload_bytes: payload.len(), sequence, synced: self.synced }.encode(&self.key);
        self.value = chain_value(&self.value, &head, payload);
        self.next += 1;
        out.extend_from_slice(&head);
        out.extend_from_slice(payload);
        out.extend_from_slice(&self.value);
        sequence
    }
}
