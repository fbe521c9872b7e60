//! The thread that writes: batch, write, sync, acknowledge.

use super::{Event, Failure, Shared, log::Log};
use crate::{FolderLock, files::Disk};
use pocketmesh_ledger::journal::FRAME_OVERHEAD_BYTES;
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    thread,
};
use tokio::sync::mpsc;

/// A batch stops gathering here, unless its first record alone is longer: large enough that a sync is shared by
/// thousands, small enough that a phone's flash writes it in tens of milliseconds.
pub(super) const BATCH_BYTES_TARGET: usize = 1 << 20;

/// A record waiting to be written.
#[derive(Debug)]
pub(super) struct Item {
    pub payload: Vec<u8>,
    pub token: u64,
}

pub(super) struct Writer<D> {
    pub log: Log<D>,
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
        drop((self.queue, self.log, self.folder));
        if let Err(failure) = result {
            // An owner that no longer listens has nothing to undo.
            let _ = self.events.blocking_send(Event::Failed(failure));
        }
    }

    fn write_until_closed(&mut self) -> Result<(), Failure> {
        let mut carried = None;
        while let Some(first) = carried.take().or_else(|| self.queue.blocking_recv()) {
            let mut bytes = first.payload.len();
            let mut tokens = vec![self.frame(first)];
            while let Ok(item) = self.queue.try_recv() {
                if self.log.batch_bytes() + item.payload.len() + FRAME_OVERHEAD_BYTES > BATCH_BYTES_TARGET {
                    carried = Some(item);
                    break;
                }
                bytes += item.payload.len();
                tokens.push(self.frame(item));
            }
            self.log.commit()?;
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            // An owner that no longer listens still wants its records on disk.
            let _ = self.events.blocking_send(Event::Stored(tokens));
        }
        self.log.seal()
    }

    fn frame(&mut self, item: Item) -> u64 {
        self.log.add(&item.payload);
        item.token
    }
}
