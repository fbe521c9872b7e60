//! Renaming: of a file in no time however large it is, of a directory with all that is in it.

use super::Nodes;
use super::node::{Ino, Kind};
use super::resolve::Place;
use crate::limiter::Limiter;
use crate::wasi::errno::Errno;
use pocketmesh_types::limits;

/// What moves together with a directory.
struct Subtree {
    /// Its directories, itself among them.
    folders: Vec<Ino>,
    /// How many nodes it has.
    nodes: u64,
    /// The longest path in it, from itself on, with the `/` before it.
    path_len: usize,
}

impl Nodes {
    /// Gives what is at `from` the name `to`, in the place of whatever has it. Returns how many nodes it looked at.
    pub(in crate::wasi) fn rename(
        &mut self,
        from: &Place<'_>,
        to: &Place<'_>,
        memory: &mut Limiter,
    ) -> Result<u64, Errno> {
        let (old, new) = from.name.zip(to.name).ok_or(Errno::Inval)?;
        self.check_writable(from.folder)?;
        self.check_writable(to.folder)?;
        let moved = self.child(from.folder, old)?.ok_or(Errno::Noent)?;
        let subtree = self.subtree(moved);
        self.check_types(moved, from, to)?;
        let replaced = self.child(to.folder, new)?;
        if replaced == Some(moved) {
            return Ok(subtree.nodes);
        }
        let path_len = self.check_new(to.folder, new)?;
        if path_len + subtree.path_len > limits::PATH_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        self.recharge(moved, old.len(), new.len(), memory)?;
        self.remove(to.folder, new, memory);
        self.folder_mut(from.folder).children.remove(old);
        self.attach(to.folder, new, moved);
        self.settle(moved, to.folder, path_len, &subtree.folders);
        Ok(subtree.nodes)
    }

    /// A directory may take the place of an empty one, a file of a file; and nothing goes into itself.
    fn check_types(&self, moved: Ino, from: &Place<'_>, to: &Place<'_>) -> Result<(), Errno> {
        let replaced = to.name.map(|name| self.child(to.folder, name)).transpose()?.flatten();
        let replaced = replaced.filter(|&ino| ino != moved).map(|ino| self.folder(ino));
        if self.folder(moved).is_err() {
            return match replaced {
                _ if from.slash || to.slash => Err(Errno::Notdir),
                Some(Ok(_)) => Err(Errno::Isdir),
                _ => Ok(()),
            };
        }
        if self.is_inside(to.folder, moved)? {
            return Err(Errno::Inval);
        }
        match replaced {
            Some(Ok(folder)) if !folder.children.is_empty() => Err(Errno::Notempty),
            Some(Err(errno)) => Err(errno),
            _ => Ok(()),
        }
    }

    /// Whether `folder` is `other` or somewhere in it.
    fn is_inside(&self, mut folder: Ino, other: Ino) -> Result<bool, Errno> {
        loop {
            let parent = self.folder(folder)?.parent;
            if folder == other || folder == parent {
                return Ok(folder == other);
            }
            folder = parent;
        }
    }

    /// All of a directory; of a file nothing.
    fn subtree(&self, ino: Ino) -> Subtree {
        let mut subtree = Subtree { folders: Vec::new(), nodes: 0, path_len: 0 };
        let mut waiting = vec![(ino, 0)];
        while let Some((ino, path_len)) = waiting.pop() {
            subtree.nodes += 1;
            subtree.path_len = subtree.path_len.max(path_len);
            if let Kind::Folder(folder) = &self.node(ino).kind {
                subtree.folders.push(ino);
                waiting.extend(folder.children.iter().map(|(name, &ino)| (ino, path_len + 1 + name.len())));
            }
        }
        subtree
    }

    /// Counts a name's new length.
    fn recharge(&mut self, ino: Ino, old: usize, new: usize, memory: &mut Limiter) -> Result<(), Errno> {
        let (old, new) = (old as u64, new as u64);
        if !memory.take(new.saturating_sub(old)) {
            return Err(Errno::Nospc);
        }
        memory.give(old.saturating_sub(new));
        let node = self.node_mut(ino);
        node.charged = node.charged + new - old;
        Ok(())
    }

    /// Tells a directory where it is now, and those in it how long their paths have become.
    fn settle(&mut self, moved: Ino, parent: Ino, path_len: usize, folders: &[Ino]) {
        let Kind::Folder(folder) = &mut self.node_mut(moved).kind else { return };
        folder.parent = parent;
        let before = folder.path_len;
        for &ino in folders {
            let folder = self.folder_mut(ino);
            folder.path_len = folder.path_len + path_len - before;
        }
    }
}
