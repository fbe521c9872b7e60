//! What the store remembers of its blobs beyond their files: when each was used, and that it was synced.
//!
//! It can do without: a blob of which nothing is noted is hashed at its first use, and counts as last used when it was
//! written. A note is believed only while length and time of the last change are those of the file.

use super::{Store, catalogue::Entry, files::Found};
use pocketmesh_types::BlobId;
use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A use is noted again when the last note is so old: notes order evictions, and an hour is fine enough for that.
const USE_NOTED_EVERY: Duration = Duration::from_secs(3600);
/// Bytes of a note.
const NOTE_BYTES: usize = 25;

/// Where notes are kept: a map from bytes to bytes that may lose anything at any time. Its calls must not panic.
pub trait Notes: Send + Sync + fmt::Debug {
    /// All pairs.
    fn all(&self) -> Vec<(Vec<u8>, Vec<u8>)>;
    /// Sets a pair.
    fn set(&self, key: &[u8], value: &[u8]);
    /// Removes a pair.
    fn unset(&self, key: &[u8]);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note {
    len: u64,
    /// Nanoseconds since the epoch.
    modified: u64,
    /// Seconds since the epoch.
    used: u64,
    durable: bool,
}

impl Note {
    fn encode(self) -> [u8; NOTE_BYTES] {
        let mut bytes = [u8::from(self.durable); NOTE_BYTES];
        for (at, number) in [self.len, self.modified, self.used].into_iter().enumerate() {
            bytes[at * 8..][..8].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; NOTE_BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at * 8 + byte]));
        let durable = [false, true].get(usize::from(bytes[24])).copied()?;
        Some(Self { len: number(0), modified: number(1), used: number(2), durable })
    }
}

/// What the files and the notes say of the blobs that were found, the least recently used first. Notes of others go.
pub(super) fn match_up(found: Vec<Found>, notes: Option<&dyn Notes>) -> Vec<(BlobId, Entry)> {
    let mut noted: BTreeMap<Vec<u8>, Vec<u8>> = notes.map(Notes::all).unwrap_or_default().into_iter().collect();
    let mut blobs: Vec<(u64, BlobId, Entry)> = Vec::with_capacity(found.len());
    for blob in found {
        let note = noted.remove(&blob.id.as_bytes()[..]).and_then(|bytes| Note::decode(&bytes));
        let note = note.filter(|note| note.len == blob.len && note.modified == nanos(blob.modified));
        let durable = note.is_some_and(|note| note.durable);
        let used = note.map_or(nanos(blob.modified) / 1_000_000_000, |note| note.used);
        blobs.push((used, blob.id, Entry { len: blob.len, checked: durable, durable, use_noted: used }));
    }
    if let Some(notes) = notes {
        noted.keys().for_each(|key| notes.unset(key));
    }
    blobs.sort_by_key(|&(used, id, _)| (used, id));
    blobs.into_iter().map(|(_, id, entry)| (id, entry)).collect()
}

impl Store {
    /// Counts a use of a blob; notes it now and then.
    pub(super) fn use_now(&self, id: BlobId) -> Option<Entry> {
        let entry = self.catalogue().touch(id)?;
        if now().saturating_sub(entry.use_noted) >= USE_NOTED_EVERY.as_secs() {
            self.note(id);
        }
        Some(entry)
    }

    /// Writes down what is known of a blob.
    pub(super) fn note(&self, id: BlobId) {
        let Some(notes) = &self.0.notes else { return };
        let Some(modified) = self.0.files.modified(id) else { return };
        let used = now();
        let Some(entry) = self.catalogue().mark_use_noted(id, used) else { return };
        let note = Note { len: entry.len, modified: nanos(modified), used, durable: entry.durable };
        notes.set(id.as_bytes(), &note.encode());
    }

    /// Removes a blob's file and what was noted of it.
    pub(super) fn remove_file(&self, id: BlobId) -> std::io::Result<()> {
        if let Some(notes) = &self.0.notes {
            notes.unset(id.as_bytes());
        }
        self.0.files.remove(id)
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
