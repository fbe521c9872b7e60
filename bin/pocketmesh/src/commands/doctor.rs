//! `doctor`: what this machine gives a peer, and what it lacks, one line each.

use crate::context::Context;
use crate::exit::Outcome;

/// Looks, and tells.
pub async fn run(_context: &Context) -> Outcome {
    Err(crate::exit::Error::failed("not yet"))
}
