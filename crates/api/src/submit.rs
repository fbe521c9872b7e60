//! A job as a person's tools describe it, before it is split, signed and offered.

use crate::{InputFile, Promise, Spending, Verification};
use pocketmesh_types::{BlobId, Credits, Fuel, JobId, PerGib, Price, job::TaskLimits};
use serde::{Deserialize, Serialize};

/// Asks to run a program over an input. Blobs it names must have been uploaded before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitJob {
    /// A name for people.
    pub name: String,
    /// The program: a WASI preview 1 command.
    pub program: BlobId,
    /// Arguments after the program's name; `{index}` in them becomes the task's index, and `{input}` the path of the task's
    /// input, if `input_name` is not empty.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables, in this order.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// What is divided into tasks.
    #[serde(default)]
    pub input: Input,
    /// What every task finds under `/in`, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<InputFile>,
    /// Under which name each task finds its part of the input under `/in` as well; not at all if this is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub input_name: String,
    /// A program that makes one output of all tasks' standard output. Each run of it gets outputs that follow one another,
    /// joined, on its standard input; where there is more than one run, it gets its own outputs in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<Reduce>,
    /// How results are checked; absent, by audits after delivery with the default target.
    #[serde(default)]
    pub verification: Verification,
    /// No seat costs more, in nano-credits per gigafuel; absent, the daemon's own ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_price: Option<Price>,
    /// What is paid for each GiB that a task moves, in nano-credits; absent, the daemon's own rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_gib: Option<PerGib>,
    /// All of it together costs no more, in atto-credits; absent, there is no such bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Credits>,
    /// What a task may use.
    #[serde(default)]
    pub limits: Limits,
}

/// What is divided into tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Input {
    /// Nothing: one task, with an empty standard input.
    #[default]
    None,
    /// One task for each number in `start..end`, told its number by `{index}`.
    Range {
        /// The first index.
        start: u64,
        /// One past the last index.
        end: u64,
    },
    /// One task for each part of the sources, in order, with the part as its standard input.
    Split {
        /// What is cut up, in order.
        sources: Vec<Source>,
        /// How.
        split: Split,
    },
}

/// One input file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name, for people.
    pub name: String,
    /// Its bytes.
    pub blob: BlobId,
    /// Their number.
    pub len: u64,
}

/// How sources are cut. No part spans two sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// So many lines a part.
    Lines(u64),
    /// So many bytes a part; a part may end inside a line.
    Bytes(u64),
    /// One part for each source.
    File,
}

/// The program that makes one output of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reduce {
    /// A WASI preview 1 command.
    pub program: BlobId,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// How many outputs one run of it reads, from 2 on; 0 is all of them, in one run at the requester. Absent, as many as
    /// their sizes allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fan_in: Option<u32>,
}

/// What a task may use; what is absent has the default of `pocketmesh_types::job::TaskLimits`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Units of fuel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Memory in bytes, files included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Standard output, standard error and the files under `/out` together, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Wall clock in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
}

impl Limits {
    /// The limits with defaults filled in.
    pub fn resolve(self) -> TaskLimits {
        let default = TaskLimits::default();
        TaskLimits {
            fuel: self.fuel.map_or(default.fuel, Fuel),
            memory: self.memory.unwrap_or(default.memory),
            output: self.output.unwrap_or(default.output),
            wall_ms: self.wall_ms.unwrap_or(default.wall_ms),
        }
    }
}

/// A job that was taken on: it is on disk and survives a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    /// Its id.
    pub id: JobId,
    /// How many tasks it was divided into.
    pub tasks: u32,
    /// What its owner may rely on, as far as that is known before anybody works on it.
    pub promise: Promise,
    /// What it may cost, likewise.
    pub spending: Spending,
}
