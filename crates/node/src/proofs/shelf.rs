//! The folder where proofs are kept, one for each worker and job, and no more than a bounded number.

use super::{Parts, Proof};
use pocketmesh_blobs::Store;
use pocketmesh_store::atomic_file::{self, Access};
use pocketmesh_types::{JobId, PeerId, TaskIndex};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Proofs kept, and their bytes together: further ones are not written until somebody removes some.
const PROOFS_MAX: usize = 256;
const PROOFS_TOTAL_BYTES_MAX: u64 = 512 << 20;

/// The folder.
#[derive(Debug, Clone)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// The proofs in this folder, which need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Where the proof of a claim goes.
    pub fn place(&self, job: &JobId, task: TaskIndex, worker: &PeerId) -> PathBuf {
        self.0.join(name_of(job, task, worker))
    }

    /// Writes a proof, unless there is one or no room. Blocks.
    pub(crate) fn write(&self, path: &Path, store: &Store, parts: Parts) -> io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.0)?;
        let proofs = self.list()?;
        let bytes: u64 = proofs.iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum();
        if proofs.len() >= PROOFS_MAX || bytes >= PROOFS_TOTAL_BYTES_MAX {
            let message = format!(
                "there are {} proofs of {} MiB in {}: remove some",
                proofs.len(),
                bytes >> 20,
                self.0.display()
            );
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, message));
        }
        atomic_file::replace(path, &Proof::gather(store, parts).encode(), Access::Everyone)
    }

    /// The files, by name.
    pub fn list(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        let mut proofs: Vec<_> =
            paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "cbor")).collect();
        proofs.sort();
        Ok(proofs)
    }
}

/// What the file of a proof is called.
pub fn name_of(job: &JobId, task: TaskIndex, worker: &PeerId) -> String {
    format!("{}-{task}-{worker}.cbor", &job.to_string()[..12])
}
