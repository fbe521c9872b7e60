//! Programs held in memory: the most recently used ones, bounded in number and bytes, each compiled once even when
//! many tasks ask for it at the same time.

use pocketmesh_types::BlobId;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can be held: a program in one form or another. Clones share it.
pub(crate) trait Loaded: Clone {
    /// What it takes of what is bounded: memory, mostly.
    fn bytes(&self) -> usize;
}

/// The programs in memory.
pub(crate) struct Programs<T> {
    count_max: usize,
    bytes_max: usize,
    /// Most recently used last. A few dozen: walking them is cheaper than keeping an index.
    entries: Mutex<Vec<Entry<T>>>,
}

struct Entry<T> {
    id: BlobId,
    bytes: usize,
    slot: Arc<Slot<T>>,
}

/// Locked by whoever is loading the program; the others wait for it.
type Slot<T> = Mutex<Option<T>>;

impl<T: Loaded> Programs<T> {
    /// Room for `count_max` programs that take `bytes_max` bytes, but for one at least.
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Self {
        Self { count_max: count_max.max(1), bytes_max, entries: Mutex::new(Vec::new()) }
    }

    /// The program, loaded if it is not here.
    pub(crate) fn get_or<E>(&self, id: BlobId, load: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let slot = self.slot(id);
        let mut loaded = lock(&slot);
        if let Some(program) = &*loaded {
            return Ok(program.clone());
        }
        let result = load();
        match &result {
            Ok(program) => {
                *loaded = Some(program.clone());
                self.settle(id, program.bytes());
            }
            Err(_) => self.forget(id, &slot),
        }
        result
    }

    /// The program, if it is here and nobody is loading it just now.
    #[cfg(unix)]
    pub(crate) fn get(&self, id: BlobId) -> Option<T> {
        let held = lock(&self.entries).iter().any(|entry| entry.id == id);
        let slot = held.then(|| self.slot(id))?;
        let loaded = slot.try_lock().ok()?;
        loaded.clone()
    }

    /// Forgets a program, whatever it is for others meanwhile.
    #[cfg(unix)]
    pub(crate) fn remove(&self, id: BlobId) {
        lock(&self.entries).retain(|entry| entry.id != id);
    }

    /// The entry's slot, made if need be, and now the most recently used.
    fn slot(&self, id: BlobId) -> Arc<Slot<T>> {
        let mut entries = lock(&self.entries);
        let entry = match entries.iter().position(|entry| entry.id == id) {
            Some(index) => entries.remove(index),
            None => Entry { id, bytes: 0, slot: Arc::default() },
        };
        let slot = Arc::clone(&entry.slot);
        entries.push(entry);
        self.evict(&mut entries);
        slot
    }

    fn settle(&self, id: BlobId, bytes: usize) {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.id == id) {
            entry.bytes = bytes;
        }
        self.evict(&mut entries);
    }

    fn forget(&self, id: BlobId, slot: &Arc<Slot<T>>) {
        lock(&self.entries).retain(|entry| entry.id != id || !Arc::ptr_eq(&entry.slot, slot));
    }

    fn evict(&self, entries: &mut Vec<Entry<T>>) {
        let mut bytes: usize = entries.iter().map(|entry| entry.bytes).sum();
        while entries.len() > 1 && (entries.len() > self.count_max || bytes > self.bytes_max) {
            bytes -= entries.remove(0).bytes;
        }
    }
}

/// A panic while loading leaves a slot empty, which is a state like any other.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
