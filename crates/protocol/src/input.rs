//! What a peer is told: the left side of the seam.

use crate::settlement::StoreId;
use alloc::{boxed::Box, string::String, vec::Vec};
use pocketmesh_ledger::record::Payment;
use pocketmesh_types::{BlobId, Bytes, Job, JobId, Outcome, PeerId, TaskIndex, TaskInput, UnixTime, bytes};
use pocketmesh_wire::{Message, Verified};
use serde::{Deserialize, Serialize};

/// Numbers an execution that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(pub u64);

/// Numbers a record that is on its way to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId(pub u64);

/// Numbers a command, so that its reply finds the person who gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// A public address prefix (/24 or /48): peers behind one count as one owner. `None` for private addresses.
pub type Prefix = [u8; 6];

/// Something that can be brought here from other peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A blob.
    Blob(BlobId),
    /// The list of a tree's files, and every file in it.
    Tree(BlobId),
}

/// Everything that can happen to a peer.
#[derive(Debug, Clone)]
pub enum Input {
    /// Direct messages to and from this peer can flow.
    PeerConnected {
        /// Who.
        peer: PeerId,
        /// Its public prefix, if it has one.
        prefix: Option<Prefix>,
    },
    /// They can no longer.
    PeerDisconnected {
        /// Who.
        peer: PeerId,
    },
    /// A peer said something to us alone.
    MessageReceived {
        /// Who sent it; a seal, if there is one, is its own.
        from: PeerId,
        /// What it said.
        message: Verified<Message>,
    },
    /// Something gossiped; it is not passed on before [`Effect::Judge`](crate::Effect::Judge) says so.
    GossipHeard {
        /// The network's handle for it.
        token: u64,
        /// How deep the topic lies on which it came, which the offer's id and our own name share.
        depth: u8,
        /// What its author said.
        message: Verified<Message>,
    },
    /// An execution ended.
    ExecutionFinished {
        /// Which.
        run: RunId,
        /// What it came to; nothing, if this host could not bring it to an outcome.
        result: Result<Executed, NoOutcome>,
    },
    /// A fetch ended.
    Fetched {
        /// Of what.
        item: Item,
        /// Whether all of it is here now.
        found: bool,
    },
    /// What the network knows of the mesh, told at the start and now and then.
    Mesh {
        /// How many peers there are besides this one, about.
        peers: usize,
        /// Where this peer can be reached, in the transport's own form: the first few count.
        contacts: Vec<Bytes>,
    },
    /// So many bytes of blobs were sent to a peer since the start.
    Sent {
        /// To whom.
        peer: PeerId,
        /// How many in all.
        bytes: u64,
    },
    /// Inputs of a job of ours were read, as [`Effect::ReadParts`](crate::Effect::ReadParts) asked.
    PartsRead {
        /// Of which job.
        job: JobId,
        /// Each; nothing where its bytes are not to be had any more. A blob is in our store.
        parts: Vec<(TaskIndex, Option<TaskInput>)>,
    },
    /// A record is on the disk to stay.
    Stored {
        /// Which.
        record: RecordId,
    },
    /// A payment of ours is sealed, and on the disk to stay, as [`Effect::Pay`](crate::Effect::Pay) asked.
    Paid {
        /// Which.
        id: StoreId,
        /// As it was sealed.
        payment: Payment,
    },
    /// A record of money is on the disk to stay, as [`Effect::Keep`](crate::Effect::Keep) asked.
    Kept {
        /// Which.
        id: StoreId,
    },
    /// The journal failed, or was found damaged: no money moves any more, and nobody is served.
    MoneyFailed {
        /// Why, for people.
        reason: String,
    },
    /// What this device gives has changed.
    DeviceChanged {
        /// How many tasks it runs at once; none while it may not work.
        slots: u16,
    },
    /// The wall clock, told at the start and now and then. It filters stale statements and decides nothing.
    WallClock(UnixTime),
    /// The owner wants something.
    Command {
        /// Comes back with the reply.
        id: CommandId,
        /// What.
        command: Command,
    },
    /// The time of `next_deadline` has come.
    DeadlineReached,
}

/// What an execution came to, and the outputs that are small enough to be sent along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The outcome.
    pub outcome: Outcome,
    /// Standard output and error of at most [`limits::INLINE_BYTES_MAX`](pocketmesh_types::limits::INLINE_BYTES_MAX); larger ones, and
    /// files with their list, are blobs in this peer's store.
    pub inline: Vec<Bytes>,
}

/// Why an execution came to no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoOutcome {
    /// The program is not one that this profile runs.
    ProgramRefused,
    /// Stack exhaustion, the wall-clock limit, or a failure of this host.
    HostFailed,
}

/// What the owner can ask for.
#[derive(Debug, Clone)]
pub enum Command {
    /// Run this job. Program and inputs are in the blob store already.
    Submit {
        /// The job.
        job: Box<Job>,
        /// The tasks' inputs.
        inputs: Inputs,
    },
    /// Stop this job; what was accepted stays.
    Stop(JobId),
}

/// The inputs of all tasks of a job. What they are is in the job's [table](pocketmesh_types::parts), which the driver reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inputs {
    /// None: tasks are told apart by their index.
    #[default]
    None,
    /// One a task, in the job's table.
    Cut {
        /// All of them together, in bytes.
        bytes: u64,
        /// The longest, in bytes.
        #[serde(default, skip_serializing_if = "bytes::is_zero")]
        longest: u64,
    },
}

impl Inputs {
    /// All of them together, in bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Cut { bytes, .. } => bytes,
        }
    }

    /// The longest, in bytes.
    pub fn longest(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Cut { longest, .. } => longest,
        }
    }
}
