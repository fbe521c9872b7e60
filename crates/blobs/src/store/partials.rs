//! The blobs that are being fetched, or were when the store closed.

use super::{
    Durability, GetError, PutError, Store,
    catalogue::{Entry, charge},
    partial::Partial,
};
use pocketmesh_types::{BlobId, limits};
use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{Arc, MutexGuard, PoisonError},
};

/// Unfinished blobs that are kept: each has three files open.
const PARTIALS_MAX: usize = 32;

/// Unfinished blobs by name, and when each was last asked for.
pub type Partials = BTreeMap<BlobId, (Arc<Partial>, u64)>;

impl Store {
    /// What is here of a blob of `len` bytes that is not whole yet, made if there is nothing. The room for all of it is
    /// taken at once.
    pub(crate) fn partial(&self, id: BlobId, len: u64) -> Result<Arc<Partial>, PutError> {
        let mut partials = self.partials();
        let now = partials.values().map(|&(_, used)| used).max().unwrap_or(0) + 1;
        match partials.get_mut(&id) {
            Some((partial, used)) if partial.len() == len => {
                *used = now;
                return Ok(Arc::clone(partial));
            }
            Some((partial, _)) if is_busy(partial) => {
                return Err(io::Error::other("it is being fetched already, as one of another length").into());
            }
            Some(_) => self.discard(&mut partials, id)?,
            None => {}
        }
        if partials.len() >= PARTIALS_MAX {
            self.discard_idle(&mut partials)?;
        }
        self.reserve_with(&mut partials, charge(len))?;
        let created = Partial::create(&self.0.files.partial_path(id), id, len);
        let partial = Arc::new(created.inspect_err(|_| {
            self.catalogue().release(charge(len));
            // It is the first error that counts.
            let _ = self.0.files.remove_partial(id);
        })?);
        partials.insert(id, (Arc::clone(&partial), now));
        Ok(partial)
    }

    /// What is here of a blob that is not whole yet.
    pub(crate) fn existing_partial(&self, id: BlobId) -> Option<Arc<Partial>> {
        self.partials().get(&id).map(|(partial, _)| Arc::clone(partial))
    }

    /// The blobs that are not whole: names, lengths, bytes that are here.
    pub(super) fn unfinished(&self) -> Vec<(BlobId, u64, u64)> {
        self.partials().iter().map(|(id, (partial, _))| (*id, partial.len(), partial.held_bytes())).collect()
    }

    /// Bytes that are here of a blob, and its length; `None` if nothing is.
    pub fn held(&self, id: BlobId) -> Option<(u64, u64)> {
        match self.len(id) {
            Some(len) => Some((len, len)),
            None => self.existing_partial(id).map(|partial| (partial.held_bytes(), partial.len())),
        }
    }

