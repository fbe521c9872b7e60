//! What is known of each peer that has a connection or a session: a table without behaviour.

use crate::{dial::DialError, handle::Direction};
use libp2p::{Multiaddr, Stream, swarm::ConnectionId};
use pocketmesh_types::PeerId;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Where the outcome of a dial goes.
pub(crate) type DialReply = oneshot::Sender<Result<PeerId, DialError>>;

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) address: Multiaddr,
    pub(crate) direction: Direction,
}

/// Where a peer stands on its way to being useful.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Connected; it has to say who it is before this time.
    Unidentified { until: Instant },
    /// Identified; our stream to it is to be opened at this time.
    Waiting { until: Instant },
    /// Our stream to it is being opened.
    Opening,
    /// A session runs, or still tells the caller of its end.
    Live(Live),
    /// To be disconnected at this time: the other side is given time to find the reason out by itself.
    Condemned { at: Instant },
}

/// The strings to a session.
#[derive(Debug)]
pub(crate) struct Live {
    /// Hands over the peer's stream, when it comes.
    pub(crate) inbound: Option<oneshot::Sender<Stream>>,
    /// Ends the session when dropped.
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) since: Instant,
    /// Messages that have passed, both ways.
    pub(crate) messages: Arc<AtomicU64>,
}

/// How much had passed with a peer when that was last found to have changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passing {
    pub(crate) messages: u64,
    pub(crate) since: Instant,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) links: BTreeMap<ConnectionId, Link>,
    pub(crate) phase: Phase,
    /// A stream that the peer opened before there was a session to take it.
    pub(crate) early: Option<Stream>,
    /// Sessions that broke in a row; waits grow with it.
    pub(crate) broken: u32,
    pub(crate) agent: String,
    pub(crate) round_trip: Option<Duration>,
    /// Those who wait for the outcome of a dial.
    pub(crate) dialled: Vec<DialReply>,
    /// What they will be told if it comes to nothing.
    pub(crate) verdict: DialError,
    /// Since when nothing has passed, of a peer that we connected to for a bid or an offer; such a connection does not
    /// stay for its own sake.
    pub(crate) passing: Option<Passing>,
    /// How long it is left alone after its connections have closed.
    pub(crate) pause: Duration,
}

impl Peer {
    /// A peer whose first connection is being added, and which has to say who it is before `until`.
    pub(crate) fn new(until: Instant) -> Self {
        Self {
            links: BTreeMap::new(),
            phase: Phase::Unidentified { until },
            early: None,
            broken: 0,
            agent: String::new(),
            round_trip: None,
            dialled: Vec::new(),
            verdict: DialError::Closed,
            passing: None,
            pause: Duration::ZERO,
        }
    }

    /// Whether messages can be sent to it.
    pub(crate) fn is_live(&self) -> bool {
        matches!(&self.phase, Phase::Live(live) if live.stop.is_some())
    }

    /// Whether the session, if any, has told its last.
    pub(crate) fn is_over(&self) -> bool {
        self.links.is_empty() && !matches!(self.phase, Phase::Live(_))
    }

    /// Whether we keep a connection with it for its own sake.
    pub(crate) fn is_chosen(&self) -> bool {
        self.is_outbound() && self.passing.is_none()
    }

    /// Whether one of its connections is our own doing.
    pub(crate) fn is_outbound(&self) -> bool {
        self.links.values().any(|link| link.direction == Direction::Outbound)
    }

    /// Answers everybody who waits for a dial of this peer.
    pub(crate) fn answer(&mut self, outcome: &Result<PeerId, DialError>) {
        for reply in self.dialled.drain(..) {
            // Who asked may have given up meanwhile.
            let _ = reply.send(outcome.clone());
        }
    }
}

/// A peer's name for its software, fit to be shown: foreign text may hold anything.
pub(crate) fn printable(agent: &str) -> String {
    agent.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(64).collect()
}
