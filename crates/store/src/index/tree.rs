//! One named map of the index, from bytes to bytes, in the order of its keys.

use super::{Guarded, drop_guarded};

/// A tree of an [`Index`](super::Index). Cheap to clone; the index stays open while there is one.
#[derive(Debug, Clone)]
pub struct Tree {
    /// `None` only while dropping.
    pub(super) tree: Option<sled::Tree>,
    pub(super) sled: Guarded,
}

/// Why the index could not be used.
#[derive(Debug, thiserror::Error)]
pub enum UseError {
    /// sled said so.
    #[error("cannot use the index: {0}; if it persists, remove the folder index and start again: it is rebuilt")]
    Sled(#[from] sled::Error),
    /// sled panicked, now or before. The next opening rebuilds it if it is damaged.
    #[error("the index is broken; start the daemon again to rebuild it")]
    Broken,
}

impl Tree {
    /// The value at `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, UseError> {
        self.run(|tree| Ok(tree.get(key)?.map(|value| value.to_vec())))
    }

    /// Sets the value at `key`; on disk within half a second, or after a flush.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), UseError> {
        self.run(|tree| tree.insert(key, value)).map(drop)
    }

    /// Removes the value at `key`, if there is one.
    pub fn remove(&self, key: &[u8]) -> Result<(), UseError> {
        self.run(|tree| tree.remove(key)).map(drop)
    }

    /// All pairs whose key begins with `prefix`, by key; with an empty one, all. Read as they are asked for. Ends
    /// after an error.
    pub fn scan_prefix(&self, prefix: &[u8]) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), UseError>> + use<'_> {
        let mut entries = self.run(|tree| Ok(tree.scan_prefix(prefix))).map_err(Some);
        std::iter::from_fn(move || {
            let entry = match &mut entries {
                Ok(iterator) => self.sled.guard(|| iterator.next().transpose()).transpose()?,
                Err(error) => Err(error.take()?),
            };
            if entry.is_err() {
                entries = Err(None);
            }
            Some(entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
        })
    }

    /// Removes everything.
    pub fn clear(&self) -> Result<(), UseError> {
        self.run(sled::Tree::clear)
    }

    fn run<T>(&self, call: impl FnOnce(&sled::Tree) -> sled::Result<T>) -> Result<T, UseError> {
        let tree = self.tree.as_ref().expect("only dropping takes it");
        self.sled.guard(|| call(tree))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        drop_guarded(self.tree.take());
    }
}
