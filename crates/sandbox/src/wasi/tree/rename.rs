//! Renaming: of a file in no time however large it is, of a directory with all that is in it.

use super::Nodes;
use super::node::{Ino, Kind};
use super::resolve::Place;
use crate::limiter::Limiter;
use crate::wasi::errno::Errno;
use pocketmesh_types::limits;

/// What is to be renamed, and what goes with it. To find this out is the costly part, so that it can be charged for
/// before it is known whether the rest succeeds.
pub(in crate::wasi) struct Renamed {
    ino: Ino,
    /// How many nodes were looked at: those above the new place, and those that go with it.
    pub(in crate::wasi) looked_at: u64,
    /// Whether the new place is in it.
    into_itself: bool,
    /// Itself and all directories in it, if it is one.
    folders: Vec<Ino>,
    /// The longest path in it, from itself on, with the `/` before it.
    path_len: usize,
}

impl Nodes {
    /// What a renaming is about.
    pub(in crate::wasi) fn renamed(&self, from: &Place<'_>, to: &Place<'_>) -> Result<Renamed, Errno> {
        let (old, _) = from.name.zip(to.name).ok_or(Errno::Inval)?;
        self.check_writable(from.folder)?;
        self.check_writable(to.folder)?;
        let ino = self.child(from.folder, old)?.ok_or(Errno::Noent)?;
        let mut renamed = Renamed { ino, looked_at: 0, into_itself: false, folders: Vec::new(), path_len: 0 };
        if self.folder(ino).is_ok() {
            self.look_up(&mut renamed, to.folder)?;
            if !renamed.into_itself {
                self.look_down(&mut renamed);
            }
        }
        Ok(renamed)
    }

    /// Looks for it above its new place.
    fn look_up(&self, renamed: &mut Renamed, mut folder: Ino) -> Result<(), Errno> {
        loop {
            renamed.looked_at += 1;
            let parent = self.folder(folder)?.parent;
            renamed.into_itself = folder == renamed.ino;
            if renamed.into_itself || folder == parent {
                return Ok(());
            }
            folder = parent;
        }
    }

    fn look_down(&self, renamed: &mut Renamed) {
        let mut waiting = vec![(renamed.ino, 0)];
        while let Some((ino, path_len)) = waiting.pop() {
            renamed.looked_at += 1;
            renamed.path_len = renamed.path_len.max(path_len);
            if let Kind::Folder(folder) = &self.node(ino).kind {
                renamed.folders.push(ino);
                waiting.extend(folder.children.iter().map(|(name, &ino)| (ino, path_len + 1 + name.len())));
            }
        }
    }

    /// Gives what is at `from` the name `to`, in the place of whatever has it.
    pub(in crate::wasi) fn rename(
        &mut self,
        renamed: &Renamed,
        from: &Place<'_>,
        to: &Place<'_>,
        memory: &mut Limiter,
    ) -> Result<(), Errno> {
        let (old, new) = from.name.zip(to.name).ok_or(Errno::Inval)?;
        let replaced = self.child(to.folder, new)?.filter(|&ino| ino != renamed.ino);
        self.check_types(renamed, replaced, from.slash || to.slash)?;
        if (from.folder, old) == (to.folder, new) {
            return Ok(());
        }
        let path_len = self.check_new(to.folder, new)?;
        if path_len + renamed.path_len > limits::PATH_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        self.recharge(renamed.ino, old.len(), new.len(), memory)?;
        self.remove(to.folder, new, memory);
        self.folder_mut(from.folder).children.remove(old);
        self.attach(to.folder, new, renamed.ino);
        self.settle(renamed, to.folder, path_len);
        Ok(())
    }

    /// A directory may take the place of an empty one, a file of a file; and nothing goes into itself.
    fn check_types(&self, renamed: &Renamed, replaced: Option<Ino>, slash: bool) -> Result<(), Errno> {
        let replaced = replaced.map(|ino| self.folder(ino));
        if renamed.folders.is_empty() && !renamed.into_itself {
            return match replaced {
                _ if slash => Err(Errno::Notdir),
                Some(Ok(_)) => Err(Errno::Isdir),
                _ => Ok(()),
            };
        }
        match replaced {
            _ if renamed.into_itself => Err(Errno::Inval),
            Some(Ok(folder)) if !folder.children.is_empty() => Err(Errno::Notempty),
            Some(Err(errno)) => Err(errno),
            _ => Ok(()),
        }
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
    fn settle(&mut self, renamed: &Renamed, parent: Ino, path_len: usize) {
        let Kind::Folder(folder) = &mut self.node_mut(renamed.ino).kind else { return };
        folder.parent = parent;
        let before = folder.path_len;
        for &ino in &renamed.folders {
            let folder = self.folder_mut(ino);
            folder.path_len = folder.path_len + path_len - before;
        }
    }
}
