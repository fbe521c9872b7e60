//! Results by job and task: an index over the journal, in sled, that can be made anew from it.
//!
//! It holds what is final and what is only held: whoever reads it says which of the two is wanted.

use crate::pins;
use pocketmesh_blobs::{Store, store::GetError};
use pocketmesh_protocol::FinalTask;
use pocketmesh_store::index::{Tree, UseError};
use pocketmesh_types::{JobId, RangeSet, TaskIndex};
use pocketmesh_wire::cbor;
use std::{
    io::{self, Cursor, Read},
    sync::Arc,
};

/// The results of all jobs.
#[derive(Debug, Clone)]
pub struct Results(Tree);

/// Which tasks of a job may be shown.
#[derive(Debug, Clone)]
pub struct Shown(Option<Arc<RangeSet>>);

impl Shown {
    /// Those that are final.
    pub fn finals(finals: &RangeSet) -> Self {
        Self(Some(Arc::new(finals.clone())))
    }

    /// Also those that are held until their audits agree: whoever gets them is told so.
    pub fn all() -> Self {
        Self(None)
    }

    fn has(&self, task: TaskIndex) -> bool {
        self.0.as_ref().is_none_or(|finals| finals.contains(task))
    }
}

/// Larger than any result: two inline outputs and the workers' names.
const RESULT_BYTES_MAX: usize = 64 << 10;

impl Results {
    /// Results in this tree.
    pub fn new(tree: Tree) -> Self {
        Self(tree)
    }

    /// Notes results.
    pub fn put(&self, job: &JobId, tasks: &[FinalTask]) -> Result<(), UseError> {
        tasks.iter().try_for_each(|task| self.0.put(&key(job, task.task), &cbor::encode(task)))
    }

    /// The result of one task, if it may be shown.
    pub fn shown(&self, job: &JobId, task: TaskIndex, shown: &Shown) -> Result<Option<FinalTask>, UseError> {
        if shown.has(task) { self.get(job, task) } else { Ok(None) }
    }

    /// The last result of one task, final or not.
    pub fn get(&self, job: &JobId, task: TaskIndex) -> Result<Option<FinalTask>, UseError> {
        let bytes = self.0.get(&key(job, task))?;
        Ok(bytes.and_then(|bytes| cbor::decode(&bytes, RESULT_BYTES_MAX).ok()))
    }

    /// All results of a job that may be shown, in task order.
    pub fn of_job(&self, job: &JobId, shown: Shown) -> impl Iterator<Item = Result<FinalTask, UseError>> + '_ {
        self.0.scan_prefix(job.as_bytes()).filter_map(move |entry| match entry {
            Ok((_, bytes)) => {
                let task: Option<FinalTask> = cbor::decode(&bytes, RESULT_BYTES_MAX).ok();
                task.filter(|task| shown.has(task.task)).map(Ok)
            }
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
        pins::pin_outcome(store, &outcome, job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_store::{FolderLock, Index};

    #[test]
    fn held_results_are_shown_to_nobody_who_wants_final_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = FolderLock::acquire(folder.path()).expect("a lock");
        let (index, _) = Index::open(&lock, 1 << 20).expect("an index");
        let (results, job) = (Results::new(index.tree("results").expect("a tree")), JobId::default());
        let task = |task| FinalTask { task, outcome: None, stdout: None, stderr: None, workers: vec![], input_len: 0 };
        results.put(&job, &[task(0), task(1), task(2)]).expect("put");
        let mut finals = RangeSet::default();
        finals.insert(1);
        let shown = |shown: Shown| -> Vec<TaskIndex> {
            results.of_job(&job, shown).map(|task| task.expect("a result").task).collect()
        };
        assert_eq!((shown(Shown::finals(&finals)), shown(Shown::all())), (vec![1], vec![0, 1, 2]));
        assert_eq!(results.shown(&job, 0, &Shown::finals(&finals)).expect("read"), None);
        assert_eq!(results.shown(&job, 0, &Shown::all()).expect("read"), Some(task(0)));
    }
}
