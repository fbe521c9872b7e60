//! WASI preview 1, deterministic: all 46 functions, over files that are in memory alone.
//!
//! One file per concern, each with its functions and its rows of the table (`link`). What a function answers is fixed in
//! `specs/execution.md` §4. No function here looks at the host's clock, files, dice or environment.

mod args;
mod clock;
mod descriptors;
mod directory;
mod errno;
mod files;
mod guest;
mod host;
mod paths;
mod poll;
mod process;
mod random;
mod refused;
mod stat;
mod streams;
mod tree;
mod vectors;

pub(crate) use host::Host;
pub use tree::input_bytes;

use pocketmesh_types::limits;
use wasmtime::{Engine, Linker};

/// The module that programs import these functions from.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// All functions.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    args::link(&mut linker)?;
    clock::link(&mut linker)?;
    descriptors::link(&mut linker)?;
    directory::link(&mut linker)?;
    files::link(&mut linker)?;
    paths::link(&mut linker)?;
    poll::link(&mut linker)?;
    process::link(&mut linker)?;
    random::link(&mut linker)?;
    refused::link(&mut linker)?;
    stat::link(&mut linker)?;
    Ok(linker)
}

/// What of this an outcome depends on, for the profile's name.
pub(crate) fn description() -> String {
    format!(
        "wasi preview1 call={} byte={} item={} poll={} items-max={}\n\
        files name={} node={} listed={} node-bytes={} listed-bytes={} nodes-max={} descriptors-max={} move-max={} path-max={}\n\
        trees files-max={} list-max={} path-max={} name-max={}\n",
        guest::CALL_FUEL,
        guest::BYTE_FUEL,
        guest::ITEM_FUEL,
        poll::POLL_FUEL,
        guest::ITEMS_MAX,
        paths::NAME_FUEL,
        paths::NODE_FUEL,
        directory::LISTED_FUEL,
        tree::NODE_BYTES,
        directory::LISTED_BYTES,
        tree::NODES_MAX,
        descriptors::DESCRIPTORS_MAX,
        files::MOVE_BYTES_MAX,
        paths::PATH_BYTES_MAX,
        limits::TREE_FILES_MAX,
        limits::TREE_BYTES_MAX,
        limits::PATH_BYTES_MAX,
        limits::NAME_BYTES_MAX,
    )
}
