//! A libp2p behaviour that opens and accepts raw substreams on connections that already stand.
//!
//! It exists because `libp2p-stream` drops inbound streams when their receiver is not waiting, dials on its own account
//! and keeps a channel for every connection there ever was. This one hands every inbound stream to the driver as an
//! event, never dials, and forgets a connection with its handler.

use futures::future::{Ready, ready};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, InboundUpgrade, UpgradeInfo, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::oneshot;

/// Streams being opened on one connection at once; a caller beyond that is refused.
const OPENING_MAX: usize = 32;
/// Inbound streams that wait for the driver; it takes them at once, so more means an attack.
const INBOUND_WAITING_MAX: usize = 32;

/// Why [`Handle::open`](crate::Handle::open) gave no stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No connection, or it closed meanwhile.
    #[error("the peer is not connected")]
    NotConnected,
    /// The peer does not speak that protocol.
    #[error("the peer does not offer this protocol")]
    Unsupported,
    /// The peer did not answer in time.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// Too many streams are being opened to this peer; try again when some are open.
    #[error("too many streams are being opened to this peer, try again shortly")]
    Busy,
    /// The network was shut down.
    #[error("the network is shut down")]
    Stopped,
}

/// Where the outcome of opening a stream goes.
pub(crate) type Reply = oneshot::Sender<Result<Stream, OpenError>>;

/// A peer opened a stream.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) peer: PeerId,
    pub(crate) protocol: StreamProtocol,
    pub(crate) stream: Stream,
}

/// See the module.
pub(crate) struct Behaviour {
    accepted: Arc<[StreamProtocol]>,
    queue: VecDeque<ToSwarm<Inbound, Open>>,
}

impl Behaviour {
    /// Accepts inbound streams of these protocols.
    pub(crate) fn new(accepted: impl IntoIterator<Item = StreamProtocol>) -> Self {
        Self { accepted: accepted.into_iter().collect(), queue: VecDeque::new() }
    }

    /// Opens a stream on any connection with `peer`. Without one, `reply` is dropped. The swarm must be polled next.
    pub(crate) fn open(&mut self, peer_id: PeerId, protocol: StreamProtocol, reply: Reply) {
        let event = Open { protocol, reply };
        self.queue.push_back(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::Any, event });
    }

    fn handler(&self) -> Handler {
        Handler { accepted: self.accepted.clone(), opening: VecDeque::new(), negotiating: 0, inbound: VecDeque::new() }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Inbound;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        _: ConnectionId,
        Accepted { protocol, stream }: THandlerOutEvent<Self>,
    ) {
        self.queue.push_back(ToSwarm::GenerateEvent(Inbound { peer, protocol, stream }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.queue.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// To a connection: open a stream.
#[derive(Debug)]
pub(crate) struct Open {
    protocol: StreamProtocol,
    reply: Reply,
}

/// From a connection: a stream was opened by the other side.
#[derive(Debug)]
pub(crate) struct Accepted {
    protocol: StreamProtocol,
    stream: Stream,
}

/// One connection's part of the behaviour.
pub(crate) struct Handler {
    accepted: Arc<[StreamProtocol]>,
    opening: VecDeque<Open>,
    negotiating: usize,
    inbound: VecDeque<Accepted>,
}

impl Handler {
    fn on_opened(&mut self, reply: Reply, outcome: Result<Stream, OpenError>) {
        self.negotiating -= 1;
        // The asker may have gone; then the stream closes with its drop.
        let _ = reply.send(outcome);
    }

    fn on_inbound(&mut self, (stream, protocol): (Stream, StreamProtocol)) {
        if self.inbound.len() < INBOUND_WAITING_MAX {
            self.inbound.push_back(Accepted { protocol, stream });
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Accepted;
    type InboundProtocol = AnyOf;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Reply;

    fn listen_protocol(&self) -> SubstreamProtocol<AnyOf> {
        SubstreamProtocol::new(AnyOf(self.accepted.to_vec()), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Reply, Self::ToBehaviour>> {
        if let Some(accepted) = self.inbound.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(accepted));
        }
        let Some(Open { protocol, reply }) = self.opening.pop_front() else { return Poll::Pending };
        self.negotiating += 1;
        let protocol = SubstreamProtocol::new(ReadyUpgrade::new(protocol), reply);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, open: Open) {
        if self.opening.len() + self.negotiating < OPENING_MAX {
            self.opening.push_back(open);
        } else {
            let _ = open.reply.send(Err(OpenError::Busy));
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Reply>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.on_inbound(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info }) => {
                self.on_opened(info, Ok(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.on_opened(info, Err(open_error(&error)));
            }
            _ => {}
        }
    }
}

fn open_error(error: &StreamUpgradeError<Infallible>) -> OpenError {
    match error {
        StreamUpgradeError::Timeout => OpenError::TimedOut,
        StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
        StreamUpgradeError::Io(_) => OpenError::NotConnected,
        StreamUpgradeError::Apply(never) => match *never {},
    }
}

/// Accepts a stream of any of these protocols and says which it was.
pub(crate) struct AnyOf(Vec<StreamProtocol>);

impl UpgradeInfo for AnyOf {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl<S> InboundUpgrade<S> for AnyOf {
    type Output = (S, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: S, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
