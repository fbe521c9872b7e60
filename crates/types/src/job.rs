//! A job: one program, many independent tasks, and the terms on which they are run.

use crate::{BlobId, Bytes, Credits, Fuel, Output, PerGib, Price, ProfileId, UnixTime, limits, parts, tree};
use alloc::{format, string::String, string::ToString, vec::Vec};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The position of a task in its job, from 0.
pub type TaskIndex = u32;

/// What a requester signs. Its id is the hash of these bytes as signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The program: a WASI preview 1 command.
    pub program: BlobId,
    /// The program's length in bytes.
    pub program_len: u64,
    /// A name for people.
    pub name: String,
    /// Arguments after the program's name; `{index}` in them becomes `first_index` + the task's position, and `{input}`
    /// the path of the task's input, if it has one.
    pub args: Vec<String>,
    /// Environment variables, in this order.
    pub env: Vec<(String, String)>,
    /// The list of the files that every task finds under `/in`, a [`Tree`](crate::Tree); empty if there are none.
    pub files: Output,
    /// The [table](crate::parts) of the tasks' inputs; nothing if they have none.
    #[serde(default, skip_serializing_if = "Output::is_empty")]
    pub inputs: Output,
    /// Under which name each task finds its input under `/in` as well, if this is not empty.
    pub input_name: String,
    /// How many tasks.
    pub tasks: TaskIndex,
    /// What `{index}` is in task 0.
    pub first_index: u64,
    /// What each task may use.
    pub limits: TaskLimits,
    /// How results are checked.
    pub policy: Policy,
    /// No seat costs more than this.
    pub max_price: Price,
    /// What is paid for each GiB that a task moves.
    #[serde(default, skip_serializing_if = "PerGib::is_zero")]
    pub per_gib: PerGib,
    /// All of it together costs its requester no more than this, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Credits>,
    /// The execution profile that outcomes are compared under.
    pub profile: ProfileId,
    /// What the guest's clock shows at the start of each task, and when the job was made.
    pub epoch: UnixTime,
    /// Tells apart two jobs that are alike in all else.
    pub nonce: [u8; 16],
}

/// What one task may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLimits {
    /// Fuel; running out is an outcome.
    pub fuel: Fuel,
    /// Linear memory, tables, and files: those under `/in` and those it writes. In bytes.
    pub memory: u64,
    /// Standard output, standard error, and the files under `/out` together, in bytes.
    pub output: u64,
    /// Wall clock, in milliseconds: a safety net that never decides an outcome.
    pub wall_ms: u64,
}

impl Default for TaskLimits {
    fn default() -> Self {
        Self {
            fuel: Fuel(limits::DEFAULT_TASK_FUEL),
            memory: limits::DEFAULT_TASK_MEMORY_BYTES,
            output: limits::DEFAULT_TASK_OUTPUT_BYTES,
            wall_ms: limits::DEFAULT_TASK_WALL_MS,
        }
    }
}

/// How results are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Every task is run by this many unrelated peers. With two or more, digests are committed before any is shown.
    Replicas(u8),
    /// Results are audited after they were delivered, as many of them as the target needs.
    Audited(Target),
}

/// What audits are to achieve. specs/verification.md §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The most of the accepted results that may be wrong, in parts per billion.
    pub error_ppb: u32,
    /// The share of the seats that saboteurs hold, as assumed, in parts per million.
    pub saboteurs_ppm: u32,
    /// Who executes what was drawn.
    pub by: Auditors,
}

/// Who executes once more what was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auditors {
    /// The requester.
    Own,
    /// Other workers of the job, who cannot tell such a seat from any other.
    Mesh,
    /// Other workers if there are enough of them, else the requester.
    Auto,
}

impl Default for Target {
    fn default() -> Self {
        Self { error_ppb: 1_000_000, saboteurs_ppm: 200_000, by: Auditors::Auto }
    }
}

impl Target {
    /// Whether it is one that audits can be made for.
    fn is_sane(&self) -> bool {
        (1..=limits::ERROR_PPB_MAX).contains(&self.error_ppb) && self.saboteurs_ppm <= limits::SABOTEURS_PPM_MAX
    }
}

impl Policy {
    /// How many seats each task has at first.
    pub fn seats(self) -> u8 {
        match self {
            Self::Replicas(count) => count,
            Self::Audited(_) => 1,
        }
    }

    /// What audits are to achieve, if there are any.
    pub fn target(self) -> Option<Target> {
        match self {
            Self::Replicas(_) => None,
            Self::Audited(target) => Some(target),
        }
    }
}

