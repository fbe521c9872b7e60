//! What is in the store: lengths, order of use, pins, bytes taken. In memory; never touches the disk.

use super::{Durability, PutError, Usage};
use crate::tree;
use pocketmesh_types::{BlobId, Hash};
use std::collections::{BTreeMap, BTreeSet};

/// What a blob takes on disk at least. Counting it bounds the number of blobs by the quota.
const BLOCK_BYTES: u64 = 4 << 10;

/// What is known of a blob that is here.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub len: u64,
    /// Its bytes have been seen to match its name since the store was opened.
    pub checked: bool,
    /// It and its name have been synced.
    pub durable: bool,
    /// When its last use was noted, in seconds since the epoch; 0 for never.
    pub use_noted: u64,
}

impl Entry {
    pub fn satisfies(&self, durability: Durability) -> bool {
        self.checked && (self.durable || durability == Durability::Refetchable)
    }
}

#[derive(Debug)]
pub struct Catalogue {
    quota_bytes: u64,
    /// Taken by blobs and by those being written.
    used_bytes: u64,
    /// Of these, by blobs that may go.
    evictable_bytes: u64,
    blobs: BTreeMap<BlobId, Held>,
    /// The blobs that may go, the least recently used first.
    by_use: BTreeMap<u64, BlobId>,
    uses: u64,
    owners: BTreeMap<BlobId, BTreeSet<Hash>>,
    pinned: BTreeMap<Hash, BTreeSet<BlobId>>,
}

#[derive(Debug)]
struct Held {
    entry: Entry,
    last_use: u64,
}

/// What a blob of this length counts as, with its tree if that has a file of its own.
pub fn charge(len: u64) -> u64 {
    let blocks = |bytes: u64| bytes.div_ceil(BLOCK_BYTES);
    let tree = if has_tree(len) { blocks(tree::outboard_bytes(len)) } else { 0 };
    blocks(len).max(1).saturating_add(tree).saturating_mul(BLOCK_BYTES)
}

/// Whether the tree of a blob of this length is kept. That of a single part is made again faster than it is read.
pub fn has_tree(len: u64) -> bool {
    len > tree::PART_BYTES
}

impl Catalogue {
    pub fn new(quota_bytes: u64) -> Self {
        Self {
            quota_bytes,
            used_bytes: 0,
            evictable_bytes: 0,
            blobs: BTreeMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            owners: BTreeMap::new(),
            pinned: BTreeMap::new(),
        }
    }

    pub fn get(&self, id: BlobId) -> Option<Entry> {
        self.blobs.get(&id).map(|held| held.entry)
    }

    /// Counts a use.
    pub fn touch(&mut self, id: BlobId) -> Option<Entry> {
        let last_use = self.count_use();
        let held = self.blobs.get_mut(&id)?;
        if self.by_use.remove(&held.last_use).is_some() {
            self.by_use.insert(last_use, id);
        }
        held.last_use = last_use;
        Some(held.entry)
    }

    /// Adds a blob, or replaces what is known of it. Room for it must have been reserved and released.
    pub fn insert(&mut self, id: BlobId, entry: Entry) {
        self.remove(id);
        let last_use = self.count_use();
        self.used_bytes = self.used_bytes.saturating_add(charge(entry.len));
        self.blobs.insert(id, Held { entry, last_use });
        if !self.owners.contains_key(&id) {
            self.make_evictable(id);
        }
    }

    /// Forgets a blob; its pins stay. Whether it was here.
    pub fn remove(&mut self, id: BlobId) -> bool {
        self.make_kept(id);
        let Some(held) = self.blobs.remove(&id) else { return false };
        self.used_bytes = self.used_bytes.saturating_sub(charge(held.entry.len));
        true
    }

    pub fn mark_checked(&mut self, id: BlobId) {
        if let Some(held) = self.blobs.get_mut(&id) {
            held.entry.checked = true;
        }
    }

    pub fn mark_use_noted(&mut self, id: BlobId, at: u64) -> Option<Entry> {
        let held = self.blobs.get_mut(&id)?;
        held.entry.use_noted = at;
        Some(held.entry)
    }

