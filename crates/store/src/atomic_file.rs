//! Small files that are there whole or not at all: configuration, anchors, keys, the journal's first bytes.
//!
//! Written beside their place under another name, synced, renamed, and the folder synced: after any crash the old file
//! or the new one is there, never a mixture. Not for anything large or written often.

use crate::files::{Files, OpenFile, System, write_all};
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone (0600): keys, tokens, anything about money.
    Owner,
    /// Whoever the umask lets (0666 less the umask).
    Everyone,
}

/// Puts `bytes` at `path`, in place of what was there.
pub fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    replace_in(&System, path, bytes, access)
}

/// Puts `bytes` at `path`; [`io::ErrorKind::AlreadyExists`] if there is a file already, which is then left alone. Of
/// several callers at once exactly one succeeds.
pub fn create(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    create_in(&System, path, bytes, access)
}

/// Makes the names in a folder durable: a file's own sync does not cover its name.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    System.sync_folder(path)
}

/// [`replace`] in any file system.
pub(crate) fn replace_in(files: &impl Files, path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let fresh = write_beside(files, path, bytes, access)?;
    finish(files, path, &fresh, files.rename(&fresh, path))
}

/// [`create`] in any file system.
pub(crate) fn create_in(files: &impl Files, path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let fresh = write_beside(files, path, bytes, access)?;
    finish(files, path, &fresh, files.rename_new(&fresh, path))
}

fn write_beside(files: &impl Files, path: &Path, bytes: &[u8], access: Access) -> io::Result<PathBuf> {
    let fresh = name_beside(path)?;
    let mut file = files.create(&fresh, access)?;
    let written = write_all(&mut file, bytes).and_then(|()| file.sync_all());
    written.inspect_err(|_| discard(files, &fresh))?;
    Ok(fresh)
}

fn finish(files: &impl Files, path: &Path, fresh: &Path, renamed: io::Result<()>) -> io::Result<()> {
    renamed.inspect_err(|_| discard(files, fresh))?;
    files.sync_folder(folder_of(path))
}

/// A name that no other process or thread uses now. One that a crashed process left is never in the way: its number
/// is part of the name, and a later process of that number counts on from a random start.
fn name_beside(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let random = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    let mut fresh = OsString::from(".");
    fresh.push(name);
    fresh.push(format!(".{random:016x}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(fresh))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The error that led here is the one to report, not that of tidying up.
fn discard(files: &impl Files, fresh: &Path) {
    let _ = files.remove(fresh);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn replacing_leaves_the_new_bytes_and_nothing_beside_them() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("anchors");
        replace(&path, b"old", Access::Everyone).unwrap();
        replace(&path, b"new", Access::Everyone).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(home.path()), ["anchors"]);
    }

    #[test]
    fn a_key_is_its_owners_alone_and_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        create(&path, b"first", Access::Owner).unwrap();
        let error = create(&path, b"second", Access::Owner).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(home.path()), ["key"]);
    }

    #[test]
    fn of_many_creators_one_succeeds() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let created = |index: u8| create(&path, &[index; 32], Access::Owner).is_ok();
        let winners = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|index| scope.spawn(move || created(index))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(winners, 1);
        assert_eq!(fs::read(&path).unwrap().len(), 32);
    }

    #[test]
    fn a_missing_folder_is_an_error_and_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        assert!(replace(&home.path().join("none/file"), b"", Access::Owner).is_err());
        assert!(replace(Path::new("/"), b"", Access::Owner).is_err());
        assert!(names(home.path()).is_empty());
    }
}
