//! What a caller chooses before the network starts, and the bounds that only this crate needs.

use libp2p::Multiaddr;
use pocketmesh_types::{PeerId, limits};
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest name of a network: it stands in every protocol name.
const NETWORK_NAME_BYTES_MAX: usize = 32;

/// Everything that [`start`](crate::start) needs.
pub struct Config {
    /// The ed25519 seed that is this peer's identity; wiped from memory once the transport has it.
    pub seed: Zeroizing<[u8; 32]>,
    /// The network's name: `a-z`, `0-9` and `-`. Peers of other networks are refused.
    pub network: String,
    /// Addresses to listen on, `/ip4/…/tcp/…` or `/ip6/…/tcp/…`. Port 0 takes a free one.
    pub listen: Vec<Multiaddr>,
    /// Addresses of peers that introduce us, with or without `/p2p/…`; `/dns4/…/tcp/…` is resolved at each attempt.
    pub bootstrap: Vec<Multiaddr>,
    /// Peers of an earlier run, from [`Handle::known_addresses`](crate::Handle::known_addresses); dialled at the start.
    pub known: Vec<(PeerId, Vec<Multiaddr>)>,
    /// Whether to look for peers on the local network by multicast.
    pub mdns: bool,
    /// Whether others may store and look up records here. Only directly reachable peers should be servers.
    pub dht: DhtRole,
    /// Names of bulk protocols for which inbound streams are accepted.
    pub streams: Vec<&'static str>,
    /// What this peer calls its software, shown to others.
    pub agent: String,
    /// Bounds and waits; the defaults are right outside of tests.
    pub limits: Limits,
}

impl Config {
    /// A peer on `network` with this identity that listens nowhere and knows nobody yet.
    pub fn new(seed: [u8; 32], network: impl Into<String>) -> Self {
        Self {
            seed: Zeroizing::new(seed),
            network: network.into(),
            listen: Vec::new(),
            bootstrap: Vec::new(),
            known: Vec::new(),
            mdns: false,
            dht: DhtRole::Server,
            streams: Vec::new(),
            agent: concat!("pocketmesh/", env!("CARGO_PKG_VERSION")).into(),
            limits: Limits::default(),
        }
    }
}

/// A peer's part in the distributed hash table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DhtRole {
    /// Answers queries and stands in routing tables: for peers that others can reach.
    Server,
    /// Asks only: for peers behind a NAT, and phones.
    Client,
}

/// Bounds and waits of the transport.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all.
    pub connections: u32,
    /// Connections being set up, each way.
    pub connections_pending: u32,
    /// Connections of one public /24 or /48: one household or office, not one attacker's whole rack.
    pub connections_per_prefix: usize,
    /// A connection that was made for one bid or one offer is closed when nothing has passed for so long.
    pub passing_idle: Duration,
    /// We dial discovered peers until so many of our own connections stand. Guess: gossip needs 12, the rest is for bids.
    pub outbound_target: usize,
    /// Messages waiting for one peer.
    pub send_queue_messages: usize,
    /// Bytes waiting for one peer: sixteen of the largest messages.
    pub send_queue_bytes: usize,
    /// A peer that does not say who it is within this time is disconnected.
    pub identify_within: Duration,
    /// A peer that takes nothing for so long is too slow.
    pub write_stall: Duration,
    /// How long a peer that broke the rules is refused.
    pub refusal: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS_MAX,
            connections_pending: limits::CONNECTIONS_PENDING_MAX,
            connections_per_prefix: 8,
            passing_idle: Duration::from_secs(60),
            outbound_target: 32,
            send_queue_messages: limits::SEND_QUEUE_MESSAGES_MAX,
            send_queue_bytes: 16 * limits::MESSAGE_BYTES_MAX,
            identify_within: Duration::from_secs(20),
            write_stall: Duration::from_secs(30),
            refusal: Duration::from_secs(600),
        }
    }
}

/// Messages received and not yet taken by the caller, all peers together. When full, peers are read no further.
pub(crate) const INBOUND_MESSAGES_MAX: usize = 1024;
/// The same in bytes. It must hold at least one message of the largest size.
pub(crate) const INBOUND_BYTES_MAX: usize = 32 << 20;
/// Other events not yet taken; when full, gossip is ignored and news are dropped.
pub(crate) const EVENTS_MAX: usize = 1024;
/// Commands not yet carried out; when full, callers wait.
pub(crate) const COMMANDS_MAX: usize = 256;
/// Transport, encryption and multiplexing must be agreed within this time.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that nobody uses is kept so long: setting up a new one is what costs.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// The name cannot be that of a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a network's name is 1 to {NETWORK_NAME_BYTES_MAX} characters of a-z, 0-9 and '-', not {0:?}")]
pub struct BadNetworkName(String);

/// Whether `name` can stand in protocol names.
pub fn check_network_name(name: &str) -> Result<(), BadNetworkName> {
    let fits = (1..=NETWORK_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(()) } else { Err(BadNetworkName(name.chars().take(2 * NETWORK_NAME_BYTES_MAX).collect())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_names_are_short_and_plain() {
        assert!(check_network_name("main-2").is_ok());
        for bad in ["", "Main", "a/b", "a b", &"x".repeat(33)] {
            assert!(check_network_name(bad).is_err(), "{bad}");
        }
    }
}