    pub fn mark_durable(&mut self, id: BlobId) {
        if let Some(held) = self.blobs.get_mut(&id) {
            held.entry.durable = true;
        }
    }

    /// Takes `bytes` of the quota, and names the blobs that have to go for it; none do when it cannot fit.
    pub fn reserve(&mut self, bytes: u64) -> Result<Vec<BlobId>, PutError> {
        let kept = self.used_bytes.saturating_sub(self.evictable_bytes);
        if kept.saturating_add(bytes) > self.quota_bytes {
            let (quota_bytes, pinned_bytes) = (self.quota_bytes, kept);
            return Err(PutError::QuotaExceeded { needed_bytes: bytes, quota_bytes, pinned_bytes });
        }
        self.used_bytes = self.used_bytes.saturating_add(bytes);
        Ok(self.evict_to_quota())
    }

    /// Whether `bytes` more do not fit as things are.
    pub fn lacks(&self, bytes: u64) -> bool {
        self.used_bytes.saturating_add(bytes) > self.quota_bytes
    }

    /// Counts bytes that are taken already.
    pub fn take(&mut self, bytes: u64) {
        self.used_bytes = self.used_bytes.saturating_add(bytes);
    }

    /// Gives reserved bytes back.
    pub fn release(&mut self, bytes: u64) {
        self.used_bytes = self.used_bytes.saturating_sub(bytes);
    }

    /// Forgets least recently used blobs until the quota is kept, and names them.
    pub fn evict_to_quota(&mut self) -> Vec<BlobId> {
        let mut evicted = Vec::new();
        while self.used_bytes > self.quota_bytes {
            let Some((_, id)) = self.by_use.first_key_value() else { break };
            let id = *id;
            self.remove(id);
            evicted.push(id);
        }
        evicted
    }

    pub fn pin(&mut self, id: BlobId, owner: Hash) {
        self.make_kept(id);
        self.owners.entry(id).or_default().insert(owner);
        self.pinned.entry(owner).or_default().insert(id);
    }

    pub fn unpin(&mut self, id: BlobId, owner: Hash) {
        if let Some(ids) = self.pinned.get_mut(&owner) {
            ids.remove(&id);
            if ids.is_empty() {
                self.pinned.remove(&owner);
            }
        }
        self.remove_owner(id, owner);
    }

    pub fn unpin_all(&mut self, owner: Hash) {
        for id in self.pinned.remove(&owner).unwrap_or_default() {
            self.remove_owner(id, owner);
        }
    }

    pub fn is_pinned(&self, id: BlobId) -> bool {
        self.owners.contains_key(&id)
    }

    pub fn is_pinned_by(&self, id: BlobId, owner: Hash) -> bool {
        self.owners.get(&id).is_some_and(|owners| owners.contains(&owner))
    }

    /// Every blob that is here, by name.
    pub fn all(&self) -> impl Iterator<Item = (BlobId, Entry)> {
        self.blobs.iter().map(|(id, held)| (*id, held.entry))
    }

    /// Forgets all that may go, and names it.
    pub fn evict_all(&mut self) -> Vec<BlobId> {
        let evicted: Vec<BlobId> = self.by_use.values().copied().collect();
        for id in &evicted {
            self.remove(*id);
        }
        evicted
    }

    pub fn usage(&self) -> Usage {
        Usage {
            blobs: self.blobs.len(),
            used_bytes: self.used_bytes,
            pinned_bytes: self.used_bytes.saturating_sub(self.evictable_bytes),
            quota_bytes: self.quota_bytes,
        }
    }

    fn remove_owner(&mut self, id: BlobId, owner: Hash) {
        let Some(owners) = self.owners.get_mut(&id) else { return };
        owners.remove(&owner);
        if owners.is_empty() {
            self.owners.remove(&id);
            self.make_evictable(id);
        }
    }

