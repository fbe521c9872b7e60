//! Files as the owner's tools see them: laid under `/in` for a job, and listed as its tasks left them.
//!
//! The bytes pass as blobs and are not touched here: a list says which blob lies where.

use super::{Desk, Results, reading};
use futures::{StreamExt, stream};
use pocketmesh_api::{Answer, Failure, FileLists, InputFile, OutputFile, Refusal, TaskFiles};
use pocketmesh_blobs::Store;
use pocketmesh_types::{Hash, JobId, Output, TaskIndex, tree};
use std::io;

/// Tasks looked at in one go on a thread that may block: most jobs leave no files, and have many tasks.
const TASKS_AT_ONCE: u32 = 1024;

/// The files that every task of a job finds under `/in`.
#[derive(Debug, Default)]
pub struct InputFiles {
    /// Which blob lies where.
    pub tree: tree::Tree,
    /// The list of it, a blob of this store.
    pub list: Output,
}

/// Checks the files of a job that is to be taken on, and stores their list.
pub async fn lay(desk: &Desk, files: Vec<InputFile>, memory: u64) -> Answer<InputFiles> {
    let store = desk.store.clone();
    let laid = tokio::task::spawn_blocking(move || {
        let tree = tree_of(&store, files)?;
        if tree.bytes() > memory {
            return Err(Refusal::FilesMemory { bytes: tree.bytes(), memory }.into());
        }
        let text = tree.to_text();
        if !tree.is_empty() {
            store.put_durable(text.as_bytes()).map_err(|error| super::put_failure(&error))?;
        }
        Ok(InputFiles { list: Output::of(text.as_bytes()), tree })
    });
    laid.await.map_err(Failure::internal)?
}

fn tree_of(store: &Store, files: Vec<InputFile>) -> Result<tree::Tree, Refusal> {
    let file = |InputFile { path, blob, len }| match store.len(blob) {
        None => Err(Refusal::NoBlob(blob)),
        Some(is) if is != len => Err(Refusal::BlobLength { blob, is, said: len }),
        Some(_) => Ok(tree::File { path, content: Output { id: blob, len } }),
    };
    Ok(tree::Tree::new(files.into_iter().map(file).collect::<Result<_, _>>()?)?)
}

impl InputFiles {
    /// Fails if a task's own input, called `name`, would lie where a file or a folder is.
    pub fn check_input(&self, name: &str) -> Result<(), Refusal> {
        let is_there = |file: &tree::File| file.path.split('/').next() == Some(name);
        match self.tree.files().iter().any(is_there) {
            true => Err(Refusal::InputTaken(name.into())),
            false => Ok(()),
        }
    }

    /// Keeps the files, and their list, for as long as their job.
    pub fn pin(&self, store: &Store, job: Hash) {
        if !self.tree.is_empty() {
            store.pin(self.list.id, job);
        }
        for file in self.tree.files() {
            store.pin(file.content.id, job);
        }
    }
}

/// What the tasks of a finished job left, in task order, read as it is sent.
pub fn lists(results: Results, store: Store, id: JobId, tasks: TaskIndex, first_index: u64) -> FileLists {
    let ranges = (0..tasks).step_by(TASKS_AT_ONCE as usize);
    let lists = stream::iter(ranges).then(move |from| {
        let (results, store) = (results.clone(), store.clone());
        let read = move || {
            let mut lists = Vec::new();
            for task in from..from.saturating_add(TASKS_AT_ONCE).min(tasks) {
                let files = files_of(&results, &store, &id, task)?;
                let index = first_index.saturating_add(u64::from(task));
                lists.extend((!files.is_empty()).then_some(TaskFiles { index, files }));
            }
            io::Result::Ok(lists)
        };
        reading(read)
    });
    lists.map(|lists| stream::iter(lists.map_or_else(|error| vec![Err(error)], each))).flatten().boxed()
}
