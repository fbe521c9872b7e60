//! One look at the whole daemon.

use pocketmesh_types::{PeerId, PerGib, Price};
use serde::{Deserialize, Serialize};

/// What `pocketmesh status` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// This peer.
    pub peer: PeerId,
    /// The network's name.
    pub network: String,
    /// The daemon's version.
    pub version: String,
    /// Where others can dial it, each with `/p2p/…`.
    pub addresses: Vec<String>,
    /// Milliseconds since the daemon started.
    pub uptime_ms: u64,
    /// Connected peers.
    pub peers: u32,
    /// What the device gives.
    pub provide: Provide,
    /// What became of offers heard, since the start.
    pub offers: Offers,
    /// Work done for others, since the start.
    pub work: Work,
    /// Jobs of this peer as a requester.
    pub jobs: JobCounts,
    /// Why no payment is made or taken any more, if that is so.
    pub payments_stopped: Option<String>,
}

/// What the device gives to the mesh now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provide {
    /// Whether it bids at all.
    pub active: bool,
    /// Tasks run at the same time.
    pub cores: u32,
    /// Memory for all tasks together, in bytes.
    pub memory: u64,
    /// The ask, in nano-credits per gigafuel.
    pub price: Price,
    /// What is to be paid at least for each GiB that a task moves, in nano-credits.
    pub floor_per_gib: PerGib,
    /// What is done for peers without credit: `idle`, `allowance` or `none`.
    pub unpaid: String,
    /// Tasks running now.
    pub running: u32,
    /// One sentence: why it is as it is.
    pub reason: String,
}

/// Offers of others, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    /// Heard by gossip.
    pub heard: u64,
    /// Answered with a bid.
    pub bid: u64,
    /// Answered with a bid that won a seat.
    pub won: u64,
}

/// Tasks of others, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Executed here.
    pub executed: u64,
    /// Accepted by their requesters.
    pub accepted: u64,
    /// Declared void by their requesters.
    pub voided: u64,
    /// Tasks for whose input a core had to wait, because it came when there was nothing else to run.
    #[serde(default)]
    pub waited: u64,
}

/// Jobs of this peer, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounts {
    /// Not final yet.
    pub active: u32,
    /// Final.
    pub finished: u32,
}
