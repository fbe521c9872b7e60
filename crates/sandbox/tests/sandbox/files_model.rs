//! Thousands of calls in random order, against a file system of a hundred lines that nobody could get wrong.

use crate::files_script::{
    APPEND, Answer, CREATE, EXCLUSIVE, EXIST, FINE, INVAL, ISDIR, NOENT, NOTDIR, NOTEMPTY, READ, Script, TRUNCATE,
    WRITE, value,
};
use crate::rig::{ENGINE, PULLEY, task};
use pocketmesh_sandbox::{Collected, Contents};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

const BOTH: u64 = READ | WRITE;

type Bytes = Rc<RefCell<Vec<u8>>>;

#[derive(Clone)]
enum Entry {
    Folder,
    File(Bytes),
}

#[derive(Clone)]
struct Open {
    /// `None` for a directory.
    bytes: Option<Bytes>,
    at: usize,
    appends: bool,
}

/// Everything by its whole path.
struct Model {
    entries: BTreeMap<String, Entry>,
    open: BTreeMap<u32, Open>,
    read: Vec<u8>,
}

impl Model {
    fn new() -> Self {
        let entries = ["out", "tmp"].map(|name| (name.to_owned(), Entry::Folder)).into();
        Self { entries, open: BTreeMap::new(), read: Vec::new() }
    }

    /// Whether the directories of a path are there and are directories.
    fn parents(&self, path: &str) -> Answer {
        for (end, _) in path.match_indices('/') {
            match self.entries.get(&path[..end]) {
                None => return NOENT,
                Some(Entry::File(_)) => return NOTDIR,
                Some(Entry::Folder) => {}
            }
        }
        FINE
    }

    fn is_empty(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        !self.entries.keys().any(|key| key.starts_with(&inside))
    }

    fn open(&mut self, path: &str, how: u32, flags: u32) -> Answer {
        self.parents(path)?;
        let bytes = match self.entries.get(path) {
            Some(_) if how & CREATE != 0 && how & EXCLUSIVE != 0 => return EXIST,
            Some(Entry::Folder) => return ISDIR,
            Some(Entry::File(bytes)) => {
                if how & TRUNCATE != 0 {
                    bytes.borrow_mut().clear();
                }
                Rc::clone(bytes)
            }
            None if how & CREATE == 0 => return NOENT,
            None => {
                let bytes = Bytes::default();
                self.entries.insert(path.to_owned(), Entry::File(Rc::clone(&bytes)));
                bytes
            }
        };
        let fd = (4..).find(|fd| !self.open.contains_key(fd)).expect("a free number");
        self.open.insert(fd, Open { bytes: Some(bytes), at: 0, appends: flags & APPEND != 0 });
        value(u64::from(fd))
    }

    fn write(&mut self, fd: u32, bytes: &[u8]) -> Answer {
        let open = self.open.get_mut(&fd).expect("an open file");
        let mut file = open.bytes.as_ref().expect("a file").borrow_mut();
        let at = if open.appends { file.len() } else { open.at };
        put(&mut file, at, bytes);
        open.at = at + bytes.len();
        value(bytes.len() as u64)
    }

    fn read(&mut self, fd: u32, len: usize) -> Answer {
        let open = self.open.get_mut(&fd).expect("an open file");
        let file = open.bytes.as_ref().expect("a file").borrow();
        let part = file.get(open.at..).unwrap_or_default();
        let part = &part[..part.len().min(len)];
        self.read.extend_from_slice(part);
        open.at += part.len();
        value(part.len() as u64)
    }

    fn unlink(&mut self, path: &str) -> Answer {
        self.parents(path)?;
        match self.entries.get(path) {
            None => NOENT,
            Some(Entry::Folder) => ISDIR,
            Some(Entry::File(_)) => {
                self.entries.remove(path);
                FINE
            }
        }
    }

    fn mkdir(&mut self, path: &str) -> Answer {
        self.parents(path)?;
        if self.entries.contains_key(path) {
            return EXIST;
        }
        self.entries.insert(path.to_owned(), Entry::Folder);
        FINE
    }

