//! The task that owns the swarm: it carries out commands, turns what the swarm says into events, and keeps everything
//! going that needs a clock. It never waits for the caller or for a peer.
//!
//! Each concern has its file: [`dials`], [`connections`], [`sessions`], [`gossiping`], [`commands`].

mod commands;
mod connections;
mod dials;
mod gossiping;
mod sessions;

use crate::{
    address,
    behaviour::{Behaviour, BehaviourEvent},
    config::{Config, Limits},
    discovery::{Discovery, Introducer},
    event::{self, Event, Via},
    gossip::Unsent,
    handle::{Command, Shared},
    identity, kademlia,
    names::Names,
    peers::Peer,
    place::Place,
    session::End,
    streams,
};
use dials::Attempt;
use futures::StreamExt;
use libp2p::{
    Multiaddr, Stream, Swarm,
    gossipsub::TopicHash,
    identify, mdns, ping,
    swarm::{ConnectionId, SwarmEvent},
};
use pocketmesh_types::{PeerId, limits::OFFER_DEPTH_MAX};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How often the clock is looked at while something is on its way.
const TICK_BUSY: Duration = Duration::from_millis(100);
/// And while nothing is: each look wakes the processor up.
const TICK_CALM: Duration = Duration::from_secs(1);
/// At the end, peers have so long to take what is queued for them.
const FAREWELL: Duration = Duration::from_secs(2);
/// Complaints remembered, so that each is logged once.
const COMPLAINTS_MAX: usize = 4096;
/// Peers taken from one announcement on the local network.
const ANNOUNCED_MAX: usize = 64;

/// Something that ran beside the driver came to its end.
enum Finished {
    Session(PeerId, End),
    Opened(PeerId, Result<Stream, streams::OpenError>),
    Resolved(Attempt, Result<Vec<Multiaddr>, crate::DialError>),
}

/// See the module.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    names: Names,
    limits: Limits,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    events: event::Sender,
    peers: BTreeMap<PeerId, Peer>,
    discovery: Discovery,
    introducers: Vec<Introducer>,
    dials: HashMap<ConnectionId, Attempt>,
    tasks: JoinSet<Finished>,
    /// How deep each of our topics lies.
    topics: HashMap<TopicHash, u8>,
    unsent: Unsent,
    complaints: HashSet<(PeerId, &'static str)>,
}

