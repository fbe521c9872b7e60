//! What a person does with the store: look, keep, make room, check.

use super::Store;
use pocketmesh_types::{BlobId, Hash};
use std::io;

/// A blob as a person sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its name.
    pub id: BlobId,
    /// Its length in bytes.
    pub len: u64,
    /// Bytes of it that are here: all, or those that a fetch has brought so far.
    pub held: u64,
    /// Whether a person asked for it to be kept.
    pub kept: bool,
    /// Whether it may not be evicted, by that person's word or because a job needs it.
    pub pinned: bool,
}

/// What making room removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// Blobs.
    pub blobs: u64,
    /// Blobs that had not been fetched to their end.
    pub partial: u64,
    /// Bytes of the quota that are free again.
    pub bytes: u64,
}

/// What checking every blob found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Blobs that match their names.
    pub good: u64,
    /// Those that did not and were put aside.
    pub damaged: Vec<BlobId>,
}

/// The owner of the pins that a person sets.
pub(super) fn kept() -> Hash {
    Hash::of(b"pocketmesh blobs that a person keeps")
}

impl Store {
    /// Keeps a blob from eviction until [`release`](Self::release), across restarts. It need not be here yet.
    pub fn keep(&self, id: BlobId) -> io::Result<()> {
        self.0.files.set_kept(id, true)?;
        self.pin(id, kept());
        Ok(())
    }

    /// Takes [`keep`](Self::keep) back. Pins of jobs stay.
    pub fn release(&self, id: BlobId) -> io::Result<()> {
        self.0.files.set_kept(id, false)?;
        self.unpin(id, kept());
        Ok(())
    }

    /// One blob, also one that is not whole.
    pub fn blob(&self, id: BlobId) -> Option<Blob> {
        let (held, len) = self.held(id)?;
        Some(self.seen(id, len, held))
    }

    /// All blobs by name, then those that are not whole.
    pub fn list(&self) -> Vec<Blob> {
        let whole: Vec<(BlobId, u64)> = self.catalogue().all().map(|(id, entry)| (id, entry.len)).collect();
        let partial = self.unfinished();
        let whole = whole.into_iter().map(|(id, len)| self.seen(id, len, len));
        whole.chain(partial.into_iter().map(|(id, len, held)| self.seen(id, len, held))).collect()
    }

    /// Removes all that is not pinned, and what is left of fetches that do not run.
    pub fn collect(&self) -> io::Result<Freed> {
        let before = self.usage().used_bytes;
        let partial = self.discard_all_idle()?;
        let mut catalogue = self.catalogue();
        let evicted = catalogue.evict_all();
        evicted.iter().try_for_each(|id| self.remove_file(*id))?;
        drop(catalogue);
        let bytes = before.saturating_sub(self.usage().used_bytes);
        Ok(Freed { blobs: evicted.len() as u64, partial, bytes })
    }

    /// Reads every blob and compares its hash; one that does not match is put aside. Blocks for as long as the disk
    /// takes.
    pub fn scrub(&self) -> io::Result<Scrubbed> {
        let ids: Vec<BlobId> = self.catalogue().all().map(|(id, _)| id).collect();
        let mut scrubbed = Scrubbed::default();
        for id in ids {
            match self.verify(id) {
                Ok(()) => scrubbed.good += 1,
                Err(super::GetError::Io(error)) => return Err(error),
                // One that was evicted meanwhile is not damaged.
                Err(_) if self.0.files.is_aside(id)? => scrubbed.damaged.push(id),
                Err(_) => {}
            }
        }
        Ok(scrubbed)
    }

    fn seen(&self, id: BlobId, len: u64, held: u64) -> Blob {
        let catalogue = self.catalogue();
        Blob { id, len, held, kept: catalogue.is_pinned_by(id, kept()), pinned: catalogue.is_pinned(id) }
    }
}
