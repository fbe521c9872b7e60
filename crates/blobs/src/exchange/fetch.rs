//! The taking end of an exchange: from several providers at once, trusting nothing but the hash.
//!
//! Every provider has a worker; a plan shared by all says who is asked for what. What a worker gets is checked and
//! stored group by group, so whatever interrupts a fetch, the next one goes on from there.

mod crew;
mod fault;
mod length;
mod plan;
mod share;
mod talk;
mod target;
mod worker;

use crate::{
    Durability, Store,
    buffers::Buffers,
    offload::blocking,
    store::PutError,
    tree::{self, GROUP_BYTES, PART_GROUPS},
};
use crew::Crew;
pub use fault::{Fault, FetchError};
use futures::io::{AsyncRead, AsyncWrite};
use plan::Plan;
use pocketmesh_types::{BlobId, PeerId};
pub use share::Sharing;
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use talk::Subject;
use target::Target;
use tokio::sync::{Notify, RwLock, mpsc};

/// The blob that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub id: BlobId,
    /// Its length in bytes, if it is known: any other is refused before a byte is taken.
    pub len: Option<u64>,
    /// The most that is taken.
    pub max_bytes: u64,
    /// Only these bytes of it, to be had from [`Store::read_range`]; `None` for all.
    pub bytes: Option<Range<u64>>,
    /// What must survive a power cut when the fetch returns.
    pub durability: Durability,
}

impl Wanted {
    /// A whole blob that can be fetched again.
    pub fn new(id: BlobId, len: Option<u64>, max_bytes: u64) -> Self {
        Self { id, len, max_bytes, bytes: None, durability: Durability::Refetchable }
    }
}

/// How streams to providers come about.
pub trait Connect: Clone + Send + Sync + 'static {
    /// A stream on which the exchange is spoken.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A stream to `peer`; one that an earlier fetch left open may do, unless it is to be `fresh`.
    fn open(&self, peer: PeerId, fresh: bool) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Takes back a stream on which nothing is under way.
    fn keep(&self, peer: PeerId, stream: Self::Stream);
}

/// Who may have the blob.
#[derive(Debug, Default)]
pub struct Providers {
    /// Those that are known, the first ones first.
    pub known: Vec<PeerId>,
    /// Others, as they are found. The fetch waits for more only while this is open.
    pub more: Option<mpsc::Receiver<PeerId>>,
    /// Who of the known ones has all of it, and who fetches it at the same time as we do.
    pub sharing: Option<Sharing>,
}

impl From<Vec<PeerId>> for Providers {
    fn from(known: Vec<PeerId>) -> Self {
        Self { known, more: None, sharing: None }
    }
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For 64 KiB from a provider.
    pub patience: Duration,
    /// Until a part that a provider was asked for is asked of a second one.
    pub overdue: Duration,
    /// Between two questions to a provider for what it has got meanwhile.
    pub refresh: Duration,
    /// Without anything new from anybody.
    pub give_up: Duration,
}

impl Default for Options {
    fn default() -> Self {
        // Guesses. The swarm of crates/node/examples/blobs.rs runs with them.
        Self {
            patience: Duration::from_secs(20),
            overdue: Duration::from_secs(3),
            refresh: Duration::from_millis(200),
            give_up: Duration::from_secs(60),
        }
    }
}

/// How far a fetch is. May be looked at while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    len: AtomicU64,
    held: AtomicU64,
    received: AtomicU64,
}

impl Progress {
    /// The blob's length, 0 before it is known.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether nothing is known yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the blob that are here and checked, those of earlier fetches included.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that came from peers in this fetch, with their hashes.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// What a fetch brought.
#[derive(Debug)]
pub struct Fetched {
    /// The blob's length.
    pub len: u64,
    /// Bytes that each peer sent, hashes included.
    pub from: BTreeMap<PeerId, u64>,
    /// The peers that failed, and how.
    pub faults: BTreeMap<PeerId, Fault>,
}

impl Fetched {
    /// The peers that sent what no honest one could have.
    pub fn liars(&self) -> Vec<PeerId> {
        fault::liars(&self.faults)
    }
}

/// What the workers of a fetch share.
struct Job {
    subject: Subject,
    options: Options,
    target: Target,
    buffers: Buffers,
    plan: Mutex<Plan>,
    /// Held, shared, by whatever is being stored, so that it can be waited for: it cannot be stopped.
    storing: Arc<RwLock<()>>,
    /// Something has changed that may give an idle worker something to do.
    wake: Notify,
    progress: Arc<Progress>,
    from: Mutex<BTreeMap<PeerId, u64>>,
}

impl Job {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn part_done(&self, part: u32) {
        self.plan().done(part);
        self.progress.held.store(self.target.held_bytes(), Ordering::Relaxed);
        self.wake.notify_waiters();
    }