/// Why a job was refused before anything was done with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// There is nothing to do.
    #[error("the job has no tasks")]
    NoTasks,
    /// More tasks than a job may have.
    #[error("the job has {0} tasks; a job has at most {max}", max = limits::TASKS_PER_JOB_MAX)]
    TooManyTasks(TaskIndex),
    /// Zero or absurdly many replicas.
    #[error("replicas must be between 1 and {max}", max = limits::REPLICAS_MAX)]
    Replicas,
    /// No error at all, or more saboteurs than honest workers.
    #[error("the confidence must be below 1 and at least {least}, and saboteurs at most {most} %", least = 1.0 - f64::from(limits::ERROR_PPB_MAX) / 1e9, most = limits::SABOTEURS_PPM_MAX / 10_000)]
    Target,
    /// The program is empty or too large.
    #[error("the program has {0} bytes; it needs 1 to {max}", max = limits::PROGRAM_BYTES_MAX)]
    Program(u64),
    /// The list of input files is too long.
    #[error("the list of input files has {0} bytes; at most {max} are allowed", max = limits::TREE_BYTES_MAX)]
    Files(u64),
    /// The table of inputs is not one of so many tasks.
    #[error("the table of inputs has {0} bytes, which is not what the inputs of {1} tasks take")]
    Inputs(u64, TaskIndex),
    /// The name of a task's input is none.
    #[error("`{0}` is no name for a file")]
    InputName(String),
    /// Arguments, environment and name together are too large.
    #[error("name, arguments and environment take {0} bytes; at most {max} are allowed", max = limits::JOB_TEXT_BYTES_MAX)]
    Text(usize),
    /// More is paid for a GiB than can be counted for all of them.
    #[error("{} nano-credits are paid for a GiB; at most {max} are allowed", .0.0, max = limits::PER_GIB_MAX)]
    PerGib(PerGib),
    /// A limit is out of range.
    #[error("the {0} limit is out of range: {1} allows {2} to {3}")]
    Limit(&'static str, &'static str, u64, u64),
}

impl Job {
    /// Checks every bound that does not depend on who asks.
    pub fn check(&self) -> Result<(), Invalid> {
        match self.tasks {
            0 => return Err(Invalid::NoTasks),
            n if n > limits::TASKS_PER_JOB_MAX => return Err(Invalid::TooManyTasks(n)),
            _ => {}
        }
        if !(1..=limits::REPLICAS_MAX).contains(&self.policy.seats()) {
            return Err(Invalid::Replicas);
        }
        if self.policy.target().is_some_and(|target| !target.is_sane()) {
            return Err(Invalid::Target);
        }
        if !(1..=limits::PROGRAM_BYTES_MAX).contains(&self.program_len) {
            return Err(Invalid::Program(self.program_len));
        }
        if self.files.len > limits::TREE_BYTES_MAX {
            return Err(Invalid::Files(self.files.len));
        }
        if self.has_inputs() && !parts::is_table_len(self.inputs.len, self.tasks) {
            return Err(Invalid::Inputs(self.inputs.len, self.tasks));
        }
        if !self.input_name.is_empty() && !tree::is_name(&self.input_name) {
            return Err(Invalid::InputName(self.input_name.clone()));
        }
        if self.per_gib.0 > limits::PER_GIB_MAX {
            return Err(Invalid::PerGib(self.per_gib));
        }
        let text = self.name.len()
            + self.input_name.len()
            + self.args.iter().map(String::len).sum::<usize>()
            + self.env.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
            + (self.args.len() + self.env.len()) * 8;
        if text > limits::JOB_TEXT_BYTES_MAX {
            return Err(Invalid::Text(text));
        }
        let ranges = [
            ("fuel", self.limits.fuel.0, 1, limits::TASK_FUEL_MAX),
            ("memory", self.limits.memory, limits::WASM_PAGE_BYTES, limits::TASK_MEMORY_BYTES_MAX),
            ("output", self.limits.output, 0, limits::TASK_OUTPUT_BYTES_MAX),
            ("timeout", self.limits.wall_ms, 1, limits::TASK_WALL_MS_MAX),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(Invalid::Limit(name, "a task", low, high));
            }
        }
        Ok(())
    }

    /// Whether its tasks have inputs.
    pub fn has_inputs(&self) -> bool {
        !self.inputs.is_empty()
    }

    /// The arguments of one task: `{index}` and `{input}` filled in.
    pub fn args_of(&self, task: TaskIndex) -> Vec<String> {
        let index = self.first_index.saturating_add(u64::from(task)).to_string();
        let input = format!("/in/{}", self.input_name);
        let fill = |arg: &String| match self.input_name.as_str() {
            "" => arg.replace("{index}", &index),
            _ => arg.replace("{index}", &index).replace("{input}", &input),
        };
        self.args.iter().map(fill).collect()
    }

    /// The wall-clock limit of a task.
    pub fn wall(&self) -> Duration {
        Duration::from_millis(self.limits.wall_ms)
    }
}

/// A task's standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskInput {
    /// Nothing: the task is told its index by its arguments.
    #[default]
    None,
    /// A few bytes, sent along.
    Inline(Bytes),
    /// A blob, to be fetched.
    Blob(BlobId, u64),
}

impl TaskInput {
    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Blob(_, len) => *len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of its bytes; nothing if there are none.
    pub fn id(&self) -> Option<BlobId> {
        match self {
            Self::None => None,
            Self::Inline(bytes) => Some(BlobId::of(bytes)),
            Self::Blob(blob, _) => Some(*blob),
        }
    }
}
