//! How GossipSub is set up: validation before forwarding, scoring, and what it is told about our topics.
//!
//! Payloads carry their own signature, so GossipSub's is off. A message is named by the hash of its bytes.

use crate::{names::Names, place::Place};
use libp2p::gossipsub::{
    self, Behaviour, ConfigBuilder, MaxCountSubscriptionFilter, MessageAuthenticity, MessageId, PeerScoreParams,
    PeerScoreThresholds, TopicHash, TopicScoreParams, TopicSubscriptionFilter, ValidationMode,
};
use pocketmesh_types::limits::{OFFER_BYTES_MAX, OFFER_DEPTH_MAX};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Room for GossipSub's own fields around an offer.
const ENVELOPE_BYTES_MAX: usize = 1 << 10;
/// Stragglers hear of a message at the next heartbeat, so it is short.
const HEARTBEAT: Duration = Duration::from_millis(300);
/// Heartbeats for which a message waits for its verdict: 6 s.
const HISTORY: usize = 20;
/// Heartbeats for which a message is offered to stragglers: 1.5 s.
const HISTORY_GOSSIPED: usize = 5;
/// A copy that comes later than this is taken for new. Offers live ten minutes at most and expire by themselves.
const SEEN_TIME: Duration = Duration::from_secs(120);
/// Messages waiting for one slow neighbour: 4 MiB.
const QUEUE_PER_PEER: usize = 256;
/// Own messages kept while no neighbour listens yet.
const UNSENT_MAX: usize = 64;

/// The score at which a peer is ignored altogether; one that breaks the rules is put below it at once.
pub(crate) const GRAYLIST: f64 = -2500.0;

/// Topics that a peer listens to: one for each depth.
const TOPICS: usize = OFFER_DEPTH_MAX as usize + 1;

/// Topics of other forms than ours are not kept account of. Those of others are: we may have something to say there.
#[derive(Debug)]
pub(crate) struct OurTopics(Names);

impl TopicSubscriptionFilter for OurTopics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        self.0.is_offers(topic.as_str())
    }
}

/// GossipSub with our filter.
pub(crate) type Gossip = Behaviour<gossipsub::IdentityTransform, MaxCountSubscriptionFilter<OurTopics>>;

/// GossipSub, listening at every depth to what is for the peers around `me`.
pub(crate) fn build(names: &Names, me: libp2p::PeerId) -> Result<Gossip, String> {
    let place = Place::of_peer(me);
    let topics: Vec<_> = (0..=OFFER_DEPTH_MAX).map(|depth| names.offers(&place, depth)).collect();
    let filter = MaxCountSubscriptionFilter {
        filter: OurTopics(names.clone()),
        max_subscribed_topics: TOPICS,
        max_subscriptions_per_request: TOPICS,
    };
    let config = config(names)?;
    let mut gossip = Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)?;
    let scores = scores(topics.iter().map(|topic| topic.hash()));
    gossip.with_peer_score(scores, thresholds())?;
    for topic in &topics {
        gossip.subscribe(topic).map_err(|error| error.to_string())?;
    }
    Ok(gossip)
}

fn config(names: &Names) -> Result<gossipsub::Config, String> {
    ConfigBuilder::default()
        .protocol_id_prefix(names.gossip())
        .heartbeat_interval(HEARTBEAT)
        // Its own default is five seconds, in which a peer forwards to whoever happens to have grafted it.
        .heartbeat_initial_delay(HEARTBEAT)
        .history_length(HISTORY)
        .history_gossip(HISTORY_GOSSIPED)
        .duplicate_cache_time(SEEN_TIME)
        .max_transmit_size(OFFER_BYTES_MAX + ENVELOPE_BYTES_MAX)
        .connection_handler_queue_len(QUEUE_PER_PEER)
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .flood_publish(true)
        .message_id_fn(|message| MessageId::new(blake3::hash(&message.data).as_bytes()))
        .build()
        .map_err(|error| error.to_string())
}

