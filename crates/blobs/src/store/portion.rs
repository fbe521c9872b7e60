//! What another peer is given of a blob: checked groups, or word of what is here.

use super::{GetError, Store, catalogue::has_tree, writer::Writer};
use crate::tree::{self, Builder};
use bao_tree::io::outboard::PostOrderMemOutboard;
use pocketmesh_types::BlobId;
use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
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
#[derive(Debug, PartialEq, Eq)]
pub enum Portion {
    /// The groups with their hashes, and the blob's length.
    Given { len: u64, encoded: Vec<u8> },
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
            && let Some(encoded) = partial.encode(&groups)?
        {
            return Ok(Portion::Given { len, encoded });
        }
        Ok(Portion::Held { len, parts: partial.held_parts()? })
    }

    /// A blob of one part: its tree is made again from its bytes.
    fn encode_small(&self, id: BlobId, len: u64, groups: &Range<u32>) -> Result<Vec<u8>, GetError> {
        self.catalogue().touch(id);
        let (file, len) = self.open_named(id, len)?;
        let mut bytes = Vec::with_capacity(usize::try_from(len).map_err(io::Error::other)?);
        file.take(len).read_to_end(&mut bytes)?;
        let outboard = PostOrderMemOutboard::create(&bytes, tree::group_size());
        if outboard.root.as_bytes() != id.as_bytes() {
            return Err(self.put_aside(id));
        }
        self.catalogue().mark_checked(id);
        tree::encode(id, len, groups, &bytes[..], &outboard.data[..]).map_err(|_| self.put_aside(id))
    }

    fn encode(&self, id: BlobId, len: u64, groups: &Range<u32>) -> Result<Vec<u8>, GetError> {
        self.catalogue().touch(id);
        let (file, len) = self.open_named(id, len)?;
        if let Ok(outboard) = self.0.files.open_tree(id)
            && let Ok(encoded) = tree::encode(id, len, groups, &file, outboard)
        {
            return Ok(encoded);
        }
        // The tree is missing, or it and the bytes do not match: whose fault it is is found by reading all.
        self.verify(id)?;
        let outboard = self.0.files.open_tree(id)?;
        tree::encode(id, len, groups, &file, outboard).map_err(|_| self.put_aside(id))
    }

    /// Reads a blob, and compares its hash. If its tree is missing it is made on the way.
    pub(super) fn hash_file(&self, id: BlobId, mut file: File, len: u64) -> io::Result<BlobId> {
        let mut builder = Builder::new();
        let mut chunk = vec![0; super::CHUNK_BYTES];
        let mut tree = has_tree(len).then(|| self.0.files.create_incoming()).transpose()?;
        let outcome = loop {
            let count = match file.read(&mut chunk) {
                Ok(count) => count,
                Err(error) => break Err(error),
            };
            builder.update(&chunk[..count]);
            let found = (count == 0).then(|| builder.finish());
            let pairs = builder.take_pairs();
            if let Some((_, tree)) = &mut tree
                && let Err(error) = io::Write::write_all(tree, &pairs)
            {
                break Err(error);
            }
            if let Some(found) = found {
                break Ok(found);
            }
        };
        match (&outcome, &tree) {
            (Ok(found), Some((path, _))) if *found == id => self.0.files.admit_tree(path, id)?,
            (_, Some((path, _))) => Writer::remove_incoming(path),
            (_, None) => {}
        }
        outcome
    }
}

fn all_parts(len: u64) -> Vec<u8> {
    let parts = tree::parts_of(len);
    let mut bits = vec![0xff; parts.div_ceil(8) as usize];
    if let (Some(last), 1..) = (bits.last_mut(), parts % 8) {
        *last = (1 << (parts % 8)) - 1;
    }
    bits
}
