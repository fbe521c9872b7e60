//! What a running task has on our side: its input and files, what it has written, its clock and its dice.

use super::descriptors::Descriptors;
use super::random::Dice;
use super::streams::{Input, Written as Streams};
use super::tree::{Inputs, Nodes};
use crate::engine::LoadError;
use crate::limiter::Limiter;
use crate::program::ProgramError;
use crate::task::{Contents, Failure, Stdin, Task, Written};
use pocketmesh_types::Fuel;
use std::sync::Arc;
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
    pub(super) files: Files,
    pub(super) dice: Dice,
    /// What the real-time clock showed at the start, in nanoseconds since 1970.
    pub(super) epoch_ns: u64,
    /// How long the program has slept, in nanoseconds.
    pub(super) slept_ns: u64,
    /// What it started with.
    pub(super) fuel_limit: Fuel,
    /// Its memory, once looked up.
    pub(super) memory: Option<Memory>,
    pub(super) limiter: Limiter,
}

/// The task's files, laid out when it first looks at one: most tasks never do.
#[derive(Debug)]
pub(super) struct Files {
    inputs: Inputs,
    nodes: Option<Nodes>,
}

impl Files {
    pub(super) fn nodes(&mut self) -> &mut Nodes {
        self.nodes.get_or_insert_with(|| Nodes::new(&self.inputs))
    }
}

impl Host {
    /// The host of a task, whose tree has these contents. They take their part of the memory limit from the start.
    pub(crate) fn new(task: Task, contents: &Contents) -> Result<Self, Failure> {
        let Stdin::Here(stdin) = task.stdin else {
            return Err(Failure::Host("the task's standard input was not brought to it".into()));
        };
        let stdin = Arc::new(stdin);
        let inputs = Inputs::new(&task.files, contents, &task.input_name, &stdin)
            .ok_or_else(|| Failure::Host("the files at hand are not those of the task's tree".into()))?;
        let (files, allowed) = (inputs.bytes(), task.limits.memory);
        let mut limiter = Limiter::new(allowed);
        if !limiter.take(files) {
            return Err(LoadError::Program(ProgramError::Files { files, allowed }).into());
        }
        let mut args = task.args;
        args.insert(0, task.name);
        Ok(Self {
            args,
            env: task.env.into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
            stdin: Input::new(stdin),
            written: Streams::new(task.limits.output),
            descriptors: Descriptors::default(),
            files: Files { inputs, nodes: None },
            dice: Dice::new(task.seed),
            epoch_ns: task.epoch.0.saturating_mul(NANOS_PER_MILLI),
            slept_ns: 0,
            fuel_limit: task.limits.fuel,
            memory: None,
            limiter,
        })
    }

    pub(crate) fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }

    /// What the task wrote, and whether its files are part of that: if they are too many or too large for the output
    /// limit, none of them is.
    pub(crate) fn into_written(self) -> (Written, bool) {
        let Streams { stdout, stderr, left } = self.written;
        let files = self.files.nodes.map_or(Some(Vec::new()), |nodes| nodes.collect(left));
        let fits = files.is_some();
        (Written { stdout, stderr, files: files.unwrap_or_default() }, fits)
    }
}
