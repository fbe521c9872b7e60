//! Gossip in, out, and judged.

use super::Driver;
use crate::{
    event::{Event, GossipToken},
    handle::Verdict,
    identity,
};
use libp2p::gossipsub::{self, MessageAcceptance, PublishError};

impl Driver {
    pub(super) fn publish(&mut self, shard: u16, bytes: Vec<u8>) {
        let topic = self.names.offers(shard);
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes.clone()) {
            Ok(_) | Err(PublishError::Duplicate) => {}
            Err(PublishError::NoPeersSubscribedToTopic) => self.unsent.keep(shard, bytes),
            Err(error) => tracing::warn!(%error, "a message was not gossiped"),
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
            gossipsub::Event::Subscribed { .. } => {
                for (shard, bytes) in self.unsent.take() {
                    self.publish(shard, bytes);
                }
            }
            _ => {}
        }
    }

    fn on_message(&mut self, token: GossipToken, message: gossipsub::Message) {
        let shard = self.topics.get(&message.topic).copied();
        let (Some(source), Some(shard)) = (identity::ours_of(&token.source), shard) else {
            return self.report(&token, Verdict::Ignore);
        };
        let event = Event::Gossip { token: token.clone(), source, shard, bytes: message.data };
        if self.events.news(event).is_err() {
            self.report(&token, Verdict::Ignore);
        }
    }
}