    fn make_evictable(&mut self, id: BlobId) {
        let Some(held) = self.blobs.get(&id) else { return };
        if self.by_use.insert(held.last_use, id).is_none() {
            self.evictable_bytes = self.evictable_bytes.saturating_add(charge(held.entry.len));
        }
    }

    fn make_kept(&mut self, id: BlobId) {
        let Some(held) = self.blobs.get(&id) else { return };
        if self.by_use.remove(&held.last_use).is_some() {
            self.evictable_bytes = self.evictable_bytes.saturating_sub(charge(held.entry.len));
        }
    }

    fn count_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> BlobId {
        BlobId::of(&[number])
    }

    fn catalogue(blocks: u64, blobs: u8) -> Catalogue {
        let mut catalogue = Catalogue::new(blocks * BLOCK_BYTES);
        for number in 0..blobs {
            catalogue.insert(id(number), Entry { len: 1, checked: true, durable: false, use_noted: 0 });
        }
        catalogue
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut catalogue = catalogue(3, 3);
        catalogue.touch(id(0));
        assert_eq!(catalogue.reserve(BLOCK_BYTES).unwrap(), [id(1)]);
        assert_eq!(catalogue.reserve(BLOCK_BYTES).unwrap(), [id(2)]);
        assert_eq!(catalogue.reserve(BLOCK_BYTES).unwrap(), [id(0)]);
    }

    #[test]
    fn a_pinned_blob_stays_until_its_last_owner_lets_go() {
        let mut catalogue = catalogue(2, 2);
        let (one, two) = (Hash::of(b"one"), Hash::of(b"two"));
        catalogue.pin(id(0), one);
        catalogue.pin(id(0), two);
        catalogue.pin(id(0), two);
        assert_eq!(catalogue.reserve(BLOCK_BYTES).unwrap(), [id(1)]);
        catalogue.unpin(id(0), one);
        assert!(catalogue.reserve(BLOCK_BYTES).is_err());
        catalogue.unpin_all(two);
        assert_eq!(catalogue.reserve(BLOCK_BYTES).unwrap(), [id(0)]);
    }

    #[test]
    fn what_cannot_fit_evicts_nothing() {
        let mut catalogue = catalogue(3, 3);
        catalogue.pin(id(0), Hash::of(b"job"));
        assert!(catalogue.reserve(3 * BLOCK_BYTES).is_err());
        assert_eq!(catalogue.usage().blobs, 3);
        assert_eq!(catalogue.reserve(2 * BLOCK_BYTES).unwrap().len(), 2);
    }

    #[test]
    fn a_pin_may_come_before_its_blob() {
        let mut catalogue = catalogue(2, 0);
        catalogue.pin(id(0), Hash::of(b"job"));
        catalogue.insert(id(0), Entry { len: 1, checked: true, durable: false, use_noted: 0 });
        assert!(catalogue.reserve(2 * BLOCK_BYTES).is_err());
        catalogue.unpin(id(0), Hash::of(b"job"));
        assert_eq!(catalogue.reserve(2 * BLOCK_BYTES).unwrap(), [id(0)]);
    }

    #[test]
    fn bytes_add_up_whatever_is_done() {
        let mut catalogue = catalogue(100, 10);
        for number in 0..10 {
            catalogue.pin(id(number), Hash::of(&[number % 3]));
            catalogue.insert(id(number), Entry { len: 5000, checked: true, durable: true, use_noted: 0 });
            catalogue.touch(id(number));
        }
        assert_eq!(catalogue.usage().pinned_bytes, 20 * BLOCK_BYTES);
        (0..3).for_each(|owner| catalogue.unpin_all(Hash::of(&[owner])));
        assert_eq!(catalogue.usage().pinned_bytes, 0);
        (0..10).for_each(|number| assert!(catalogue.remove(id(number))));
        assert_eq!(
            catalogue.usage(),
            Usage { blobs: 0, used_bytes: 0, pinned_bytes: 0, quota_bytes: 100 * BLOCK_BYTES }
        );
        assert!(catalogue.by_use.is_empty() && catalogue.owners.is_empty() && catalogue.pinned.is_empty());
    }
}