impl Driver {
    /// A driver of `swarm`, which listens already.
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        names: Names,
        config: Config,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
        events: event::Sender,
    ) -> Self {
        let now = Instant::now();
        let place = Place::of_peer(*swarm.local_peer_id());
        let mut driver = Self {
            swarm,
            limits: config.limits,
            discovery: Discovery::new(shared.me),
            shared,
            commands,
            events,
            peers: BTreeMap::new(),
            introducers: config.bootstrap.into_iter().map(|address| Introducer::new(address, now)).collect(),
            dials: HashMap::new(),
            tasks: JoinSet::new(),
            topics: (0..=OFFER_DEPTH_MAX).map(|depth| (names.offers(&place, depth).hash(), depth)).collect(),
            unsent: Unsent::default(),
            complaints: HashSet::new(),
            names,
        };
        for (peer, addresses) in config.known {
            let addresses = addresses.iter().filter(|address| address::tcp_socket(address).is_some());
            driver.heard_of(peer, Via::Saved, addresses.map(dials::bare).collect());
        }
        driver
    }

    /// Runs until asked to stop or until nobody listens. `early` is what the swarm has said already.
    pub(crate) async fn run(mut self, early: Vec<SwarmEvent<BehaviourEvent>>) {
        early.into_iter().for_each(|event| self.on_swarm_event(event));
        self.on_tick();
        let unheard = self.events.clone();
        let mut tick = Box::pin(sleep(TICK_BUSY));
        let asked_to_stop = loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some(finished) = self.tasks.join_next() => self.on_finished(finished),
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown { reply }) => break Some(reply),
                    Some(command) => self.on_command(command),
                    None => break None,
                },
                () = &mut tick => {
                    self.on_tick();
                    tick.set(sleep(if self.is_busy() { TICK_BUSY } else { TICK_CALM }));
                }
                () = unheard.unheard() => return,
            }
        };
        self.say_farewell(asked_to_stop).await;
    }

    /// Lets the sessions send what they have, then drops the swarm, which closes every connection.
    async fn say_farewell(mut self, asked: Option<oneshot::Sender<()>>) {
        self.shared.outboxes.clear();
        let sessions_end = async {
            while !self.tasks.is_empty() {
                tokio::select! {
                    _ = self.swarm.select_next_some() => {}
                    _ = self.tasks.join_next() => {}
                }
            }
        };
        // Who did not take its messages by now will not get them.
        let _ = timeout(FAREWELL, sessions_end).await;
        drop(self);
        if let Some(asked) = asked {
            let _ = asked.send(());
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => self.on_closed(&peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "an inbound connection came to nothing");
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.shared.unlisten(&address),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener failed to accept"),
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(&peer_id, info);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result }) => self.on_ping(&peer, connection, result),
            BehaviourEvent::Kademlia(kademlia::Event::Reported { from, peers }) => self.on_reported(&from, peers),
            BehaviourEvent::Kademlia(kademlia::Event::Kad(event)) => tracing::trace!(?event, "kademlia"),
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(peers)) => self.on_announced(peers),
            BehaviourEvent::Streams(inbound) => self.on_inbound_stream(inbound),
            _ => {}
        }
    }

    fn on_finished(&mut self, finished: Result<Finished, tokio::task::JoinError>) {
        match finished {
            Ok(Finished::Session(peer, end)) => self.on_session_ended(peer, &end),
            Ok(Finished::Opened(peer, outcome)) => self.on_direct_opened(peer, outcome),
            Ok(Finished::Resolved(attempt, outcome)) => self.on_resolved(attempt, outcome),
            Err(error) => tracing::error!(%error, "a task of the network failed"),
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        self.dial_introducers(now);
        self.dial_candidates(now);
        self.advance_all(now);
        self.close_idle(now);
        self.publish_waiting(now);
        if self.discovery.ask_now(now, self.live()) {
            self.swarm.behaviour_mut().kademlia.bootstrap();
        }
    }

    fn is_busy(&self) -> bool {
        self.peers.values().any(|peer| !peer.is_live())
            || self.unsent.is_seeking()
            || self.discovery.asks_soon(Instant::now())
    }

    fn on_listening(&mut self, address: Multiaddr) {
        if self.shared.listen(&address) {
            self.news(Event::Listening(self.shared.full(address)));
        }
    }

    fn on_reported(&mut self, from: &libp2p::PeerId, peers: Vec<(libp2p::PeerId, Vec<Multiaddr>)>) {
        let via = Via::Kademlia { from: identity::ours_of(from) };
        for (peer, addresses) in peers {
            if let Some(peer) = identity::ours_of(&peer) {
                self.heard_of(peer, via, addresses.clone());
                self.try_listener(peer, addresses);
            }
        }
        self.dial_candidates(Instant::now());
    }

    fn on_announced(&mut self, peers: Vec<(libp2p::PeerId, Multiaddr)>) {
        for (peer, address) in peers.into_iter().take(ANNOUNCED_MAX) {
            let addresses = self.swarm.behaviour().kademlia.reach().filter([address]);
            if let Some(peer) = identity::ours_of(&peer).filter(|_| !addresses.is_empty()) {
                self.heard_of(peer, Via::Mdns, addresses);
            }
        }
        self.dial_candidates(Instant::now());
    }

    /// `peer` may be found at `addresses`; the caller hears of it the first time.
    fn heard_of(&mut self, peer: PeerId, via: Via, addresses: Vec<Multiaddr>) {
        self.learn(peer, via);
        self.discovery.suggest(peer, addresses, Instant::now());
    }

    fn learn(&mut self, peer: PeerId, via: Via) {
        if self.discovery.learn(peer, via) {
            self.news(Event::Learned { peer, via });
        }
    }

    /// Tells the caller, unless it is far behind.
    fn news(&mut self, event: Event) {
        if let Err(event) = self.events.news(event) {
            tracing::debug!(?event, "dropped: too many events wait to be taken");
        }
    }

    /// Peers that messages can be sent to.
    fn live(&self) -> usize {
        self.peers.values().filter(|peer| peer.is_live()).count()
    }

    /// Logs a complaint about a peer, once per peer and kind.
    fn complain(&mut self, peer: PeerId, kind: &'static str, detail: &dyn std::fmt::Display) {
        if self.complaints.len() >= COMPLAINTS_MAX {
            self.complaints.clear();
        }
        if self.complaints.insert((peer, kind)) {
            tracing::warn!(%peer, %detail, "{kind}");
        }
    }
}
