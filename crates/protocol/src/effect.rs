//! What a peer does: the right side of the seam.

use crate::{
    input::{CommandId, Item, RecordId, RunId},
    record::Record,
    settlement::{self, StoreId},
};
use alloc::{string::String, vec::Vec};
use pocketmesh_ledger::record::Content;
use pocketmesh_types::{BlobId, Bytes, JobId, LeaseId, OfferId, Output, PeerId, Price, TaskIndex, TaskInput, UnixTime};
use pocketmesh_types::{
    job::TaskLimits,
    payment::{Quittance, Receipt, Voucher},
};
use pocketmesh_wire::{
    Message, Payment,
    message::{EndReason, Standing},
};

/// Something for the driver to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Say this to one peer.
    Send {
        /// To whom.
        to: PeerId,
        /// What; the driver seals it if its kind asks for it.
        message: Message,
        /// Small blobs to send along.
        attached: Vec<Bytes>,
    },
    /// Gossip this to the 2^-depth of the mesh that is nearest to `near`.
    Publish {
        /// What.
        message: Message,
        /// The offer that it is about.
        near: OfferId,
        /// How deep: 0 is everybody.
        depth: u8,
    },
    /// Connect to this peer, if that is possible.
    Reach {
        /// Whom.
        peer: PeerId,
        /// Where it says that it can be reached, in the transport's own form.
        contacts: Vec<Bytes>,
    },
    /// Pass gossip on, drop it, or hold it against whoever sent it.
    Judge {
        /// The network's handle.
        token: u64,
        /// Which of the three.
        judgement: Judgement,
    },
    /// Run a task.
    Execute(Run),
    /// Do not bother to finish this execution.
    Cancel(RunId),
    /// Get something from one of these peers.
    Fetch {
        /// What.
        item: Item,
        /// How long it is; of a tree, how long the list of its files is.
        len: u64,
        /// All files of a tree together have no more bytes than this.
        files_max: u64,
        /// Who should have it, best first.
        from: Vec<PeerId>,
        /// Who fetches it at the same time: what one has of it, the others need not have from the first.
        fellows: Vec<PeerId>,
    },
    /// Read the inputs of these tasks of a job of ours from its table, put those that are too large to be sent along into
    /// our store, and say [`PartsRead`](crate::Input::PartsRead).
    ReadParts {
        /// Which job.
        job: JobId,
        /// Its table.
        table: Output,
        /// Which tasks.
        tasks: Vec<TaskIndex>,
    },
    /// These inputs of a job of ours are not needed any more.
    ReleaseParts {
        /// Which job.
        job: JobId,
        /// Which; another task may still need an equal one, which is then read anew.
        blobs: Vec<BlobId>,
    },
    /// Put a record on the disk, and say [`Stored`](crate::Input::Stored) once it is there to stay.
    Store {
        /// Comes back with `Stored`.
        id: RecordId,
        /// What.
        record: Record,
    },
    /// Seal these, put them on the disk as [`Content::Paid`], and say [`Paid`](crate::Input::Paid) with what was sealed.
    Pay {
        /// Comes back with `Paid`.
        id: StoreId,
        /// The receipts, in this order.
        receipts: Vec<Receipt>,
        /// The voucher that pays them.
        voucher: Voucher,
    },
    /// Put this on the disk, and say [`Kept`](crate::Input::Kept) once it is there to stay.
    Keep {
        /// Comes back with `Kept`.
        id: StoreId,
        /// What.
        content: Content,
    },
    /// Seal this, and send it to its client as the one statement of a [`Payment`](pocketmesh_wire::Payment).
    Quit(Quittance),
    /// Answer a command.
    Reply {
        /// Which.
        command: CommandId,
        /// The answer.
        reply: Reply,
    },
    /// Have no more to do with this peer for a while.
    Disconnect {
        /// Who.
        peer: PeerId,
        /// Why, for the log.
        reason: &'static str,
    },
    /// Something that people may want to know.
    Notify(Event),
}

impl From<settlement::Effect> for Effect {
    fn from(effect: settlement::Effect) -> Self {
        match effect {
            settlement::Effect::Pay { id, receipts, voucher } => Self::Pay { id, receipts, voucher },
            settlement::Effect::Store { id, content } => Self::Keep { id, content },
            settlement::Effect::Send { to, statements } => {
                Self::Send { to, message: Payment { statements }.into(), attached: Vec::new() }
            }
            settlement::Effect::Quit(quittance) => Self::Quit(quittance),
            settlement::Effect::Notify(event) => Self::Notify(Event::Money(event)),
        }
    }
}

