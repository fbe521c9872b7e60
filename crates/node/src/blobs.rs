//! Bringing blobs here, and giving them to others: the protocol's fetches over the network's streams.

use futures::io::AsyncWriteExt;
use pocketmesh_blobs::{FetchError, Store, Wanted, fetch, serve};
use pocketmesh_network::{Handle, Stream};
use pocketmesh_types::{BlobId, PeerId, limits};
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
/// Streams served at a time; more are turned away.
const SERVES_MAX: usize = 64;
/// Idle streams kept for each peer: opening one costs a round trip and 100 µs.
const IDLE_STREAMS_MAX: usize = 4;
/// How long one chunk may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Fetches waiting to be told of: each is in flight, so there is room for all that were asked for.
const FETCHED_MAX: usize = 4096;

/// How a fetch ended: which blob, and whether it is here now.
pub type Fetched = (BlobId, bool);

/// The exchange of blobs with other peers.
#[derive(Clone)]
pub struct Exchange {
    store: Store,
    network: Handle,
    fetched: mpsc::Sender<Fetched>,
    in_flight: Arc<Mutex<BTreeSet<BlobId>>>,
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

    /// Brings a blob here from the first of these peers that gives it. One fetch of a blob serves all who asked.
    pub fn fetch(&self, blob: BlobId, len: u64, from: Vec<PeerId>) {
        if !lock(&self.in_flight).insert(blob) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let found = this.store.contains(blob) || this.fetch_from_any(blob, len, from).await;
            lock(&this.in_flight).remove(&blob);
            // The receiver is gone only when the daemon stops.
            let _ = this.fetched.send((blob, found)).await;
        });
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

    async fn fetch_from_any(&self, blob: BlobId, len: u64, from: Vec<PeerId>) -> bool {
        let _permit = self.fetches.acquire().await;
        for peer in from {
            match self.fetch_from(peer, blob, len).await {
                Ok(()) => return true,
                Err(error) => tracing::debug!(%peer, %blob, error, "a blob could not be fetched"),
            }
        }
        false
    }

    /// Asks over a stream that was left open; if that has died meanwhile, over a new one.
    async fn fetch_from(&self, peer: PeerId, id: BlobId, len: u64) -> Result<(), String> {
        let wanted = Wanted { id, len: Some(len), max_bytes: limits::BLOB_BYTES_MAX };
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