    fn rmdir(&mut self, path: &str) -> Answer {
        self.parents(path)?;
        match self.entries.get(path) {
            None => NOENT,
            Some(Entry::File(_)) => NOTDIR,
            Some(Entry::Folder) if !self.is_empty(path) => NOTEMPTY,
            Some(Entry::Folder) => {
                self.entries.remove(path);
                FINE
            }
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Answer {
        self.parents(from)?;
        self.parents(to)?;
        let Some(moved) = self.entries.get(from) else { return NOENT };
        let is_folder = matches!(moved, Entry::Folder);
        if from == to {
            return FINE;
        }
        if is_folder && to.starts_with(&format!("{from}/")) {
            return INVAL;
        }
        match self.entries.get(to) {
            Some(Entry::File(_)) if is_folder => return NOTDIR,
            Some(Entry::Folder) if !is_folder => return ISDIR,
            Some(Entry::Folder) if !self.is_empty(to) => return NOTEMPTY,
            _ => {}
        }
        let inside = format!("{from}/");
        let keys: Vec<String> =
            self.entries.keys().filter(|key| *key == from || key.starts_with(&inside)).cloned().collect();
        for key in keys {
            let entry = self.entries.remove(&key).expect("it was listed");
            self.entries.insert(format!("{to}{}", &key[from.len()..]), entry);
        }
        FINE
    }

    fn stat(&self, path: &str) -> Answer {
        self.parents(path)?;
        match self.entries.get(path) {
            None => NOENT,
            Some(Entry::Folder) => value(0),
            Some(Entry::File(bytes)) => value(bytes.borrow().len() as u64),
        }
    }

    fn outputs(&self) -> Vec<Collected> {
        let file = |(path, entry): (&String, &Entry)| match (path.strip_prefix("out/"), entry) {
            (Some(path), Entry::File(bytes)) => Some(Collected { path: path.into(), bytes: bytes.borrow().clone() }),
            _ => None,
        };
        self.entries.iter().filter_map(file).collect()
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A sequence of numbers that looks random; Steele and Vigna's splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn path(&mut self) -> String {
        let mut path = ["out", "tmp"][self.below(2)].to_owned();
        for _ in 0..=self.below(3) {
            path += ["/a", "/b", "/c.txt"][self.below(3)];
        }
        path
    }

    /// Small, or around the size of a chunk.
    fn offset(&mut self) -> usize {
        [0, 65_500, 131_072][self.below(3)] + self.below(100)
    }
}

/// One call that something can be done with.
fn step(script: &mut Script, model: &mut Model, dice: &mut Dice) {
    let fds: Vec<u32> = model.open.keys().copied().collect();
    match dice.below(16) {
        0..3 => {
            let how = [CREATE, CREATE | EXCLUSIVE, CREATE | TRUNCATE, 0][dice.below(4)];
            let flags = if dice.below(4) == 0 { APPEND } else { 0 };
            let path = dice.path();
            script.open_at(3, &path, how, BOTH, flags, model.open(&path, how, flags));
        }
        3..5 => {
            let path = dice.path();
            script.mkdir(&path, model.mkdir(&path));
        }
        5 => {
            let path = dice.path();
            script.rmdir(&path, model.rmdir(&path));
        }
        6 => {
            let path = dice.path();
            script.unlink(&path, model.unlink(&path));
        }
        7 | 8 => {
            let (from, to) = (dice.path(), dice.path());
            script.rename(&from, &to, model.rename(&from, &to));
        }
        9 => {
            let path = dice.path();
            script.stat(&path, model.stat(&path));
        }
        _ if fds.is_empty() => {}
        kind => {
            let fd = fds[dice.below(fds.len())];
            on_open(script, model, dice, fd, kind);
        }
    }
}

fn on_open(script: &mut Script, model: &mut Model, dice: &mut Dice, fd: u32, kind: usize) {
    let bytes: Vec<u8> = (0..dice.below(300)).map(|i| (i * 7 + dice.below(3)) as u8).collect();
    let file = model.open[&fd].bytes.clone().expect("a file");
    match kind {
        10 | 11 => script.write(fd, &bytes, model.write(fd, &bytes)),
        12 => {
            let at = dice.offset();
            put(&mut file.borrow_mut(), at, &bytes);
            script.pwrite(fd, at as u64, &bytes, value(bytes.len() as u64));
        }
        13 => {
            let size = dice.offset();
            file.borrow_mut().resize(size, 0);
            script.set_size(fd, size as u64, FINE);
        }
        14 => {
            let at = dice.offset();
            model.open.get_mut(&fd).expect("an open file").at = at;
            script.seek(fd, at as i64, 0, value(at as u64));
            let len = dice.below(70_000);
            script.read(fd, len, model.read(fd, len));
        }
        _ => {
            model.open.remove(&fd);
            script.close(fd, FINE);
        }
    }
}

#[test]
fn it_is_the_file_system_that_everybody_knows() {
    for seed in 0..24 {
        let (mut script, mut model, mut dice) = (Script::default(), Model::new(), Dice(seed));
        for _ in 0..500 {
            step(&mut script, &mut model, &mut dice);
        }
        let mut task = task();
        task.limits.output = 64 << 20;
        let run = script.run_in(&ENGINE, task.clone(), Contents::default());
        assert_eq!(run.written.files, model.outputs(), "seed {seed}");
        assert!(run.written.stderr == model.read, "seed {seed}: other bytes were read");
        if seed < 4 {
            assert_eq!(script.run_in(&PULLEY, task, Contents::default()), run, "seed {seed}");
        }
    }
}
