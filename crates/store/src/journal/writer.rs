//! The thread that writes: batch, write, sync, acknowledge.

use super::{
    Event, Failure, Shared,
    disk::{Disk, write_all},
};
use crate::FolderLock;
use pocketmesh_ledger::journal::{Chain, FRAME_OVERHEAD_BYTES};
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    thread,
};
use tokio::sync::mpsc;

/// A batch stops gathering here, unless its first record alone is longer: large enough that a sync is shared by
/// thousands, small enough that a phone's flash writes it in tens of milliseconds.
const BATCH_BYTES_TARGET: usize = 1 << 20;
/// Buffers that grew beyond this for one large record are given back.
const BUFFER_KEPT_BYTES: usize = 2 * BATCH_BYTES_TARGET;

/// A record waiting to be written.
#[derive(Debug)]
pub(super) struct Item {
    pub payload: Vec<u8>,
    pub token: u64,
}

pub(super) struct Writer<D> {
    pub disk: D,
    pub chain: Chain,
    pub queue: mpsc::Receiver<Item>,
    pub events: mpsc::Sender<Event>,
    pub shared: Arc<Shared>,
    pub folder: Option<FolderLock>,
}

impl<D: Disk> Writer<D> {
    pub(super) fn spawn(self) -> io::Result<()> {
        thread::Builder::new().name("journal".into()).spawn(|| self.run()).map(drop)
    }

    fn run(mut self) {
        let result = self.write_until_closed();
        if let Err(failure) = &result {
            tracing::error!("{failure}");
            self.shared.failure.get_or_init(|| failure.clone());
        }
        // Whoever sees the events end may open the folder again, so it is given back first. The queue is closed
        // before Failed is told, so that nobody who has heard it can still append.
        drop((self.queue, self.disk, self.folder));
        if let Err(failure) = result {
            // An owner that no longer listens has nothing to undo.
            let _ = self.events.blocking_send(Event::Failed(failure));
        }
    }

    fn write_until_closed(&mut self) -> Result<(), Failure> {
        let mut frames = Vec::new();
        let mut carried = None;
        while let Some(first) = carried.take().or_else(|| self.queue.blocking_recv()) {
            let mut bytes = first.payload.len();
            let mut tokens = vec![self.frame(first, &mut frames)];
            while let Ok(item) = self.queue.try_recv() {
                if frames.len() + item.payload.len() + FRAME_OVERHEAD_BYTES > BATCH_BYTES_TARGET {
                    carried = Some(item);
                    break;
                }
                bytes += item.payload.len();
                tokens.push(self.frame(item, &mut frames));
            }
            self.commit(&mut frames)?;
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            // An owner that no longer listens still wants its records on disk.
            let _ = self.events.blocking_send(Event::Stored(tokens));
        }
        self.chain.seal(&mut frames);
        self.commit(&mut frames)
    }

    fn frame(&mut self, item: Item, frames: &mut Vec<u8>) -> u64 {
        self.chain.append(&item.payload, frames).expect("append took no payload that is too long");
        item.token
    }

    fn commit(&mut self, frames: &mut Vec<u8>) -> Result<(), Failure> {
        write_all(&mut self.disk, frames).map_err(|error| Failure::new("written", &error))?;
        self.disk.sync().map_err(|error| Failure::new("synced", &error))?;
        self.chain.mark_synced();
        frames.clear();
        frames.shrink_to(BUFFER_KEPT_BYTES);
        Ok(())
    }
}

impl Failure {
    fn new(step: &'static str, error: &io::Error) -> Self {
        let disk_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Self { step, reason: error.to_string(), disk_full }
    }
}
