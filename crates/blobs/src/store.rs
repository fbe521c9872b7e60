//! Blobs as files named by their hash, under a quota.
//!
//! specs/blobs.md §1–3. Data is read and written outside the one lock, names change only under it, so the catalogue and the
//! folder agree. All calls block on the disk: from async code they go through `spawn_blocking`. The folder belongs to
//! one store at a time, which the data folder's lock sees to.

mod catalogue;
mod files;
mod keeping;
mod notes;
pub(crate) mod partial;
mod partials;
pub(crate) mod portion;
mod writer;

use crate::buffers::Buffers;
use catalogue::Catalogue;
use files::Files;
pub use keeping::{Blob, Freed, Scrubbed};
pub use notes::Notes;
use partials::Partials;
use pocketmesh_types::{BlobId, Hash};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
pub use writer::Writer;

/// Read at once while hashing or sending.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// A folder of blobs. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: Files,
    notes: Option<Box<dyn Notes>>,
    catalogue: Mutex<Catalogue>,
    /// Locked before the catalogue where both are.
    partials: Mutex<Partials>,
    buffers: Buffers,
}

/// What must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: it can be fetched or made again. If a power cut damages it, the first use finds out and drops it.
    Refetchable,
    /// All of it, before the call returns: for what a journal record relies on.
    Durable,
}

/// How full a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Blobs held.
    pub blobs: usize,
    /// Bytes taken, half-written blobs included, each blob rounded up to 4 KiB.
    pub used_bytes: u64,
    /// Of these, bytes that may not be evicted.
    pub pinned_bytes: u64,
    /// Bytes allowed.
    pub quota_bytes: u64,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the blob folder {path}: {source}")]
pub struct OpenError {
    path: String,
    source: io::Error,
}

/// Why a blob was not stored. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// No room, even without all that may be evicted.
    #[error(
        "the blob store is full: {needed_bytes} more bytes do not fit into its quota of {quota_bytes} bytes, of which \
        {pinned_bytes} are in use; raise the quota, or wait for a job to end"
    )]
    QuotaExceeded {
        /// What had to fit.
        needed_bytes: u64,
        /// What the store may take.
        quota_bytes: u64,
        /// What could not be evicted.
        pinned_bytes: u64,
    },
    /// Longer than was agreed.
    #[error("the blob is longer than {max_bytes} bytes")]
    TooLong {
        /// The bound.
        max_bytes: u64,
    },
    /// Not the bytes of that name.
    #[error("the bytes hash to {found} and not to {wanted}")]
    WrongHash {
        /// The name they should have had.
        wanted: BlobId,
        /// The name they have.
        found: BlobId,
    },
    /// It was removed while it was being fetched.
    #[error("blob {0} was removed while it was being fetched")]
    Removed(BlobId),
    /// The disk refused, or the reader.
    #[error("cannot store a blob: {0}")]
    Io(#[from] io::Error),
}

/// Why a blob cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// It is not here, or was found damaged and put aside.
    #[error("blob {0} is not in the store")]
    Missing(BlobId),
    /// Longer than the caller takes.
    #[error("blob {id} has {len} bytes, more than the {max_bytes} that fit")]
    TooLong {
        /// The blob.
        id: BlobId,
        /// Its length.
        len: u64,
        /// The bound.
        max_bytes: u64,
    },
    /// The disk refused.
    #[error("cannot read a blob: {0}")]
    Io(#[from] io::Error),
}

impl Store {
    /// Opens the folder, made if there is none. What a crash left half written is removed; if the blobs take more than
    /// the quota, the oldest go.
    pub fn open(folder: impl AsRef<Path>, quota_bytes: u64) -> Result<Self, OpenError> {
        let folder = folder.as_ref();
        Self::try_open(folder, quota_bytes, None)
            .map_err(|source| OpenError { path: folder.display().to_string(), source })
    }

    /// The same, with notes of an earlier run: what was synced need not be hashed again, and evictions go on in the
    /// order of use.
    pub fn open_with_notes(
        folder: impl AsRef<Path>,
        quota_bytes: u64,
        notes: Box<dyn Notes>,
    ) -> Result<Self, OpenError> {
        let folder = folder.as_ref();
        Self::try_open(folder, quota_bytes, Some(notes))
            .map_err(|source| OpenError { path: folder.display().to_string(), source })
    }

    fn try_open(folder: &Path, quota_bytes: u64, notes: Option<Box<dyn Notes>>) -> io::Result<Self> {
        let files = Files::open(folder)?;
        let mut catalogue = Catalogue::new(quota_bytes);
        for (id, entry) in notes::match_up(files.list()?, notes.as_deref()) {
            catalogue.insert(id, entry);
        }
        for id in catalogue.evict_to_quota() {
            files.remove(id)?;
        }
        for id in files.list_kept()? {
            catalogue.pin(id, keeping::kept());
        }
        let store = Self(Arc::new(Inner {
            files,
            notes,
            catalogue: Mutex::new(catalogue),
            partials: Mutex::default(),
            buffers: Buffers::default(),
        }));
        store.load_partials()?;
        Ok(store)
    }

    /// Stores bytes that can be had again.
    pub fn put(&self, bytes: &[u8]) -> Result<BlobId, PutError> {
        self.put_with(bytes, Durability::Refetchable)
    }

    /// Stores bytes that a journal record is to rely on. Pin them, or they may be evicted.
    pub fn put_durable(&self, bytes: &[u8]) -> Result<BlobId, PutError> {
        self.put_with(bytes, Durability::Durable)
    }

