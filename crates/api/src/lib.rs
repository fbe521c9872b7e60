//! The local control API: what a person's tools may ask of their own daemon, and how they ask it.
//!
//! JSON over HTTP/1.1 on a Unix socket that only its owner can open (`specs/api.md`). The types are shared by both ends;
//! the daemon implements [`Control`] and hands it to [`serve`]; tools use a [`Client`]. Nothing here knows how a mesh
//! works, touches the data folder beyond the socket, or listens on a network.

pub mod blob;
pub mod client;
pub mod control;
pub mod failure;
pub mod files;
pub mod held;
pub mod job;
pub mod peer;
pub mod report;
pub mod reputation;
pub mod server;
pub mod socket;
pub mod status;
pub mod submit;
pub mod verification;
pub mod wallet;

pub use blob::{Blob, Chunk, Chunks};
pub use client::{Client, ClientError};
pub use control::{Answer, Control, Updates, Which};
pub use failure::{Code, Failure, Refusal};
pub use files::{FileLists, InputFile, OutputFile, TaskFiles};
pub use held::{
    CollectBlobs, CollectedBlobs, FetchBlob, FetchUpdate, FetchUpdates, HeldBlob, HeldBlobs, HoldsBlobs, PeerBytes,
};
pub use job::{JobDetail, JobEvent, JobState, JobSummary, OfferRow, Update, WorkerRow, WorkerState};
pub use peer::{Bootstrap, Connect, Connected, Direction, Peer, Via};
pub use report::{FailedTask, Report};
pub use reputation::Reputation;
pub use server::serve;
pub use socket::{BindError, Listener, SOCKET_PATH_BYTES_MAX};
pub use status::{JobCounts, Offers, Provide, Status, Work};
pub use submit::{Input, Limits, Reduce, Source, Split, SubmitJob, Submitted};
pub use verification::{Auditors, Audits, Cost, Promise, RefutedClaim, Regime, Verification};
pub use wallet::{Account, Spending, Wallet};
