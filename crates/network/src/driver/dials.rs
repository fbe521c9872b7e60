//! Dialling: on the user's word, at bootstrap addresses, and of discovered peers.

use super::{Driver, Finished};
use crate::{
    address,
    dial::{self, DialError, Target},
    discovery::{Crowd, DIALLING_MAX},
    identity,
    peers::DialReply,
};
use libp2p::{
    Multiaddr,
    swarm::{ConnectionId, DialError as SwarmError, dial_opts::DialOpts, dial_opts::PeerCondition},
};
use pocketmesh_types::PeerId;
use std::{collections::VecDeque, time::Instant};

/// Dials by the user and at bootstrap addresses under way at once.
const ATTEMPTS_MAX: usize = 256;

/// On whose behalf a dial is made.
#[derive(Debug)]
pub(crate) enum Origin {
    /// The user, who waits for the outcome.
    User(DialReply),
    /// The bootstrap address with this index.
    Introducer(usize),
    /// Discovery.
    Candidate(PeerId),
    /// A bid, or an offer of ours that is to get into its topic.
    Passing(PeerId),
}

/// A dial under way.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) origin: Origin,
    expected: Option<libp2p::PeerId>,
    /// The address being tried, and those to be tried after it.
    addresses: VecDeque<Multiaddr>,
    /// The address as given, for messages.
    given: Multiaddr,
}

impl Driver {
    /// Dials an address that a person named.
    pub(super) fn dial(&mut self, origin: Origin, given: Multiaddr) {
        let target = match Target::parse(&given) {
            Ok(target) => target,
            Err(error) => return self.give_up(origin, error),
        };
        if target.peer == Some(*self.swarm.local_peer_id()) {
            return self.give_up(origin, DialError::Own(given));
        }
        let known = target.peer.as_ref().and_then(identity::ours_of);
        if let (Origin::User(_), Some(peer)) = (&origin, known)
            && self.peers.get(&peer).is_some_and(|peer| peer.is_live())
        {
            return self.succeed(origin, peer);
        }
        if self.dials.len() + self.tasks.len() >= ATTEMPTS_MAX + self.peers.len() {
            return self.give_up(origin, DialError::Denied("too many dials are under way".into()));
        }
        let attempt = Attempt { origin, expected: target.peer, addresses: VecDeque::new(), given };
        self.tasks.spawn(async move { Finished::Resolved(attempt, target.resolve().await) });
    }

    pub(super) fn on_resolved(&mut self, mut attempt: Attempt, outcome: Result<Vec<Multiaddr>, DialError>) {
        match outcome {
            Ok(mut addresses) => {
                // Both ends of a call to ourselves hang up, and which error comes first is chance.
                let reach = self.swarm.behaviour().kademlia.reach();
                addresses.retain(|address| !reach.is_own(address));
                attempt.addresses = addresses.into();
                let own = DialError::Own(attempt.given.clone());
                self.try_next(attempt, own);
            }
            Err(error) => self.give_up(attempt.origin, error),
        }
    }

