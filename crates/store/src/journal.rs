//! The journal on disk: appended to without waiting, acknowledged in groups when synced.
//!
//! The bytes are `pocketmesh_ledger::journal`'s, the rules specs/journal.md's. One thread of its own writes: while it
//! syncs one batch, the next gathers, so a lone record is synced at once and many share a sync. After a failed write or
//! sync it never acknowledges again, and never retries: only a new start finds out what the disk holds.

mod log;
mod mark;
mod replay;
mod scan;
#[cfg(test)]
mod tests;
mod writer;

pub use mark::{BehindMark, Mark};
pub use scan::{Scanned, scan};

use crate::{
    FolderLock, atomic_file,
    files::{Disk, Files, System},
};
use log::Log;
use pocketmesh_ledger::journal::{Chain, Header, PAYLOAD_BYTES_MAX, ReadError};
use pocketmesh_types::Hash;
use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::mpsc;
use writer::{Item, Writer};

/// The journal's name in the data folder.
pub const FILE_NAME: &str = "journal";
/// Records waiting to be written. Ten times what a batch gathers during one sync of a slow phone's flash at 10,000
/// records a second.
pub const QUEUE_RECORDS_MAX: usize = 4096;
/// Bytes waiting to be written: one record of the largest size and room for small ones beside it.
pub const QUEUE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + (16 << 20);
/// Acknowledgements waiting to be taken; when full, the writer waits and the queue fills.
const EVENTS_MAX: usize = 64;

/// The appending end. Dropping it, or [`close`](Journal::close), writes what is queued.
#[derive(Debug)]
pub struct Journal {
    queue: mpsc::Sender<Item>,
    shared: Arc<Shared>,
}

/// What the two ends of the queue both know.
#[derive(Debug, Default)]
struct Shared {
    queued_bytes: AtomicUsize,
    failure: OnceLock<Failure>,
}

/// The acknowledging end.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

/// What the writer has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The records of these tokens, in the order of their appending, are on disk.
    Stored(Vec<u64>),
    /// Nothing is acknowledged any more. The last event.
    Failed(Failure),
}

/// Why the journal stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal could not be {step}: {reason}; nothing since its last acknowledgement is certain, so nothing is \
    entered any more; {}", if *.disk_full { "free some disk space and start it again" } else { "check the disk and start it again" })]
pub struct Failure {
    /// "written" or "synced".
    pub step: &'static str,
    /// What the system said.
    pub reason: String,
    /// Whether it was for lack of space or quota.
    pub disk_full: bool,
}

/// Why a record was not taken. None of it is written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Too much is waiting: append again after the next acknowledgement.
    #[error("the journal's queue is full; wait for an acknowledgement")]
    Full {
        /// The record, given back.
        payload: Vec<u8>,
    },
    /// Longer than a record may be.
    #[error("a record of {0} bytes is longer than a journal takes ({PAYLOAD_BYTES_MAX} bytes); split it")]
    TooLong(usize),
    /// The writer has stopped.
    #[error(transparent)]
    Failed(Failure),
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not one, not ours, or damaged.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The system refused.
    #[error("cannot open the journal {}: {source}", .path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The caller could not take a record.
    #[error("record {sequence} of the journal {} cannot be used: {source}", .path.display())]
    Rejected {
        /// The journal.
        path: PathBuf,
        /// The record's number.
        sequence: u64,
        /// What the caller said.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// What was found at opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Records handed to the caller.
    pub records: u64,
    /// Bytes of a torn last batch that were cut off: never acknowledged, unless the disk damaged exactly that batch.
    pub truncated_bytes: u64,
    /// The number that the next record gets. A journal behind what its index once saw has been cut or put back.
    pub next_sequence: u64,
    /// The chain value after the last record; equal values mean equal histories.
    pub chain: Hash,
    /// Whether there was no journal and this one is new.
    pub created: bool,
}

/// An open journal.
#[derive(Debug)]
pub struct Opened {
    /// To append with.
    pub journal: Journal,
    /// To hear of what is stored.
    pub events: Events,
    /// What was in it.
    pub recovered: Recovered,
}

impl Journal {
    /// Opens the folder's journal, or makes one. Every record goes to `replay` in order, with its number; what that
    /// built is void if an error is returned, for damage may show only behind the last good record.
    ///
    /// The folder stays locked until the last queued record is written. Blocks: not for an async task.
    pub fn open(
        folder: &FolderLock,
        context: Hash,
        replay: impl FnMut(u64, &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>,
    ) -> Result<Opened, OpenError> {
        let (file, recovered, chain) = open_in(&System, folder.path(), context, replay)?;
        let (journal, events) = Self::start(file, chain, Some(folder.clone()))
            .map_err(|source| OpenError::Io { path: folder.path().join(FILE_NAME), source })?;
        Ok(Opened { journal, events, recovered })
    }

    /// Queues a record; its token comes back in [`Event::Stored`] when it is on disk. Never waits.
    pub fn append(&self, payload: Vec<u8>, token: u64) -> Result<(), AppendError> {
        let bytes = payload.len();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(AppendError::TooLong(bytes));
        }
        if self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(AppendError::Full { payload });
        }
        self.queue.try_send(Item { payload, token }).map_err(|error| {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(item) => AppendError::Full { payload: item.payload },
                mpsc::error::TrySendError::Closed(_) => AppendError::Failed(self.failure()),
            }
        })
    }

    /// Takes no more records. What is queued is still written and acknowledged; [`Events`] ends when that is done and
    /// the folder's lock is given back.
    pub fn close(self) {}

    fn start(disk: impl Disk, chain: Chain, folder: Option<FolderLock>) -> io::Result<(Self, Events)> {
        let (queue, queued) = mpsc::channel(QUEUE_RECORDS_MAX);
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let shared = Arc::new(Shared::default());
        let log = Log::new(disk, chain);
        Writer { log, queue: queued, events: sender, shared: shared.clone(), folder }.spawn()?;
        Ok((Self { queue, shared }, Events(events)))
    }

    fn failure(&self) -> Failure {
        let unknown = || Failure { step: "written", reason: "its writer has ended".into(), disk_full: false };
        self.shared.failure.get().cloned().unwrap_or_else(unknown)
    }
}

impl Events {
    /// The next event; `None` when the journal is closed and all is written, or after [`Event::Failed`].
    pub async fn recv(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The same, for a thread that is not async.
    pub fn blocking_recv(&mut self) -> Option<Event> {
        self.0.blocking_recv()
    }
}

/// Opens the journal of a folder in any file system, or makes one there.
fn open_in<F: Files>(
    files: &F,
    folder: &Path,
    context: Hash,
    replay: impl FnMut(u64, &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>,
) -> Result<(F::File, Recovered, Chain), OpenError> {
    let path = folder.join(FILE_NAME);
    let io_error = |source| OpenError::Io { path: path.clone(), source };
    let created = !files.exists(&path).map_err(io_error)?;
    if created {
        let header = Header { context, genesis: Hash(random()?), first_sequence: 0 }.encode();
        atomic_file::create_in(files, &path, &header, atomic_file::Access::Owner).map_err(io_error)?;
    }
    let mut file = files.open(&path).map_err(io_error)?;
    let (recovered, chain) = replay::replay(&mut file, context, replay).map_err(|error| error.at(&path))?;
    Ok((file, Recovered { created, ..recovered }, chain))
}

fn random() -> Result<[u8; 32], OpenError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| OpenError::Io { path: FILE_NAME.into(), source: io::Error::other(error.to_string()) })?;
    Ok(bytes)
}
