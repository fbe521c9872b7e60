//! Final results by job and task: an index over the journal, in sled, that can be made anew from it.

use crate::trees;
use pocketmesh_blobs::{Store, store::GetError};
use pocketmesh_protocol::FinalTask;
use pocketmesh_store::index::{Tree, UseError};
use pocketmesh_types::{JobId, TaskIndex};
use pocketmesh_wire::cbor;
use std::io::{self, Cursor, Read};

/// The results of all jobs.
#[derive(Debug, Clone)]
pub struct Results(Tree);

/// Larger than any result: two inline outputs and the workers' names.
const RESULT_BYTES_MAX: usize = 64 << 10;

impl Results {
    /// Results in this tree.
    pub fn new(tree: Tree) -> Self {
        Self(tree)
    }

    /// Notes final tasks.
    pub fn put(&self, job: &JobId, tasks: &[FinalTask]) -> Result<(), UseError> {
        tasks.iter().try_for_each(|task| self.0.put(&key(job, task.task), &cbor::encode(task)))
    }

    /// The result of one task, if it is final.
    pub fn get(&self, job: &JobId, task: TaskIndex) -> Result<Option<FinalTask>, UseError> {
        let bytes = self.0.get(&key(job, task))?;
        Ok(bytes.and_then(|bytes| cbor::decode(&bytes, RESULT_BYTES_MAX).ok()))
    }

    /// All final tasks of a job, in task order.
    pub fn of_job(&self, job: &JobId) -> impl Iterator<Item = Result<FinalTask, UseError>> + '_ {
        self.0.scan_prefix(job.as_bytes()).filter_map(|entry| match entry {
            Ok((_, bytes)) => cbor::decode(&bytes, RESULT_BYTES_MAX).ok().map(Ok),
            Err(error) => Some(Err(error)),
        })
    }
}

fn key(job: &JobId, task: TaskIndex) -> [u8; 36] {
    let mut key = [0; 36];
    key[..32].copy_from_slice(job.as_bytes());
    key[32..].copy_from_slice(&task.to_be_bytes());
    key
}

/// The standard output of a final task, to be read as it is passed on; empty if it has none.
pub fn stdout_of(task: &FinalTask, store: &Store) -> Result<Box<dyn Read + Send>, GetError> {
    Ok(match (&task.stdout, task.outcome) {
        (Some(bytes), _) => Box::new(Cursor::new(bytes.to_vec())),
        (None, Some(outcome)) if outcome.stdout.len > 0 => Box::new(store.open_file(outcome.stdout.id)?.0),
        _ => Box::new(io::empty()),
    })
}

/// Keeps the outputs of final tasks for as long as their job.
pub fn pin_outputs(store: &Store, job: &JobId, tasks: &[FinalTask]) {
    for outcome in tasks.iter().filter_map(|task| task.outcome) {
        store.pin(outcome.stdout.id, job.0);
        store.pin(outcome.stderr.id, job.0);
        trees::pin(store, outcome.files, job.0);
    }
}
