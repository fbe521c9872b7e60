//! WASI preview 1, deterministic: all 46 functions, of which a program needs a dozen and the rest answer by errno.
//!
//! One file per concern, each with its functions and its rows of the table (`link`). What a function answers is fixed in
//! `specs/execution.md` §4. No function here looks at the host's clock, files, dice or environment.

mod args;
mod clock;
mod descriptors;
mod errno;
mod guest;
mod host;
mod poll;
mod process;
mod random;
mod refused;
mod streams;

pub(crate) use host::Host;

use wasmtime::{Engine, Linker};

/// The module that programs import these functions from.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// All functions.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    args::link(&mut linker)?;
    clock::link(&mut linker)?;
    descriptors::link(&mut linker)?;
    poll::link(&mut linker)?;
    process::link(&mut linker)?;
    random::link(&mut linker)?;
    refused::link(&mut linker)?;
    streams::link(&mut linker)?;
    Ok(linker)
}

/// What of this an outcome depends on, for the profile's name.
pub(crate) fn description() -> String {
    format!(
        "wasi preview1 call={} byte={} item={} poll={} items-max={}\n",
        guest::CALL_FUEL,
        guest::BYTE_FUEL,
        guest::ITEM_FUEL,
        poll::POLL_FUEL,
        guest::ITEMS_MAX,
    )
}
