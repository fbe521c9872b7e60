//! What the caller asks for.

use super::{Driver, dials::Origin};
use crate::{
    event::Via,
    handle::{Command, DisconnectReason, PeerInfo},
    identity,
    peers::{Peer, Phase},
};
use libp2p::Multiaddr;
use pocketmesh_types::PeerId;
use std::time::Duration;

/// A peer that the caller sent away is not dialled for so long.
const DISMISSAL_PAUSE: Duration = Duration::from_secs(60);

impl Driver {
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { key, depth, bytes } => self.publish(&key, depth, bytes),
            Command::Reach { peer, contacts } => {
                let addresses = contacts.into_iter().filter_map(|contact| Multiaddr::try_from(contact).ok()).collect();
                self.reach(peer, addresses);
            }
            Command::MeshSize { reply } => {
                let met = self.live();
                let estimate = self.swarm.behaviour_mut().kademlia.population();
                let _ = reply.send(estimate.max(met));
            }
            Command::Report { token, verdict } => self.report(&token, verdict),
            Command::Dial { address, reply } => self.dial(Origin::User(reply), address),
            Command::Disconnect { peer, reason } => self.on_disconnect(peer, reason),
            Command::Open { peer, protocol, reply } => {
                let protocol = self.names.protocol(protocol);
                self.swarm.behaviour_mut().streams.open(identity::libp2p_of(peer), protocol, reply);
            }
            Command::Provide(key) => self.swarm.behaviour_mut().kademlia.provide(key),
            Command::Withdraw(key) => self.swarm.behaviour_mut().kademlia.withdraw(key),
            Command::Search { key, found } => self.swarm.behaviour_mut().kademlia.search(key, found),
            // Who asked may have given up meanwhile.
            Command::Peers { reply } => drop(reply.send(self.infos())),
            Command::Known { reply } => drop(reply.send(self.discovery.anchors())),
            // The loop takes this one before it comes here.
            Command::Shutdown { reply } => drop(reply),
        }
    }

    fn on_disconnect(&mut self, peer: PeerId, reason: DisconnectReason) {
        match reason {
            DisconnectReason::Requested => self.disconnect(peer, DISMISSAL_PAUSE),
            DisconnectReason::Misbehaved(how) => self.punish(peer, "a peer broke the rules", &how),
        }
    }

    fn infos(&self) -> Vec<PeerInfo> {
        self.peers.iter().filter_map(|(peer, entry)| self.info(*peer, entry)).collect()
    }

    fn info(&self, peer: PeerId, entry: &Peer) -> Option<PeerInfo> {
        let Phase::Live(live) = &entry.phase else { return None };
        let link = entry.links.values().next()?;
        Some(PeerInfo {
            peer,
            address: link.address.clone(),
            direction: link.direction,
            via: self.discovery.via(&peer).unwrap_or(Via::Inbound),
            round_trip: entry.round_trip,
            agent: entry.agent.clone(),
            connected_for: live.since.elapsed(),
            score: self.swarm.behaviour().gossip.peer_score(&identity::libp2p_of(peer)).unwrap_or(0.0),
            queued_bytes: self.shared.outboxes.queued_bytes(&peer),
        })
    }
}
