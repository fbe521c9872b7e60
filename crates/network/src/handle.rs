//! The sending end of the network: what its caller may ask of it. Cheap to clone; every method may be called from
//! anywhere. [`Handle::send`] never waits; the others wait for the driver, which waits for nobody.

use crate::{
    address::{self, Prefix},
    dial::DialError,
    event::{GossipToken, Via},
    outbox::{Outboxes, SendError},
    providers::{FOUND_MAX, Provider},
    streams::{self, OpenError},
};
use libp2p::{Multiaddr, Stream, multiaddr::Protocol};
use pocketmesh_types::{
    PeerId,
    limits::{CONTACT_BYTES_MAX, CONTACTS_MAX, OFFER_BYTES_MAX, OFFER_DEPTH_MAX},
};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// The network was shut down, so nothing can be asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network is shut down")]
pub struct Stopped;

/// Why a message was not gossiped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There are no topics so deep.
    #[error("there is no topic at depth {0}; {OFFER_DEPTH_MAX} is the deepest")]
    TooDeep(u8),
    /// Everybody would have to forward it.
    #[error("a message of {0} bytes is larger than the {OFFER_BYTES_MAX} that are gossiped")]
    TooLarge(usize),
    /// The network was shut down.
    #[error("the network is shut down")]
    Stopped,
}

/// What became of a gossiped message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is forwarded.
    Accept,
    /// It is not forwarded, and nobody is to blame.
    Ignore,
    /// It is not forwarded, and who sent it should have known better: its score falls.
    Reject,
}

/// Why a peer is to be disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The caller has no use for it now; it may come back.
    Requested,
    /// It broke the rules in this way: it is refused for a while and its score falls. Logged once per peer and reason.
    Misbehaved(&'static str),
}

/// Who set a connection up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The peer.
    Inbound,
    /// We.
    Outbound,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerInfo {
    /// Its name.
    pub peer: PeerId,
    /// The far end of the connection.
    pub address: Multiaddr,
    /// Who set the connection up.
    pub direction: Direction,
    /// How it was first heard of.
    pub via: Via,
    /// The latest round trip, once measured.
    pub round_trip: Option<Duration>,
    /// What it calls its software; printable, at most 64 characters.
    pub agent: String,
    /// How long it has been connected.
    pub connected_for: Duration,
    /// Its standing in the gossip: below zero it has misbehaved.
    pub score: f64,
    /// Bytes of messages that wait to be sent to it.
    pub queued_bytes: usize,
}

/// What handles and driver both look at.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) me: PeerId,
    pub(crate) streams: Vec<&'static str>,
    pub(crate) outboxes: Outboxes,
    listening: RwLock<Vec<Multiaddr>>,
}

impl Shared {
    pub(crate) fn new(me: PeerId, streams: Vec<&'static str>) -> Self {
        Self { me, streams, outboxes: Outboxes::default(), listening: RwLock::default() }
    }

    /// `address` with our own name at its end.
    pub(crate) fn full(&self, address: Multiaddr) -> Multiaddr {
        address.with(Protocol::P2p(crate::identity::libp2p_of(self.me)))
    }

    /// We listen on `address` now. False if that was known.
    pub(crate) fn listen(&self, address: &Multiaddr) -> bool {
        let mut listening = self.listening.write().unwrap_or_else(PoisonError::into_inner);
        let new = !listening.contains(address);
        if new {
            listening.push(address.clone());
        }
        new
    }

    /// We no longer listen on `address`.
    pub(crate) fn unlisten(&self, address: &Multiaddr) {
        self.listening.write().unwrap_or_else(PoisonError::into_inner).retain(|known| known != address);
    }

