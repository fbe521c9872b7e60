//! A file or a directory.

use super::chunks::Chunks;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An inode number.
pub(in crate::wasi) type Ino = u64;

/// A file or a directory, and what holds it.
#[derive(Debug)]
pub(in crate::wasi) struct Node {
    pub(in crate::wasi) kind: Kind,
    /// How many descriptors have it.
    pub(super) opened: u32,
    /// Whether a name has it.
    pub(super) linked: bool,
    /// What it takes of the memory limit, besides the bytes of a file.
    pub(super) charged: u64,
}

#[derive(Debug)]
pub(in crate::wasi) enum Kind {
    File(Content),
    Folder(Folder),
}

/// The bytes of a file.
#[derive(Debug)]
pub(in crate::wasi) enum Content {
    /// A file of the task's tree, shared with whoever else runs a task of the job.
    Input(Arc<[u8]>),
    /// The task's input, shared with its standard input.
    Stdin(Arc<Vec<u8>>),
    /// What the program wrote.
    Written(Chunks),
}

#[derive(Debug)]
pub(in crate::wasi) struct Folder {
    /// The directory above; `/` and what has been removed have themselves.
    pub(in crate::wasi) parent: Ino,
    /// What is in it, in the order in which it is listed.
    pub(in crate::wasi) children: BTreeMap<Box<str>, Ino>,
    /// Whether names in it may come and go.
    pub(in crate::wasi) may_write: bool,
    /// The length of its path from `/out` or `/tmp` on, or 0.
    pub(super) path_len: usize,
}

impl Kind {
    /// An empty file.
    pub(in crate::wasi) fn new_file(_parent: Ino, _path_len: usize) -> Self {
        Self::File(Content::Written(Chunks::default()))
    }

    /// An empty directory.
    pub(in crate::wasi) fn new_folder(parent: Ino, path_len: usize) -> Self {
        Self::Folder(Folder { path_len, ..Folder::new(parent, true) })
    }

    /// The length of a file; directories have none.
    pub(in crate::wasi) fn len(&self) -> u64 {
        match self {
            Self::File(content) => content.len(),
            Self::Folder(_) => 0,
        }
    }

    /// What of it the program wrote.
    pub(super) fn written_len(&self) -> u64 {
        match self {
            Self::File(Content::Written(chunks)) => chunks.len(),
            _ => 0,
        }
    }
}

impl From<Folder> for Kind {
    fn from(folder: Folder) -> Self {
        Self::Folder(folder)
    }
}

impl From<Content> for Kind {
    fn from(content: Content) -> Self {
        Self::File(content)
    }
}

impl Content {
    pub(in crate::wasi) fn len(&self) -> u64 {
        match self {
            Self::Input(bytes) => bytes.len() as u64,
            Self::Stdin(bytes) => bytes.len() as u64,
            Self::Written(chunks) => chunks.len(),
        }
    }

    /// Copies the bytes from `at` on, of which there must be enough.
    pub(in crate::wasi) fn read(&self, at: u64, into: &mut [u8]) {
        let given: &[u8] = match self {
            Self::Input(bytes) => bytes,
            Self::Stdin(bytes) => bytes,
            Self::Written(chunks) => return chunks.read(at, into),
        };
        if !into.is_empty() {
            let start = usize::try_from(at).expect("a position within the file");
            into.copy_from_slice(&given[start..start + into.len()]);
        }
    }

    /// Whether the program may change it.
    pub(in crate::wasi) fn may_write(&self) -> bool {
        matches!(self, Self::Written(_))
    }
}

impl Folder {
    pub(super) fn new(parent: Ino, may_write: bool) -> Self {
        Self { parent, children: BTreeMap::new(), may_write, path_len: 0 }
    }

    /// The length of the path that `name` has in it.
    pub(super) fn path_len_of(&self, name: &str) -> usize {
        let folder = if self.path_len == 0 { 0 } else { self.path_len + 1 };
        folder + name.len()
    }
}
