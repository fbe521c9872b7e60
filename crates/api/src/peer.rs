//! Neighbours, and how they became so.

use pocketmesh_types::{PeerId, UnixTime};
use serde::{Deserialize, Serialize};

/// A peer that this one is connected to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its identity.
    pub peer: PeerId,
    /// The multiaddr of the connection.
    pub address: String,
    /// Who dialled.
    pub direction: Direction,
    /// Who told us of it.
    pub via: Via,
    /// The last measured round trip in milliseconds.
    pub rtt_ms: Option<f64>,
    /// What it says it runs; foreign text.
    pub agent: Option<String>,
    /// When the connection was made.
    pub since: UnixTime,
}

/// Who dialled whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It dialled us.
    Inbound,
    /// We dialled it.
    Outbound,
}

/// Who told us of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Via {
    /// A bootstrap address from the command line or the configuration.
    Bootstrap,
    /// Kademlia: this neighbour named it in an answer.
    Kademlia {
        /// Who named it, if that is known.
        from: Option<PeerId>,
    },
    /// Multicast DNS on the local network.
    Mdns,
    /// It came to us.
    Inbound,
    /// It was a neighbour before the last restart.
    Saved,
    /// A person asked for it: `peers connect`.
    Manual,
}

/// Asks to connect to an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// A multiaddr, with or without `/p2p/…`.
    pub address: String,
}

/// Who was found there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// The peer at that address.
    pub peer: PeerId,
}

/// The bootstrap list, whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Multiaddrs, in the order in which they are tried.
    pub addresses: Vec<String>,
}
