//! Connections come and go, and peers say who they are.

use super::{
    Driver,
    dials::{self, Origin},
};
use crate::{
    dial::DialError,
    event::Via,
    gossip,
    handle::Direction,
    identity, names,
    peers::{self, Link, Passing, Peer, Phase},
};
use libp2p::{
    Multiaddr,
    core::ConnectedPoint,
    identify, ping,
    swarm::{ConnectionId, StreamProtocol},
};
use pocketmesh_types::PeerId;
use std::time::{Duration, Instant};

/// A stranger who called us is given so long to find out by itself that it is on another network.
const STRANGER_GRACE: Duration = Duration::from_secs(1);

impl Driver {
    pub(super) fn on_established(&mut self, id: libp2p::PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        // The gate let in ed25519 keys only.
        let Some(peer) = identity::ours_of(&id) else { return };
        let attempt = self.dials.remove(&connection);
        let origin = attempt.map(|attempt| attempt.origin);
        self.learn(peer, via(origin.as_ref(), endpoint));
        let direction = if endpoint.is_dialer() { Direction::Outbound } else { Direction::Inbound };
        let address = dials::bare(endpoint.get_remote_address());
        let entry = self.peers.entry(peer).or_insert_with(|| Peer::new(Instant::now() + self.limits.identify_within));
        let is_new = entry.links.is_empty();
        entry.links.insert(connection, Link { address, direction });
        match origin {
            Some(Origin::Passing(_)) if is_new => {
                entry.passing = Some(Passing { messages: 0, since: Instant::now() });
            }
            Some(Origin::Passing(_)) | None => {}
            // Somebody wants it for its own sake.
            Some(_) => entry.passing = None,
        }
        match origin {
            Some(Origin::User(reply)) if entry.is_live() => drop(reply.send(Ok(peer))),
            Some(Origin::User(reply)) => entry.dialled.push(reply),
            Some(Origin::Introducer(index)) => self.introducers[index].answered(peer, Instant::now()),
            Some(Origin::Candidate(_) | Origin::Passing(_)) | None => {}
        }
    }

    pub(super) fn on_closed(&mut self, id: &libp2p::PeerId, connection: ConnectionId) {
        let Some(peer) = identity::ours_of(id) else { return };
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.links.remove(&connection);
        if !entry.links.is_empty() {
            return;
        }
        entry.early = None;
        if let Phase::Live(live) = &mut entry.phase {
            // A session that still waits for the peer's stream would wait for ever.
            live.inbound = None;
        }
        self.remove_if_over(peer);
    }

    /// Forgets a peer that has neither a connection nor a session left.
    pub(super) fn remove_if_over(&mut self, peer: PeerId) {
        if !self.peers.get(&peer).is_some_and(Peer::is_over) {
            return;
        }
        let Some(mut entry) = self.peers.remove(&peer) else { return };
        entry.answer(&Err(entry.verdict.clone()));
        let now = Instant::now();
        if matches!(entry.phase, Phase::Unidentified { .. }) {
            self.discovery.failed(&peer, now);
        } else {
            self.discovery.parted(&peer, now, entry.pause);
        }
    }

    pub(super) fn on_identified(&mut self, id: &libp2p::PeerId, info: identify::Info) {
        let Some(peer) = identity::ours_of(id).filter(|peer| self.peers.contains_key(peer)) else { return };
        if let Some(verdict) = self.strangeness(&info) {
            return self.condemn(peer, verdict);
        }
        let kademlia = &mut self.swarm.behaviour_mut().kademlia;
        let addresses = kademlia.reach().filter(info.listen_addrs);
        self.discovery.suggest(peer, addresses.clone(), Instant::now());
        if info.protocols.contains(&self.names.kademlia()) {
            addresses.into_iter().for_each(|address| kademlia.add_address(id, address));
        }
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.agent = peers::printable(&info.agent_version);
        if matches!(entry.phase, Phase::Unidentified { .. }) {
            entry.phase = Phase::Waiting { until: Instant::now() };
            self.welcome(peer);
        }
    }

    /// A peer has just turned out to be one of us.
    fn welcome(&mut self, peer: PeerId) {
        let now = Instant::now();
        let Some(entry) = self.peers.get(&peer) else { return };
        let dialled = entry.links.values().filter(|link| link.direction == Direction::Outbound);
        let answered: Vec<Multiaddr> = dialled.map(|link| link.address.clone()).collect();
        self.discovery.suggest(peer, answered, now);
        self.discovery.met(&peer, now);
        self.advance(peer, now);
    }

    /// Why we have nothing to say to each other; none if we have.
    fn strangeness(&self, info: &identify::Info) -> Option<DialError> {
        let speaks = |wanted: StreamProtocol| info.protocols.contains(&wanted);
        if info.protocol_version == self.names.identity() && speaks(self.names.direct()) {
            return None;
        }
        Some(match names::network_of(&info.protocol_version) {
            Some(theirs) if theirs != self.names.network() => {
                DialError::OtherNetwork { theirs: theirs.into(), ours: self.names.network().into() }
            }
            _ => DialError::NotPocketmesh,
        })
    }

    /// Disconnects a stranger. Who called us is waited for, so that both sides know the reason and can tell it.
    fn condemn(&mut self, peer: PeerId, verdict: DialError) {
        self.complain(peer, "a stranger is disconnected", &verdict);
        self.discovery.forget(&peer);
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.verdict = verdict;
        let grace = if entry.is_outbound() { Duration::ZERO } else { STRANGER_GRACE };
        entry.phase = Phase::Condemned { at: Instant::now() + grace };
        self.advance(peer, Instant::now());
    }

    pub(super) fn on_ping(
        &mut self,
        id: &libp2p::PeerId,
        connection: ConnectionId,
        result: Result<Duration, ping::Failure>,
    ) {
        match result {
            Ok(round_trip) => {
                if let Some(entry) = identity::ours_of(id).and_then(|peer| self.peers.get_mut(&peer)) {
                    entry.round_trip = Some(round_trip);
                }
            }
            // The machine is gone without a word, or its network is.
            Err(ping::Failure::Timeout) => drop(self.swarm.close_connection(connection)),
            Err(_) => {}
        }
    }

    /// Closes all connections with a peer; it is not dialled for `pause`.
    pub(super) fn disconnect(&mut self, peer: PeerId, pause: Duration) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.pause = pause;
        if let Phase::Live(live) = &mut entry.phase {
            live.stop = None;
        }
        // An error means that no connection is left, which is what was wanted.
        let _ = self.swarm.disconnect_peer_id(identity::libp2p_of(peer));
    }

    /// A peer broke the rules: its score falls, it is disconnected and refused for a while.
    pub(super) fn punish(&mut self, peer: PeerId, kind: &'static str, detail: &dyn std::fmt::Display) {
        self.complain(peer, kind, detail);
        let id = identity::libp2p_of(peer);
        let behaviour = self.swarm.behaviour_mut();
        behaviour.gossip.set_application_score(&id, gossip::GRAYLIST);
        behaviour.refuse(id, self.limits.refusal);
        self.disconnect(peer, self.limits.refusal);
    }
}

/// How a connected peer must have been heard of, unless it was before.
fn via(origin: Option<&Origin>, endpoint: &ConnectedPoint) -> Via {
    match origin {
        Some(Origin::User(_)) => Via::Manual,
        Some(Origin::Introducer(_)) => Via::Bootstrap,
        _ if endpoint.is_listener() => Via::Inbound,
        _ => Via::Kademlia { from: None },
    }
}
