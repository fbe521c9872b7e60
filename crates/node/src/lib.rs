//! The event loop that lends the protocol a network, a sandbox, blobs, a disk and a clock.
//!
//! [`run`] is a whole daemon. The decisions are all made in `pocketmesh-protocol`; here its effects are carried out
//! and what comes of them is told to it. Nothing here decides who works, what is right or what is owed.

mod blobs;
mod clock;
mod control;
mod detail;
mod driver;
mod executor;
mod gossip;
pub mod home;
mod jobs;
mod journal;
pub mod local;
pub mod money;
mod parts;
mod peers;
mod promise;
pub mod proofs;
mod recover;
mod reduce;
mod reputation;
mod results;
mod run;
pub mod sabotage;
pub mod sandbox;
mod split;
mod trees;
pub mod wallet;

pub use home::Home;
pub use journal::{ReadError, read as read_journal};
pub use pocketmesh_sandbox::sealed::executor_main;
pub use run::{Options, Ready, RunError, run};
