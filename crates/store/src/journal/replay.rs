//! Reading a journal back when it is opened, and cutting off what a crash tore.

use super::{OpenError, Recovered};
use crate::files::OpenFile;
use pocketmesh_ledger::journal::{Chain, End, ReadError, Reader};
use pocketmesh_types::Hash;
use std::{error::Error, io, path::Path};

/// Read at once: large enough for sequential speed, small enough for a phone.
const PIECE_BYTES: usize = 256 << 10;

/// An [`OpenError`] that does not know its path yet.
#[derive(Debug)]
pub(super) enum ReplayError {
    Io(io::Error),
    Unreadable(ReadError),
    Rejected(u64, Box<dyn Error + Send + Sync>),
}

impl ReplayError {
    pub(super) fn at(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => OpenError::Io { path, source },
            Self::Unreadable(source) => OpenError::Unreadable { path, source },
            Self::Rejected(sequence, source) => OpenError::Rejected { path, sequence, source },
        }
    }
}

impl From<io::Error> for ReplayError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for ReplayError {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

/// Hands every record of a journal to `look`, in order, with its number; says how many there were, and where they end.
pub(super) fn read_records(
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    context: Hash,
    mut look: impl FnMut(u64, &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>,
) -> Result<(u64, End), ReplayError> {
    let mut reader = Reader::new(context);
    let (mut records, mut piece) = (0, vec![0; PIECE_BYTES]);
    loop {
        let count = read(&mut piece)?;
        if count == 0 {
            return Ok((records, reader.finish()?));
        }
        reader.feed(&piece[..count]);
        while let Some(record) = reader.next()? {
            look(record.sequence, &record.payload).map_err(|source| ReplayError::Rejected(record.sequence, source))?;
            records += 1;
        }
    }
}

/// Hands every record to `replay`, cuts off a torn tail, and leaves the file ready for the chain's next frame.
pub(super) fn replay(
    file: &mut impl OpenFile,
    context: Hash,
    replay: impl FnMut(u64, &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>,
) -> Result<(Recovered, Chain), ReplayError> {
    file.settle()?;
    let (records, end) = read_records(|piece| file.read(piece), context, replay)?;
    let End { chain, good_bytes, torn_bytes } = end;
    if torn_bytes > 0 {
        tracing::warn!(good_bytes, torn_bytes, "cut off a batch that was being written when the daemon stopped");
        file.cut(good_bytes)?;
        file.sync_all()?;
    }
    file.seek(good_bytes)?;
    let (next_sequence, value) = (chain.next_sequence(), chain.value());
    Ok((Recovered { records, truncated_bytes: torn_bytes, next_sequence, chain: value, created: false }, chain))
}
