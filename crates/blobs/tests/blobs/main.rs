//! The blob store over real folders, and exchanges with honest and hostile ends.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod exchange;
mod many;
mod pipe;
mod store;
mod swarm;
