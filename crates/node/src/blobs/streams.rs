//! Streams to providers, a few of them left open between fetches.

use super::{PROTOCOL, lock};
use futures::io::AsyncWriteExt;
use pocketmesh_blobs::Connect;
use pocketmesh_network::{Handle, Stream};
use pocketmesh_types::PeerId;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

/// How long 64 KiB may take.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Idle streams kept for each peer: opening one costs a round trip and 100 µs.
const IDLE_STREAMS_MAX: usize = 4;

/// See the module.
#[derive(Clone)]
pub struct Streams {
    network: Handle,
    idle: Arc<Mutex<BTreeMap<PeerId, Vec<Stream>>>>,
}

impl Streams {
    /// Streams over `network`.
    pub fn new(network: Handle) -> Self {
        Self { network, idle: Arc::default() }
    }

    /// A peer is gone, and its streams with it.
    pub fn forget(&self, peer: &PeerId) {
        lock(&self.idle).remove(peer);
    }
}

impl Connect for Streams {
    type Stream = Stream;

    async fn open(&self, peer: PeerId, fresh: bool) -> io::Result<Stream> {
        let idle = lock(&self.idle).get_mut(&peer).and_then(Vec::pop);
        match idle {
            Some(stream) if !fresh => Ok(stream),
            _ => self.network.open(peer, PROTOCOL).await.map_err(io::Error::other),
        }
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
