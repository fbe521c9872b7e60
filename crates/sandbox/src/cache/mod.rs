//! Compiled programs, kept: in memory for the next task, on disk for the next run of the daemon.

mod artifact;
mod compiled;
mod programs;

pub(crate) use artifact::{Artifact, Fingerprint, Needs};
pub(crate) use compiled::Compiled;
pub(crate) use programs::{Loaded, Programs};
