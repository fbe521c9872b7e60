//! Who may connect: a libp2p behaviour that refuses peers in disgrace, keys that are not ed25519, and too many
//! connections from one public prefix. It never closes a connection that it let in.

use crate::{
    address::{self, Prefix},
    identity,
};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished, dummy,
    },
};
use std::{
    collections::HashMap,
    convert::Infallible,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// Refused peers remembered. Identities are free, so a longer list would only serve who makes them.
const REFUSED_MAX: usize = 4096;

/// Why a connection was not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The peer broke the rules a short while ago.
    #[error("the peer broke the rules and is refused for another {0} s")]
    InDisgrace(u64),
    /// The peer's identity is not an ed25519 key.
    #[error("the peer's identity is not an ed25519 key")]
    OtherKey,
    /// The public prefix has its share of connections.
    #[error("there are already {0} connections with that address prefix")]
    PrefixFull(usize),
}

/// See the module.
pub(crate) struct Behaviour {
    refused: HashMap<PeerId, Instant>,
    per_prefix: HashMap<Prefix, usize>,
    /// Inbound connections that are being set up: one place must not take every slot by never finishing.
    arriving: HashMap<ConnectionId, Prefix>,
    per_prefix_max: usize,
}

impl Behaviour {
    /// Lets in at most so many connections of one public prefix.
    pub(crate) fn new(per_prefix_max: usize) -> Self {
        Self { refused: HashMap::new(), per_prefix: HashMap::new(), arriving: HashMap::new(), per_prefix_max }
    }

    /// Refuses `peer` from now on for `span`.
    pub(crate) fn refuse(&mut self, peer: PeerId, span: Duration) {
        let now = Instant::now();
        if self.refused.len() >= REFUSED_MAX {
            self.refused.retain(|_, until| *until > now);
        }
        if self.refused.len() < REFUSED_MAX {
            self.refused.insert(peer, now + span);
        }
    }

    fn check_peer(&mut self, peer: &PeerId) -> Result<(), Refusal> {
        if identity::ours_of(peer).is_none() {
            return Err(Refusal::OtherKey);
        }
        let Some(until) = self.refused.get(peer) else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.refused.remove(peer);
            return Ok(());
        }
        Err(Refusal::InDisgrace(left.as_secs() + 1))
    }

    fn check_place(&self, address: &Multiaddr) -> Result<(), Refusal> {
        let count = prefix(address).and_then(|prefix| self.per_prefix.get(&prefix)).copied().unwrap_or(0);
        if count < self.per_prefix_max { Ok(()) } else { Err(Refusal::PrefixFull(count)) }
    }

    fn on_arriving(&mut self, connection: ConnectionId, remote: &Multiaddr) {
        if let Some(prefix) = prefix(remote) {
            self.arriving.insert(connection, prefix);
            *self.per_prefix.entry(prefix).or_default() += 1;
        }
    }

    /// The connection is set up or has failed; in the first case [`Self::on_established`] follows.
    fn on_arrived(&mut self, connection: ConnectionId) {
        if let Some(prefix) = self.arriving.remove(&connection) {
            self.release(prefix);
        }
    }

    fn on_established(&mut self, remote: &Multiaddr) {
        if let Some(prefix) = prefix(remote) {
            *self.per_prefix.entry(prefix).or_default() += 1;
        }
    }

    fn on_closed(&mut self, remote: &Multiaddr) {
        if let Some(prefix) = prefix(remote) {
            self.release(prefix);
        }
    }

    fn release(&mut self, prefix: Prefix) {
        if let Some(count) = self.per_prefix.get_mut(&prefix) {
            *count -= 1;
            if *count == 0 {
                self.per_prefix.remove(&prefix);
            }
        }
    }
}

fn prefix(address: &Multiaddr) -> Option<Prefix> {
    address::ip_of(address).and_then(Prefix::of)
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.check_place(remote).map_err(ConnectionDenied::new)?;
        self.on_arriving(connection, remote);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.on_arrived(connection);
        self.check_place(remote).map_err(ConnectionDenied::new)?;
        self.check_peer(&peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(peer) = peer {
            self.check_peer(&peer).map_err(ConnectionDenied::new)?;
        }
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_place(address).map_err(ConnectionDenied::new)?;
        self.check_peer(&peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => self.on_arrived(connection_id),
            FromSwarm::ConnectionEstablished(ConnectionEstablished { endpoint, .. }) => {
                self.on_established(endpoint.get_remote_address());
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { endpoint, .. }) => {
                self.on_closed(endpoint.get_remote_address());
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ed25519() -> PeerId {
        libp2p::identity::Keypair::generate_ed25519().public().to_peer_id()
    }

    #[test]
    fn a_refused_peer_is_let_in_again_later() {
        let (mut gate, peer) = (Behaviour::new(8), ed25519());
        gate.refuse(peer, Duration::from_secs(600));
        assert!(matches!(gate.check_peer(&peer), Err(Refusal::InDisgrace(_))));
        gate.refuse(peer, Duration::ZERO);
        assert_eq!(gate.check_peer(&peer), Ok(()));
    }

    fn at(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_prefix_has_its_share_and_local_ones_have_none() {
        let mut gate = Behaviour::new(2);
        for remote in ["/ip4/8.8.8.1/tcp/1", "/ip4/8.8.8.2/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"] {
            gate.on_established(&at(remote));
        }
        assert_eq!(gate.check_place(&at("/ip4/8.8.8.3/tcp/1")), Err(Refusal::PrefixFull(2)));
        assert_eq!(gate.check_place(&at("/ip4/8.8.9.3/tcp/1")), Ok(()));
        assert_eq!(gate.check_place(&at("/ip4/10.0.0.3/tcp/1")), Ok(()));
        gate.on_closed(&at("/ip4/8.8.8.2/tcp/1"));
        assert_eq!(gate.check_place(&at("/ip4/8.8.8.3/tcp/1")), Ok(()));
    }

    #[test]
    fn connections_that_are_never_finished_count_too() {
        let (mut gate, local) = (Behaviour::new(2), at("/ip4/9.9.9.9/tcp/1"));
        let mut knock = |connection| {
            let connection = ConnectionId::new_unchecked(connection);
            gate.handle_pending_inbound_connection(connection, &local, &at("/ip4/8.8.8.1/tcp/1")).is_ok()
        };
        assert_eq!([knock(1), knock(2), knock(3)], [true, true, false]);
        gate.on_arrived(ConnectionId::new_unchecked(1));
        assert_eq!(gate.check_place(&at("/ip4/8.8.8.3/tcp/1")), Ok(()));
    }

    #[test]
    fn the_list_of_refused_peers_is_bounded() {
        let mut gate = Behaviour::new(8);
        (0..REFUSED_MAX + 10).for_each(|_| gate.refuse(PeerId::random(), Duration::from_secs(600)));
        assert_eq!(gate.refused.len(), REFUSED_MAX);
    }
}
