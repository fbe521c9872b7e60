//! Compiled programs on disk, so that a restart compiles nothing again.
//!
//! Loading machine code does whatever it says, so nothing is read that this user's daemon did not write: the
//! directory is 0700, its files are 0600, and a checksum that covers program and engine guards against damage and
//! mix-ups. Anything wrong is a miss. No machine code ever comes from the network.

use super::stored::{Incoming, Label, Stored};
use super::{Artifact, Needs};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Of all files together, but for the newest: some thousand programs of ordinary size.
const DIRECTORY_BYTES_MAX: u64 = 1 << 30;

/// The directory of compiled programs.
pub(crate) struct Compiled {
    directory: PathBuf,
    /// Tells temporary files apart.
    written: AtomicU64,
}

impl Compiled {
    /// Opens the directory, makes it if it is not there, and makes it private.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // Fails for a directory of somebody else's, which is one that must not be used.
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { directory: directory.into(), written: AtomicU64::new(0) })
    }

    /// The program as this engine compiled it, if it is here and whole.
    pub(crate) fn get(&self, label: Label) -> Option<Stored> {
        match Stored::open(label, &self.path(label)) {
            Ok(stored) => Some(stored),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(program = %label.id.short(), %error, "compiled program damaged, compiling again");
                None
            }
        }
    }

    /// Where a compiled program is to be written to.
    pub(crate) fn incoming(&self, label: Label, needs: Needs) -> io::Result<Incoming> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let temporary = self.directory.join(format!("{}-{number}.tmp", std::process::id()));
        self.prune().and_then(|()| Incoming::named(label, needs, temporary, self.path(label))).or_else(|error| {
            label.warn_not_kept(&error);
            Incoming::unnamed(label, needs)
        })
    }

    /// Forgets a program that turned out to be damaged.
    #[cfg(unix)]
    pub(crate) fn remove(&self, label: Label) {
        drop(fs::remove_file(self.path(label)));
    }

    /// The same in memory, for an engine in this process.
    pub(crate) fn read(&self, label: Label) -> Option<Artifact> {
        self.get(label)?.read().ok()
    }

    /// Keeps what an engine in this process has compiled.
    pub(crate) fn put(&self, label: Label, artifact: &Artifact) {
        let write = |mut incoming: Incoming| incoming.write(&artifact.code).and_then(|()| incoming.finish());
        if let Err(error) = self.incoming(label, artifact.needs).and_then(write) {
            label.warn_not_kept(&error);
        }
    }

    /// Removes the oldest files until the rest fits, left-over temporary ones among them.
    fn prune(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // Another daemon on the same directory may have removed it meanwhile.
            if let Ok(metadata) = entry.metadata() {
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        files.sort_unstable();
        let mut bytes: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if bytes <= DIRECTORY_BYTES_MAX {
                break;
            }
            drop(fs::remove_file(path));
            bytes -= len;
        }
        Ok(())
    }

    fn path(&self, Label { engine, id }: Label) -> PathBuf {
        let engine = pocketmesh_types::Hash(engine.0).short();
        self.directory.join(format!("{id}-{engine}.compiled"))
    }
}
