//! The reduce step: one program makes one output of all tasks' standard output. specs/jobs.md §9.
//!
//! Where the outputs are small it runs here, once. Else it is a tree: each level is a job of its own, whose tasks reduce some
//! outputs of the level before, and are verified as any task is.

pub mod drive;
mod gather;

use crate::pins;
use crate::results::{Results, Shown};
use crate::split::Cut;
use crate::trees;
pub use drive::Reduced;
use gather::{Gathered, Outputs};
use pocketmesh_blobs::{Durability, Store, store::PutError};
use pocketmesh_sandbox::{Executed, Executor, Kept, Stdin, Submission, Task};
use pocketmesh_types::{BlobId, Hash, Job, JobId, limits, outcome::Outcome};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What is to be done after a job's tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The program.
    pub program: BlobId,
    /// Its arguments.
    pub args: Vec<String>,
    /// How many outputs one run reads.
    pub fan_in: FanIn,
    /// The jobs that are the levels of its tree so far, the first one first.
    pub levels: Vec<JobId>,
    /// What it came to, once it has run.
    pub outcome: Option<Result<Outcome, String>>,
}

/// How many outputs one run of the reduce program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FanIn {
    /// As many as their sizes allow.
    Sizes,
    /// So many.
    Count(u32),
    /// All of them: there is one run, here.
    All,
}

impl FanIn {
    /// The fan-in of this number, as the control API and the journal have it: 0 is all.
    pub fn of(number: Option<u32>) -> Self {
        match number {
            None => Self::Sizes,
            Some(0) => Self::All,
            Some(count) => Self::Count(count),
        }
    }

    /// The number.
    pub fn number(self) -> Option<u32> {
        match self {
            Self::Sizes => None,
            Self::All => Some(0),
            Self::Count(count) => Some(count),
        }
    }
}

impl Plan {
    /// The step of a job that was just submitted.
    pub fn new(program: BlobId, args: Vec<String>, fan_in: FanIn) -> Self {
        Self { program, args, fan_in, levels: Vec::new(), outcome: None }
    }
}

/// What one step of a reduction came to.
#[derive(Debug)]
pub enum Stage {
    /// It is done.
    Done(Outcome),
    /// Its next level has these inputs.
    Level(Cut),
}

/// Where a reduction stands: what is to be reduced next.
pub struct Standing {
    /// The job whose result it is for.
    pub id: JobId,
    /// That job.
    pub job: Job,
    /// The job whose outputs are read: that one, or the last level.
    pub from: JobId,
    /// Whether that is a level.
    pub is_level: bool,
    /// Its results, and which of them count.
    pub results: (Results, Shown),
    /// The step.
    pub plan: Plan,
}

/// Takes the next step of a reduction: runs the program here, or prepares a level of the tree.
pub async fn step(executor: Arc<dyn Executor>, store: Store, standing: Standing) -> Result<Stage, String> {
    let Standing { id, job, from, is_level, results, plan } = standing;
    let (gather_store, fan_in) = (store.clone(), plan.fan_in);
    let gathered = tokio::task::spawn_blocking(move || {
        let outputs = Outputs { store: &gather_store, results: &results.0, shown: results.1, job: from };
        outputs.gather(fan_in, is_level, pins::gathered_for(&id)).map_err(|error| error.to_string())
    });
    match gathered.await.map_err(|error| error.to_string())?? {
        Gathered::Reduced(outcome) => Ok(Stage::Done(outcome)),
        Gathered::Level(cut) => Ok(Stage::Level(cut)),
        Gathered::Joined(stdin) => run_here(executor, store, (id, job), plan, stdin).await.map(Stage::Done),
    }
}

/// Runs the reduce program of a job here; its standard output is in the store afterwards.
async fn run_here(
    executor: Arc<dyn Executor>,
    store: Store,
    (id, job): (JobId, Job),
    plan: Plan,
    stdin: Stdin,
) -> Result<Outcome, String> {
    let (tree_store, list) = (store.clone(), job.files);
    let files = tokio::task::spawn_blocking(move || trees::read(&tree_store, list)).await;
    let files = files.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let task = Task {
        program: plan.program,
        name: format!("{}-reduce", job.name),
        args: plan.args,
        env: job.env,
        stdin,
        files: Arc::new(files),
        input_name: String::new(),
        limits: job.limits,
        epoch: job.epoch,
        seed: Hash::of_parts("pocketmesh reduce seed 1", &[id.as_bytes()]).0,
    };
    let (done, result) = oneshot::channel();
    let on_done = Box::new(move |result| drop(done.send(result)));
    executor.submit(Submission { task, on_done }).map_err(|_| "the sandbox is busy".to_owned())?;
    let executed = result.await.map_err(|_| "the sandbox stopped".to_owned())?.map_err(|error| error.to_string())?;
    let kept = tokio::task::spawn_blocking(move || keep(&store, executed)).await;
    kept.map_err(|error| error.to_string())?
}

fn keep(store: &Store, executed: Executed<Kept>) -> Result<Outcome, String> {
    let outcome = executed.outcome;
    make_durable(store, executed.written.stdout).map_err(|error| error.to_string())?;
    if !outcome.is_success() {
        let words = last_words(store, executed.written.stderr).map_err(|error| error.to_string())?;
        let words = String::from_utf8_lossy(&words);
        let last = words.lines().last().unwrap_or_default();
        return Err(format!("{}: {}", outcome.exit, last.escape_debug()));
    }
    Ok(outcome)
}

fn make_durable(store: &Store, kept: Kept) -> Result<BlobId, PutError> {
    match kept {
        Kept::Here(bytes) => store.put_durable(&bytes),
        Kept::Saved(output) => {
            let (mut file, len) = store.open_file(output.id).map_err(io::Error::other)?;
            store.put_reader(&mut file, len, Durability::Durable)
        }
    }
}

/// The end of what it wrote, and all of it if it is short.
fn last_words(store: &Store, kept: Kept) -> io::Result<Vec<u8>> {
    match kept {
        Kept::Here(bytes) => Ok(bytes),
        Kept::Saved(output) => {
            let (mut file, len) = store.open_file(output.id).map_err(io::Error::other)?;
            file.seek(SeekFrom::Start(len.saturating_sub(limits::INLINE_BYTES_MAX as u64)))?;
            let mut words = Vec::new();
            file.read_to_end(&mut words)?;
            Ok(words)
        }
    }
}
