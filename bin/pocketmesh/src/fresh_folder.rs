//! A folder that is complete or not there: written beside its place, and renamed when all of it is on disk.
//!
//! What lies where in it is told by strangers. No path leads out of it, nothing in it is written twice, and no symbolic
//! link is followed.

use crate::exit::Error;
use pocketmesh_types::tree;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A folder that goes again unless it is finished.
#[derive(Debug)]
pub struct FreshFolder {
    partial: PathBuf,
    dir: PathBuf,
}

/// A file in it that is being written.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    len: u64,
}

impl FreshFolder {
    /// Fails unless `dir` can become one: it is empty, or does not exist and its parent does.
    pub fn check(dir: &Path) -> Result<(), Error> {
        let shown = dir.display();
        match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
            Ok(false) => Err(Error::usage(format!("the folder {shown} is not empty: name a new one with -o"))),
            Ok(true) => place_beside(dir).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match parent(dir) {
                Some(parent) if parent.is_dir() => place_beside(dir).map(drop),
                _ => Err(Error::usage(format!("the folder in which {shown} should be made does not exist"))),
            },
            Err(error) => Err(Error::usage(format!("cannot put the result into {shown}: {error}"))),
        }
    }

    /// Begins one that will be `dir`.
    pub fn begin(dir: &Path) -> Result<Self, Error> {
        Self::check(dir)?;
        let partial = place_beside(dir)?;
        fs::create_dir(&partial).map_err(|error| cannot(&partial, &error))?;
        Ok(Self { partial, dir: dir.into() })
    }

    /// Begins a file at `path` below the folder `below`, which is its own root if it is empty. Both are names joined by
    /// `/`; `path` may come from anybody.
    pub fn create(&self, below: &str, path: &str) -> Result<NewFile, Error> {
        if !tree::is_path(path) {
            return Err(Error::failed(format!("a file of the result has a path that leads elsewhere: {path:?}")));
        }
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut place = self.partial.clone();
        for folder in below.split('/').chain(folders.split('/')).filter(|folder| !folder.is_empty()) {
            place.push(folder);
            make_folder(&place).map_err(|error| cannot(&place, &error))?;
        }
        place.push(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&place);
        Ok(NewFile { file: file.map_err(|error| cannot(&place, &error))?, path: place, len: 0 })
    }

    /// Gives it its name.
    pub fn finish(self) -> Result<(), Error> {
        fs::rename(&self.partial, &self.dir).map_err(|error| cannot(&self.dir, &error))
    }
}

impl Drop for FreshFolder {
    fn drop(&mut self) {
        // After the rename there is nothing; on the way of another error that one is to be reported.
        let _ = fs::remove_dir_all(&self.partial);
    }
}

impl NewFile {
    /// Adds some bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.len += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| cannot(&self.path, &error))
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Puts it on the disk.
    pub fn finish(self) -> Result<(), Error> {
        self.file.sync_all().map_err(|error| cannot(&self.path, &error))
    }
}

/// A folder, new or made before; nothing else that bears the name, such as a link to one.
fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::symlink_metadata(path)?.is_dir() => Ok(()),
        made => made,
    }
}

fn place_beside(dir: &Path) -> Result<PathBuf, Error> {
    let name = dir.file_name().ok_or_else(|| Error::usage(format!("{} is no name for a new folder", dir.display())))?;
    Ok(dir.with_file_name(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id())))
}

fn parent(dir: &Path) -> Option<&Path> {
    dir.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

fn cannot(path: &Path, error: &io::Error) -> Error {
    Error::failed(format!("cannot write the result to {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_or_a_new_folder_will_do() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("empty")).expect("made");
        fs::create_dir(at("full")).expect("made");
        fs::write(at("full/file"), "").expect("written");
        FreshFolder::check(&at("empty")).expect("empty");
        FreshFolder::check(&at("new")).expect("new");
        for bad in ["full", "full/file", "none/new", "empty/.."] {
            FreshFolder::check(&at(bad)).expect_err(bad);
        }
    }

    #[test]
    fn what_was_begun_and_not_finished_goes_again() {
        let root = tempfile::tempdir().expect("a folder");
        let fresh = FreshFolder::begin(&root.path().join("out")).expect("begun");
        fresh.create("tasks/7", "a/b").expect("made").write(b"half").expect("written");
        drop(fresh);
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 0);
    }

    #[test]
    fn files_lie_where_their_paths_say() {
        let root = tempfile::tempdir().expect("a folder");
        let out = root.path().join("out");
        let fresh = FreshFolder::begin(&out).expect("begun");
        for (below, path) in
            [("", "stdout"), ("tasks/7", "a"), ("tasks/7", "b/c"), ("tasks/7", "b/d"), ("tasks/8", "a")]
        {
            let mut file = fresh.create(below, path).expect("made");
            file.write(path.as_bytes()).expect("written");
            assert_eq!(file.len(), path.len() as u64);
            file.finish().expect("on disk");
        }
        fresh.finish().expect("in its place");
        assert_eq!(fs::read(out.join("tasks/7/b/d")).expect("read"), b"b/d");
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 1);
    }

    #[test]
    fn no_path_leads_out_and_nothing_is_written_twice() {
        let root = tempfile::tempdir().expect("a folder");
        let fresh = FreshFolder::begin(&root.path().join("out")).expect("begun");
        for bad in ["", "..", "../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a\0b", "a\\b"] {
            fresh.create("tasks/0", bad).expect_err(bad);
        }
        fresh.create("tasks/0", "a").expect("made");
        fresh.create("tasks/0", "a").expect_err("twice");
        fresh.create("tasks/0", "a/b").expect_err("a file is no folder");
    }

    #[test]
    fn a_link_is_not_followed() {
        let root = tempfile::tempdir().expect("a folder");
        let elsewhere = root.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("made");
        let fresh = FreshFolder::begin(&root.path().join("out")).expect("begun");
        std::os::unix::fs::symlink(&elsewhere, fresh.partial.join("tasks")).expect("linked");
        std::os::unix::fs::symlink(elsewhere.join("x"), fresh.partial.join("stdout")).expect("linked");
        fresh.create("tasks/0", "a").expect_err("a link to a folder");
        fresh.create("", "stdout").expect_err("a link to a file");
        assert_eq!(fs::read_dir(&elsewhere).expect("listed").count(), 0);
    }
}
