//! What a running task has on our side: its input, what it has written, its clock and its dice.

use super::random::Dice;
use super::streams::{Descriptors, Input, Written as Streams};
use crate::limiter::Limiter;
use crate::task::{Contents, Task, Written};
use pocketmesh_types::Fuel;
use wasmtime::Memory;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// The state of one task's host.
pub(crate) struct Host {
    /// Program name and arguments.
    pub(super) args: Vec<String>,
    /// Environment, as `key=value`.
    pub(super) env: Vec<String>,
    pub(super) stdin: Input,
    pub(super) written: Streams,
    pub(super) descriptors: Descriptors,
    pub(super) dice: Dice,
    /// What the real-time clock showed at the start, in nanoseconds since 1970.
    pub(super) epoch_ns: u64,
    /// How long the program has slept, in nanoseconds.
    pub(super) slept_ns: u64,
    /// What it started with.
    pub(super) fuel_limit: Fuel,
    /// Its memory, once looked up.
    pub(super) memory: Option<Memory>,
    limiter: Limiter,
}

impl Host {
    /// The host of a task, whose tree has these contents.
    pub(crate) fn new(task: Task, _contents: &Contents) -> Self {
        let mut args = task.args;
        args.insert(0, task.name);
        Self {
            args,
            env: task.env.into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
            stdin: Input::new(task.stdin),
            written: Streams::new(task.limits.output),
            descriptors: Descriptors::default(),
            dice: Dice::new(task.seed),
            epoch_ns: task.epoch.0.saturating_mul(NANOS_PER_MILLI),
            slept_ns: 0,
            fuel_limit: task.limits.fuel,
            memory: None,
            limiter: Limiter::new(task.limits.memory),
        }
    }

    pub(crate) fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }

    /// What the task wrote.
    pub(crate) fn into_written(self) -> Written {
        Written { stdout: self.written.stdout, stderr: self.written.stderr, files: Vec::new() }
    }
}
