//! What a task finds under `/in`: the files of its tree, and its input under a name if it has one.

use super::node::{Content, Folder, Ino};
use super::{IN, NODE_BYTES, Nodes};
use crate::task::Contents;
use pocketmesh_types::tree::Tree;
use std::sync::Arc;

/// The files under `/in`. None of their bytes is copied.
#[derive(Debug)]
pub(in crate::wasi) struct Inputs {
    tree: Arc<Tree>,
    contents: Contents,
    /// The task's input, if it has a name.
    named: Option<(String, Arc<Vec<u8>>)>,
}

impl Inputs {
    /// The inputs of a task: the files of `tree`, and `stdin` as `name` if that is not empty. `None` if the contents are
    /// not the tree's.
    pub(in crate::wasi) fn new(
        tree: &Arc<Tree>,
        contents: &Contents,
        name: &str,
        stdin: &Arc<Vec<u8>>,
    ) -> Option<Self> {
        let (files, given) = (tree.files(), &contents.0);
        let alike = files.iter().zip(&**given).all(|(file, bytes)| file.content.len == bytes.len() as u64);
        let named = (!name.is_empty()).then(|| (name.to_owned(), Arc::clone(stdin)));
        let inputs = Self { tree: Arc::clone(tree), contents: contents.clone(), named };
        (alike && files.len() == given.len()).then_some(inputs)
    }

    /// What they take of the memory limit.
    pub(in crate::wasi) fn bytes(&self) -> u64 {
        let (name, len) = self.named.as_ref().map_or(("", 0), |(name, bytes)| (name, bytes.len() as u64));
        input_bytes(&self.tree, name, len)
    }

    /// Puts them under `/in`, in the order of the tree.
    pub(super) fn build(&self, nodes: &mut Nodes) {
        // The directories that the file before is in.
        let mut open: Vec<Ino> = Vec::new();
        let mut before = "";
        for (file, bytes) in self.tree.files().iter().zip(&*self.contents.0) {
            if self.hides(&file.path) {
                continue;
            }
            let start = shared(before, &file.path);
            open.truncate(file.path[..start].matches('/').count());
            let (folders, name) = file.path[start..].rsplit_once('/').unwrap_or(("", &file.path[start..]));
            for folder in folders.split_terminator('/') {
                let parent = open.last().copied().unwrap_or(IN);
                open.push(add(nodes, parent, folder, Folder::new(parent, false)));
            }
            add(nodes, open.last().copied().unwrap_or(IN), name, Content::Input(Arc::clone(bytes)));
            before = &file.path;
        }
        if let Some((name, bytes)) = &self.named {
            add(nodes, IN, name, Content::Stdin(Arc::clone(bytes)));
        }
    }

    /// Whether the task's input is where this file, or a directory that it is in, would be.
    fn hides(&self, path: &str) -> bool {
        self.named.as_ref().is_some_and(|(name, _)| path.split('/').next() == Some(name))
    }
}

/// What a task's files under `/in` take of its memory limit from the start: as much as if the program had made them,
/// hidden ones too. `input_len` is the length of its input, which counts if it has a name.
pub fn input_bytes(tree: &Tree, input_name: &str, input_len: u64) -> u64 {
    let mut before = "";
    let mut sum = 0u64;
    for file in tree.files() {
        // Files are sorted by path: a directory that the file before is not in is a new one.
        let names = file.path[shared(before, &file.path)..].split('/');
        let nodes = names.map(|name| NODE_BYTES + name.len() as u64).sum::<u64>();
        sum = sum.saturating_add(nodes).saturating_add(file.content.len);
        before = &file.path;
    }
    match input_name.len() as u64 {
        0 => sum,
        name => sum.saturating_add(NODE_BYTES + name).saturating_add(input_len),
    }
}

fn add(nodes: &mut Nodes, folder: Ino, name: &str, kind: impl Into<super::Kind>) -> Ino {
    let ino = nodes.insert(kind, 0);
    nodes.attach(folder, name, ino);
    ino
}

/// How far two paths lead through the same directories: the length of the common part, with the last `/`.
fn shared(before: &str, path: &str) -> usize {
    let same = before.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
    path.as_bytes()[..same].iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_in_common_end_at_a_slash() {
        for (before, path, length) in
            [("", "a/b", 0), ("a/b", "a/c", 2), ("a/bc/d", "a/bd/d", 2), ("a/b/c", "a/b/d/e", 4), ("a-b", "a/b", 0)]
        {
            assert_eq!(shared(before, path), length, "{before} {path}");
        }
    }
}
