//! Batches on a disk: frame, write, sync, in this order and never otherwise. specs/journal.md §3.

use super::{Failure, writer::BATCH_BYTES_TARGET};
use crate::files::{Disk, write_all};
use pocketmesh_ledger::journal::Chain;
use std::io;

/// Buffers that grew beyond this for one large record are given back.
const BUFFER_KEPT_BYTES: usize = 2 * BATCH_BYTES_TARGET;

/// The writing end of a journal's file. After a failure it is not to be used again.
pub(super) struct Log<D> {
    disk: D,
    chain: Chain,
    /// Frames of the batch that is not written yet.
    frames: Vec<u8>,
}

impl<D: Disk> Log<D> {
    pub(super) fn new(disk: D, chain: Chain) -> Self {
        Self { disk, chain, frames: Vec::new() }
    }

    /// Adds a record to the batch. Its length was checked when it was queued.
    pub(super) fn add(&mut self, payload: &[u8]) {
        self.chain.append(payload, &mut self.frames).expect("append took no payload that is too long");
    }

    /// How long the batch is.
    pub(super) fn batch_bytes(&self) -> usize {
        self.frames.len()
    }

    /// Writes the batch and syncs it. Once this has returned, its records may be acknowledged.
    pub(super) fn commit(&mut self) -> Result<(), Failure> {
        write_all(&mut self.disk, &self.frames).map_err(|error| Failure::new("written", &error))?;
        self.disk.sync().map_err(|error| Failure::new("synced", &error))?;
        self.chain.mark_synced();
        self.frames.clear();
        self.frames.shrink_to(BUFFER_KEPT_BYTES);
        Ok(())
    }

    /// Ends the journal in order.
    pub(super) fn seal(&mut self) -> Result<(), Failure> {
        self.chain.seal(&mut self.frames);
        self.commit()
    }
}

impl Failure {
    fn new(step: &'static str, error: &io::Error) -> Self {
        let disk_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Self { step, reason: error.to_string(), disk_full }
    }
}