    fn received(&self, peer: PeerId, bytes: usize, span: Duration) {
        self.plan().measure(peer, bytes, span);
        self.progress.received.fetch_add(bytes as u64, Ordering::Relaxed);
        *self.from.lock().unwrap_or_else(PoisonError::into_inner).entry(peer).or_default() += bytes as u64;
    }
}

/// Brings a blob into `store` from those of `providers` that give it, and returns when it is there under its name, or,
/// for a range, when the range can be read.
///
/// Whatever ends the fetch early, what has been checked of a blob of more than 256 KiB stays and the next fetch goes on
/// from there; of a blob of which nothing was checked nothing stays. Meanwhile it is given to others that ask. Memory: two parts for each of at most sixteen providers.
pub async fn fetch<C: Connect>(
    store: &Store,
    connect: &C,
    wanted: Wanted,
    providers: impl Into<Providers>,
    options: Options,
    progress: Arc<Progress>,
) -> Result<Fetched, FetchError> {
    if let Some(len) = store.len(wanted.id) {
        progress.len.store(len, Ordering::Relaxed);
        progress.held.store(len, Ordering::Relaxed);
        return Ok(Fetched { len, from: BTreeMap::new(), faults: BTreeMap::new() });
    }
    let mut providers = providers.into();
    let mut faults = BTreeMap::new();
    let len = match wanted.len {
        Some(len) => len,
        None => length::prove(connect, &wanted, &mut providers, options.patience, &mut faults).await?,
    };
    if len > wanted.max_bytes {
        return Err(FetchError::TooLong { len, max_bytes: wanted.max_bytes });
    }
    let sharing = providers.sharing.take();
    let job = Arc::new(prepare(store, &wanted, len, options, progress, sharing).await?);
    let ended = Crew::new(Arc::clone(&job), connect.clone(), providers, faults).run(store).await;
    drop(job.storing.write().await);
    let (finisher, finished) = (store.clone(), Arc::clone(&job));
    let faults = match ended {
        Ok(faults) => faults,
        Err(error) => {
            // What ended the fetch is what counts.
            let _ = blocking(move || finished.target.give_up(&finisher)).await;
            return Err(error);
        }
    };
    let durability = wanted.durability;
    blocking(move || finished.target.finish(&finisher, durability)).await.map_err(PutError::from)??;
    let from = std::mem::take(&mut *job.from.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Fetched { len, from, faults })
}

async fn prepare(
    store: &Store,
    wanted: &Wanted,
    len: u64,
    options: Options,
    progress: Arc<Progress>,
    sharing: Option<Sharing>,
) -> Result<Job, FetchError> {
    let (opener, id) = (store.clone(), wanted.id);
    let target = blocking(move || Target::open(&opener, id, len)).await.map_err(PutError::from)??;
    let parts = match &wanted.bytes {
        Some(bytes) => part_at(bytes.start.min(len), len)..part_at(bytes.end.saturating_sub(1).min(len), len) + 1,
        None => 0..tree::parts_of(len),
    };
    let missing = parts.filter(|&part| target.missing(part).is_some());
    let plan = Plan::new(missing, RandomState::new().build_hasher().finish(), options.overdue).shared(sharing.as_ref());
    progress.len.store(len, Ordering::Relaxed);
    progress.held.store(target.held_bytes(), Ordering::Relaxed);
    Ok(Job {
        subject: Subject { id, len: Some(len), max_bytes: wanted.max_bytes },
        options,
        target,
        buffers: store.buffers().clone(),
        plan: Mutex::new(plan),
        storing: Arc::default(),
        wake: Notify::new(),
        progress,
        from: Mutex::default(),
    })
}

fn part_at(byte: u64, len: u64) -> u32 {
    let part = byte / (GROUP_BYTES * u64::from(PART_GROUPS));
    u32::try_from(part).unwrap_or(u32::MAX).min(tree::parts_of(len) - 1)
}
