//! Why a request failed: a code for programs, a sentence for people.

use pocketmesh_types::JobId;
use serde::{Deserialize, Serialize};

/// What a failed request answers with, as `{ "error": { "code": …, "message": … } }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// For programs.
    pub code: Code,
    /// For people: one line, lower case, saying what to do where something can be done.
    pub message: String,
}

/// The body of every failed request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) error: Failure,
}

/// The kinds of failure. Scripts may rely on these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request itself is malformed, or a value in it is out of range.
    Invalid,
    /// The program is not a WebAssembly core module, or not a sound one.
    BadProgram,
    /// The program imports something that no peer provides.
    UnknownImport,
    /// The input is empty, so there is nothing to do.
    EmptyInput,
    /// The range is empty, so there is nothing to do.
    EmptyRange,
    /// No such job, blob or address.
    NotFound,
    /// An id prefix that fits more than one job.
    Ambiguous,
    /// The job has no result yet.
    NotFinished,
    /// The job ended without a result.
    NoResult,
    /// A request body or a blob is larger than allowed.
    TooLarge,
    /// The storage quota or the disk is used up.
    Quota,
    /// The other peer could not be reached.
    Unreachable,
    /// The request was not sent in time.
    Timeout,
    /// The daemon is at one of its limits, or stopping.
    Busy,
    /// A fault of the daemon.
    Internal,
    /// A code of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl Code {
    /// The HTTP status that goes with it.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid | Self::BadProgram | Self::UnknownImport | Self::EmptyInput | Self::EmptyRange => 400,
            Self::NotFound => 404,
            Self::Timeout => 408,
            Self::Ambiguous | Self::NotFinished | Self::NoResult => 409,
            Self::TooLarge => 413,
            Self::Unreachable => 502,
            Self::Busy => 503,
            Self::Quota => 507,
            Self::Internal | Self::Unknown => 500,
        }
    }

    /// Whether what was asked can never work as asked: the person has to change it.
    pub fn is_bad_input(self) -> bool {
        matches!(self.http_status(), 400 | 404 | 413) || self == Self::Ambiguous
    }
}

impl Failure {
    /// A failure with this sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A fault of the daemon.
    pub fn internal(fault: impl std::fmt::Display) -> Self {
        Self::new(Code::Internal, format!("the daemon failed: {fault}"))
    }

    /// There is no such job.
    pub fn no_job(id: &JobId) -> Self {
        Self::new(Code::NotFound, format!("no job {id} here: `pocketmesh job list` shows the jobs of this peer"))
    }
}

/// Why a job was not taken on. Nothing is left behind by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes do not start as a WebAssembly core module does, or do not validate.
    #[error("{what} is not a program the mesh can run: {why}")]
    BadProgram {
        /// "the program" or "the reduce program".
        what: &'static str,
        /// The engine's reason, one line.
        why: String,
    },
    /// An import that the execution profile does not have.
    #[error(
        "{what} imports `{module}` `{name}`, which no peer provides: build it for wasm32-wasip1 (WASI preview 1 commands only)"
    )]
    UnknownImport {
        /// "the program" or "the reduce program".
        what: &'static str,
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
    },
    /// All sources together have no bytes.
    #[error("the input is empty: there is nothing to split into tasks")]
    EmptyInput,
    /// `start >= end`.
    #[error("the range {start}..{end} is empty: it runs from the first number up to, not including, the second")]
    EmptyRange {
        /// First index.
        start: u64,
        /// One past the last index.
        end: u64,
    },
    /// More tasks, or more parts, than a job may have.
    #[error("this makes {tasks} tasks; at most {max} are allowed: use larger parts")]
    TooManyTasks {
        /// How many.
        tasks: u64,
        /// How many would do.
        max: u64,
    },
    /// A part that is larger than a blob may be.
    #[error("a part of the input has {len} bytes; at most {max} are allowed: split it more finely")]
    PartTooLarge {
        /// Its length in bytes.
        len: u64,
        /// The largest allowed.
        max: u64,
    },
    /// A blob named in the request is not on this peer, nor on one that is connected.
    #[error("the blob {0} is neither on this peer nor on one that is connected: upload it first")]
    NoBlob(pocketmesh_types::BlobId),
    /// A blob that was named has another length.
    #[error("the blob {blob} has {is} bytes and not {said}: did the file change while it was uploaded?")]
    BlobLength {
        /// The blob.
        blob: pocketmesh_types::BlobId,
        /// Its length in bytes.
        is: u64,
        /// The length that the request says.
        said: u64,
    },
    /// The input files are no tree.
    #[error("the input files cannot be laid under /in: {0}")]
    Files(#[from] pocketmesh_types::tree::TreeError),
    /// The input files leave a task no memory.
    #[error(
        "the files under /in take {bytes} bytes of memory, and a task may use {memory} for them and itself: raise the \
         memory limit (--memory)"
    )]
    FilesMemory {
        /// What they take, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        memory: u64,
    },
    /// Tasks are to find their input by a name, and have none.
    #[error("tasks without an input cannot find it as /in/{0}: give the job an input that is split, or no `{{input}}`")]
    NoInput(String),
    /// The name is taken.
    #[error("/in/{0} is both one of the input files and each task's own input: lay the file elsewhere")]
    InputTaken(String),
    /// Something else is out of its bounds.
    #[error("{0}")]
    Bounds(#[from] pocketmesh_types::job::Invalid),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::BadProgram { .. } => Code::BadProgram,
            Refusal::UnknownImport { .. } => Code::UnknownImport,
            Refusal::EmptyInput => Code::EmptyInput,
            Refusal::EmptyRange { .. } => Code::EmptyRange,
            Refusal::NoBlob(_) => Code::NotFound,
            Refusal::TooManyTasks { .. }
            | Refusal::PartTooLarge { .. }
            | Refusal::BlobLength { .. }
            | Refusal::Files(_)
            | Refusal::FilesMemory { .. }
            | Refusal::NoInput(_)
            | Refusal::InputTaken(_)
            | Refusal::Bounds(_) => Code::Invalid,
        };
        Self::new(code, refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_types::tree::TreeError;

    #[test]
    fn a_code_of_a_newer_daemon_is_still_readable() {
        let failure: Failure = serde_json::from_str(r#"{"code":"moon_phase","message":"wait"}"#).expect("readable");
        assert_eq!(failure, Failure::new(Code::Unknown, "wait"));
    }

    #[test]
    fn refusals_are_the_persons_to_mend() {
        let refusals = [
            Refusal::EmptyInput,
            Refusal::EmptyRange { start: 3, end: 3 },
            Refusal::UnknownImport { what: "the program", module: "env".into(), name: "gpu".into() },
            Refusal::TooManyTasks { tasks: 11_000_000, max: 10_000_000 },
            Refusal::Files(TreeError::Path("a\n".into())),
            Refusal::FilesMemory { bytes: 2, memory: 1 },
            Refusal::NoInput("input".into()),
            Refusal::InputTaken("input".into()),
        ];
        for refusal in refusals {
            assert!(Failure::from(refusal.clone()).code.is_bad_input(), "{refusal}");
            assert!(!refusal.to_string().contains('\n'));
        }
    }
}
