//! Peers without a network: each has a store, serves whoever asks, and may be a liar, slow, or gone.

use crate::{
    pipe::{End, pipe},
    store::open,
};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use pocketmesh_blobs::{
    Connect, FetchError, Fetched, Options, Progress, Providers, Rates, Store, Uplink, Wanted, fetch, serve,
};
use pocketmesh_types::{BlobId, PeerId};
use std::{
    collections::BTreeMap,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub const PLENTY: u64 = 1 << 32;
/// A safety net that no test reaches.
pub const PATIENT: Duration = Duration::from_secs(60);

/// What a peer does with a stream that another opens to it.
type Behaviour = Arc<dyn Fn(PeerId, End) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Everybody's address book.
#[derive(Clone, Default)]
pub struct Swarm {
    peers: Arc<Mutex<BTreeMap<PeerId, Behaviour>>>,
    serving: Arc<Mutex<BTreeMap<PeerId, Vec<JoinHandle<()>>>>>,
}

/// One honest peer.
pub struct Peer {
    pub id: PeerId,
    pub store: Store,
    pub uplink: Uplink,
    pub home: TempDir,
    swarm: Swarm,
}

/// Streams of one peer to the others.
#[derive(Clone)]
pub struct Line {
    me: PeerId,
    swarm: Swarm,
}

impl Connect for Line {
    type Stream = End;

    async fn open(&self, peer: PeerId, _fresh: bool) -> io::Result<End> {
        let behaviour = self.swarm.peers.lock().unwrap().get(&peer).cloned();
        let behaviour = behaviour.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = pipe(1 << 16);
        let serving = tokio::spawn(behaviour(self.me, far));
        self.swarm.serving.lock().unwrap().entry(peer).or_default().push(serving);
        Ok(near)
    }

    fn keep(&self, _: PeerId, _: End) {}
}

pub fn peer_id(number: u8) -> PeerId {
    PeerId([number; 32])
}

pub fn wanted(id: BlobId, len: u64) -> Wanted {
    Wanted::new(id, Some(len), PLENTY)
}

pub fn options() -> Options {
    Options { patience: PATIENT, overdue: PATIENT, refresh: Duration::from_millis(5), give_up: PATIENT * 2 }
}

/// Bytes that differ everywhere, the same for the same seed.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(|_| word()).take(len).collect()
}

impl Swarm {
    /// An honest peer that gives what it has.
    pub fn join(&self, number: u8, rates: Rates) -> Peer {
        let (home, store) = open(PLENTY);
        self.join_with(number, rates, home, store)
    }

    /// The same over a store that is there already.
    pub fn join_with(&self, number: u8, rates: Rates, home: TempDir, store: Store) -> Peer {
        let uplink = Uplink::new(rates);
        let (giving, out) = (store.clone(), uplink.clone());
        self.behave(number, move |peer, mut stream| {
            let (giving, out) = (giving.clone(), out.clone());
            async move {
                // How it ends is seen at the other end.
                let _ = serve(&mut stream, peer, &giving, &out, |_| true, PATIENT).await;
            }
        });
        Peer { id: peer_id(number), store, uplink, home, swarm: self.clone() }
    }

    /// A peer that does as it likes.
    pub fn behave<F: Future<Output = ()> + Send + 'static>(
        &self,
        number: u8,
        behaviour: impl Fn(PeerId, End) -> F + Send + Sync + 'static,
    ) {
        let behaviour: Behaviour = Arc::new(move |peer, stream| Box::pin(behaviour(peer, stream)));
        self.peers.lock().unwrap().insert(peer_id(number), behaviour);
    }

    /// A peer whose answers pass through `tamper`, which sees how many bytes went before.
    pub fn behave_as_a_liar(
        &self,
        number: u8,
        store: Store,
        tamper: impl Fn(u64, &mut [u8]) + Clone + Send + Sync + 'static,
    ) {
        self.behave(number, move |peer, stream| {
            let (store, tamper) = (store.clone(), tamper.clone());
            async move {
                let (mut near, mut far) = pipe(1 << 16);
                let uplink = Uplink::default();
                let serving = serve(&mut far, peer, &store, &uplink, |_| true, PATIENT);
                let (mut asked, mut answers) = stream.split();
                let (mut from, mut to) = (&mut near).split();
                let requests = futures::io::copy(&mut asked, &mut to);
                let tampering = async {
                    let (mut bytes, mut gone) = (vec![0; 1 << 16], 0);
                    loop {
                        let count = from.read(&mut bytes).await.unwrap_or(0);
                        if count == 0 {
                            break;
                        }
                        tamper(gone, &mut bytes[..count]);
                        gone += count as u64;
                        if answers.write_all(&bytes[..count]).await.is_err() {
                            break;
                        }
                    }
                };
                tokio::select! {
                    _ = serving => {}
                    _ = requests => {}
                    () = tampering => {}
                }
            }
        });
    }

    /// A peer dies: its streams break, and nobody can open another.
    pub fn kill(&self, peer: PeerId) {
        self.peers.lock().unwrap().remove(&peer);
        let serving = self.serving.lock().unwrap().remove(&peer).unwrap_or_default();
        serving.iter().for_each(JoinHandle::abort);
    }
}

impl Peer {
    pub fn line(&self) -> Line {
        Line { me: self.id, swarm: self.swarm.clone() }
    }

    pub async fn fetch(&self, wanted: Wanted, from: &[u8]) -> Result<Fetched, FetchError> {
        self.fetch_with(wanted, from, options(), Arc::default()).await
    }

    pub async fn fetch_with(
        &self,
        wanted: Wanted,
        from: &[u8],
        options: Options,
        progress: Arc<Progress>,
    ) -> Result<Fetched, FetchError> {
        let known: Vec<PeerId> = from.iter().map(|number| peer_id(*number)).collect();
        fetch(&self.store, &self.line(), wanted, Providers::from(known), options, progress).await
    }
}
