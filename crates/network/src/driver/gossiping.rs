//! Gossip in, out, and judged.

use super::Driver;
use crate::{
    event::{Event, GossipToken},
    gossip::Waiting,
    handle::Verdict,
    identity,
    place::Place,
};
use libp2p::{
    Multiaddr,
    gossipsub::{self, MessageAcceptance, PublishError},
};
use pocketmesh_types::PeerId;
use std::time::{Duration, Instant};

/// So many listeners are connected to before a message is published among strangers: one alone could keep it to itself.
const ENTRANCES: usize = 3;
/// Peers that are dialled for one message in order to find them.
const TRIED_MAX: usize = 3 * ENTRANCES;
/// After so long the listeners that there are must do.
const SEEK_WITHIN: Duration = Duration::from_secs(3);

impl Driver {
    /// Gossips to those around a key; where too few of them are known, some are looked for first.
    pub(super) fn publish(&mut self, key: &[u8; 32], depth: u8, bytes: Vec<u8>) {
        let until = (depth > 0).then(|| Instant::now() + SEEK_WITHIN);
        let waiting = Waiting { place: Place::of_key(key), depth, bytes, until, tried: 0 };
        let Some(waiting) = self.try_publish(waiting, Instant::now()) else { return };
        self.unsent.keep(waiting);
        if depth > 0 {
            let kademlia = &mut self.swarm.behaviour_mut().kademlia;
            let known = kademlia.listeners(key, depth);
            if known.len() < ENTRANCES {
                kademlia.look_up(key);
            }
            known.iter().filter_map(identity::ours_of).for_each(|peer| self.try_listener(peer, Vec::new()));
        }
    }

    /// Gossips a message if enough peers are there to hear it, or if it cannot wait any longer; else gives it back.
    fn try_publish(&mut self, waiting: Waiting, now: Instant) -> Option<Waiting> {
        let topic = self.names.offers(&waiting.place, waiting.depth);
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        let enough = if waiting.until.is_some_and(|until| until > now) { ENTRANCES } else { 1 };
        let hash = topic.hash();
        if gossip.all_peers().filter(|(_, topics)| topics.contains(&&hash)).take(enough).count() < enough {
            let is_over = waiting.until.is_some_and(|until| until <= now);
            if is_over {
                tracing::debug!(depth = waiting.depth, "nobody was found to hear a message");
            }
            return (!is_over).then_some(waiting);
        }
        match gossip.publish(topic, waiting.bytes.clone()) {
            Ok(_) | Err(PublishError::Duplicate) => None,
            Err(PublishError::NoPeersSubscribedToTopic) => Some(waiting),
            Err(error) => {
                tracing::warn!(%error, "a message was not gossiped");
                None
            }
        }
    }

    /// Gossips what has waited long enough, or has found listeners.
    pub(super) fn publish_waiting(&mut self, now: Instant) {
        for waiting in self.unsent.take() {
            if let Some(waiting) = self.try_publish(waiting, now) {
                self.unsent.keep(waiting);
            }
        }
    }

    /// Connects to a peer if a message waits for such.
    pub(super) fn try_listener(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let place = Place::of_peer(identity::libp2p_of(peer));
        let fits =
            |waiting: &&mut Waiting| waiting.tried < TRIED_MAX && waiting.place.agreement(&place) >= waiting.depth;
        let wanted = self.unsent.seeking().filter(fits).map(|waiting| waiting.tried += 1).count();
        if wanted > 0 {
            self.reach(peer, addresses);
        }
    }

    pub(super) fn report(&mut self, token: &GossipToken, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        if verdict == Verdict::Reject
            && let Some(peer) = identity::ours_of(&token.source)
        {
            self.complain(peer, "a neighbour sent invalid gossip", &"its score falls");
        }
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if !gossip.report_message_validation_result(&token.id, &token.source, acceptance) {
            tracing::debug!(id = %token.id, "the verdict on a message came too late");
        }
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(GossipToken { id: message_id, source: propagation_source }, message);
            }
            gossipsub::Event::Subscribed { .. } => self.publish_waiting(Instant::now()),
            _ => {}
        }
    }

    fn on_message(&mut self, token: GossipToken, message: gossipsub::Message) {
        let depth = self.topics.get(&message.topic).copied();
        let (Some(source), Some(depth)) = (identity::ours_of(&token.source), depth) else {
            return self.report(&token, Verdict::Ignore);
        };
        let event = Event::Gossip { token: token.clone(), source, depth, bytes: message.data };
        if self.events.news(event).is_err() {
            self.report(&token, Verdict::Ignore);
        }
    }
}
