//! One frame: head, payload, chain value.
//!
//! The head carries a keyed check of its own, so a length is believed only if this file's writer wrote it, and so a
//! head can be found again behind a damaged stretch.

use super::header::array;
use blake3::Hasher;

/// The longest payload. Ours are messages and batches of them, at most 1 MiB; a job's list of a million parts is
/// the largest single thing that anybody has asked to journal.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// What a frame adds to its payload.
pub const FRAME_OVERHEAD_BYTES: usize = HEAD_BYTES + CHAIN_BYTES;
/// The frames that may be written between two syncs. So a crash tears at most this much, and a longer unreadable
/// tail is damage.
pub const BATCH_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + FRAME_OVERHEAD_BYTES;

pub(super) const HEAD_BYTES: usize = 32;
pub(super) const CHAIN_BYTES: usize = 32;
pub(super) const MARKER: [u8; 3] = *b"pmr";
const CHECKED_BYTES: usize = 24;
const KIND_DATA: u8 = b'd';
const KIND_SEAL: u8 = b's';

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Whether this is a seal: no payload, only the statement of `synced`.
    pub seal: bool,
    /// Length of the payload.
    pub payload_bytes: usize,
    /// The record's number.
    pub sequence: u64,
    /// Every record with a smaller number was on disk before this one was written.
    pub synced: u64,
}

impl Head {
    pub(super) fn encode(&self, key: &[u8; 32]) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let payload_bytes = u32::try_from(self.payload_bytes).expect("payloads are bounded by PAYLOAD_BYTES_MAX");
        bytes[..3].copy_from_slice(&MARKER);
        bytes[3] = if self.seal { KIND_SEAL } else { KIND_DATA };
        bytes[4..8].copy_from_slice(&payload_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..CHECKED_BYTES].copy_from_slice(&self.synced.to_le_bytes());
        let check = check_of(key, &bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..].copy_from_slice(&check);
        bytes
    }

    /// The head in these bytes, if this file's writer wrote it.
    pub(super) fn decode(bytes: &[u8; HEAD_BYTES], key: &[u8; 32]) -> Option<Self> {
        if bytes[..3] != MARKER || bytes[CHECKED_BYTES..] != check_of(key, &bytes[..CHECKED_BYTES]) {
            return None;
        }
        let payload_bytes = u32::from_le_bytes(array(bytes, 4)) as usize;
        let seal = match bytes[3] {
            KIND_DATA => false,
            KIND_SEAL => true,
            _ => return None,
        };
        if payload_bytes > PAYLOAD_BYTES_MAX {
            return None;
        }
        let sequence = u64::from_le_bytes(array(bytes, 8));
        Some(Self { seal, payload_bytes, sequence, synced: u64::from_le_bytes(array(bytes, 16)) })
    }

    /// Length of the whole frame.
    pub(super) fn frame_bytes(&self) -> usize {
        self.payload_bytes + FRAME_OVERHEAD_BYTES
    }
}

/// The chain value after a frame: a checksum of the frame and of all that was before it.
pub(super) fn chain_value(previous: &[u8; 32], head: &[u8], payload: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new_keyed(previous);
    hasher.update(head).update(payload);
    *hasher.finalize().as_bytes()
}

fn check_of(key: &[u8; 32], checked: &[u8]) -> [u8; HEAD_BYTES - CHECKED_BYTES] {
    array(blake3::keyed_hash(key, checked).as_bytes(), 0)
}
