//! Looks peers and provider records up as a newcomer does: a Kademlia client that knows one address of the mesh.
//!
//! It is a bare libp2p swarm, because peers ask Kademlia for one thing only, who is there.

use super::swarm::Member;
use crate::node::NET;
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify,
    kad::{self, QueryId, QueryResult, store::MemoryStore},
    noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use std::time::Duration;
use tokio::time::timeout;

const KADEMLIA: StreamProtocol = StreamProtocol::new("/pocketmesh/test/kad/1");
/// Kademlia's α.
const REQUESTS_AT_ONCE: u32 = kad::ALPHA_VALUE.get() as u32;
const DIRECT: StreamProtocol = StreamProtocol::new("/pocketmesh/test/direct/1");
/// As in the network itself.
const QUERY_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    streams: libp2p_stream::Behaviour,
    kademlia: kad::Behaviour<MemoryStore>,
}

/// What a look-up cost and whether it succeeded.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    pub found: bool,
    /// Requests sent one after another, if each took as long: Kademlia keeps three on their way.
    pub rounds: u32,
}

/// See the module.
pub struct Newcomer(Swarm<Behaviour>);

impl Newcomer {
    /// Knows `entry` and nobody else.
    pub fn at(entry: &Member) -> Self {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
            .expect("a transport")
            .with_behaviour(|key| Behaviour {
                identify: identify::Behaviour::new(identify::Config::new("/pocketmesh/test/1".into(), key.public())),
                streams: libp2p_stream::Behaviour::new(),
                kademlia: kademlia(key.public().to_peer_id()),
            })
            .expect("a behaviour")
            .build();
        accept_messages(&swarm);
        swarm.behaviour_mut().kademlia.add_address(&libp2p_id(entry), entry.address.clone());
        Self(swarm)
    }

    /// Whether the peer is found, with an address where it answers.
    pub async fn look_up(&mut self, peer: &Member) -> Lookup {
        let wanted = libp2p_id(peer);
        let query = self.0.behaviour_mut().kademlia.get_closest_peers(wanted);
        self.until_found(query, |result| match result {
            QueryResult::GetClosestPeers(Ok(found)) => found.peers.iter().any(|info| info.peer_id == wanted),
            QueryResult::GetClosestPeers(Err(kad::GetClosestPeersError::Timeout { peers, .. })) => {
                peers.iter().any(|info| info.peer_id == wanted)
            }
            _ => false,
        })
        .await
    }

    /// Tells the peers nearest to `key` that we provide what is behind it, and where we are.
    pub async fn provide(&mut self, key: &[u8]) {
        let address = self.listen().await;
        self.0.add_external_address(address);
        let query = self.0.behaviour_mut().kademlia.start_providing(key.to_vec().into()).expect("there is room");
        self.until_found(query, |_| false).await;
    }

    async fn listen(&mut self) -> Multiaddr {
        self.0.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("it listens");
        loop {
            let event = timeout(NET, self.0.select_next_some()).await.expect("an event before the net");
            if let SwarmEvent::NewListenAddr { address, .. } = event {
                return address;
            }
        }
    }

    /// Whether anybody is known to provide what is behind `key`.
    pub async fn find_provider(&mut self, key: &[u8]) -> Lookup {
        let query = self.0.behaviour_mut().kademlia.get_providers(key.to_vec().into());
        self.until_found(query, |result| match result {
            QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. })) => {
                !providers.is_empty()
            }
            _ => false,
        })
        .await
    }

    /// Runs until the query has told its last; it succeeded if one of its results is what was wanted.
    async fn until_found(&mut self, query: QueryId, wanted: impl Fn(&QueryResult) -> bool) -> Lookup {
        let mut found = false;
        loop {
            let event = timeout(NET, self.0.select_next_some()).await.expect("an event before the net");
            let SwarmEvent::Behaviour(BehaviourEvent::Kademlia(event)) = event else { continue };
            let kad::Event::OutboundQueryProgressed { id, result, stats, step } = event else { continue };
            if id != query {
                continue;
            }
            found |= wanted(&result);
            if step.last {
                return Lookup { found, rounds: stats.num_requests().div_ceil(REQUESTS_AT_ONCE) };
            }
        }
    }
}

fn kademlia(me: PeerId) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(KADEMLIA);
    config.set_query_timeout(QUERY_TIMEOUT).set_periodic_bootstrap_interval(None);
    let mut kademlia = kad::Behaviour::with_config(me, MemoryStore::new(me), config);
    kademlia.set_mode(Some(kad::Mode::Client));
    kademlia
}

/// Peers keep a stream of messages open to each of theirs, and disconnect who takes none.
fn accept_messages(swarm: &Swarm<Behaviour>) {
    let mut streams = swarm.behaviour().streams.new_control().accept(DIRECT).expect("accepted once");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Some((_, stream)) = streams.next().await {
            held.push(stream);
        }
    });
}

fn libp2p_id(member: &Member) -> PeerId {
    PeerId::from_bytes(&member.id.to_multihash()).expect("a peer id")
}
