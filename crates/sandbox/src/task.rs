//! What goes into an execution and what comes out of it.

use crate::LoadError;
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::tree::{File, Tree, TreeError};
use pocketmesh_types::{BlobId, Exit, Fuel, Outcome, Output, UnixTime};
use std::sync::Arc;

/// One task, with everything that its outcome depends on besides the profile.
#[derive(Debug, Clone)]
pub struct Task {
    /// The program.
    pub program: BlobId,
    /// What the program is called: its argument 0.
    pub name: String,
    /// Its arguments from 1 on.
    pub args: Vec<String>,
    /// Its environment, in this order.
    pub env: Vec<(String, String)>,
    /// Its standard input.
    pub stdin: Stdin,
    /// The files that it finds under `/in`.
    pub files: Arc<Tree>,
    /// Under which name it finds its standard input under `/in` as well, if this is not empty. It hides a file of the tree.
    pub input_name: String,
    /// What it may use.
    pub limits: TaskLimits,
    /// What its clock shows at the start.
    pub epoch: UnixTime,
    /// What its random numbers are drawn from: the hash of job and task.
    pub seed: [u8; 32],
}

/// Standard input of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// These bytes.
    Here(Vec<u8>),
    /// Too many to be held: the executor's [`Loader`](crate::Loader) opens them when it is the task's turn.
    Blob(Output),
}

impl Default for Stdin {
    fn default() -> Self {
        Self::Here(Vec::new())
    }
}

impl From<Vec<u8>> for Stdin {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Here(bytes)
    }
}

impl Stdin {
    /// How many bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::Blob(output) => output.len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The bytes of the files of a task's [`Tree`], in the tree's order. Clones share them.
#[derive(Clone, Default)]
pub struct Contents(pub Arc<[Arc<[u8]>]>);

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Contents({} files)", self.0.len())
    }
}

/// Bytes that a task wrote, and their name.
pub trait Content {
    /// Their hash and length.
    fn output(&self) -> Output;
}

impl Content for Vec<u8> {
    fn output(&self) -> Output {
        Output::of(self)
    }
}

/// Bytes that a task wrote, where an executor has put them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Here they are.
    Here(Vec<u8>),
    /// Too many to be in memory: the executor's [`Saver`](crate::Saver) has them.
    Saved(Output),
}

impl Content for Kept {
    fn output(&self) -> Output {
        match self {
            Self::Here(bytes) => bytes.output(),
            Self::Saved(output) => *output,
        }
    }
}

/// A file that a task left under `/out`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected<C = Vec<u8>> {
    /// Where it was, relative to `/out`.
    pub path: String,
    /// What was in it.
    pub bytes: C,
}

/// What a task wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written<C = Vec<u8>> {
    /// To standard output.
    pub stdout: C,
    /// To standard error.
    pub stderr: C,
    /// Under `/out`, sorted by path.
    pub files: Vec<Collected<C>>,
}

/// A task that came to an outcome, with its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed<C = Vec<u8>> {
    /// How it ended: what replicas are compared by.
    pub outcome: Outcome,
    /// What it wrote.
    pub written: Written<C>,
}

impl<C: Content> Executed<C> {
    /// What a task came to. Files that are no tree are left out, and the exit says so: the host refuses such names, so
    /// they are too many, or too large together with the streams.
    pub(crate) fn new(exit: Exit, fuel: Fuel, mut written: Written<C>, output_max: u64) -> Self {
        let (stdout, stderr) = (written.stdout.output(), written.stderr.output());
        let streams = stdout.len.saturating_add(stderr.len);
        let fits = |tree: &Tree| tree.bytes().saturating_add(streams) <= output_max;
        let tree = written.tree().ok().filter(fits);
        let exit = if tree.is_some() { exit } else { Exit::OutputLimit };
        let list = tree.unwrap_or_else(|| {
            written.files.clear();
            Tree::default()
        });
        let (files, files_bytes) = (Output::of(list.to_text().as_bytes()), list.bytes());
        let outcome = Outcome { exit, fuel, stdout, stderr, files, files_bytes };
        Self { outcome, written }
    }
}

impl Executed {
    /// The same, as executors hand it on.
    pub(crate) fn kept(self) -> Executed<Kept> {
        let Written { stdout, stderr, files } = self.written;
        let keep = |file: Collected| Collected { path: file.path, bytes: Kept::Here(file.bytes) };
        let files = files.into_iter().map(keep).collect();
        let written = Written { stdout: Kept::Here(stdout), stderr: Kept::Here(stderr), files };
        Executed { outcome: self.outcome, written }
    }
}

impl Executed<Kept> {
    /// The same, if all that was written is here: from an executor without a [`Saver`](crate::Saver) it always is.
    pub fn here(self) -> Option<Executed> {
        let here = |kept| match kept {
            Kept::Here(bytes) => Some(bytes),
            Kept::Saved(_) => None,
        };
        let Written { stdout, stderr, files } = self.written;
        let file = |file: Collected<Kept>| Some(Collected { path: file.path, bytes: here(file.bytes)? });
        let files = files.into_iter().map(file).collect::<Option<_>>()?;
        let written = Written { stdout: here(stdout)?, stderr: here(stderr)?, files };
        Some(Executed { outcome: self.outcome, written })
    }
}

impl<C: Content> Written<C> {
    /// The files' tree: what [`Outcome::files`] names.
    pub fn tree(&self) -> Result<Tree, TreeError> {
        let file = |file: &Collected<C>| File { path: file.path.clone(), content: file.bytes.output() };
        Tree::new(self.files.iter().map(file).collect())
    }
}

/// Why a task came to no outcome. Nothing may be claimed about it: elsewhere, or later, it may end otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The program could not be had.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Recursion too deep for the stack. How deep that is differs between machines.
    #[error("the program's call stack is too deep: reduce its recursion")]
    StackExhausted,
    /// The wall-clock limit.
    #[error("the task took longer than its time limit: raise the limit or cut the work into smaller tasks")]
    WallClock,
    /// Somebody asked for it to be stopped.
    #[error("the task was stopped")]
    Stopped,
    /// This machine could not give what the limits promise.
    #[error("this machine failed the task: {0}")]
    Host(String),
    /// A fault of ours.
    #[error("the sandbox failed: {0}")]
    Panicked(String),
}
