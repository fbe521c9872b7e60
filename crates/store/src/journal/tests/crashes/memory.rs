//! A file system in memory that writes down every call, and what a crash may leave of it.

use crate::{
    atomic_file::Access,
    files::{Disk, Files, OpenFile},
};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// What a disk holds of a sector, whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Files and their bytes, as a restart finds them.
pub type Image = BTreeMap<PathBuf, Vec<u8>>;

/// One call that changes something, or makes it durable.
#[derive(Debug, Clone)]
pub enum Call {
    Create(PathBuf, usize),
    Write(usize, usize, Vec<u8>),
    Cut(usize, usize),
    Sync(usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncFolder,
}

/// What the crash leaves of what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// All of it: the process was killed, the system goes on.
    Kept,
    /// Nothing of it.
    Lost,
    /// Names, and no bytes.
    NamesOnly,
    /// Some of its sectors, whichever order they were written in.
    Torn(u64),
    /// Its first bytes.
    CutShort(u64),
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<Vec<u8>>,
    names: BTreeMap<PathBuf, usize>,
    calls: Vec<Call>,
}

#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug)]
pub struct MemoryFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    at: usize,
}

impl Memory {
    /// A file system that finds this on its disk.
    pub fn of(image: &Image) -> Self {
        let names = image.keys().cloned().zip(0..).collect();
        let state = State { bytes: image.values().cloned().collect(), names, calls: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// A file system on which these calls were made, and that goes on: the process is gone, what it wrote is not on the disk yet.
    pub fn after(calls: &[Call]) -> Self {
        let mut state = State { calls: calls.to_vec(), ..State::default() };
        for call in calls {
            match call {
                Call::Create(path, inode) => {
                    state.bytes.push(Vec::new());
                    state.names.insert(path.clone(), *inode);
                }
                Call::Write(inode, at, bytes) => put(&mut state.bytes[*inode], *at, bytes),
                Call::Cut(inode, len) => state.bytes[*inode].truncate(*len),
                Call::Rename(from, to) => {
                    let inode = state.names.remove(from).unwrap();
                    state.names.insert(to.clone(), inode);
                }
                Call::Remove(path) => drop(state.names.remove(path)),
                Call::Sync(_) | Call::SyncFolder => {}
            }
        }
        Self(Arc::new(Mutex::new(state)))
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }

    pub fn calls_count(&self) -> usize {
        self.0.lock().unwrap().calls.len()
    }

    /// Everything in it, synced or not.
    pub fn image(&self) -> Image {
        let state = self.0.lock().unwrap();
        state.names.iter().map(|(name, &inode)| (name.clone(), state.bytes[inode].clone())).collect()
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        change(&mut self.0.lock().unwrap())
    }

    fn file(&self, inode: usize) -> MemoryFile {
        MemoryFile { state: self.0.clone(), inode, at: 0 }
    }
}

impl State {
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.names.insert(to.into(), inode);
        self.calls.push(Call::Rename(from.into(), to.into()));
        Ok(())
    }
}

impl Files for Memory {
    type File = MemoryFile;

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.with(|state| Ok(state.names.contains_key(path)))
    }

    fn create(&self, path: &Path, _: Access) -> io::Result<MemoryFile> {
        self.with(|state| {
            if state.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = state.bytes.len();
            state.bytes.push(Vec::new());
            state.names.insert(path.into(), inode);
            state.calls.push(Call::Create(path.into(), inode));
            Ok(self.file(inode))
        })
    }

    fn open(&self, path: &Path) -> io::Result<MemoryFile> {
        self.with(|state| Ok(self.file(*state.names.get(path).ok_or(io::ErrorKind::NotFound)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|state| state.rename(from, to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|state| match state.names.contains_key(to) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => state.rename(from, to),
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
            state.calls.push(Call::Remove(path.into()));
            Ok(())
        })
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.with(|state| {
            state.calls.push(Call::SyncFolder);
            Ok(())
        })
    }
}

impl Disk for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        put(&mut state.bytes[self.inode], self.at, bytes);
        state.calls.push(Call::Write(self.inode, self.at, bytes.to_vec()));
        self.at += bytes.len();
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.state.lock().unwrap().calls.push(Call::Sync(self.inode));
        Ok(())
    }
}