    /// Bytes of a blob, also of one that is not whole as long as these bytes are here and checked. At most a part's
    /// worth should be asked for at a time: they are held in memory.
    pub fn read_range(&self, id: BlobId, bytes: Range<u64>) -> Result<Vec<u8>, GetError> {
        if !self.contains(id)
            && let Some(partial) = self.existing_partial(id)
        {
            return partial.read(bytes)?.ok_or(GetError::Missing(id));
        }
        let (file, len) = self.open_file(id)?;
        if bytes.start > bytes.end || bytes.end > len {
            return Err(GetError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut read = vec![0; usize::try_from(bytes.end - bytes.start).map_err(io::Error::other)?];
        file.read_exact_at(&mut read, bytes.start)?;
        Ok(read)
    }

    /// Gives a blob of which all is here its name.
    pub(crate) fn finish(&self, partial: &Arc<Partial>, durability: Durability) -> Result<(), PutError> {
        let (id, len) = (partial.id(), partial.len());
        if !partial.is_whole() {
            return Err(io::Error::other("a blob was to be finished that is not whole").into());
        }
        if durability == Durability::Durable {
            partial.sync()?;
        }
        let mut partials = self.partials();
        if !partials.get(&id).is_some_and(|(known, _)| Arc::ptr_eq(known, partial)) {
            // Another fetch of it was the first to finish, or it was removed.
            return if self.contains(id) { Ok(()) } else { Err(PutError::Removed(id)) };
        }
        let mut catalogue = self.catalogue();
        if let Err(error) = self.0.files.admit_partial(id, super::catalogue::has_tree(len)) {
            drop(catalogue);
            self.discard(&mut partials, id)?;
            return Err(error.into());
        }
        partials.remove(&id);
        catalogue.release(charge(len));
        catalogue.insert(id, Entry { len, checked: true, durable: false, use_noted: 0 });
        drop((catalogue, partials));
        if durability == Durability::Durable {
            self.make_durable(id)?;
        }
        Ok(())
    }

    /// Makes room for `bytes` more: what is left of old fetches goes first.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), PutError> {
        if bytes == 0 {
            return Ok(());
        }
        self.reserve_with(&mut self.partials(), bytes)
    }

    fn reserve_with(&self, partials: &mut Partials, bytes: u64) -> Result<(), PutError> {
        while self.catalogue().lacks(bytes) && self.discard_idle(partials)? {}
        let mut catalogue = self.catalogue();
        let evicted = catalogue.reserve(bytes)?;
        let removed = evicted.into_iter().try_for_each(|id| self.remove_file(id));
        removed.inspect_err(|_| catalogue.release(bytes))?;
        Ok(())
    }

    /// Takes over what an earlier run left, the newest first, as far as the quota goes.
    pub(super) fn load_partials(&self) -> io::Result<()> {
        let mut partials = self.partials();
        for (age, id) in (0_u64..).zip(self.0.files.list_partial()?) {
            let opened = Partial::open(&self.0.files.partial_path(id), id, limits::BLOB_BYTES_MAX);
            let fits = |len| !self.catalogue().lacks(charge(len));
            match opened {
                Ok(Some(partial)) if partials.len() < PARTIALS_MAX && !self.contains(id) && fits(partial.len()) => {
                    self.catalogue().take(charge(partial.len()));
                    partials.insert(id, (Arc::new(partial), u64::MAX / 2 - age));
                }
                _ => self.0.files.remove_partial(id)?,
            }
        }
        Ok(())
    }

    /// Removes what is here of a blob that is not whole, also under a running fetch, which then fails.
    pub(super) fn discard_partial(&self, id: BlobId) -> io::Result<bool> {
        let mut partials = self.partials();
        let known = partials.contains_key(&id);
        if known {
            self.discard(&mut partials, id)?;
        }
        Ok(known)
    }

    /// A fetch has ended early. If nothing is here of the blob, and nobody else fetches it, its room is free again.
    pub(crate) fn end_fetch(&self, partial: &Arc<Partial>) -> io::Result<()> {
        let mut partials = self.partials();
        let is_known = partials.get(&partial.id()).is_some_and(|(known, _)| Arc::ptr_eq(known, partial));
        // One is the map's, one the caller's.
        if is_known && Arc::strong_count(partial) == 2 && partial.held_bytes() == 0 {
            self.discard(&mut partials, partial.id())?;
        }
        Ok(())
    }

    /// Removes what is left of all fetches that do not run, but for pinned blobs. How many those were.
    pub(super) fn discard_all_idle(&self) -> io::Result<u64> {
        let mut partials = self.partials();
        let mut count = 0;
        while self.discard_idle(&mut partials)? {
            count += 1;
        }
        Ok(count)
    }

    /// Removes the oldest that nobody fetches or has pinned. Whether there was one.
    fn discard_idle(&self, partials: &mut Partials) -> io::Result<bool> {
        let idle = partials.iter().filter(|(id, (partial, _))| !is_busy(partial) && !self.catalogue().is_pinned(**id));
        let Some(id) = idle.min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id) else { return Ok(false) };
        self.discard(partials, id)?;
        Ok(true)
    }

    fn discard(&self, partials: &mut Partials, id: BlobId) -> io::Result<()> {
        if let Some((partial, _)) = partials.remove(&id) {
            partial.set_gone();
            self.catalogue().release(charge(partial.len()));
        }
        self.0.files.remove_partial(id)
    }

    fn partials(&self) -> MutexGuard<'_, Partials> {
        // Each call leaves the map whole.
        self.0.partials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a fetch, or an answer to another peer, holds it.
fn is_busy(partial: &Arc<Partial>) -> bool {
    Arc::strong_count(partial) > 1
}
