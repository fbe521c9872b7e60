//! Files as the owner's tools see them: laid under `/in` for a job, and listed as its tasks left them.
//!
//! Their bytes pass as blobs and are not touched here: a list says which blob lies where.

use crate::{
    results::{Results, Shown},
    trees,
};
use futures::{StreamExt, stream};
use pocketmesh_api::{Answer, Failure, FileLists, InputFile, OutputFile, Refusal, TaskFiles};
use pocketmesh_blobs::Store;
use pocketmesh_sandbox::input_bytes;
use pocketmesh_types::tree::{File, Tree};
use pocketmesh_types::{JobId, Output, TaskIndex};
use std::io;

/// Tasks looked at in one go: most jobs leave no files, and have many tasks.
const TASKS_AT_ONCE: u32 = 256;
/// Tasks whose files are counted for a person who only wants a look: some 100 ms.
const COUNTED_MAX: TaskIndex = 100_000;

/// The files that every task of a job finds under `/in`.
#[derive(Debug)]
pub struct InputFiles {
    tree: Tree,
    /// Their list, a blob that is in the store unless it is empty.
    pub list: Output,
}

impl InputFiles {
    /// Checks the files of a job that is to be taken on, and stores their list.
    pub async fn lay(store: &Store, files: Vec<InputFile>) -> Answer<Self> {
        let store = store.clone();
        let laid = tokio::task::spawn_blocking(move || {
            let tree = tree_of(&store, files)?;
            let text = tree.to_text();
            if !tree.is_empty() {
                store.put_durable(text.as_bytes()).map_err(|error| super::put_failure(&error))?;
            }
            Ok(Self { list: Output::of(text.as_bytes()), tree })
        });
        laid.await.map_err(Failure::internal)?
    }

    /// What they leave a task of `memory` bytes, whose own input, if it has a name, has so many.
    pub fn memory_left(&self, memory: u64, input_name: &str, input_len: u64) -> Result<u64, Refusal> {
        memory_left(&self.tree, memory, input_name, input_len)
    }

    /// Fails if a task's own input, called `name`, would lie where a file or a folder is.
    pub fn check_input_name(&self, name: &str) -> Result<(), Refusal> {
        let is_taken = |file: &File| file.path.split('/').next() == Some(name);
        if self.tree.files().iter().any(is_taken) { Err(Refusal::InputTaken(name.into())) } else { Ok(()) }
    }
}

/// What files under `/in` leave a task of `memory` bytes, in bytes.
pub fn memory_left(tree: &Tree, memory: u64, input_name: &str, input_len: u64) -> Result<u64, Refusal> {
    let bytes = input_bytes(tree, input_name, input_len);
    memory.checked_sub(bytes).ok_or(Refusal::FilesMemory { bytes, memory })
}

fn tree_of(store: &Store, files: Vec<InputFile>) -> Result<Tree, Refusal> {
    let file = |InputFile { path, blob, len }| match store.len(blob) {
        None => Err(Refusal::NoBlob(blob)),
        Some(is) if is != len => Err(Refusal::BlobLength { blob, is, said: len }),
        Some(_) => Ok(File { path, content: Output { id: blob, len } }),
    };
    Ok(Tree::new(files.into_iter().map(file).collect::<Result<_, _>>()?)?)
}

/// What the tasks of a finished job left, in task order, read as it is sent.
pub fn lists(
    (results, shown): (Results, Shown),
    store: Store,
    id: JobId,
    tasks: TaskIndex,
    first_index: u64,
) -> FileLists {
    let batches = stream::iter((0..tasks).step_by(TASKS_AT_ONCE as usize));
    let lists = batches.then(move |start| {
        let (results, shown, store) = (results.clone(), shown.clone(), store.clone());
        let end = start.saturating_add(TASKS_AT_ONCE).min(tasks);
        let read =
            move || (start..end).filter_map(|task| list((&results, &shown), &store, &id, task, first_index)).collect();
        async { tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| vec![Err(io::Error::other(error))]) }
    });
    lists.flat_map(stream::iter).boxed()
}

