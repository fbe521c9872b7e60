//! The press: the thread that gets programs compiled, one after another, while tasks of other programs run.

use super::link::{Vigil, wait_for};
use super::queue::Shared;
use crate::LoadError;
use crate::executor::unless_panicked;
use crate::task::Failure;
use std::io;

/// The thread's life. It keeps compilers, which die with it.
pub(in crate::sealed) fn compile_wanted(shared: &Shared) {
    let bell = shared.bells.last();
    let leave_off = || {
        shared.tell_stopped();
        shared.is_closed()
    };
    while !leave_off() {
        let Some(id) = shared.next_wanted() else {
            let _rung = wait_for(None, bell, None);
            continue;
        };
        let vigil = Vigil { until: shared.library.compiled_by(), bell, leave_off: &leave_off };
        let loaded = unless_panicked(|| Ok(shared.library.load(id, &*shared.loader, &vigil)?));
        match loaded {
            Ok(_) => shared.unpark(id, None),
            Err(failure) => shared.unpark(id, Some(&|| again(&failure))),
        }
    }
}

/// The same failure for one more who waits.
fn again(failure: &Failure) -> Failure {
    match failure {
        Failure::Load(LoadError::Program(error)) => LoadError::Program(error.clone()).into(),
        Failure::Load(LoadError::Read(error)) => {
            LoadError::Read(io::Error::new(error.kind(), error.to_string())).into()
        }
        Failure::Load(LoadError::WrongBytes(id)) => LoadError::WrongBytes(*id).into(),
        Failure::Panicked(why) => Failure::Panicked(why.clone()),
        other => Failure::Host(other.to_string()),
    }
}
