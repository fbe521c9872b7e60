//! What a task leaves under `/out`: its files, sorted by path. Directories as such are not kept.

use super::node::{Content, Ino, Kind};
use super::{Nodes, OUT};
use crate::task::Collected;
use pocketmesh_types::limits;

impl Nodes {
    /// The files under `/out`, unless they are too many, or have more than `bytes_max` bytes together.
    pub(in crate::wasi) fn collect(mut self, bytes_max: u64) -> Option<Vec<Collected>> {
        let mut files = self.outputs()?;
        let bytes = files.iter().map(|(_, ino)| self.node(*ino).kind.len()).sum::<u64>();
        if bytes > bytes_max {
            return None;
        }
        files.sort_unstable();
        let taken = files.into_iter().filter_map(|(path, ino)| match self.nodes.remove(&ino)?.kind {
            Kind::File(Content::Written(chunks)) => Some(Collected { path, bytes: chunks.into_vec() }),
            _ => None,
        });
        Some(taken.collect())
    }

    /// Where there is a file, unless they are too many. One path is held beside theirs, however many directories there are.
    fn outputs(&self) -> Option<Vec<(String, Ino)>> {
        let mut files = Vec::new();
        let mut path = String::new();
        let mut open = vec![(0, self.folder(OUT).ok()?.children.iter())];
        while let Some((len, children)) = open.last_mut() {
            path.truncate(*len);
            let Some((name, &ino)) = children.next() else {
                open.pop();
                continue;
            };
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(name);
            match &self.node(ino).kind {
                Kind::Folder(folder) => open.push((path.len(), folder.children.iter())),
                Kind::File(_) if files.len() == limits::TREE_FILES_MAX => return None,
                Kind::File(_) => files.push((path.clone(), ino)),
            }
        }
        Some(files)
    }
}
