//! The journal and the index over real files: locks and damage.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod index;
mod journal;
mod money;
