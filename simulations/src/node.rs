//! One simulated peer: the real state machine, and what it stands on.

use crate::truth;
use pocketmesh_protocol::{Peer, Record, RunId};
use pocketmesh_types::{BlobId, PeerId, TaskIndex};
use std::collections::{BTreeSet, VecDeque};

/// A connection as one of its ends knows it.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// The other end.
    pub peer: u32,
    /// Which of the connections that these two ever had.
    pub epoch: u32,
    /// When the last message that was sent over it arrives: the next arrives no earlier.
    pub last: u64,
}

/// A task in a sandbox.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// The protocol's number.
    pub run: RunId,
    /// Which job.
    pub job: u32,
    /// Which task.
    pub task: TaskIndex,
    /// What its outcome follows from.
    pub seed: [u8; 32],
    /// How often its end was put off.
    pub waited: u8,
}

/// A sandbox: so many lanes, and what waits for one.
#[derive(Debug, Default)]
pub struct Lanes {
    /// What runs.
    pub running: Vec<RunId>,
    /// What waits.
    pub queued: VecDeque<Task>,
}

/// One simulated peer.
#[derive(Debug)]
pub struct Node {
    /// Its name now.
    pub id: PeerId,
    /// How often it has taken a new name.
    pub generation: u32,
    /// The state machine, while it is up.
    pub peer: Option<Box<Peer>>,
    /// How often it has been started or stopped: what is under way for an earlier life is lost.
    pub life: u32,
    /// When it was started.
    pub born: u64,
    /// The deadline that the queue will tell, if any.
    pub armed: u64,
    /// Its connections, by peer.
    pub links: Vec<Link>,
    /// What is on its disk.
    pub disk: Vec<Record>,
    /// What is on its disk about money.
    pub money: Vec<pocketmesh_ledger::Record>,
    /// When its disk has written what it was given.
    pub disk_free: u64,
    /// Its sandbox.
    pub lanes: Lanes,
    /// Programs that it has.
    pub programs: BTreeSet<BlobId>,
    /// How far its wall clock is from the true one, in milliseconds.
    pub skew_ms: i64,
    /// Results that it has delivered, for those that change their ways.
    pub delivered: u64,
    /// Whether its churn has taken it away.
    pub away: bool,
}

impl Node {
    /// A peer that was never started.
    pub fn new(seed: u64, index: u32) -> Self {
        Self {
            id: truth::name_of(seed, index, 0),
            generation: 0,
            peer: None,
            life: 0,
            born: 0,
            armed: u64::MAX,
            links: Vec::new(),
            disk: Vec::new(),
            money: Vec::new(),
            disk_free: 0,
            lanes: Lanes::default(),
            programs: BTreeSet::new(),
            skew_ms: 0,
            delivered: 0,
            away: false,
        }
    }

    /// Its connection with another peer.
    pub fn link(&self, peer: u32) -> Option<&Link> {
        self.links.binary_search_by_key(&peer, |link| link.peer).ok().map(|at| &self.links[at])
    }

    /// The same, to be changed.
    pub fn link_mut(&mut self, peer: u32) -> Option<&mut Link> {
        self.links.binary_search_by_key(&peer, |link| link.peer).ok().map(|at| &mut self.links[at])
    }

    /// Adds or replaces a connection.
    pub fn put_link(&mut self, link: Link) {
        match self.links.binary_search_by_key(&link.peer, |link| link.peer) {
            Ok(at) => self.links[at] = link,
            Err(at) => self.links.insert(at, link),
        }
    }

    /// Takes a connection away; of any epoch if none is named.
    pub fn cut_link(&mut self, peer: u32, epoch: Option<u32>) -> bool {
        match self.links.binary_search_by_key(&peer, |link| link.peer) {
            Ok(at) if epoch.is_none_or(|epoch| self.links[at].epoch == epoch) => {
                self.links.remove(at);
                true
            }
            _ => false,
        }
    }
}
