//! One peer as a state machine: inputs in, effects out.
//!
//! This crate has no sockets, clock, files, threads, async or dice. The daemon lends it those; the simulator lends it
//! models of them. Both run the same [`Peer`]. `#![no_std]` lets the compiler enforce it, and the `clippy.toml` beside
//! this crate bans what is left.
#![no_std]
extern crate alloc;

pub mod auction;
pub mod bidding;
pub mod burnt;
pub mod context;
pub mod effect;
pub mod execution;
pub mod input;
pub mod jobs;
pub mod lottery;
pub mod offers;
pub mod peer;
pub mod record;
pub mod reputation;
pub mod settlement;
pub mod timers;
pub mod verification;

pub use context::Config;
pub use effect::{Effect, Event, Judgement, Reply, Run};
pub use input::{Command, CommandId, Executed, Input, Inputs, Item, NoOutcome, RecordId, RunId};
pub use peer::Peer;
pub use record::{End, FinalTask, Record};
