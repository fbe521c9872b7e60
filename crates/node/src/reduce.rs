//! The reduce step: one program over all tasks' standard output, run here once all tasks are done. specs/jobs.md §6.

use crate::results::{Results, Shown, stdout_of};
use crate::trees;
use pocketmesh_blobs::Store;
use pocketmesh_sandbox::{Executed, Executor, Submission, Task};
use pocketmesh_types::{BlobId, Hash, Job, JobId, limits, outcome::Outcome};
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

fn keep(store: &Store, executed: Executed) -> Result<Outcome, String> {
    store.put_durable(&executed.written.stdout).map_err(|error| error.to_string())?;
    if !executed.outcome.is_success() {
        let words = String::from_utf8_lossy(&executed.written.stderr);
        let last = words.lines().last().unwrap_or_default();
        return Err(format!("{}: {}", executed.outcome.exit, last.escape_debug()));
    }
    Ok(executed.outcome)
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
        joined.extend_from_slice(&stdout_of(&task, store).map_err(|error| error.to_string())?);
    }
    Ok(joined)
}
