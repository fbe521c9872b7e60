//! Trees of files in the blob store: their lists and their files are blobs like any other.

use pocketmesh_blobs::{Store, store::GetError};
use pocketmesh_types::tree::{Tree, TreeError};
use pocketmesh_types::{BlobId, Hash, Output, limits};

/// Why a tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its list is not to be had.
    #[error(transparent)]
    Blob(#[from] GetError),
    /// What should be its list is none.
    #[error("blob {0} is no list of files: {1}")]
    List(BlobId, TreeError),
}

/// The tree of this list. Whether its files are here too is another question.
pub fn read(store: &Store, list: Output) -> Result<Tree, ReadError> {
    if list.len == 0 {
        return Ok(Tree::default());
    }
    let bytes = store.get(list.id, list.len.min(limits::TREE_BYTES_MAX))?;
    // What is not UTF-8 becomes a text that no tree has: the list of a tree is never changed by this.
    Tree::from_text(&String::from_utf8_lossy(&bytes)).map_err(|error| ReadError::List(list.id, error))
}

/// Whether list and files are all here.
pub fn is_whole(store: &Store, list: Output) -> bool {
    read(store, list).is_ok_and(|tree| tree.files().iter().all(|file| store.contains(file.content.id)))
}

/// Keeps list and files for as long as `owner`.
pub fn pin(store: &Store, list: Output, owner: Hash) {
    if list.len == 0 {
        return;
    }
    store.pin(list.id, owner);
    for file in read(store, list).iter().flat_map(Tree::files) {
        store.pin(file.content.id, owner);
    }
}