/// What becomes of gossip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Good: pass it on.
    PassOn,
    /// Stale or seen: drop it.
    Drop,
    /// Against the rules: drop it and remember who sent it.
    Reject,
}

/// One execution, with everything that its outcome depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Comes back with the result.
    pub run: RunId,
    /// The program.
    pub program: BlobId,
    /// The first argument: the job's name.
    pub name: String,
    /// The other arguments.
    pub args: Vec<String>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Standard input; a blob is in the store already.
    pub stdin: TaskInput,
    /// The list of the files under `/in`; it and they are in the store already.
    pub files: Output,
    /// Under which name standard input is under `/in` as well, if this is not empty.
    pub input_name: String,
    /// What it may use.
    pub limits: TaskLimits,
    /// What the guest's clock shows at the start.
    pub epoch: UnixTime,
    /// What the guest's random numbers come from.
    pub seed: [u8; 32],
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The job is on disk and under way.
    Submitted(JobId),
    /// The job is stopped, or was over already.
    Stopped,
    /// There is no such job.
    UnknownJob,
    /// The job was refused.
    Refused(String),
}

/// Something that people may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A job was offered.
    Offered {
        /// Which job.
        job: JobId,
        /// Under which offer.
        offer: OfferId,
        /// For how many leases.
        seats: u16,
        /// To how many peers, about.
        peers: usize,
    },
    /// Its auction was closed.
    AuctionClosed {
        /// Which job.
        job: JobId,
        /// Bids that counted.
        bids: usize,
        /// Leases granted.
        leases: usize,
    },
    /// A lease was granted.
    Leased {
        /// Which job.
        job: JobId,
        /// To whom.
        worker: PeerId,
        /// At which price.
        price: Price,
    },
    /// A lease of ours is over.
    LeaseOver {
        /// Which job.
        job: JobId,
        /// Whose.
        worker: PeerId,
        /// Why.
        reason: LeaseOver,
    },
    /// Two peers disagree on a task; this peer runs it itself.
    Disputed {
        /// Which job.
        job: JobId,
        /// Which task.
        task: TaskIndex,
    },
    /// A claim was refuted.
    Refuted {
        /// Which job.
        job: JobId,
        /// Which task.
        task: TaskIndex,
        /// Whose claim.
        worker: PeerId,
    },
    /// Its worker is convicted of it.
    Convicted {
        /// Which job.
        job: JobId,
        /// Which task.
        task: TaskIndex,
        /// Whom.
        worker: PeerId,
    },
    /// A witness came to something else than we: nobody is convicted.
    NotConvicted {
        /// Which job.
        job: JobId,
        /// Which task.
        task: TaskIndex,
        /// Whom.
        worker: PeerId,
    },
    /// Our own host came to two outcomes of one task.
    NotDeterministic {
        /// Which job.
        job: JobId,
        /// Which task.
        task: TaskIndex,
    },
    /// A job is over.
    JobClosed {
        /// Which.
        job: JobId,
        /// How.
        end: crate::record::End,
    },
    /// An offer of somebody was heard for the first time.
    OfferHeard {
        /// Which.
        offer: OfferId,
        /// Whose.
        requester: PeerId,
    },
    /// This peer has bid.
    BidSent {
        /// For which offer.
        offer: OfferId,
    },
    /// This peer's bid was answered.
    BidAnswered {
        /// For which offer.
        offer: OfferId,
        /// How.
        standing: Standing,
        /// Whether the answer could be recomputed from what was disclosed.
        honest: bool,
    },
    /// This peer works under a new lease.
    LeaseTaken {
        /// Which.
        lease: LeaseId,
        /// Whose.
        requester: PeerId,
    },
    /// We stand by a claim of ours that another peer has voided, and serve that peer no more.
    Contested {
        /// Who.
        requester: PeerId,
        /// In which job.
        job: JobId,
        /// On which task.
        task: TaskIndex,
    },
    /// A second run of ours comes to something else than we had claimed: this device makes mistakes.
    Erred {
        /// In which job.
        job: JobId,
        /// On which task.
        task: TaskIndex,
    },
    /// Something about payment.
    Money(settlement::Event),
    /// A job of ours ends with what is final: more of it could cost more than its budget.
    BudgetSpent {
        /// Which.
        job: JobId,
    },
    /// Another peer says that it refuted a claim of ours.
    Accused {
        /// Who.
        requester: PeerId,
        /// In which job.
        job: JobId,
        /// On which task.
        task: TaskIndex,
    },
}

/// Why a lease that we granted is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseOver {
    /// We ended it.
    Ended(EndReason),
    /// The worker turned it down.
    Declined(pocketmesh_wire::message::DeclineReason),
    /// The worker is gone.
    Disconnected,
}
