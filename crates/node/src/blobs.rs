//! Bringing blobs here, and giving them to others: the protocol's fetches over the network's streams.

use crate::trees;
use futures::{
    io::AsyncWriteExt,
    stream::{self, StreamExt},
};
use pocketmesh_blobs::{FetchError, Store, Wanted, fetch, serve};
use pocketmesh_network::{Handle, Stream};
use pocketmesh_protocol::Item;
use pocketmesh_types::{BlobId, Output, PeerId, limits};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc};

/// The bulk protocol's name.
pub const PROTOCOL: &str = "blobs";
/// Fetches at a time; the rest wait. Guess: enough to fill a home line, few enough to keep files open.
const FETCHES_MAX: usize = 16;
/// Files of one tree that are fetched at a time, so that one tree does not take all.
const FILES_AT_ONCE: usize = 4;
/// Streams served at a time; more are turned away.
const SERVES_MAX: usize = 64;
/// Idle streams kept for each peer: opening one costs a round trip and 100 µs.
const IDLE_STREAMS_MAX: usize = 4;
/// How long one chunk may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Fetches waiting to be told of: each is in flight, so there is room for all that were asked for.
const FETCHED_MAX: usize = 4096;

/// How a fetch ended: of what, and whether all of it is here now.
pub type Fetched = (Item, bool);

/// The exchange of blobs with other peers.
#[derive(Clone)]
pub struct Exchange {
    store: Store,
    network: Handle,
    fetched: mpsc::Sender<Fetched>,
    in_flight: Arc<Mutex<BTreeSet<Item>>>,
    idle: Arc<Mutex<BTreeMap<PeerId, Vec<Stream>>>>,
    fetches: Arc<Semaphore>,
    serves: Arc<Semaphore>,
}

impl Exchange {
    /// Exchanges blobs of `store` over `network`.
    pub fn new(store: Store, network: Handle) -> (Self, mpsc::Receiver<Fetched>) {
        let (fetched, receiver) = mpsc::channel(FETCHED_MAX);
        let exchange = Self {
            store,
            network,
            fetched,
            in_flight: Arc::default(),
            idle: Arc::default(),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            serves: Arc::new(Semaphore::new(SERVES_MAX)),
        };
        (exchange, receiver)
    }

    /// Brings something here from those of these peers that give it, the first ones first. One fetch serves all who asked.
    /// A tree whose files together have more bytes than `files_max` is not fetched.
    pub fn fetch(&self, item: Item, len: u64, files_max: u64, from: Vec<PeerId>) {
        if !lock(&self.in_flight).insert(item) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let found = match item {
                Item::Blob(blob) => this.bring(Output { id: blob, len }, &from).await,
                Item::Tree(list) => this.bring_tree(Output { id: list, len }, files_max, &from).await,
            };
            lock(&this.in_flight).remove(&item);
            // The receiver is gone only when the daemon stops.
            let _ = this.fetched.send((item, found)).await;
        });
    }

    async fn bring(&self, blob: Output, from: &[PeerId]) -> bool {
        self.store.contains(blob.id) || self.fetch_from_any(blob, from).await
    }

    async fn bring_tree(&self, list: Output, files_max: u64, from: &[PeerId]) -> bool {
        if list.len > limits::TREE_BYTES_MAX || !self.bring(list, from).await {
            return false;
        }
        let store = self.store.clone();
        let tree = tokio::task::spawn_blocking(move || trees::read(&store, list)).await;
        let Ok(Ok(tree)) = tree else { return false };
        if tree.bytes() > files_max {
            tracing::debug!(list = %list.id, bytes = tree.bytes(), files_max, "a tree of files is larger than it may be");
            return false;
        }
        // Each fetch is made when its turn comes: it takes kilobytes, and a tree may have thousands.
        let contents: Vec<Output> = tree.files().iter().map(|file| file.content).collect();
        let fetches = stream::iter(contents).map(|content| self.bring_file(content, from));
        fetches.buffer_unordered(FILES_AT_ONCE).all(|found| async move { found }).await
    }

    async fn bring_file(&self, content: Output, from: &[PeerId]) -> bool {
        if content.len == 0 { self.keep_empty(content.id) } else { self.bring(content, from).await }
    }

    /// An empty file needs no fetch. It has one name only.
    fn keep_empty(&self, id: BlobId) -> bool {
        id == BlobId::of(b"") && self.store.put(b"").is_ok()
    }

    /// Gives blobs to a peer that opened a stream.
    pub fn serve(&self, peer: PeerId, mut stream: Stream) {
        let Ok(permit) = Arc::clone(&self.serves).try_acquire_owned() else {
            tracing::debug!(%peer, "a blob stream was turned away: too many are served already");
            return;
        };
        let store = self.store.clone();
        tokio::spawn(async move {
            // A blob is named by a hash that only those know who were told it: the requester of its task, or all who
            // were given the task. So whoever can name it may have it.
            if let Err(error) = serve(&mut stream, &store, |_| true, PATIENCE).await {
                tracing::debug!(%peer, %error, "serving blobs ended");
            }
            drop(permit);
        });
    }

    /// A peer is gone, and its streams with it.
    pub fn forget(&self, peer: &PeerId) {
        lock(&self.idle).remove(peer);
    }

    async fn fetch_from_any(&self, blob: Output, from: &[PeerId]) -> bool {
        let _permit = self.fetches.acquire().await;
        for &peer in from {
            match self.fetch_from(peer, blob).await {
                Ok(()) => return true,
                Err(error) => tracing::debug!(%peer, blob = %blob.id, error, "a blob could not be fetched"),
            }
        }
        false
    }

    /// Asks over a stream that was left open; if that has died meanwhile, over a new one.
    async fn fetch_from(&self, peer: PeerId, blob: Output) -> Result<(), String> {
        let wanted = Wanted { id: blob.id, len: Some(blob.len), max_bytes: limits::BLOB_BYTES_MAX };
        let idle = lock(&self.idle).get_mut(&peer).and_then(Vec::pop);
        if let Some(mut stream) = idle {
            match fetch(&mut stream, wanted, &self.store, PATIENCE).await {
                Ok(_) => {
                    self.keep(peer, stream);
                    return Ok(());
                }
                Err(FetchError::Stream(_) | FetchError::CutShort { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        let mut stream = self.network.open(peer, PROTOCOL).await.map_err(|error| error.to_string())?;
        fetch(&mut stream, wanted, &self.store, PATIENCE).await.map_err(|error| error.to_string())?;
        self.keep(peer, stream);
        Ok(())
    }

    fn keep(&self, peer: PeerId, mut stream: Stream) {
        let mut idle = lock(&self.idle);
        let streams = idle.entry(peer).or_default();
        if streams.len() < IDLE_STREAMS_MAX {
            streams.push(stream);
        } else {
            tokio::spawn(async move { stream.close().await });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
