//! Deterministic, metered execution of one task in WebAssembly.
//!
//! A task is a WASI preview 1 command with its arguments, environment, standard input and files. Whoever runs it under
//! the same [profile](Engine::profile) gets the same outcome, down to the fuel: that is what lets strangers check one
//! another. The program sees nothing of the host: time is fuel, dice come from the task's seed, its files are in memory,
//! and there is no socket to be had. What ends a task without deciding anything (a stack that is too deep, the wall clock, a fault of the
//! host) is a [`Failure`] and never an outcome. See `specs/execution.md`.
//!
//! An [`Executor`] runs many: `sealed::Sealed` in processes that have nothing to lose, [`Pool`] in threads of this one.

mod blob;
mod cache;
#[cfg(test)]
mod conformance;
mod deadline;
mod engine;
mod executor;
mod limiter;
mod pool;
mod profile;
mod program;
mod run;
#[cfg(unix)]
pub mod sealed;
mod task;
mod wasi;

pub use blob::Blob;
pub use deadline::StopFlag;
pub use engine::{Config, Deadline, Engine, EngineError, LoadError};
pub use executor::{Executor, Loader, OnDone, OnPrepared, QueueFull, Saver, Submission, Ticket};
pub use pool::{Pool, PoolConfig};
pub use profile::{Backend, ENGINE_VERSION};
pub use program::{Program, ProgramError};
pub use task::{Collected, Content, Contents, Executed, Failure, Kept, Stdin, Task, Written};
pub use wasi::input_bytes;
