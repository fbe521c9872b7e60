//! The parts of libp2p that one peer runs, put together into a swarm. Nothing here decides anything.

use crate::{
    config::{Config, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, Limits},
    gate,
    gossip::{self, Gossip},
    identity, kademlia,
    names::Names,
    streams,
};
use libp2p::{
    Swarm, SwarmBuilder, identify,
    identity::Keypair,
    mdns, noise, ping,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    tcp, yamux,
};
use libp2p_connection_limits::ConnectionLimits;
use std::{error::Error, time::Duration};

/// The share of the machine's memory beyond which no connection is taken.
const MEMORY_SHARE_MAX: f64 = 0.9;
/// Two peers that dial each other at once end up with two connections; more serve nobody.
const CONNECTIONS_PER_PEER_MAX: u32 = 2;

/// Everything a connection is used for. The limits come first: what they deny, nothing else sees.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    gate: gate::Behaviour,
    limits: libp2p_connection_limits::Behaviour,
    memory: libp2p_memory_connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) kademlia: kademlia::Behaviour,
    pub(crate) gossip: Gossip,
    mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) streams: streams::Behaviour,
}

impl Behaviour {
    fn new(key: &Keypair, config: &Config, names: &Names) -> Result<Self, String> {
        let me = key.public().to_peer_id();
        let identify = identify::Config::new(names.identity(), key.public())
            .with_agent_version(config.agent.clone())
            .with_push_listen_addr_updates(true)
            // Its cache would name addresses at a dial that have passed no filter.
            .with_cache_size(0);
        let accepted = config.streams.iter().map(|name| names.protocol(name)).chain([names.direct()]);
        Ok(Self {
            gate: gate::Behaviour::new(config.limits.connections_per_prefix),
            limits: libp2p_connection_limits::Behaviour::new(connection_limits(&config.limits)),
            memory: libp2p_memory_connection_limits::Behaviour::with_max_percentage(MEMORY_SHARE_MAX),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new()),
            kademlia: kademlia::Behaviour::new(me, names.kademlia(), config.dht),
            gossip: gossip::build(names, me)?,
            mdns: config.mdns.then(|| multicast(me)).flatten().into(),
            streams: streams::Behaviour::new(accepted),
        })
    }

    /// Lets nobody in under this name for a while.
    pub(crate) fn refuse(&mut self, peer: libp2p::PeerId, span: Duration) {
        self.gate.refuse(peer, span);
    }
}

fn connection_limits(limits: &Limits) -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_established(Some(limits.connections))
        // A quarter stays free for the peers that we choose ourselves.
        .with_max_established_incoming(Some(limits.connections - limits.connections / 4))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
        .with_max_pending_incoming(Some(limits.connections_pending))
        .with_max_pending_outgoing(Some(limits.connections_pending))
}

/// Phones and sandboxes refuse multicast; the network works without it.
fn multicast(me: libp2p::PeerId) -> Option<mdns::tokio::Behaviour> {
    mdns::tokio::Behaviour::new(mdns::Config::default(), me)
        .inspect_err(|error| tracing::warn!(%error, "no discovery on the local network"))
        .ok()
}

/// A swarm that listens nowhere yet. It takes the seed out of `config`, which is wiped.
pub(crate) fn build_swarm(config: &mut Config, names: &Names) -> Result<Swarm<Behaviour>, String> {
    let key = identity::keypair(std::mem::take(&mut config.seed));
    let config = &*config;
    let builder = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|error| error.to_string())?
        .with_behaviour(|key| Behaviour::new(key, config, names).map_err(Box::<dyn Error + Send + Sync>::from))
        .map_err(|error| error.to_string())?;
    Ok(builder
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIMEOUT))
        .with_connection_timeout(HANDSHAKE_TIMEOUT)
        .build())
}
