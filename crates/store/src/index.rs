//! sled, for what can be rebuilt: lookups over the journal, known peers, blob metadata.
//!
//! Never the only copy of anything. sled 0.34 answers damage with a panic as often as with an error, so it is opened on
//! a thread of its own and every later call is guarded; an index that cannot be read is moved aside and an empty one
//! takes its place, which the caller fills again. A damaged index never stops the daemon.

mod tree;

use crate::{FolderLock, atomic_file};
use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
pub use tree::{Tree, UseError};

/// Cache for a phone. sled's own default is 1 GiB.
pub const CACHE_BYTES_DEFAULT: u64 = 16 << 20;
/// The thread that opens sled. A panic there is expected with a damaged index and is dealt with, but Rust prints it
/// first; silencing it takes the process's one panic hook, which belongs to the binary and can go by this name.
pub const OPENER_THREAD: &str = "index-open";
/// Damaged indexes kept for whoever wants to look; older ones are removed.
const DAMAGED_KEPT: u32 = 3;
const FOLDER_NAME: &str = "index";

/// An open index.
#[derive(Debug)]
pub struct Index {
    sled: Guarded,
}

/// In what state the index was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It can be read. A crash may have cost it the last half second, and sled drops a torn end of its log without a
    /// word, so that it may lack more (measured: 12 % of the pairs after the last megabyte of the file was cut off). What
    /// must be complete is compared with the journal.
    Kept,
    /// There was none. It is empty.
    Created,
    /// The old one was damaged and moved aside. It is empty, to be filled again from the journal.
    Rebuilt {
        /// What was wrong with it.
        reason: String,
    },
}

/// Why there is no index at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the index {}: {source}", .path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// A sled database whose panics have been seen to.
#[derive(Debug, Clone)]
struct Guarded {
    /// `None` only while dropping.
    db: Option<sled::Db>,
    /// Set by the first panic: sled's own state may be half changed, so nothing is asked of it again.
    broken: Arc<AtomicBool>,
}

/// How an attempt at opening failed.
enum Failed {
    /// The surroundings: no space, no permission, still open.
    Surroundings(io::Error),
    /// The index itself.
    Damaged(String),
}

impl Index {
    /// Opens the folder's index, with at most about `cache_bytes` of memory for its cache. Blocks.
    pub fn open(folder: &FolderLock, cache_bytes: u64) -> Result<(Self, Condition), OpenError> {
        let path = folder.path().join(FOLDER_NAME);
        let error = |source| OpenError { path: path.clone(), source };
        let existed = path.try_exists().map_err(error)?;
        match attempt(&path, cache_bytes) {
            Ok(sled) => Ok((Self { sled }, if existed { Condition::Kept } else { Condition::Created })),
            Err(Failed::Surroundings(source)) => Err(error(source)),
            Err(Failed::Damaged(reason)) => {
                let aside = move_aside(&path).map_err(error)?;
                tracing::warn!(aside = %aside.display(), reason, "the index was damaged and starts empty");
                match attempt(&path, cache_bytes) {
                    Ok(sled) => Ok((Self { sled }, Condition::Rebuilt { reason })),
                    Err(Failed::Surroundings(source)) => Err(error(source)),
                    Err(Failed::Damaged(again)) => Err(error(io::Error::other(again))),
                }
            }
        }
    }

    /// The tree of this name, made if there is none.
    pub fn tree(&self, name: &str) -> Result<Tree, UseError> {
        let tree = self.sled.run(|db| db.open_tree(name))?;
        Ok(Tree { tree: Some(tree), sled: self.sled.clone() })
    }

    /// Returns when all changes so far are on disk. Without it they get there within half a second. Blocks.
    pub fn flush(&self) -> Result<(), UseError> {
        self.sled.run(|db| db.flush()).map(drop)
    }
}

impl Guarded {
    fn run<T>(&self, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, UseError> {
        let db = self.db.as_ref().expect("only dropping takes it");
        self.guard(|| call(db))
    }

    fn guard<T>(&self, call: impl FnOnce() -> sled::Result<T>) -> Result<T, UseError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(UseError::Broken);
        }
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(result) => Ok(result?),
            Err(_) => {
                self.broken.store(true, Ordering::Relaxed);
                Err(UseError::Broken)
            }
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop_guarded(self.db.take());
    }
}

/// The last handle flushes as it goes, and over a damaged file that may panic as well.
fn drop_guarded<T>(value: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

fn attempt(path: &Path, cache_bytes: u64) -> Result<Guarded, Failed> {
    let config = sled::Config::new().path(path).cache_capacity(cache_bytes);
    let opener = thread::Builder::new().name(OPENER_THREAD.into());
    let opener = opener.spawn(move || config.open().and_then(read_all)).map_err(Failed::Surroundings)?;
    match opener.join() {
        Ok(Ok(db)) => Ok(Guarded { db: Some(db), broken: Arc::default() }),
        Ok(Err(error)) => Err(classify(error)),
        Err(panic) => Err(Failed::Damaged(panic_text(&*panic))),
    }
}

/// sled checks a page when it is first read: reading all of it now finds damage while it is cheap to start over.
fn read_all(db: sled::Db) -> sled::Result<sled::Db> {
    for name in db.tree_names() {
        for entry in &db.open_tree(name)? {
            entry?;
        }
    }
    Ok(db)
}

/// The index is moved aside for any fault but those that a fresh one would meet too.
fn classify(error: sled::Error) -> Failed {
    use io::ErrorKind;
    match error {
        sled::Error::Io(error) => {
            let surroundings = matches!(
                error.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::StorageFull
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::OutOfMemory
            );
            // EMFILE and ENFILE have no kind of their own; sled's own lock has only its text.
            let no_files = matches!(error.raw_os_error(), Some(23 | 24));
            let locked = error.to_string().contains("could not acquire lock");
            if surroundings || no_files || locked {
                Failed::Surroundings(error)
            } else {
                Failed::Damaged(error.to_string())
            }
        }
        other => Failed::Damaged(other.to_string()),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("sled panicked").lines().next().unwrap_or_default().to_owned()
}

/// Renames the folder to the first free of `index.damaged-1`, `-2`, …; when all are taken, the oldest goes.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let name = |number: u32| path.with_extension(format!("damaged-{number}"));
    if name(DAMAGED_KEPT).try_exists()? {
        fs::remove_dir_all(name(1))?;
        for number in 2..=DAMAGED_KEPT {
            fs::rename(name(number), name(number - 1))?;
        }
    }
    let free = (1..=DAMAGED_KEPT).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(DAMAGED_KEPT));
    fs::rename(path, &free)?;
    atomic_file::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_panic_sled_is_asked_nothing_more() {
        let home = tempfile::tempdir().unwrap();
        let (index, _) = Index::open(&FolderLock::acquire(home.path()).unwrap(), CACHE_BYTES_DEFAULT).unwrap();
        let tree = index.tree("peers").unwrap();
        tree.put(b"key", b"value").unwrap();
        let broken = index.sled.guard(|| -> sled::Result<()> { panic!("sled found damage") });
        assert!(matches!(broken, Err(UseError::Broken)));
        assert!(matches!(tree.get(b"key"), Err(UseError::Broken)));
        assert_eq!(tree.scan_prefix(b"").filter(Result::is_err).count(), 1);
        assert!(matches!(index.flush(), Err(UseError::Broken)));
    }
}
