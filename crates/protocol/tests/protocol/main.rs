//! The protocol in virtual time: whole meshes of peers, and one peer alone.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod auditing;
mod bidding;
mod content;
mod execution;
mod jobs;
mod leases;
mod offers;
mod parts;
mod payment;
mod peer;
mod verification;
mod world;
