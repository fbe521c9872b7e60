//! A blob while it is written: hashed and counted as it grows, visible only when it is whole.

use super::{
    Durability, PutError, Store,
    catalogue::{Entry, charge, has_tree},
};
use crate::tree::Builder;
use pocketmesh_types::BlobId;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Hashes of the tree that are held before they go into its file: those of a part never need one.
const PAIRS_BYTES_MAX: usize = 64 << 10;

/// Bytes on their way into the store. Dropped unfinished, or finished with the wrong hash, it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    /// `None` when the file has become the blob.
    path: Option<PathBuf>,
    file: File,
    builder: Builder,
    /// The tree's file, once the blob is long enough to have one.
    tree: Option<(PathBuf, File)>,
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
        Ok(Self { store, path: Some(path), file, builder: Builder::new(), tree: None, len: 0, max_bytes, reserved })
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
        self.builder.update(bytes);
        self.len = len;
        if self.builder.pairs_bytes() > PAIRS_BYTES_MAX {
            self.write_tree()?;
        }
        Ok(())
    }

    fn write_tree(&mut self) -> io::Result<()> {
        if self.tree.is_none() {
            self.tree = Some(self.store.0.files.create_incoming()?);
        }
        let pairs = self.builder.take_pairs();
        self.tree.as_mut().map_or(Ok(()), |(_, file)| file.write_all(&pairs))
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
    pub fn finish(mut self, durability: Durability) -> Result<BlobId, PutError> {
        let id = self.builder.finish();
        self.admit(id, durability)?;
        Ok(id)
    }

    /// Makes the blob visible if its bytes have the name `wanted`.
    pub fn finish_as(mut self, wanted: BlobId, durability: Durability) -> Result<(), PutError> {
        match self.builder.finish() {
            found if found == wanted => self.admit(wanted, durability),
            found => Err(PutError::WrongHash { wanted, found }),
        }
    }

    fn admit(mut self, id: BlobId, durability: Durability) -> Result<(), PutError> {
        if self.store.catalogue().touch(id).is_some_and(|entry| entry.satisfies(durability)) {
            return Ok(());
        }
        if has_tree(self.len) {
            self.write_tree()?;
        }
        if durability == Durability::Durable {
            self.file.sync_all()?;
        }
        let store = self.store.clone();
        let mut catalogue = store.catalogue();
        if let Some(path) = &self.path {
            store.0.files.admit(path, self.tree.as_ref().map(|(path, _)| path.as_path()), id)?;
        }
        (self.path, self.tree) = (None, None);
        catalogue.insert(id, Entry { len: self.len, checked: true, durable: false, use_noted: 0 });
        catalogue.release(std::mem::take(&mut self.reserved));
        drop(catalogue);
        if durability == Durability::Durable {
            store.make_durable(id)?;
        }
        Ok(())
    }

    /// Removes a file that came to nothing.
    pub(super) fn remove_incoming(path: &Path) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "an unfinished blob could not be removed");
            }
            _ => {}
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.path.iter().chain(self.tree.as_ref().map(|(path, _)| path)).for_each(|path| Self::remove_incoming(path));
        self.store.catalogue().release(self.reserved);
    }
}
