//! One peer under test, and waiting for what it tells.

use pocketmesh_network::{Config, Event, Events, Handle, Multiaddr, start};
use pocketmesh_types::PeerId;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::timeout;

/// Far longer than anything takes: only a hang reaches it.
pub const NET: Duration = Duration::from_secs(60);

pub struct Node {
    pub handle: Handle,
    pub events: Events,
    pub connected: BTreeSet<PeerId>,
}

/// A peer of network `test` that listens on a free loopback port. Its identity is `seed`.
pub fn config(seed: u8) -> Config {
    let mut config = Config::new([seed; 32], "test");
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    config.streams = vec!["blobs"];
    config
}

impl Node {
    pub async fn start(config: Config) -> Self {
        let (handle, events) = start(config).await.expect("it starts");
        Self { handle, events, connected: BTreeSet::new() }
    }

    /// Starts with one bootstrap address.
    pub async fn join(mut config: Config, introducer: Multiaddr) -> Self {
        config.bootstrap = vec![introducer];
        Self::start(config).await
    }

    pub fn id(&self) -> PeerId {
        self.handle.peer_id()
    }

    /// The first address that it listens on, with its name.
    pub fn address(&self) -> Multiaddr {
        self.handle.listen_addrs().first().expect("it listens").clone()
    }

    /// The same without its name.
    pub fn bare_address(&self) -> Multiaddr {
        let mut address = self.address();
        address.pop();
        address
    }

    pub async fn next(&mut self) -> Event {
        let event = timeout(NET, self.events.recv()).await.expect("an event before the net").expect("it runs");
        match &event {
            Event::Connected { peer, .. } => assert!(self.connected.insert(*peer), "connected twice"),
            Event::Disconnected { peer } => assert!(self.connected.remove(peer), "disconnected before connected"),
            Event::Message { from, .. } => assert!(self.connected.contains(from), "a message of nobody"),
            _ => {}
        }
        event
    }

    /// Takes events until one is wanted.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.next().await) {
                return found;
            }
        }
    }

    pub async fn until_connected(&mut self, peer: PeerId) {
        while !self.connected.contains(&peer) {
            self.next().await;
        }
    }

    pub async fn until_disconnected(&mut self, peer: PeerId) {
        while self.connected.contains(&peer) {
            self.next().await;
        }
    }

    /// Takes events until so many peers are connected.
    pub async fn until_met(&mut self, peers: usize) {
        while self.connected.len() < peers {
            self.next().await;
        }
    }

    /// Takes events until there are no more, because it was shut down.
    pub async fn until_gone(&mut self) {
        while timeout(NET, self.events.recv()).await.expect("the end before the net").is_some() {}
    }

    pub async fn message(&mut self) -> (PeerId, Vec<u8>) {
        self.until(|event| match event {
            Event::Message { from, bytes } => Some((from, bytes)),
            _ => None,
        })
        .await
    }
}

/// Two peers that are connected.
pub async fn pair(a: Config, b: Config) -> (Node, Node) {
    let mut a = Node::start(a).await;
    let mut b = Node::start(b).await;
    assert_eq!(b.handle.dial(a.address()).await, Ok(a.id()));
    a.until_connected(b.id()).await;
    b.until_connected(a.id()).await;
    (a, b)
}
