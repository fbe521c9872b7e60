//! The task's files and directories, in memory: `/in`, which can only be read, and `/out` and `/tmp`, empty at first.
//!
//! Nodes are held by inode number in one map, so that no depth of nesting is a depth of recursion. What nodes and bytes
//! take counts in the task's memory limit, and is counted before it is taken. No node is ever a link, a device or a
//! file of the host.

mod chunks;
mod collect;
mod inputs;
mod node;
mod rename;
mod resolve;

pub(super) use inputs::Inputs;
pub use inputs::input_bytes;
pub(super) use node::{Content, Folder, Ino, Kind, Node};
pub(super) use resolve::Place;

use super::errno::Errno;
use crate::limiter::Limiter;
use pocketmesh_types::{limits, tree};
use std::collections::BTreeMap;

/// What a file or directory takes of the memory limit besides its name and bytes: more than it takes of the machine.
pub(super) const NODE_BYTES: u64 = 512;
/// Files and directories that a program may have made at a time.
pub(super) const NODES_MAX: usize = 1 << 16;

/// The inode number of `/`. Those of `/in`, `/out` and `/tmp` follow, then the files of `/in` in the tree's order, then
/// what the program makes.
pub(super) const ROOT: Ino = 1;
const IN: Ino = 2;
const OUT: Ino = 3;

/// Files and directories.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: BTreeMap<Ino, Node>,
    /// The number of the next one. None is used twice.
    next: Ino,
    /// How many there were when the program started.
    given: usize,
}

impl Nodes {
    /// What a task starts with.
    pub(super) fn new(inputs: &Inputs) -> Self {
        let mut nodes = Self { nodes: BTreeMap::new(), next: ROOT, given: 0 };
        nodes.insert(Folder::new(ROOT, false), 0);
        // By the descriptor that the program starts with.
        nodes.open(ROOT);
        for (name, may_write) in [("in", false), ("out", true), ("tmp", true)] {
            let ino = nodes.insert(Folder::new(ROOT, may_write), 0);
            nodes.attach(ROOT, name, ino);
        }
        inputs.build(&mut nodes);
        nodes.given = nodes.nodes.len();
        nodes
    }

    /// A node that something refers to.
    pub(super) fn node(&self, ino: Ino) -> &Node {
        self.nodes.get(&ino).expect("a node stays while a name or a descriptor refers to it")
    }

    pub(super) fn node_mut(&mut self, ino: Ino) -> &mut Node {
        self.nodes.get_mut(&ino).expect("a node stays while a name or a descriptor refers to it")
    }

    pub(super) fn folder(&self, ino: Ino) -> Result<&Folder, Errno> {
        match &self.node(ino).kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Errno::Notdir),
        }
    }

    fn folder_mut(&mut self, ino: Ino) -> &mut Folder {
        match &mut self.node_mut(ino).kind {
            Kind::Folder(folder) => folder,
            Kind::File(_) => unreachable!("a name's parent is a directory"),
        }
    }

    /// The content of a file.
    pub(super) fn content(&self, ino: Ino) -> Result<&Content, Errno> {
        match &self.node(ino).kind {
            Kind::File(content) => Ok(content),
            Kind::Folder(_) => Err(Errno::Isdir),
        }
    }

    /// Makes a file or directory, if it can be there and there is room for it.
    pub(super) fn create(
        &mut self,
        folder: Ino,
        name: &str,
        kind: fn(parent: Ino, path_len: usize) -> Kind,
        memory: &mut Limiter,
    ) -> Result<Ino, Errno> {
        let path_len = self.check_new(folder, name)?;
        let charged = NODE_BYTES + name.len() as u64;
        if self.nodes.len() - self.given >= NODES_MAX || !memory.take(charged) {
            return Err(Errno::Nospc);
        }
        let ino = self.insert(kind(folder, path_len), charged);
        self.attach(folder, name, ino);
        Ok(ino)
    }

    /// Whether `name` may come into being in `folder`, and the length of the path that it then has.
    fn check_new(&self, folder: Ino, name: &str) -> Result<usize, Errno> {
        let node = self.node(folder);
        let parent = self.folder(folder)?;
        if !parent.may_write {
            return Err(Errno::Rofs);
        }
        // Somebody has it open, and it has been removed.
        if !node.linked {
            return Err(Errno::Noent);
        }
        let path_len = parent.path_len_of(name);
        if name.len() > limits::NAME_BYTES_MAX || path_len > limits::PATH_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        if tree::is_name(name) { Ok(path_len) } else { Err(Errno::Inval) }
    }

    /// Removes a name, and what it names as soon as nobody has it open.
    fn remove(&mut self, folder: Ino, name: &str, memory: &mut Limiter) {
        if let Some(ino) = self.folder_mut(folder).children.remove(name) {
            let node = self.node_mut(ino);
            node.linked = false;
            if let Kind::Folder(gone) = &mut node.kind {
                gone.parent = ino;
            }
            self.free_if_unused(ino, memory);
        }
    }

    /// Removes a file.
    pub(super) fn unlink(&mut self, place: &Place<'_>, memory: &mut Limiter) -> Result<(), Errno> {
        let name = place.name.ok_or(Errno::Isdir)?;
        self.check_writable(place.folder)?;
        let ino = self.child(place.folder, name)?.ok_or(Errno::Noent)?;
        match self.content(ino) {
            Ok(_) if place.slash => Err(Errno::Notdir),
            Ok(_) => {
                self.remove(place.folder, name, memory);
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }

    /// Removes an empty directory.
    pub(super) fn remove_folder(&mut self, place: &Place<'_>, memory: &mut Limiter) -> Result<(), Errno> {
        let name = place.name.ok_or(Errno::Inval)?;
        self.check_writable(place.folder)?;
        let ino = self.child(place.folder, name)?.ok_or(Errno::Noent)?;
        if !self.folder(ino)?.children.is_empty() {
            return Err(Errno::Notempty);
        }
        self.remove(place.folder, name, memory);
        Ok(())
    }

    fn check_writable(&self, folder: Ino) -> Result<(), Errno> {
        if self.folder(folder)?.may_write { Ok(()) } else { Err(Errno::Rofs) }
    }

    /// One more descriptor has it.
    pub(super) fn open(&mut self, ino: Ino) {
        self.node_mut(ino).opened += 1;
    }

    /// One descriptor less has it.
    pub(super) fn close(&mut self, ino: Ino, memory: &mut Limiter) {
        self.node_mut(ino).opened -= 1;
        self.free_if_unused(ino, memory);
    }

    fn free_if_unused(&mut self, ino: Ino, memory: &mut Limiter) {
        let node = self.node(ino);
        if !node.linked && node.opened == 0 {
            memory.give(node.charged + node.kind.written_len());
            self.nodes.remove(&ino);
        }
    }

    fn insert(&mut self, kind: impl Into<Kind>, charged: u64) -> Ino {
        let ino = self.next;
        self.next += 1;
        self.nodes.insert(ino, Node { kind: kind.into(), opened: 0, linked: true, charged });
        ino
    }

    fn attach(&mut self, folder: Ino, name: &str, ino: Ino) {
        self.folder_mut(folder).children.insert(name.into(), ino);
    }
}
