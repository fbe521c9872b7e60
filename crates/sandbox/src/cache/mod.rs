//! Compiled programs, kept: at hand for the next task, on disk for the next run of the daemon.

mod artifact;
mod compiled;
mod programs;
mod stored;

pub(crate) use artifact::{Artifact, Fingerprint, Needs};
pub(crate) use compiled::Compiled;
pub(crate) use programs::{Loaded, Programs};
pub(crate) use stored::Label;
#[cfg(unix)]
pub(crate) use stored::{Incoming, Stored};
