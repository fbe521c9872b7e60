//! The reduce step: one program over all tasks' standard output, run here once all tasks are done. specs/jobs.md §6.

use crate::results::{Results, Shown, stdout_of};
use crate::trees;
use pocketmesh_blobs::{Durability, Store, store::PutError};
use pocketmesh_sandbox::{Executed, Executor, Kept, Submission, Task};
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
    /// What it came to, once it has run.
    pub outcome: Option<Result<Outcome, String>>,
}

/// Runs the reduce program of a job; its standard output is in the store afterwards.
pub async fn run(
    executor: Arc<dyn Executor>,
    store: Store,
    (results, finals): (Results, Shown),
    id: JobId,
    job: Job,
    plan: Plan,
) -> Result<Outcome, String> {
    let (gather_store, list) = (store.clone(), job.files);
    let gathered = tokio::task::spawn_blocking(move || {
        let files = trees::read(&gather_store, list).map_err(|error| error.to_string())?;
        Ok::<_, String>((gather(&gather_store, &results, &id, finals)?, files))
    });
    let (stdin, files) = gathered.await.map_err(|error| error.to_string())??;
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

/// All final tasks' standard output, joined in task order: held in memory, because a program's standard input is.
fn gather(store: &Store, results: &Results, id: &JobId, finals: Shown) -> Result<Vec<u8>, String> {
    let mut joined = Vec::new();
    for task in results.of_job(id, finals) {
        let task = task.map_err(|error| error.to_string())?;
        let Some(outcome) = task.outcome else { continue };
        if joined.len() as u64 + outcome.stdout.len > limits::BLOB_BYTES_MAX {
            return Err(format!("the tasks' output together is more than {} bytes", limits::BLOB_BYTES_MAX));
        }
        let mut stdout = stdout_of(&task, store).map_err(|error| error.to_string())?;
        stdout.read_to_end(&mut joined).map_err(|error| error.to_string())?;
    }
    Ok(joined)
}
