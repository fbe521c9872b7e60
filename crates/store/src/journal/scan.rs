//! Looking at a journal without touching it: whoever writes to it goes on, and a torn tail stays where it is.

use super::{
    FILE_NAME, OpenError,
    replay::{ReplayError, read_records},
};
use pocketmesh_ledger::journal::End;
use pocketmesh_types::Hash;
use std::{error::Error, fs::File, io::Read, path::Path};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// Records handed to the caller.
    pub records: u64,
    /// Bytes behind the last whole record: torn by a crash, or being written just now.
    pub torn_bytes: u64,
    /// The number that the next record gets.
    pub next_sequence: u64,
    /// The chain value after the last record.
    pub chain: Hash,
}

/// Hands every record of a folder's journal to `look`, in order, with its number. Takes no lock and changes nothing, so what a daemon
/// has written and not synced yet is seen too. Blocks: not for an async task.
pub fn scan(
    folder: &Path,
    context: Hash,
    look: impl FnMut(u64, &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>,
) -> Result<Scanned, OpenError> {
    let path = folder.join(FILE_NAME);
    read(&path, context, look).map_err(|error| error.at(&path))
}

fn read(
    path: &Path,
    context: Hash,
    look: impl FnMut(u64, &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>,
) -> Result<Scanned, ReplayError> {
    let mut file = File::open(path)?;
    let (records, end) = read_records(|piece| file.read(piece), context, look)?;
    let End { chain, torn_bytes, .. } = end;
    Ok(Scanned { records, torn_bytes, next_sequence: chain.next_sequence(), chain: chain.value() })
}
