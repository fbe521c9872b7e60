//! The names that this network's protocols carry on the wire: `/pocketmesh/<network>/<protocol>/<version>`.

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

    /// The topic on which the offers of a shard are gossiped.
    pub(crate) fn offers(&self, shard: u16) -> IdentTopic {
        IdentTopic::new(format!("{ROOT}{}/offers/{shard}/1", self.network))
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
        assert_eq!(names.protocol("blobs/2").as_ref(), "/pocketmesh/test/blobs/2");
        assert_eq!(names.offers(3).to_string(), "/pocketmesh/test/offers/3/1");
        assert_eq!(network_of(&names.identity()), Some("test"));
    }

    #[test]
    fn foreign_identities_are_not_echoed() {
        assert_eq!(network_of("ipfs/0.1.0"), None);
        assert_eq!(network_of("/pocketmesh/\u{1b}[31m/1"), None);
    }
}
