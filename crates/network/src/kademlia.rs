//! libp2p's Kademlia with four things added: who told us of which peer, a filter on the addresses that others name,
//! bounds on the provider records that others leave here ([`providers`](crate::providers)), and a fresh port for each
//! dial.
//!
//! libp2p reports what a query found but not who said it. Every answer passes through the behaviour, though, so this
//! wrapper reads it on the way. It never changes how a query goes.

use crate::{
    address::Reach,
    config::DhtRole,
    place::Place,
    providers::{self, Provider, Providers},
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    kad::{
        self, KadPeer, RecordKey,
        store::{MemoryStore, RecordStore},
    },
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dial_opts::DialOpts,
    },
};
use std::{
    collections::VecDeque,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

type Inner = kad::Behaviour<MemoryStore>;
/// libp2p keeps this type's name private, not its variants.
type HandlerEvent = <<Inner as NetworkBehaviour>::ConnectionHandler as ConnectionHandler>::ToBehaviour;

/// A query that takes longer is hopeless: peers answer in milliseconds or not at all.
const QUERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Queries under way at once: those that wait for dead peers must not pile up.
const QUERIES_MAX: usize = 4;
/// Answers that wait for the driver; it takes them at once.
const REPORTS_MAX: usize = 64;

/// What the driver hears.
#[derive(Debug)]
pub(crate) enum Event {
    /// `from` named these peers. Their addresses have passed the filter; a peer without any is left out.
    Reported { from: PeerId, peers: Vec<(PeerId, Vec<Multiaddr>)> },
    /// Anything that libp2p's Kademlia says itself.
    Kad(Box<kad::Event>),
}

/// See the module.
pub(crate) struct Behaviour {
    inner: Inner,
    me: PeerId,
    reach: Reach,
    reports: VecDeque<Event>,
    providers: Providers,
}

impl Behaviour {
    /// A table for `me`, speaking `protocol`.
    pub(crate) fn new(me: PeerId, protocol: StreamProtocol, role: DhtRole) -> Self {
        let mut config = kad::Config::new(protocol);
        config
            .set_query_timeout(QUERY_TIMEOUT)
            // Nobody stores anything here that has not been looked at: see `on_kad`.
            .set_record_filtering(kad::StoreInserts::FilterBoth)
            .set_provider_record_ttl(Some(providers::RECORD_LIFE))
            .set_provider_publication_interval(Some(providers::TELL_AGAIN))
            // When to ask is decided in `discovery`.
            .set_periodic_bootstrap_interval(None);
        let mut inner = Inner::with_config(me, providers::store(me), config);
        inner.set_mode(Some(match role {
            DhtRole::Server => kad::Mode::Server,
            DhtRole::Client => kad::Mode::Client,
        }));
        Self { inner, me, reach: Reach::default(), reports: VecDeque::new(), providers: Providers::default() }
    }

    /// Which addresses may be dialled on another's word.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// `peer` itself says that it can be reached at `address`.
    pub(crate) fn add_address(&mut self, peer: &PeerId, address: Multiaddr) {
        self.inner.add_address(peer, address);
    }

    /// Asks around for peers near ourselves and in every other direction, unless enough such questions are under way.
    pub(crate) fn bootstrap(&mut self) {
        if self.inner.iter_queries().count() < QUERIES_MAX {
            // An error means that there is nobody to ask yet.
            let _ = self.inner.bootstrap();
        }
    }

    /// Peers of our own table that are for a message about a place, so deep, the nearest first.
    pub(crate) fn listeners(&mut self, key: &[u8; 32], depth: u8) -> Vec<PeerId> {
        let key = kad::KBucketKey::new(key.to_vec());
        let place = Place::of(&key);
        let near = self.inner.get_closest_local_peers(&key).take(kad::K_VALUE.get());
        near.filter(|peer| Place::of(peer).agreement(&place) >= depth).map(|peer| *peer.preimage()).collect()
    }

    /// Looks up the peers that are nearest to a key, unless enough questions are under way.
    pub(crate) fn look_up(&mut self, key: &[u8; 32]) {
        if self.inner.iter_queries().count() < QUERIES_MAX {
            self.inner.get_closest_peers(key.to_vec());
        }
    }

    /// How many peers there are besides us, about: as far as our table reaches, those in it.
    pub(crate) fn population(&mut self) -> usize {
        let me = kad::KBucketKey::from(self.me);
        let near = self.inner.get_closest_local_peers(&me).take(kad::K_VALUE.get());
        let near: Vec<Place> = near.map(|peer| Place::of(&peer)).collect();
        if near.len() < kad::K_VALUE.get() { near.len() } else { Place::of(&me).population(&near) }
    }

    /// Tells the peers nearest to `key` that we have what it names, now and every 20 minutes, until
    /// [`withdraw`](Self::withdraw). Beyond a bound nothing is told.
    pub(crate) fn provide(&mut self, key: [u8; 32]) {
        let key = RecordKey::new(&key);
        if self.inner.store_mut().provided().count() >= providers::OWN_MAX {
            tracing::debug!("too many blobs are told of already");
        } else if self.inner.iter_queries().count() < QUERIES_MAX {
            // The store has room for all of ours.
            let _ = self.inner.start_providing(key);
        } else {
            // It is told the next time around.
            let _ = self.inner.store_mut().add_provider(kad::ProviderRecord::new(key, self.me, Vec::new()));
        }
    }

    /// Tells nobody any more that we have what `key` names. Others believe it for an hour at most.
    pub(crate) fn withdraw(&mut self, key: [u8; 32]) {
        self.inner.stop_providing(&RecordKey::new(&key));
    }

    /// Asks around who has what `key` names. The channel closes when there is nobody left to ask.
    pub(crate) fn search(&mut self, key: [u8; 32], found: mpsc::Sender<Provider>) {
        if self.providers.may_search() {
            let query = self.inner.get_providers(RecordKey::new(&key));
            self.providers.search(query, found);
        }
    }

    /// What Kademlia says is for the driver, but for what concerns provider records.
    fn on_kad(&mut self, event: kad::Event) -> Event {
        match &event {
            kad::Event::InboundRequest { request: kad::InboundRequest::AddProvider { record: Some(record) } } => {
                let kept = self.providers.admit(record.clone(), &self.reach, self.inner.store_mut(), Instant::now());
                tracing::trace!(provider = %record.provider, kept, "a provider record");
            }
            kad::Event::OutboundQueryProgressed {
                id, result: kad::QueryResult::GetProviders(result), step, ..
            } => {
                if let Ok(kad::GetProvidersOk::FoundProviders { key, providers }) = result {
                    let stored = self.inner.store_mut().providers(key);
                    for peer in providers {
                        let record = stored.iter().find(|record| record.provider == *peer);
                        let addresses = record.map(|record| record.addresses.clone()).unwrap_or_default();
                        self.providers.tell(*id, *peer, self.me, addresses);
                    }
                }
                if step.last {
                    self.providers.over(*id);
                }
            }
            _ => {}
        }
        Event::Kad(Box::new(event))
    }

    fn report(&mut self, from: PeerId, peers: &[KadPeer]) {
        let named = peers.iter().filter(|peer| peer.node_id != self.me && peer.node_id != from);
        let peers: Vec<_> = named
            .map(|peer| (peer.node_id, self.reach.filter(peer.multiaddrs.iter().cloned())))
            .filter(|(_, addresses)| !addresses.is_empty())
            .take(kad::K_VALUE.get())
            .collect();
        if !peers.is_empty() && self.reports.len() < REPORTS_MAX {
            self.reports.push_back(Event::Reported { from, peers });
        }
    }
}

/// The same dial from a port of its own: two peers that dial each other from their listening ports at the same moment
/// would both believe to have called.
fn on_fresh_port(opts: &DialOpts) -> Option<DialOpts> {
    opts.get_peer_id().map(|peer| DialOpts::peer_id(peer).allocate_new_port().build())
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = <Inner as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let found = self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)?;
        Ok(self.reach.filter(found))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::NewListenAddr(new) => self.reach.add(new.addr.clone()),
            FromSwarm::ExpiredListenAddr(expired) => self.reach.remove(expired.addr),
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, from: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        if let HandlerEvent::FindNodeRes { closer_peers, .. } = &event {
            self.report(from, closer_peers);
        }
        if let HandlerEvent::GetProvidersRes { provider_peers, query_id, .. } = &event {
            self.providers.found(*query_id, provider_peers, self.me, &self.reach);
        }
        self.inner.on_connection_handler_event(from, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        if let Some(report) = self.reports.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(report));
        }
        self.inner.poll(cx).map(|action| match action {
            ToSwarm::Dial { opts } => ToSwarm::Dial { opts: on_fresh_port(&opts).unwrap_or(opts) },
            other => other.map_out(|event| self.on_kad(event)),
        })
    }
}