    /// Dials the first address left; without one, the attempt has failed by `error`.
    fn try_next(&mut self, attempt: Attempt, error: DialError) {
        let Some(address) = attempt.addresses.front().cloned() else { return self.give_up(attempt.origin, error) };
        let opts = match attempt.expected {
            Some(peer) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Always)
                .addresses(vec![address])
                .allocate_new_port()
                .build(),
            None => DialOpts::unknown_peer_id().address(address).allocate_new_port().build(),
        };
        self.begin(attempt, opts);
    }

    fn begin(&mut self, attempt: Attempt, opts: DialOpts) {
        let (connection, peer) = (opts.connection_id(), attempt.expected);
        self.dials.insert(connection, attempt);
        if let Err(error) = self.swarm.dial(opts) {
            self.on_dial_failed(connection, peer, &error);
        }
    }

    pub(super) fn on_dial_failed(
        &mut self,
        connection: ConnectionId,
        found: Option<libp2p::PeerId>,
        error: &SwarmError,
    ) {
        // Kademlia dials on its own account, too.
        let Some(mut attempt) = self.dials.remove(&connection) else { return };
        let reached = found.as_ref().and_then(identity::ours_of);
        if let (SwarmError::Denied { .. }, Some(peer)) = (error, reached)
            && self.peers.get(&peer).is_some_and(|peer| peer.is_live())
        {
            // A further connection was refused because enough of them stand.
            return self.succeed(attempt.origin, peer);
        }
        tracing::debug!(address = %attempt.given, %error, "a dial failed");
        attempt.addresses.pop_front();
        let error = dial::explain(&attempt.given, attempt.expected, error);
        self.try_next(attempt, error);
    }

    fn succeed(&mut self, origin: Origin, peer: PeerId) {
        match origin {
            // Who asked may have given up meanwhile.
            Origin::User(reply) => drop(reply.send(Ok(peer))),
            Origin::Introducer(index) => self.introducers[index].answered(peer, Instant::now()),
            Origin::Candidate(_) | Origin::Passing(_) => {}
        }
    }

    fn give_up(&mut self, origin: Origin, error: DialError) {
        let now = Instant::now();
        match origin {
            Origin::User(reply) => drop(reply.send(Err(error))),
            Origin::Introducer(index) => self.on_introducer_failed(index, &error, now),
            Origin::Candidate(peer) | Origin::Passing(peer) => self.discovery.failed(&peer, now),
        }
    }

    fn on_introducer_failed(&mut self, index: usize, error: &DialError, now: Instant) {
        let live = self.live();
        let introducer = &mut self.introducers[index];
        if matches!(error, DialError::Own(_)) {
            introducer.peer = Some(self.shared.me);
        }
        if introducer.failed(now, live) && introducer.peer != Some(self.shared.me) {
            tracing::warn!(address = %introducer.address, %error, "no answer at a bootstrap address; trying again later");
        }
    }

    /// Dials every bootstrap address whose peer is not connected.
    pub(super) fn dial_introducers(&mut self, now: Instant) {
        for index in 0..self.introducers.len() {
            let introducer = &mut self.introducers[index];
            let here = |peer: &PeerId| *peer == self.shared.me || self.peers.contains_key(peer);
            if introducer.peer.as_ref().is_some_and(here) || !introducer.due(now) {
                continue;
            }
            let address = introducer.address.clone();
            self.dial(Origin::Introducer(index), address);
        }
    }

    /// Dials discovered peers until enough of our own connections stand.
    pub(super) fn dial_candidates(&mut self, now: Instant) {
        let outbound = self.peers.values().filter(|peer| peer.is_chosen()).count();
        let dialling = self.dials.values().filter(|attempt| matches!(attempt.origin, Origin::Candidate(_))).count();
        let wanted = self.limits.outbound_target.saturating_sub(outbound + dialling);
        let room = wanted.min(DIALLING_MAX.saturating_sub(dialling));
        if room == 0 {
            return;
        }
        let peers = &self.peers;
        let mut crowd = Crowd::new(self.shared.me);
        let dialled = self.dials.values().filter_map(|attempt| match attempt.origin {
            Origin::Candidate(peer) => Some(peer),
            _ => None,
        });
        let chosen = peers.iter().filter(|(_, entry)| entry.passing.is_none()).map(|(peer, _)| *peer);
        chosen.chain(dialled).for_each(|peer| crowd.add(&peer));
        for (peer, addresses) in self.discovery.due(now, room, |peer| peers.contains_key(peer), crowd) {
            self.dial_peer(Origin::Candidate(peer), peer, addresses);
        }
    }

    /// Connects to a peer for a bid or an offer, at the addresses that another names or by what is known of it.
    pub(super) fn reach(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let under_way = |attempt: &Attempt| matches!(attempt.origin, Origin::Passing(to) if to == peer);
        let is_known = peer == self.shared.me || self.peers.contains_key(&peer) || self.dials.values().any(under_way);
        if !is_known && self.dials.len() < ATTEMPTS_MAX {
            let addresses = self.swarm.behaviour().kademlia.reach().filter(addresses);
            self.dial_peer(Origin::Passing(peer), peer, addresses);
        }
    }

    /// Dials a peer at all of these addresses and at those that Kademlia knows.
    fn dial_peer(&mut self, origin: Origin, peer: PeerId, addresses: Vec<Multiaddr>) {
        let given = addresses.first().cloned().unwrap_or_else(Multiaddr::empty);
        let expected = identity::libp2p_of(peer);
        let opts = DialOpts::peer_id(expected)
            .addresses(addresses)
            .extend_addresses_through_behaviour()
            .allocate_new_port()
            .build();
        let addresses = VecDeque::from([given.clone()]);
        self.begin(Attempt { origin, expected: Some(expected), addresses, given }, opts);
    }
}

/// The address at which a dialled peer answered, without its name.
pub(super) fn bare(address: &Multiaddr) -> Multiaddr {
    address::split_peer(address.clone()).0
}
