//! What checkers and the meter are shown: everything that passes the seam, and a little of what lies behind it.

use pocketmesh_protocol::{Event, FinalTask, Peer, Record};
use pocketmesh_types::{JobId, PeerId, TaskIndex};
use pocketmesh_wire::Message;

/// Something that happened.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A peer's protocol says this to another; what it stands on may still change it.
    Said {
        /// Whose.
        from: u32,
        /// Under which name.
        name: &'a PeerId,
        /// To whom.
        to: &'a PeerId,
        /// What.
        message: &'a Message,
    },
    /// A peer's protocol gossips this.
    Gossiped {
        /// Whose.
        from: u32,
        /// What.
        message: &'a Message,
    },
    /// A message arrives.
    Heard {
        /// Where.
        to: u32,
        /// From whom.
        from: u32,
        /// Under which name.
        name: &'a PeerId,
        /// What.
        message: &'a Message,
    },
    /// A record is on a disk to stay.
    OnDisk {
        /// Where.
        at: u32,
        /// What.
        record: &'a Record,
    },
    /// A record of money is on a disk to stay.
    MoneyOnDisk {
        /// Where.
        at: u32,
        /// What.
        record: &'a pocketmesh_ledger::Record,
    },
    /// Results are final, by what is on a disk.
    Final {
        /// Where.
        at: u32,
        /// Of which job.
        job: JobId,
        /// Which.
        tasks: &'a [FinalTask],
    },
    /// A peer is started, on what is on its disk.
    Started {
        /// Which.
        at: u32,
        /// Under which name.
        name: PeerId,
        /// The records.
        disk: &'a [Record],
    },
    /// A peer's protocol has a task executed.
    Began {
        /// Where.
        at: u32,
        /// Of which job, by its number.
        job: u32,
        /// Which task.
        task: TaskIndex,
    },
    /// A sandbox brought a task to an end.
    Ran {
        /// Where.
        at: u32,
        /// Under which name.
        name: &'a PeerId,
        /// Which job, by its number.
        job: u32,
        /// Which task.
        task: TaskIndex,
    },
    /// A peer tells its owner something.
    Notice {
        /// Which.
        at: u32,
        /// What.
        event: &'a Event,
    },
    /// A look at a peer, now and then.
    Sampled {
        /// Which.
        at: u32,
        /// Its state machine.
        peer: &'a Peer,
        /// Slots that it has.
        slots: u16,
        /// Tasks that wait for its sandbox.
        queued: usize,
        /// Tasks in its sandbox.
        running: usize,
    },
}
