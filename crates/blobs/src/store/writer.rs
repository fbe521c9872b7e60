//! A blob while it is written: hashed and counted as it grows, visible only when it is whole.

use super::{
    Durability, PutError, Store,
    catalogue::{Entry, charge},
};
use blake3::Hasher;
use pocketmesh_types::{BlobId, Hash};
use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

/// Bytes on their way into the store. Dropped unfinished, or finished with the wrong hash, it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    /// `None` when the file has become the blob.
    path: Option<PathBuf>,
    file: File,
    hasher: Hasher,
    len: u64,
    max_bytes: u64,
    /// Taken of the quota.
    reserved: u64,
}

impl Writer {
    pub(super) fn new(store: Store, max_bytes: u64) -> Result<Self, PutError> {
        let reserved = charge(0);
        store.reserve(reserved)?;
        let created = store.0.files.create_incoming();
        let (path, file) = created.inspect_err(|_| store.catalogue().release(reserved))?;
        Ok(Self { store, path: Some(path), file, hasher: Hasher::new(), len: 0, max_bytes, reserved })
    }

    /// Appends bytes. After an error the writer is only good for dropping.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PutError> {
        let len = self.len.saturating_add(bytes.len() as u64);
        if len > self.max_bytes {
            return Err(PutError::TooLong { max_bytes: self.max_bytes });
        }
        let more = charge(len) - self.reserved;
        self.store.reserve(more)?;
        self.reserved += more;
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.len = len;
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none so far.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes the blob visible under the name that its bytes have.
    pub fn finish(self, durability: Durability) -> Result<BlobId, PutError> {
        let id = self.id();
        self.admit(id, durability)?;
        Ok(id)
    }

    /// Makes the blob visible if its bytes have the name `wanted`.
    pub fn finish_as(self, wanted: BlobId, durability: Durability) -> Result<(), PutError> {
        match self.id() {
            found if found == wanted => self.admit(wanted, durability),
            found => Err(PutError::WrongHash { wanted, found }),
        }
    }

    fn id(&self) -> BlobId {
        BlobId(Hash(*self.hasher.finalize().as_bytes()))
    }

    fn admit(mut self, id: BlobId, durability: Durability) -> Result<(), PutError> {
        if self.store.catalogue().touch(id).is_some_and(|entry| entry.satisfies(durability)) {
            return Ok(());
        }
        if durability == Durability::Durable {
            self.file.sync_all()?;
        }
        let store = self.store.clone();
        let mut catalogue = store.catalogue();
        if let Some(path) = &self.path {
            store.0.files.admit(path, id)?;
        }
        self.path = None;
        catalogue.insert(id, Entry { len: self.len, checked: true, durable: false });
        catalogue.release(std::mem::take(&mut self.reserved));
        drop(catalogue);
        if durability == Durability::Durable {
            store.0.files.sync_name(id)?;
            store.catalogue().mark_durable(id);
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "an unfinished blob could not be removed");
        }
        self.store.catalogue().release(self.reserved);
    }
}
