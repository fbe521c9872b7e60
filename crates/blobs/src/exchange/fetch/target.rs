//! Where a fetch puts what it gets: a small blob into memory, a large one into an unfinished blob of the store.

use crate::{
    Durability, Store,
    store::{PutError, partial::AcceptError, partial::Partial},
    tree::{self, PAIR_BYTES, PART_BYTES, Sink},
};
use pocketmesh_types::BlobId;
use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// See the module.
#[derive(Debug)]
pub enum Target {
    /// A blob of one part: it is here all at once, so nothing is to be gained from files of its own.
    Small { id: BlobId, len: u64, bytes: Mutex<Option<Vec<u8>>> },
    /// Any other.
    Large(Arc<Partial>),
}

impl Target {
    /// Takes the room for a large blob. Blocks.
    pub fn open(store: &Store, id: BlobId, len: u64) -> Result<Self, PutError> {
        if len <= PART_BYTES {
            return Ok(Self::Small { id, len, bytes: Mutex::default() });
        }
        store.partial(id, len).map(Self::Large)
    }

    /// The groups of a part that are to be asked for.
    pub fn missing(&self, part: u32) -> Option<Range<u32>> {
        match self {
            Self::Small { bytes, .. } if lock(bytes).is_some() => None,
            Self::Small { len, .. } => Some(tree::groups_of_part(*len, part)),
            Self::Large(partial) => partial.missing(part),
        }
    }

    /// Takes what a peer sent. Blocks.
    pub fn accept(&self, groups: &Range<u32>, encoded: &[u8]) -> Result<(), AcceptError> {
        match self {
            Self::Large(partial) => partial.accept(groups, encoded),
            Self::Small { id, len, bytes } => {
                let mut taken = Bytes(Vec::with_capacity(encoded.len()));
                tree::check(*id, *len, groups, encoded, &mut taken).map_err(AcceptError::Wrong)?;
                *lock(bytes) = Some(taken.0);
                Ok(())
            }
        }
    }

    /// Bytes that are here.
    pub fn held_bytes(&self) -> u64 {
        match self {
            Self::Small { bytes, .. } => lock(bytes).as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::Large(partial) => partial.held_bytes(),
        }
    }

    /// Gives back the room of a large blob of which nothing has come. Blocks.
    pub fn give_up(&self, store: &Store) -> io::Result<()> {
        match self {
            Self::Large(partial) => store.end_fetch(partial),
            Self::Small { .. } => Ok(()),
        }
    }

    /// Gives the blob its name if all of it is here. Blocks.
    pub fn finish(&self, store: &Store, durability: Durability) -> Result<(), PutError> {
        match self {
            Self::Large(partial) if partial.is_whole() => store.finish(partial, durability),
            Self::Large(_) => Ok(()),
            Self::Small { id, bytes, .. } => {
                let bytes = lock(bytes).take().unwrap_or_default();
                let mut writer = store.writer(bytes.len() as u64)?;
                writer.write(&bytes)?;
                writer.finish_as(*id, durability)
            }
        }
    }
}

/// Checked bytes in memory. The one part of a small blob comes in order.
struct Bytes(Vec<u8>);

impl Sink<'_> for Bytes {
    fn pair(&mut self, _: u64, _: &[u8; PAIR_BYTES]) {}

    fn leaf(&mut self, _: u64, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

fn lock(bytes: &Mutex<Option<Vec<u8>>>) -> std::sync::MutexGuard<'_, Option<Vec<u8>>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}