/// Filecoin's shape: what a peer delivers first raises its score a little, what is invalid lowers it a lot and for long.
/// Low traffic proves nothing, so P3 is off; addresses are limited in [`crate::gate`], so P6 is off too.
fn scores(topics: impl Iterator<Item = TopicHash>) -> PeerScoreParams {
    PeerScoreParams {
        topics: topics.map(|topic| (topic, topic_scores())).collect(),
        topic_score_cap: 100.0,
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -10.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: gossipsub::score_parameter_decay(Duration::from_secs(3600)),
        retain_score: Duration::from_secs(600),
        ..PeerScoreParams::default()
    }
}

fn topic_scores() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 0.5,
        time_in_mesh_weight: 0.001,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 3600.0,
        first_message_deliveries_weight: 0.5,
        first_message_deliveries_decay: gossipsub::score_parameter_decay(Duration::from_secs(600)),
        first_message_deliveries_cap: 100.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // Squared: the fifth invalid message within the hour reaches the graylist.
        invalid_message_deliveries_weight: -200.0,
        invalid_message_deliveries_decay: gossipsub::score_parameter_decay(Duration::from_secs(3600)),
        ..TopicScoreParams::default()
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -500.0,
        publish_threshold: -1000.0,
        graylist_threshold: GRAYLIST,
        accept_px_threshold: 1000.0,
        opportunistic_graft_threshold: 3.5,
    }
}

/// An own message that not enough peers are there to hear.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Where the peers are that it is for.
    pub(crate) place: Place,
    /// How deep.
    pub(crate) depth: u8,
    /// The message.
    pub(crate) bytes: Vec<u8>,
    /// Until when listeners are looked for; none if the first that comes will do.
    pub(crate) until: Option<Instant>,
    /// Peers that may listen and that we were told of.
    pub(crate) tried: usize,
}

/// Own messages that wait for listeners.
#[derive(Debug, Default)]
pub(crate) struct Unsent(VecDeque<Waiting>);

impl Unsent {
    /// Keeps a message; the oldest makes room.
    pub(crate) fn keep(&mut self, waiting: Waiting) {
        if self.0.len() == UNSENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(waiting);
    }

    /// Takes all that wait.
    pub(crate) fn take(&mut self) -> VecDeque<Waiting> {
        std::mem::take(&mut self.0)
    }

    /// Whether listeners are looked for.
    pub(crate) fn is_seeking(&self) -> bool {
        self.0.iter().any(|waiting| waiting.until.is_some())
    }

    /// Those for which listeners are looked for.
    pub(crate) fn seeking(&mut self) -> impl Iterator<Item = &mut Waiting> {
        self.0.iter_mut().filter(|waiting| waiting.until.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_consistent() {
        assert!(build(&Names::new("test"), libp2p::PeerId::random()).is_ok());
    }

    #[test]
    fn the_mesh_has_gossipsubs_own_degree() {
        let config = config(&Names::new("test")).expect("consistent");
        // The simulator assumes it: simulations/overlay.toml.
        assert_eq!(config.mesh_n(), gossipsub::Config::default().mesh_n());
    }

    #[test]
    fn five_invalid_messages_reach_the_graylist_and_two_do_not() {
        let score = |invalid: f64| {
            let topic = topic_scores();
            topic.topic_weight * topic.invalid_message_deliveries_weight * invalid * invalid
        };
        assert!(score(5.0) <= GRAYLIST);
        assert!(score(2.0) > thresholds().gossip_threshold);
    }

    #[test]
    fn unsent_messages_are_bounded_and_the_newest_stay() {
        let mut unsent = Unsent::default();
        let place = Place::of_key(&[1; 32]);
        (0..100u8).for_each(|n| unsent.keep(Waiting { place, depth: 0, bytes: vec![n], until: None, tried: 0 }));
        let kept = unsent.take();
        assert_eq!(kept.len(), UNSENT_MAX);
        assert_eq!(kept.back().map(|waiting| &waiting.bytes), Some(&vec![99]));
    }
}