impl OpenFile for MemoryFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let state = self.state.lock().unwrap();
        let rest = state.bytes[self.inode].get(self.at..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }

    fn seek(&mut self, at: u64) -> io::Result<()> {
        self.at = at as usize;
        Ok(())
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.bytes[self.inode].truncate(len as usize);
        state.calls.push(Call::Cut(self.inode, len as usize));
        Ok(())
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn settle(&mut self) -> io::Result<()> {
        self.sync()
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Bytes that are on their way to the disk.
#[derive(Debug, Clone)]
enum Pending {
    Write(usize, Vec<u8>),
    Cut(usize),
}

/// What the disk holds when these calls were made on it and then the power went.
pub fn after_crash(before: &Image, calls: &[Call], how: How) -> Image {
    let mut stored: Vec<Vec<u8>> = before.values().cloned().collect();
    let mut pending: Vec<Vec<Pending>> = vec![Vec::new(); stored.len()];
    let mut names: BTreeMap<PathBuf, usize> = before.keys().cloned().zip(0..).collect();
    let mut stored_names = names.clone();
    for call in calls {
        match call {
            Call::Create(path, inode) => {
                stored.push(Vec::new());
                pending.push(Vec::new());
                names.insert(path.clone(), *inode);
            }
            Call::Write(inode, at, bytes) => pending[*inode].push(Pending::Write(*at, bytes.clone())),
            Call::Cut(inode, len) => pending[*inode].push(Pending::Cut(*len)),
            Call::Sync(inode) => {
                let all = std::mem::take(&mut pending[*inode]);
                apply(&mut stored[*inode], all, How::Kept);
            }
            Call::Rename(from, to) => {
                let inode = names.remove(from).unwrap();
                names.insert(to.clone(), inode);
            }
            Call::Remove(path) => drop(names.remove(path)),
            Call::SyncFolder => stored_names = names.clone(),
        }
    }
    for (inode, pending) in pending.into_iter().enumerate() {
        apply(&mut stored[inode], pending, how);
    }
    let left = if matches!(how, How::Lost) { stored_names } else { names };
    left.into_iter().map(|(name, inode)| (name, stored[inode].clone())).collect()
}

fn apply(file: &mut Vec<u8>, pending: Vec<Pending>, how: How) {
    let mut dice = match how {
        How::Torn(seed) | How::CutShort(seed) => Dice(seed),
        How::Kept | How::Lost | How::NamesOnly => Dice(0),
    };
    let all: usize =
        pending.iter().map(|pending| if let Pending::Write(_, bytes) = pending { bytes.len() } else { 0 }).sum();
    let mut left = dice.below(all as u64 + 1) as usize;
    for pending in pending {
        match (how, pending) {
            (How::Lost | How::NamesOnly, _) => {}
            (How::Kept, Pending::Write(at, bytes)) => put(file, at, &bytes),
            (How::Kept, Pending::Cut(len)) => file.truncate(len),
            (How::CutShort(_), Pending::Write(at, bytes)) => {
                let count = bytes.len().min(left);
                left -= count;
                put(file, at, &bytes[..count]);
            }
            (How::Torn(_), Pending::Write(at, bytes)) => tear(file, at, &bytes, &mut dice),
            (How::CutShort(_) | How::Torn(_), Pending::Cut(len)) => {
                if dice.below(2) == 0 {
                    file.truncate(len);
                }
            }
        }
    }
}

/// Writes some of the sectors that the bytes lie in.
fn tear(file: &mut Vec<u8>, at: usize, bytes: &[u8], dice: &mut Dice) {
    let mut start = 0;
    while start < bytes.len() {
        let end = bytes.len().min((at + start) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - at);
        if dice.below(2) == 0 {
            put(file, at + start, &bytes[start..end]);
        }
        start = end;
    }
}

/// Numbers that look random and are the same in every run.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
