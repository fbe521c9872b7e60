//! One daemon a data folder.
//!
//! An advisory lock that the kernel drops with the process, so a killed daemon leaves nothing to clean up. Not std's
//! `File::try_lock`, which answers "unsupported" on Android up to Rust 1.97.

use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

const LOCK_NAME: &str = "lock";
/// Longer than any process number.
const PID_BYTES_MAX: u64 = 20;

/// A data folder that no other daemon uses while this, or a clone of it, lives.
#[derive(Debug, Clone)]
pub struct FolderLock {
    path: PathBuf,
    _held: Arc<Held>,
}

#[derive(Debug)]
struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // Closing alone would leave the lock with a child that has been forked and has not yet called exec.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Why a data folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another pocketmesh daemon{} is using {}; stop it first, or choose another folder with --data-dir",
        process(.pid), .path.display())]
    InUse {
        /// The data folder.
        path: PathBuf,
        /// The other daemon's process number, if it could be read; empty otherwise.
        pid: String,
    },
    /// The folder cannot be created or written.
    #[error("cannot use the data folder {}: {source}", .path.display())]
    Io {
        /// The data folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderLock {
    /// Creates the folder if there is none, readable by its owner alone, and locks it.
    pub fn acquire(path: impl Into<PathBuf>) -> Result<Self, LockError> {
        let path = path.into();
        match Self::try_acquire(&path) {
            Ok(Ok(file)) => Ok(Self { path, _held: Arc::new(Held(file)) }),
            Ok(Err(pid)) => Err(LockError::InUse { path, pid }),
            Err(source) => Err(LockError::Io { path, source }),
        }
    }

    /// The data folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The locked file, or the number of the process that has it.
    fn try_acquire(path: &Path) -> io::Result<Result<File, String>> {
        create_private_folder(path)?;
        let name = path.join(LOCK_NAME);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(name)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // The number is a courtesy; whatever else may be in the file is not shown.
                let _ = file.take(PID_BYTES_MAX).read_to_string(&mut pid);
                return Ok(Err(pid.trim().parse::<u32>().map(|pid| pid.to_string()).unwrap_or_default()));
            }
            Err(errno) => return Err(errno.into()),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Ok(file))
    }
}

#[cfg(unix)]
fn create_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn process(pid: &str) -> String {
    if pid.is_empty() { String::new() } else { format!(" (process {pid})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_until_the_last_clone_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("new/folder");
        let lock = FolderLock::acquire(&folder).unwrap();
        let clone = lock.clone();
        drop(lock);
        let error = FolderLock::acquire(&folder).unwrap_err().to_string();
        assert!(error.starts_with(&format!("another pocketmesh daemon (process {}) is using ", std::process::id())));
        drop(clone);
        FolderLock::acquire(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let error = FolderLock::acquire(file.join("folder")).unwrap_err();
        assert!(error.to_string().contains("file/folder"), "{error}");
    }
}
