//! One execution, from a fresh store to its outcome.

use crate::deadline::{StopFlag, Watchdog};
use crate::engine::LoadError;
use crate::program::{Program, ProgramError};
use crate::task::{Contents, Executed, Failure, Task};
use crate::wasi::Host;
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{Exit, Fuel};
use std::time::{Duration, Instant};
use wasmtime::{Store, Trap, UpdateDeadline};

/// How far the engine's epoch may advance before a task looks at its deadline again.
const LOOK_AT_EACH_EPOCH: u64 = 1;

/// Why a host function ended the program instead of returning to it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    /// `proc_exit`.
    #[error("exit code {0}")]
    Exit(i32),
    /// More output than allowed.
    #[error("output limit")]
    OutputLimit,
    /// The wall clock.
    #[error("time limit")]
    WallClock,
    /// Asked for from outside.
    #[error("stopped")]
    Stopped,
    /// The memories and tables that it starts with are larger than allowed.
    #[error("memory limit")]
    Memory {
        /// Bytes it starts with, at least.
        needs: u64,
        /// Bytes it may have.
        allowed: u64,
    },
    /// A fault of the machine.
    #[error("{0}")]
    Host(String),
}

/// Runs `task` to its end on this thread.
pub(crate) fn run(
    program: &Program,
    task: Task,
    files: Contents,
    watchdog: Option<&Watchdog>,
    stop: &StopFlag,
) -> Result<Executed, Failure> {
    let limits = task.limits;
    let limit = limits.fuel;
    let deadline = Instant::now().checked_add(Duration::from_millis(limits.wall_ms));
    let mut host = Host::new(task, &files)?;
    check_memory(program, &limits, host.limiter().left())?;
    let mut store = Store::new(program.ready().module().engine(), host);
    store.limiter(|host| host.limiter());
    store.set_fuel(limit.0).map_err(host_fault)?;
    let watched = watchdog.zip(deadline).map(|(watchdog, deadline)| {
        // The epoch first: from here on no bark of the watchdog is missed.
        store.set_epoch_deadline(LOOK_AT_EACH_EPOCH);
        let stop = stop.clone();
        store.epoch_deadline_callback(move |_| look(deadline, &stop));
        watchdog.watch(deadline)
    });
    if stop.is_raised() {
        return Err(Failure::Stopped);
    }
    let result = start(program, &mut store);
    drop(watched);
    let exit = classify(result)?;
    let left = store.get_fuel().map_err(host_fault)?;
    // A basic block is charged as a whole, so a program can end a few instructions beyond its limit.
    let fuel = if exit == Exit::OutOfFuel { limit } else { Fuel(limit.0.saturating_sub(left)) };
    let (written, fits) = store.into_data().into_written();
    Ok(Executed::new(if fits { exit } else { Exit::OutputLimit }, fuel, written, limits.output))
}

/// Whether the program can start in what its input files have left of its memory.
fn check_memory(program: &Program, limits: &TaskLimits, left: u64) -> Result<(), Failure> {
    let (files, allowed) = (limits.memory - left, limits.memory);
    let rest = TaskLimits { memory: left, ..*limits };
    program.check_limits(&rest).map_err(|_| LoadError::Program(ProgramError::Files { files, allowed }).into())
}

/// Instantiates, which runs the module's start function if it has one, and calls `_start`.
fn start(program: &Program, store: &mut Store<Host>) -> wasmtime::Result<()> {
    let instance = program.ready().instantiate(&mut *store).map_err(|error| {
        // A start function can have been refused something too, but if it then fails, it is by a trap or by the host.
        let ran = error.is::<Trap>() || error.is::<Halt>();
        store.data_mut().limiter().shortage().filter(|_| !ran).map_or(error, wasmtime::Error::from)
    })?;
    instance.get_typed_func::<(), ()>(&mut *store, "_start")?.call(store, ())
}

fn look(deadline: Instant, stop: &StopFlag) -> wasmtime::Result<UpdateDeadline> {
    if stop.is_raised() {
        Err(Halt::Stopped.into())
    } else if Instant::now() >= deadline {
        Err(Halt::WallClock.into())
    } else {
        Ok(UpdateDeadline::Continue(LOOK_AT_EACH_EPOCH))
    }
}

/// Tells outcomes from failures. Whatever is not known to be deterministic is a failure.
fn classify(result: wasmtime::Result<()>) -> Result<Exit, Failure> {
    let Err(error) = result else { return Ok(Exit::Code(0)) };
    match error.downcast_ref::<Halt>() {
        Some(Halt::Exit(code)) => return Ok(Exit::Code(*code)),
        Some(Halt::OutputLimit) => return Ok(Exit::OutputLimit),
        Some(Halt::WallClock) => return Err(Failure::WallClock),
        Some(Halt::Stopped) => return Err(Failure::Stopped),
        Some(&Halt::Memory { needs, allowed }) => {
            return Err(LoadError::Program(ProgramError::Memory { needs, allowed }).into());
        }
        Some(Halt::Host(fault)) => return Err(Failure::Host(fault.clone())),
        None => {}
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Ok(Exit::OutOfFuel),
        Some(Trap::StackOverflow) => Err(Failure::StackExhausted),
        Some(trap) if is_deterministic(*trap) => Ok(Exit::Trap),
        _ => Err(host_fault(error)),
    }
}

/// The traps that the WebAssembly specification prescribes for what the profile has.
fn is_deterministic(trap: Trap) -> bool {
    matches!(
        trap,
        Trap::UnreachableCodeReached
            | Trap::MemoryOutOfBounds
            | Trap::TableOutOfBounds
            | Trap::IndirectCallToNull
            | Trap::BadSignature
            | Trap::IntegerOverflow
            | Trap::IntegerDivisionByZero
            | Trap::BadConversionToInteger
            | Trap::NullReference
    )
}

fn host_fault(error: wasmtime::Error) -> Failure {
    Failure::Host(format!("{error:#}"))
}
