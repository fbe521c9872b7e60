//! What the network tells its caller, and the bounded way by which it does.
//!
//! A peer's own events (`Connected`, its messages, `Disconnected`) come in that order, and never get lost: when the
//! caller is slow, peers are read no further. Everything else is dropped rather than stall the swarm.

use crate::{
    address::Prefix,
    config::{EVENTS_MAX, INBOUND_BYTES_MAX, INBOUND_MESSAGES_MAX},
};
use libp2p::{Multiaddr, Stream, gossipsub::MessageId};
use pocketmesh_types::PeerId;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Something happened on the network.
#[derive(Debug)]
pub enum Event {
    /// The peer is identified, is on our network, and can be sent messages.
    Connected {
        /// Who.
        peer: PeerId,
        /// Where: the far end of the connection.
        address: Multiaddr,
        /// The prefix it sits in; none unless its address is globally routable.
        prefix: Option<Prefix>,
    },
    /// The last thing heard of this connection with the peer. Messages sent and not yet answered may be lost.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// A direct message, in the order in which its sender sent it.
    Message {
        /// The sender, as authenticated by the transport.
        from: PeerId,
        /// The payload, at most `limits::MESSAGE_BYTES_MAX` bytes.
        bytes: Vec<u8>,
    },
    /// A gossiped message. It is not forwarded before [`Handle::report`](crate::Handle::report) accepts it.
    Gossip {
        /// What to report the verdict with, within six seconds.
        token: GossipToken,
        /// The neighbour it came from, not its author.
        source: PeerId,
        /// How deep the topic lies on which it came.
        depth: u8,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// A peer was heard of for the first time.
    Learned {
        /// Who.
        peer: PeerId,
        /// From where.
        via: Via,
    },
    /// A peer opened a bulk stream.
    Stream {
        /// Who.
        peer: PeerId,
        /// One of the names in [`Config::streams`](crate::Config::streams).
        protocol: &'static str,
        /// Both directions.
        stream: Stream,
    },
    /// A peer broke the rules of the transport. It is disconnected, refused for a while, and its score is lowered.
    Misbehaved {
        /// Who.
        peer: PeerId,
        /// How.
        reason: Misbehaviour,
    },
    /// We listen on a further address, given with our own name.
    Listening(Multiaddr),
}

/// How a peer was first heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// It answered at a bootstrap address.
    Bootstrap,
    /// A query of the distributed hash table named it.
    Kademlia {
        /// The peer whose answer named it first.
        from: Option<PeerId>,
    },
    /// It announced itself on the local network.
    Mdns,
    /// It connected to us.
    Inbound,
    /// It was known from an earlier run.
    Saved,
    /// The user named its address.
    Manual,
}

/// A breach of the transport's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// A frame was announced that is larger than a message may be.
    #[error("announced a frame of {bytes} bytes")]
    OversizedFrame {
        /// The announced length.
        bytes: usize,
    },
}

/// Names a gossiped message that awaits its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipToken {
    pub(crate) id: MessageId,
    pub(crate) source: libp2p::PeerId,
}

/// A peer's event and the room that it takes in the common budget of bytes, given back when the caller takes it.
type Direct = (Event, Option<OwnedSemaphorePermit>);

/// The receiving end: the caller's.
#[derive(Debug)]
pub struct Events {
    direct: mpsc::Receiver<Direct>,
    news: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; none after the network was shut down. Cancelling loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        tokio::select! {
            Some((event, _room)) = self.direct.recv() => Some(event),
            Some(event) = self.news.recv() => Some(event),
            else => None,
        }
    }
}

/// The sending end.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    direct: mpsc::Sender<Direct>,
    news: mpsc::Sender<Event>,
    room: Arc<Semaphore>,
}

/// The caller dropped its [`Events`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unheard;

impl Sender {
    /// A message of a peer; waits while the caller is behind.
    pub(crate) async fn message(&self, from: PeerId, bytes: Vec<u8>) -> Result<(), Unheard> {
        let size = u32::try_from(bytes.len()).map_err(|_| Unheard)?;
        let room = match self.room.clone().try_acquire_many_owned(size) {
            Ok(room) => room,
            Err(_) => self.room.clone().acquire_many_owned(size).await.map_err(|_| Unheard)?,
        };
        self.direct.send((Event::Message { from, bytes }, Some(room))).await.map_err(|_| Unheard)
    }

    /// A peer comes or goes; waits while the caller is behind.
    pub(crate) async fn direct(&self, event: Event) -> Result<(), Unheard> {
        self.direct.send((event, None)).await.map_err(|_| Unheard)
    }

    /// Anything else; given back when the caller is behind.
    pub(crate) fn news(&self, event: Event) -> Result<(), Box<Event>> {
        self.news.try_send(event).map_err(|error| Box::new(error.into_inner()))
    }

    /// Waits until the caller drops its [`Events`].
    pub(crate) async fn unheard(&self) {
        self.direct.closed().await;
    }
}

/// Both ends.
pub(crate) fn channel() -> (Sender, Events) {
    let (direct, direct_events) = mpsc::channel(INBOUND_MESSAGES_MAX);
    let (news, news_events) = mpsc::channel(EVENTS_MAX);
    let room = Arc::new(Semaphore::new(INBOUND_BYTES_MAX));
    (Sender { direct, news, room }, Events { direct: direct_events, news: news_events })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use pocketmesh_types::limits::MESSAGE_BYTES_MAX;

    const PEER: PeerId = PeerId([1; 32]);

    #[tokio::test]
    async fn a_slow_caller_holds_messages_back_by_bytes() {
        let (sender, mut events) = channel();
        for _ in 0..INBOUND_BYTES_MAX / MESSAGE_BYTES_MAX {
            sender.message(PEER, vec![0; MESSAGE_BYTES_MAX]).await.expect("heard");
        }
        assert!(sender.message(PEER, vec![0; MESSAGE_BYTES_MAX]).now_or_never().is_none());
        events.recv().await.expect("an event");
        assert!(sender.message(PEER, vec![0; MESSAGE_BYTES_MAX]).now_or_never().is_some());
    }

    #[tokio::test]
    async fn news_are_dropped_rather_than_waited_for() {
        let (sender, _events) = channel();
        let news = || Event::Learned { peer: PEER, via: Via::Mdns };
        (0..EVENTS_MAX).for_each(|_| sender.news(news()).expect("room"));
        assert!(sender.news(news()).is_err());
    }
}