    fn listening(&self) -> Vec<Multiaddr> {
        self.listening.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the driver is asked.
#[derive(Debug)]
pub(crate) enum Command {
    Publish { key: [u8; 32], depth: u8, bytes: Vec<u8> },
    Reach { peer: PeerId, contacts: Vec<Vec<u8>> },
    MeshSize { reply: oneshot::Sender<usize> },
    Report { token: GossipToken, verdict: Verdict },
    Dial { address: Multiaddr, reply: oneshot::Sender<Result<PeerId, DialError>> },
    Disconnect { peer: PeerId, reason: DisconnectReason },
    Open { peer: PeerId, protocol: &'static str, reply: streams::Reply },
    Provide([u8; 32]),
    Withdraw([u8; 32]),
    Search { key: [u8; 32], found: mpsc::Sender<Provider> },
    Peers { reply: oneshot::Sender<Vec<PeerInfo>> },
    Known { reply: oneshot::Sender<Vec<(PeerId, Vec<Multiaddr>)>> },
    Shutdown { reply: oneshot::Sender<()> },
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Our own name.
    pub fn peer_id(&self) -> PeerId {
        self.shared.me
    }

    /// The addresses that we listen on now, with our own name at their end.
    pub fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.shared.listening().into_iter().map(|address| self.shared.full(address)).collect()
    }

    /// Queues a message for a connected peer; never waits. Accepted messages arrive in order and without a gap, up to
    /// the moment of `Disconnected`. A peer whose queue overflows is disconnected.
    pub fn send(&self, peer: PeerId, bytes: Vec<u8>) -> Result<(), SendError> {
        self.shared.outboxes.send(peer, bytes)
    }

    /// Gossips to the 2^-depth of the mesh that is nearest to `key`; depth 0 is everybody. To everybody it goes out when the
    /// first neighbour is there; deeper, peers that listen are looked for and connected to, for three seconds, and it
    /// goes nowhere if there are none. The same bytes are gossiped once only.
    pub async fn publish(&self, key: [u8; 32], depth: u8, bytes: Vec<u8>) -> Result<(), PublishError> {
        if depth > OFFER_DEPTH_MAX {
            return Err(PublishError::TooDeep(depth));
        }
        if bytes.len() > OFFER_BYTES_MAX {
            return Err(PublishError::TooLarge(bytes.len()));
        }
        self.command(Command::Publish { key, depth, bytes }).await.map_err(|Stopped| PublishError::Stopped)
    }

    /// Says what became of a gossiped message. Without it the message is not forwarded.
    pub async fn report(&self, token: GossipToken, verdict: Verdict) -> Result<(), Stopped> {
        self.command(Command::Report { token, verdict }).await
    }

    /// Connects to the peer at `address`, with or without `/p2p/…`; returns its name once messages can be sent to it.
    pub async fn dial(&self, address: Multiaddr) -> Result<PeerId, DialError> {
        self.ask(|reply| Command::Dial { address, reply }).await.unwrap_or(Err(DialError::Stopped))
    }

    /// Connects to a peer of which another says that it can be reached at these addresses, as [`Self::contacts`] gives them; also by
    /// what is known of it already. It is `Connected`, or nothing. The connection is closed again when it is not used.
    pub async fn reach(&self, peer: PeerId, contacts: Vec<Vec<u8>>) -> Result<(), Stopped> {
        self.command(Command::Reach { peer, contacts }).await
    }

    /// Where others can reach us, for [`Self::reach`]: public addresses first, in few bytes.
    pub fn contacts(&self) -> Vec<Vec<u8>> {
        let mut addresses = self.shared.listening();
        addresses.sort_by_key(|address| address::ip_of(address).and_then(Prefix::of).is_none());
        let bytes = addresses.iter().map(Multiaddr::to_vec).filter(|bytes| bytes.len() <= CONTACT_BYTES_MAX);
        bytes.take(CONTACTS_MAX).collect()
    }

    /// How many peers the mesh has besides us, about: exact while there are few.
    pub async fn mesh_size(&self) -> Result<usize, Stopped> {
        self.ask(|reply| Command::MeshSize { reply }).await
    }

    /// Disconnects a peer.
    pub async fn disconnect(&self, peer: PeerId, reason: DisconnectReason) -> Result<(), Stopped> {
        self.command(Command::Disconnect { peer, reason }).await
    }

    /// Opens a bulk stream to a connected peer, which must list `protocol` in its [`Config`](crate::Config).
    pub async fn open(&self, peer: PeerId, protocol: &'static str) -> Result<Stream, OpenError> {
        let (reply, outcome) = oneshot::channel();
        self.command(Command::Open { peer, protocol, reply }).await.map_err(|Stopped| OpenError::Stopped)?;
        outcome.await.unwrap_or(Err(OpenError::NotConnected))
    }

    /// Tells the mesh that this peer has what `key`, a hash, names, and tells it again until [`withdraw`](Self::withdraw).
    /// Of at most 256 keys.
    pub async fn provide(&self, key: [u8; 32]) -> Result<(), Stopped> {
        self.command(Command::Provide(key)).await
    }

    /// Takes [`provide`](Self::provide) back. Others believe it for an hour at most.
    pub async fn withdraw(&self, key: [u8; 32]) -> Result<(), Stopped> {
        self.command(Command::Withdraw(key)).await
    }

    /// Asks the mesh who has what `key`, a hash, names. They come as they are found, at most 32; the channel closes when
    /// there is nobody left to ask, which is at once if too many searches are under way. What they say is theirs alone.
    pub async fn providers(&self, key: [u8; 32]) -> Result<mpsc::Receiver<Provider>, Stopped> {
        let (found, receiver) = mpsc::channel(FOUND_MAX);
        self.command(Command::Search { key, found }).await?;
        Ok(receiver)
    }

    /// The peers that messages can be sent to.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Stopped> {
        self.ask(|reply| Command::Peers { reply }).await
    }

    /// Peers that were connected at some time and where they were, the most useful first: [`Config::known`] of the next
    /// run.
    ///
    /// [`Config::known`]: crate::Config::known
    pub async fn known_addresses(&self) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, Stopped> {
        self.ask(|reply| Command::Known { reply }).await
    }

    /// Sends what is queued, as far as peers take it within two seconds, and ends the network.
    pub async fn shutdown(&self) {
        // If the driver is gone already, that is what was asked for.
        let _ = self.ask(|reply| Command::Shutdown { reply }).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Stopped> {
        let (reply, outcome) = oneshot::channel();
        self.command(command(reply)).await?;
        outcome.await.map_err(|_| Stopped)
    }

    async fn command(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }
}
