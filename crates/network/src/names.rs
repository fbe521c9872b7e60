//! The names that this network's protocols carry on the wire: `/pocketmesh/<network>/<protocol>/<version>`.

use crate::place::{self, Place};
use libp2p::{StreamProtocol, gossipsub::IdentTopic};

/// The software's name in front of every protocol.
const ROOT: &str = "/pocketmesh/";

/// All protocol names of one network.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    network: String,
}

impl Names {
    /// The names of `network`, which [`check_network_name`](crate::check_network_name) has passed.
    pub(crate) fn new(network: &str) -> Self {
        Self { network: network.into() }
    }

    /// The network's own name.
    pub(crate) fn network(&self) -> &str {
        &self.network
    }

    /// What identify announces; differs between networks, so strangers are told apart by it.
    pub(crate) fn identity(&self) -> String {
        format!("{ROOT}{}/1", self.network)
    }

    /// Prefix of GossipSub's protocol names; GossipSub appends its own version.
    pub(crate) fn gossip(&self) -> String {
        format!("{ROOT}{}/gossip", self.network)
    }

    /// A protocol of ours, of version 1 unless its name says another: `blobs/2`. The network's name is checked and `name`
    /// is a constant, so it is well-formed.
    pub(crate) fn protocol(&self, name: &str) -> StreamProtocol {
        let version = if name.contains('/') { "" } else { "/1" };
        StreamProtocol::try_from_owned(format!("{ROOT}{}/{name}{version}", self.network))
            .expect("it starts with a slash")
    }

    /// The long-lived stream of direct messages.
    pub(crate) fn direct(&self) -> StreamProtocol {
        self.protocol("direct")
    }

    /// The distributed hash table.
    pub(crate) fn kademlia(&self) -> StreamProtocol {
        self.protocol("kad")
    }

    /// The topic on which offers are gossiped that are for the peers around `place`, so deep.
    pub(crate) fn offers(&self, place: &Place, depth: u8) -> IdentTopic {
        IdentTopic::new(format!("{ROOT}{}/offers/{}/1", self.network, place.prefix(depth)))
    }

    /// Whether a topic of that name could be one of ours.
    pub(crate) fn is_offers(&self, topic: &str) -> bool {
        let rest = topic.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix(&self.network));
        let prefix = rest.and_then(|rest| rest.strip_prefix("/offers/")).and_then(|rest| rest.strip_suffix("/1"));
        prefix.is_some_and(place::is_prefix)
    }
}

/// The network that a foreign identity names, if it is one of ours in form. Bounded, for it is shown to people.
pub(crate) fn network_of(identity: &str) -> Option<&str> {
    let name = identity.strip_prefix(ROOT)?.strip_suffix("/1")?;
    crate::check_network_name(name).is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_network_and_version() {
        let names = Names::new("test");
        assert_eq!(names.direct().as_ref(), "/pocketmesh/test/direct/1");
        let place = Place::of_key(&[7; 32]);
        for depth in 0..3 {
            let topic = names.offers(&place, depth).to_string();
            assert_eq!(topic, format!("/pocketmesh/test/offers/{}/1", place.prefix(depth)));
            assert!(names.is_offers(&topic) && !Names::new("other").is_offers(&topic));
        }
        assert!(!names.is_offers("/pocketmesh/test/offers/2/1"));
        assert_eq!(names.protocol("blobs/2").as_ref(), "/pocketmesh/test/blobs/2");
        assert_eq!(network_of(&names.identity()), Some("test"));
    }

    #[test]
    fn foreign_identities_are_not_echoed() {
        assert_eq!(network_of("ipfs/0.1.0"), None);
        assert_eq!(network_of("/pocketmesh/\u{1b}[31m/1"), None);
    }
}
