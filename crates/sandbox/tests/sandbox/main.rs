//! The sandbox as the daemon uses it. A file per concern; `rig` has what they share.

mod backends;
mod caching;
mod guests;
mod limits;
mod pool;
mod programs;
mod rig;
mod wasi;