    fn put_with(&self, bytes: &[u8], durability: Durability) -> Result<BlobId, PutError> {
        let id = BlobId::of(bytes);
        if self.catalogue().touch(id).is_some_and(|entry| entry.satisfies(durability)) {
            return Ok(id);
        }
        let mut writer = self.writer(bytes.len() as u64)?;
        writer.write(bytes)?;
        writer.finish_as(id, durability)?;
        Ok(id)
    }

    /// Stores all that `reader` yields, at most `max_bytes` of it.
    pub fn put_reader(
        &self,
        reader: &mut impl Read,
        max_bytes: u64,
        durability: Durability,
    ) -> Result<BlobId, PutError> {
        let mut writer = self.writer(max_bytes)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return writer.finish(durability),
                Ok(count) => writer.write(&chunk[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A blob to be written piece by piece, of at most `max_bytes`.
    pub fn writer(&self, max_bytes: u64) -> Result<Writer, PutError> {
        Writer::new(self.clone(), max_bytes)
    }

    /// The bytes of a blob of at most `max_bytes`.
    pub fn get(&self, id: BlobId, max_bytes: u64) -> Result<Vec<u8>, GetError> {
        let len = self.len(id).ok_or(GetError::Missing(id))?;
        if len > max_bytes {
            return Err(GetError::TooLong { id, len, max_bytes });
        }
        let (file, len) = self.open_file(id)?;
        let mut bytes = Vec::with_capacity(usize::try_from(len).map_err(io::Error::other)?);
        file.take(len).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(self.put_aside(id)) }
    }

    /// A blob's file, to read from its start, and its length. It stays readable when the blob is evicted. A blob that
    /// this store did not write itself since it was opened is checked first.
    pub fn open_file(&self, id: BlobId) -> Result<(File, u64), GetError> {
        let entry = self.use_now(id).ok_or(GetError::Missing(id))?;
        if !entry.checked {
            self.verify(id)?;
        }
        self.open_named(id, entry.len)
    }

    /// Reads a blob and compares its hash. A damaged one is put aside into the folder `damaged` and is missing from then
    /// on.
    pub fn verify(&self, id: BlobId) -> Result<(), GetError> {
        let len = self.len(id).ok_or(GetError::Missing(id))?;
        let (file, _) = self.open_named(id, len)?;
        if self.hash_file(id, file, len)? != id {
            return Err(self.put_aside(id));
        }
        self.catalogue().mark_checked(id);
        Ok(())
    }

    /// The length of a blob that is here.
    pub fn len(&self, id: BlobId) -> Option<u64> {
        self.catalogue().get(id).map(|entry| entry.len)
    }

    /// Whether a blob is here.
    pub fn contains(&self, id: BlobId) -> bool {
        self.len(id).is_some()
    }

    /// Keeps a blob from eviction for `owner`, a job for instance, until it unpins it. The blob need not be here yet, so
    /// that it can be pinned before it is fetched. Pins are forgotten when the store closes.
    pub fn pin(&self, id: BlobId, owner: Hash) {
        self.catalogue().pin(id, owner);
    }

    /// Takes back one pin; those of other owners stay.
    pub fn unpin(&self, id: BlobId, owner: Hash) {
        self.catalogue().unpin(id, owner);
    }

    /// Takes back all pins of an owner.
    pub fn unpin_all(&self, owner: Hash) {
        self.catalogue().unpin_all(owner);
    }

    /// Removes a blob now, pinned or not, and what is here of one that is being fetched. Whether there was anything.
    pub fn remove(&self, id: BlobId) -> io::Result<bool> {
        if self.discard_partial(id)? {
            return Ok(true);
        }
        let mut catalogue = self.catalogue();
        let held = catalogue.remove(id);
        if held {
            self.remove_file(id)?;
        }
        Ok(held)
    }

    /// Removes a blob now, unless it is pinned. Whether it was removed.
    pub fn remove_unpinned(&self, id: BlobId) -> io::Result<bool> {
        let mut catalogue = self.catalogue();
        let may_go = !catalogue.is_pinned(id) && catalogue.remove(id);
        if may_go {
            self.remove_file(id)?;
        }
        Ok(may_go)
    }

    /// How full the store is.
    pub fn usage(&self) -> Usage {
        self.catalogue().usage()
    }

    /// Memory for parts on their way.
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.0.buffers
    }

    /// Syncs a blob's name; its bytes have been.
    fn make_durable(&self, id: BlobId) -> io::Result<()> {
        self.0.files.sync_name(id)?;
        self.catalogue().mark_durable(id);
        self.note(id);
        Ok(())
    }

    fn open_named(&self, id: BlobId, len: u64) -> Result<(File, u64), GetError> {
        match self.0.files.open_blob(id) {
            Ok(file) if file.metadata()?.len() == len => Ok((file, len)),
            Ok(_) => Err(self.put_aside(id)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Evicted meanwhile, or removed by hand: either way the catalogue is not to promise it.
                self.catalogue().remove(id);
                Err(GetError::Missing(id))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Quarantines a damaged blob and says that it is missing.
    fn put_aside(&self, id: BlobId) -> GetError {
        tracing::warn!(%id, "a stored blob was damaged and has been put aside");
        let mut catalogue = self.catalogue();
        catalogue.remove(id);
        match self.0.files.put_aside(id) {
            Ok(()) => GetError::Missing(id),
            Err(error) => GetError::Io(error),
        }
    }

    fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        // The catalogue is consistent between its own calls, none of which can panic half way.
        self.0.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
