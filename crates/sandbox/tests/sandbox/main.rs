//! The sandbox as the daemon uses it. A file per concern; `rig` has what they share.

mod backends;
mod caching;
mod files;
mod files_limits;
mod files_model;
mod files_script;
mod generated;
mod guests;
mod limits;
mod pool;
#[path = "../preview1/mod.rs"]
mod preview1;
mod programs;
mod rig;
mod wasi;
