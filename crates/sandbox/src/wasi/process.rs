//! The end of a program, and giving way to nobody.

use super::MODULE;
use super::guest::call;
use super::host::Host;
use crate::run::Halt;
use wasmtime::{Caller, Linker};

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "proc_exit", |_: Caller<'_, Host>, code: i32| -> wasmtime::Result<()> {
        Err(Halt::Exit(code).into())
    })?;
    linker.func_wrap(MODULE, "sched_yield", |caller: Caller<'_, Host>| call(caller, |_| Ok(())))?;
    Ok(())
}
