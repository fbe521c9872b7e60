//! Bringing blobs here, and giving them to others: the protocol's fetches over the network's streams.

#[cfg(test)]
mod hostile_tests;
pub mod notes;
mod search;
mod streams;

use crate::trees;
use futures::{
    future::OptionFuture,
    stream::{self, StreamExt},
};
use pocketmesh_blobs::{
    FetchError, Fetched as Brought, Options, Progress, Providers, Sharing, Store, Uplink, Wanted, fetch, serve,
};
use pocketmesh_network::{Handle, Stream};
use pocketmesh_protocol::Item;
use pocketmesh_types::{BlobId, Output, PeerId, Tree, limits};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use streams::Streams;
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

/// The bulk protocol's name and version.
pub const PROTOCOL: &str = "blobs/2";
/// Fetches at a time; the rest wait. Guess: enough to fill a home line, few enough to keep files open.
const FETCHES_MAX: usize = 16;
/// Files of one tree that are fetched at a time, so that one tree does not take all.
const FILES_AT_ONCE: usize = 4;
/// How long a search for others may take before the one who has a large blob is asked for it.
const SEARCH_FIRST: Duration = Duration::from_millis(500);
/// Streams served at a time, and those of one peer; more are turned away. Each may hold two parts.
const SERVES_MAX: usize = 64;
const SERVES_PER_PEER_MAX: usize = 16;
/// Fetches waiting to be told of: each is in flight, so there is room for all that were asked for.
const FETCHED_MAX: usize = 4096;
/// How often is looked whether what was told is still here.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// A blob of at least so many bytes is told to the mesh when it is here: a smaller one is had from who named it, faster
/// than anybody can be searched for.
const TOLD_BYTES_MIN: u64 = 1 << 20;

/// How a fetch ended: of what, and whether all of it is here now.
pub type Fetched = (Item, bool);

/// The exchange of blobs with other peers.
#[derive(Clone)]
pub struct Exchange {
    store: Store,
    network: Handle,
    streams: Streams,
    uplink: Uplink,
    fetched: mpsc::Sender<Fetched>,
    in_flight: Arc<Mutex<BTreeSet<Item>>>,
    fetches: Arc<Semaphore>,
    serves: Arc<Semaphore>,
    serving: Arc<Mutex<BTreeMap<PeerId, usize>>>,
    told: Arc<Mutex<Told>>,
}

/// The blobs that the mesh was told of.
struct Told {
    blobs: BTreeSet<BlobId>,
    swept: Instant,
}

/// Whom a blob is to be had from.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    /// Those who should have it, the first ones first.
    pub from: Vec<PeerId>,
    /// Those who fetch it from the first at the same time as we do.
    pub fellows: Vec<PeerId>,
}

impl From<Vec<PeerId>> for Holders {
    fn from(from: Vec<PeerId>) -> Self {
        Self { from, fellows: Vec::new() }
    }
}

/// Why a tree of files was not brought here.
#[derive(Debug, thiserror::Error)]
enum TreeFault {
    /// The list, or one of the files. The log has it already.
    #[error("not all of it is to be had")]
    Missing,
    /// Refused before a byte of it was taken.
    #[error("its list has {} bytes, more than the {} that one may have", .0.len, limits::TREE_BYTES_MAX)]
    LongList(Output),
    /// The list is none. Nothing that it names was fetched.
    #[error(transparent)]
    List(#[from] trees::ReadError),
    /// The same, of one whose files the asker has no room for.
    #[error("the files of list {list} have {bytes} bytes, more than the {files_max} that they may have")]
    TooLarge { list: BlobId, bytes: u64, files_max: u64 },
}

impl TreeFault {
    /// A list that cannot be is the fault of whoever named it, who is most likely the first to have it.
    fn log(&self, holders: &Holders) {
        let from = holders.from.first().map(PeerId::to_string).unwrap_or_default();
        match self {
            Self::Missing => {}
            Self::LongList(_) | Self::List(_) => tracing::warn!(from, error = %self, "a tree of files was refused"),
            Self::TooLarge { .. } => tracing::debug!(from, error = %self, "a tree of files was refused"),
        }
    }
}

impl Exchange {
    /// Exchanges blobs of `store` over `network`, giving no more than `uplink` lets out.
    pub fn new(store: Store, network: Handle, uplink: Uplink) -> (Self, mpsc::Receiver<Fetched>) {
        let (fetched, receiver) = mpsc::channel(FETCHED_MAX);
        let exchange = Self {
            store,
            streams: Streams::new(network.clone()),
            network,
            uplink,
            fetched,
            in_flight: Arc::default(),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            serves: Arc::new(Semaphore::new(SERVES_MAX)),
            serving: Arc::default(),
            told: Arc::new(Mutex::new(Told { blobs: BTreeSet::new(), swept: Instant::now() })),
        };
        (exchange, receiver)
    }

