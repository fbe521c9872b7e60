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
    /// What should be its list is no text.
    #[error("blob {0} is no list of files: it is no text")]
    Text(BlobId),
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
    let text = str::from_utf8(&bytes).map_err(|_| ReadError::Text(list.id))?;
    Tree::from_text(text).map_err(|error| ReadError::List(list.id, error))
}

/// Whether list and files are all here.
pub fn is_whole(store: &Store, list: Output) -> bool {
    read(store, list)
        .is_ok_and(|tree| tree.files().iter().all(|file| store.len(file.content.id) == Some(file.content.len)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_types::tree::File;

    #[test]
    fn only_the_very_text_of_a_tree_is_its_list() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), 1 << 20).expect("a store");
        let keep = |bytes: &[u8]| {
            store.put(bytes).expect("stored");
            Output::of(bytes)
        };
        let tree = Tree::new(vec![File { path: "a\u{fffd}".into(), content: Output::of(b"a") }]).expect("a tree");
        let text = tree.to_text();
        assert_eq!(read(&store, keep(text.as_bytes())).expect("a list"), tree);
        assert_eq!(read(&store, Output::of(b"")).expect("no list"), Tree::default());
        // A byte that is no UTF-8 is not read as the letter that stands for such bytes.
        let (before, after) = text.split_once('\u{fffd}').expect("the letter");
        let torn = [before.as_bytes(), b"\xff", after.as_bytes()].concat();
        assert!(matches!(read(&store, keep(&torn)), Err(ReadError::Text(_))));
        assert!(matches!(read(&store, keep(b"no list\n")), Err(ReadError::List(..))));
    }
}
