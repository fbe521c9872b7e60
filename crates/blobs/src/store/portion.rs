//! What another peer is given of a blob: checked groups, or word of what is here.

use super::{GetError, Store, catalogue::has_tree, writer::Writer};
use crate::{
    buffers::Buffer,
    tree::{self, Builder},
};
use bao_tree::io::outboard::PostOrderMemOutboard;
use pocketmesh_types::BlobId;
use std::{
    fs::File,
    io::{self, Read, Write},
    ops::Range,
    path::PathBuf,
};

/// Groups of a blob that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// None: only which parts are here.
    Parts,
    /// So many from this one on.
    Groups { first: u32, count: u32 },
    /// Those of the last part, which prove the blob's length.
    Last,
}

/// What can be answered.
#[derive(Debug)]
pub enum Portion {
    /// The groups with their hashes, and the blob's length.
    Given { len: u64, encoded: Buffer },
    /// They are not all here, or none were asked for: a bit for each part that is.
    Held { len: u64, parts: Vec<u8> },
    /// The blob is longer than is wanted.
    TooLong(u64),
    /// Nothing is here.
    NotHere,
}

impl Ask {
    /// The groups that this means for a blob of `len` bytes; `None` if there are no such.
    pub fn groups(self, len: u64) -> Option<Range<u32>> {
        let all = tree::groups_of(len);
        match self {
            Self::Parts => None,
            Self::Groups { first, count } if first < all && count > 0 => {
                Some(first..first.saturating_add(count).min(all))
            }
            Self::Groups { .. } => None,
            Self::Last => Some(tree::groups_of_part(len, tree::parts_of(len) - 1)),
        }
    }
}

impl Store {
    /// Answers what another peer asks for of a blob of at most `max_bytes`. Blocks; holds at most the answer.
    pub(crate) fn portion(&self, id: BlobId, max_bytes: u64, ask: Ask) -> io::Result<Portion> {
        let Some(len) = self.len(id) else { return self.partial_portion(id, max_bytes, ask) };
        if len > max_bytes {
            return Ok(Portion::TooLong(len));
        }
        let Some(groups) = ask.groups(len) else { return Ok(Portion::Held { len, parts: all_parts(len) }) };
        let given = if has_tree(len) { self.encode(id, len, &groups) } else { self.encode_small(id, len, &groups) };
        match given {
            Ok(encoded) => Ok(Portion::Given { len, encoded }),
            Err(GetError::Io(error)) => Err(error),
            Err(_) => Ok(Portion::NotHere),
        }
    }

    fn partial_portion(&self, id: BlobId, max_bytes: u64, ask: Ask) -> io::Result<Portion> {
        let Some(partial) = self.existing_partial(id) else { return Ok(Portion::NotHere) };
        let len = partial.len();
        if len > max_bytes {
            return Ok(Portion::TooLong(len));
        }
        if let Some(groups) = ask.groups(len)
            && let Some(encoded) = partial.encode(&groups, self.buffers())?
        {
            return Ok(Portion::Given { len, encoded });
        }
        Ok(Portion::Held { len, parts: partial.held_parts()? })
    }

    /// A blob of one part: its tree is made again from its bytes.
    fn encode_small(&self, id: BlobId, len: u64, groups: &Range<u32>) -> Result<Buffer, GetError> {
        self.use_now(id);
        let (file, len) = self.open_named(id, len)?;
        let mut bytes = Vec::with_capacity(usize::try_from(len).map_err(io::Error::other)?);
        file.take(len).read_to_end(&mut bytes)?;
        let outboard = PostOrderMemOutboard::create(&bytes, tree::group_size());
        if outboard.root.as_bytes() != id.as_bytes() {
            return Err(self.put_aside(id));
        }
        self.catalogue().mark_checked(id);
        let mut encoded = self.buffers().take(tree::encoded_bytes(len, groups));
        match tree::encode(id, len, groups, &bytes[..], &outboard.data[..], &mut encoded) {
            Ok(()) => Ok(encoded),
            Err(_) => Err(self.put_aside(id)),
        }
    }

    fn encode(&self, id: BlobId, len: u64, groups: &Range<u32>) -> Result<Buffer, GetError> {
        self.use_now(id);
        let (file, len) = self.open_named(id, len)?;
        let mut encoded = self.buffers().take(tree::encoded_bytes(len, groups));
        if let Ok(outboard) = self.0.files.open_tree(id)
            && tree::encode(id, len, groups, &file, outboard, &mut encoded).is_ok()
        {
            return Ok(encoded);
        }
        // The tree is missing, or it and the bytes do not match: whose fault it is is found by reading all.
        self.verify(id)?;
        let outboard = self.0.files.open_tree(id)?;
        match tree::encode(id, len, groups, &file, outboard, &mut encoded) {
            Ok(()) => Ok(encoded),
            Err(_) => Err(self.put_aside(id)),
        }
    }

    /// The hash of a blob's file. Its tree is made again on the way, as far as there is room for it.
    pub(super) fn hash_file(&self, id: BlobId, mut file: File, len: u64) -> io::Result<BlobId> {
        let mut builder = Builder::new();
        let mut chunk = vec![0; super::CHUNK_BYTES];
        let mut tree = has_tree(len).then(|| IncomingTree::new(self));
        loop {
            let count = file.read(&mut chunk)?;
            builder.update(&chunk[..count]);
            let found = (count == 0).then(|| builder.finish());
            if let Some(tree) = &mut tree {
                tree.append(&builder.take_pairs());
            }
            if let Some(found) = found {
                if let Some(tree) = tree.filter(|_| found == id) {
                    tree.admit(id)?;
                }
                return Ok(found);
            }
        }
    }
}

/// A tree that is being written. A blob is right or wrong whether or not the disk has room for its tree.
struct IncomingTree<'a> {
    store: &'a Store,
    file: Option<(PathBuf, File)>,
}

impl<'a> IncomingTree<'a> {
    fn new(store: &'a Store) -> Self {
        let created = store.0.files.create_incoming();
        Self { store, file: created.inspect_err(without_tree).ok() }
    }

    fn append(&mut self, pairs: &[u8]) {
        if let Some((path, file)) = &mut self.file
            && let Err(error) = file.write_all(pairs)
        {
            without_tree(&error);
            Writer::remove_incoming(path);
            self.file = None;
        }
    }

    fn admit(mut self, id: BlobId) -> io::Result<()> {
        self.file.take().map_or(Ok(()), |(path, _)| self.store.0.files.admit_tree(&path, id))
    }
}

impl Drop for IncomingTree<'_> {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.file {
            Writer::remove_incoming(path);
        }
    }
}

fn without_tree(error: &io::Error) {
    tracing::warn!(%error, "the tree of a blob could not be written");
}

fn all_parts(len: u64) -> Vec<u8> {
    let parts = tree::parts_of(len);
    let mut bits = vec![0xff; parts.div_ceil(8) as usize];
    if let (Some(last), 1..) = (bits.last_mut(), parts % 8) {
        *last = (1 << (parts % 8)) - 1;
    }
    bits
}