/// One task's files, if it left any.
fn list(
    (results, shown): (&Results, &Shown),
    store: &Store,
    id: &JobId,
    task: TaskIndex,
    first_index: u64,
) -> Option<io::Result<TaskFiles>> {
    let files = match results.shown(id, task, shown) {
        Ok(done) => done?.outcome?.files,
        Err(error) => return Some(Err(io::Error::other(error))),
    };
    let tree = trees::read(store, files).map_err(io::Error::other);
    let named = |file: &File| OutputFile { path: file.path.clone(), blob: file.content.id, len: file.content.len };
    let listed = |tree: Tree| TaskFiles {
        index: first_index.saturating_add(u64::from(task)),
        files: tree.files().iter().map(named).collect(),
    };
    (files.len > 0).then(|| tree.map(listed))
}

/// How many files the tasks of a job left; nothing if they are too many to be looked at in passing.
pub async fn count(
    (results, shown): (Results, Shown),
    store: Store,
    id: JobId,
    tasks: TaskIndex,
) -> Answer<Option<u64>> {
    if tasks > COUNTED_MAX {
        return Ok(None);
    }
    let counted = tokio::task::spawn_blocking(move || {
        results.of_job(&id, shown).try_fold(0, |sum, task| {
            let outcome = task.map_err(io::Error::other)?.outcome;
            let tree = outcome.map(|outcome| trees::read(&store, outcome.files)).transpose();
            io::Result::Ok(sum + tree.map_err(io::Error::other)?.map_or(0, |tree| tree.files().len() as u64))
        })
    });
    counted.await.map_err(Failure::internal)?.map(Some).map_err(Failure::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_types::{BlobId, tree::TreeError};

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), 1 << 30).expect("a store");
        (folder, store)
    }

    fn file(path: &str, blob: BlobId, len: u64) -> InputFile {
        InputFile { path: path.into(), blob, len }
    }

    #[tokio::test]
    async fn files_that_are_here_make_a_tree_whose_list_is_stored() {
        let (_folder, store) = store();
        let (blob, empty) = (store.put(b"abc").expect("stored"), store.put(b"").expect("stored"));
        let files = vec![file("b/c", blob, 3), file("a", blob, 3), file("empty", empty, 0)];
        let laid = InputFiles::lay(&store, files).await.expect("laid");
        let tree = trees::read(&store, laid.list).expect("stored");
        assert_eq!(tree.files().iter().map(|file| &*file.path).collect::<Vec<_>>(), ["a", "b/c", "empty"]);
        assert!(trees::is_whole(&store, laid.list));
        let none = InputFiles::lay(&store, vec![]).await.expect("laid");
        assert_eq!(none.list, Output::of(b""));
    }

    #[test]
    fn what_is_not_here_or_no_tree_is_refused() {
        let (_folder, store) = store();
        let blob = store.put(b"abc").expect("stored");
        let missing = BlobId::of(b"missing");
        let refused = |files: Vec<InputFile>| tree_of(&store, files).expect_err("refused");
        assert_eq!(refused(vec![file("a", missing, 7)]), Refusal::NoBlob(missing));
        assert_eq!(refused(vec![file("a", blob, 4)]), Refusal::BlobLength { blob, is: 3, said: 4 });
        assert_eq!(refused(vec![file("../a", blob, 3)]), Refusal::Files(TreeError::Path("../a".into())));
        let twice = Refusal::Files(TreeError::Twice("a/b".into()));
        assert_eq!(refused(vec![file("a", blob, 3), file("a/b", blob, 3)]), twice);
    }

    #[test]
    fn a_tasks_own_input_takes_a_place_and_memory() {
        let tree = Tree::new(vec![File { path: "data/a".into(), content: Output::of(b"abc") }]).expect("a tree");
        let files = InputFiles { tree, list: Output::default() };
        assert_eq!(files.check_input_name("input"), Ok(()));
        assert_eq!(files.check_input_name("data"), Err(Refusal::InputTaken("data".into())));
        let alone = files.memory_left(1 << 20, "", 1000).expect("there is room");
        let with_input = files.memory_left(1 << 20, "input", 1000).expect("there is room");
        assert!(with_input + 1000 < alone && alone < 1 << 20, "{with_input} {alone}");
        assert!(matches!(files.memory_left(100, "", 0), Err(Refusal::FilesMemory { memory: 100, .. })));
    }
}