    /// Bytes of blobs, with their hashes, that each peer was sent since the daemon started.
    pub fn sent(&self) -> BTreeMap<PeerId, u64> {
        self.uplink.sent()
    }

    /// Brings something here from those of these peers that give it, the first ones first. One fetch serves all who asked.
    /// A tree whose files together have more bytes than `files_max` is not fetched.
    pub fn fetch(&self, item: Item, len: u64, files_max: u64, from: Holders) {
        if !lock(&self.in_flight).insert(item) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let found = match item {
                Item::Blob(blob) => this.bring(Output { id: blob, len }, &from).await,
                Item::Tree(list) => {
                    let brought = this.bring_tree(Output { id: list, len }, files_max, &from).await;
                    brought.inspect_err(|fault| fault.log(&from)).is_ok()
                }
            };
            lock(&this.in_flight).remove(&item);
            // The receiver is gone only when the daemon stops.
            let _ = this.fetched.send((item, found)).await;
        });
    }

    /// A blob that is here is of no use to whoever was told another length of it: no such blob can be.
    async fn bring(&self, blob: Output, from: &Holders) -> bool {
        match self.store.len(blob.id) {
            Some(len) => len == blob.len,
            None => self.fetch_from_any(blob, from).await,
        }
    }

    async fn bring_tree(&self, list: Output, files_max: u64, from: &Holders) -> Result<(), TreeFault> {
        if list.len > limits::TREE_BYTES_MAX {
            return Err(TreeFault::LongList(list));
        }
        let was_here = self.store.contains(list.id);
        if !self.bring(list, from).await {
            return Err(TreeFault::Missing);
        }
        let tree = match self.read_tree(list, files_max).await {
            Ok(tree) => tree,
            Err(fault) => {
                if !was_here {
                    self.drop_list(list.id);
                }
                return Err(fault);
            }
        };
        // Each fetch is made when its turn comes: it takes kilobytes, and a tree may have thousands.
        let contents: Vec<Output> = tree.files().iter().map(|file| file.content).collect();
        let fetches = stream::iter(contents).map(|content| self.bring_file(content, from));
        let all = fetches.buffer_unordered(FILES_AT_ONCE).all(|found| async move { found }).await;
        if all { Ok(()) } else { Err(TreeFault::Missing) }
    }

    /// The tree of a list that is here, if whoever asked has room for its files.
    async fn read_tree(&self, list: Output, files_max: u64) -> Result<Tree, TreeFault> {
        let store = self.store.clone();
        let tree = tokio::task::spawn_blocking(move || trees::read(&store, list)).await;
        let tree = tree.map_err(|_| TreeFault::Missing)??;
        let bytes = tree.bytes();
        if bytes > files_max { Err(TreeFault::TooLarge { list: list.id, bytes, files_max }) } else { Ok(tree) }
    }

    /// Lets go a list that was fetched and is refused, unless somebody wants the same bytes for something else.
    fn drop_list(&self, list: BlobId) {
        if lock(&self.in_flight).contains(&Item::Blob(list)) {
            return;
        }
        match self.store.remove_unpinned(list) {
            Ok(true) => self.untell(list),
            Ok(false) => {}
            Err(error) => tracing::warn!(%list, %error, "a refused list of files could not be removed"),
        }
    }

    async fn bring_file(&self, content: Output, from: &Holders) -> bool {
        if content.len == 0 { self.keep_empty(content.id) } else { self.bring(content, from).await }
    }

    /// An empty file needs no fetch. It has one name only.
    fn keep_empty(&self, id: BlobId) -> bool {
        id == BlobId::of(b"") && self.store.put(b"").is_ok()
    }

    /// Gives blobs to a peer that opened a stream.
    pub fn serve(&self, peer: PeerId, mut stream: Stream) {
        // Only whoever asks for blobs can be misled.
        self.sweep_told();
        let Some(place) = self.place(peer) else {
            tracing::debug!(%peer, "a blob stream was turned away: too many are served already");
            return;
        };
        let (store, uplink) = (self.store.clone(), self.uplink.clone());
        tokio::spawn(async move {
            // A blob is named by a hash that only those know who were told it: the requester of its task, or all who
            // were given the task. So whoever can name it may have it.
            if let Err(error) = serve(&mut stream, peer, &store, &uplink, |_| true, streams::PATIENCE).await {
                tracing::debug!(%peer, %error, "serving blobs ended");
            }
            drop(place);
        });
    }

    /// A peer is gone, and its streams with it.
    pub fn forget(&self, peer: &PeerId) {
        self.streams.forget(peer);
    }

    /// Brings a blob here, from these peers and from whoever else says that it has it.
    pub(crate) async fn bring_wanted(
        &self,
        wanted: Wanted,
        sources: Holders,
        progress: Arc<Progress>,
    ) -> Result<Brought, FetchError> {
        let _permit = self.fetches.acquire().await;
        let me = self.network.peer_id();
        let Holders { from, fellows } = sources;
        let mut known: Vec<PeerId> = from.into_iter().filter(|peer| *peer != me).collect();
        // A small blob is had from who named it before a search has begun, or others have got it.
        let small = wanted.len.is_some_and(|len| len < TOLD_BYTES_MIN) && !known.is_empty();
        // One who has it, and that is large: it is spared what others can give.
        let sharing = known.first().filter(|_| !small && known.len() == 1);
        let sharing = sharing.map(|&source| Sharing { me, source, fellows: fellows.clone() });
        let mut more = if small { None } else { self.search(wanted.id).await };
        if sharing.is_some() {
            known.extend(fellows);
            // Those who have it all by now are known before the first is asked.
            let found = more.as_mut().map(|more| timeout(SEARCH_FIRST, more.recv()));
            known.extend(OptionFuture::from(found).await.and_then(Result::ok).flatten());
        }
        let options = Options { patience: streams::PATIENCE, ..Options::default() };
        let id = wanted.id;
        let providers = Providers { known, more, sharing };
        let brought = fetch(&self.store, &self.streams, wanted, providers, options, progress).await?;
        self.tell(Output { id, len: brought.len });
        Ok(brought)
    }

    /// Tells the mesh that a blob is here, if it is worth the telling.
    fn tell(&self, blob: Output) {
        if blob.len >= TOLD_BYTES_MIN && self.store.contains(blob.id) {
            self.tell_of(blob.id);
        }
    }

    /// Tells the mesh that a blob is here.
    pub(crate) fn tell_of(&self, id: BlobId) {
        lock(&self.told).blobs.insert(id);
        let network = self.network.clone();
        // It fails only when the network has ended.
        tokio::spawn(async move { network.provide(*id.as_bytes()).await });
    }

    /// Takes back what the mesh was told of blobs that have gone, now and then.
    fn sweep_told(&self) {
        let gone: Vec<BlobId> = {
            let mut told = lock(&self.told);
            if told.swept.elapsed() < SWEEP_EVERY {
                return;
            }
            told.swept = Instant::now();
            told.blobs.iter().copied().filter(|id| !self.store.contains(*id)).collect()
        };
        gone.into_iter().for_each(|id| self.untell(id));
    }

    /// Tells the mesh of all blobs that the owner keeps: what an earlier run told is forgotten by and by.
    pub(crate) fn tell_of_kept(&self) {
        let kept = self.store.list().into_iter().filter(|blob| blob.kept && blob.held == blob.len);
        kept.for_each(|blob| self.tell_of(blob.id));
    }

    /// Tells nobody any more that a blob is here.
    pub(crate) fn untell(&self, id: BlobId) {
        lock(&self.told).blobs.remove(&id);
        let network = self.network.clone();
        tokio::spawn(async move { network.withdraw(*id.as_bytes()).await });
    }

    async fn fetch_from_any(&self, blob: Output, from: &Holders) -> bool {
        let wanted = Wanted::new(blob.id, Some(blob.len), limits::BLOB_BYTES_MAX);
        match self.bring_wanted(wanted, from.clone(), Arc::default()).await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(blob = %blob.id, %error, "a blob could not be fetched");
                false
            }
        }
    }

    fn place(&self, peer: PeerId) -> Option<Place> {
        let permit = Arc::clone(&self.serves).try_acquire_owned().ok()?;
        let mut serving = lock(&self.serving);
        let count = serving.entry(peer).or_default();
        if *count >= SERVES_PER_PEER_MAX {
            return None;
        }
        *count += 1;
        Some(Place { peer, serving: Arc::clone(&self.serving), _permit: permit })
    }
}

/// One of the streams that are served at a time.
struct Place {
    peer: PeerId,
    serving: Arc<Mutex<BTreeMap<PeerId, usize>>>,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut serving = lock(&self.serving);
        if let Some(count) = serving.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                serving.remove(&self.peer);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
