//! Compiled programs on disk, so that a restart compiles nothing again: bytes in, bytes out.
//!
//! Loading machine code does whatever it says, so nothing is read that this user's daemon did not write: the
//! directory is 0700, its files are 0600, and a checksum that covers program and engine guards against damage and
//! mix-ups. Anything wrong is a miss. No machine code ever comes from the network.

use super::{Artifact, Fingerprint, Needs};
use pocketmesh_types::BlobId;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Of all files together: some thousand programs of ordinary size.
const DIRECTORY_BYTES_MAX: u64 = 1 << 30;
/// Of one file; a program of the largest size compiles to less.
const FILE_BYTES_MAX: u64 = 1 << 30;
const CHECKSUM_BYTES: usize = 32;
/// Checksum, then what the program needs (8 bytes of memory, little-endian), then the code.
const HEADER_BYTES: usize = CHECKSUM_BYTES + 8;

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
    pub(crate) fn get(&self, engine: Fingerprint, id: BlobId) -> Option<Artifact> {
        let (header, code) = match read(&self.path(engine, id)) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(program = %id.short(), %error, "compiled program not readable, compiling again");
                return None;
            }
        };
        let (checksum, memory) = header.split_first_chunk::<CHECKSUM_BYTES>()?;
        let needs = Needs { memory: u64::from_le_bytes(memory.try_into().ok()?) };
        let artifact = Artifact { needs, code };
        if checksum_of(engine, id, &artifact) != *checksum {
            tracing::warn!(program = %id.short(), "compiled program damaged, compiling again");
            return None;
        }
        Some(artifact)
    }

    /// Keeps a compiled program. A cache that cannot be written to is slow and not wrong, so nobody is troubled.
    pub(crate) fn put(&self, engine: Fingerprint, id: BlobId, artifact: &Artifact) {
        if let Err(error) = self.write(engine, id, artifact).and_then(|()| self.prune()) {
            tracing::warn!(program = %id.short(), %error, "compiled program not kept");
        }
    }

    fn write(&self, engine: Fingerprint, id: BlobId, artifact: &Artifact) -> io::Result<()> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let temporary = self.directory.join(format!("{}-{number}.tmp", std::process::id()));
        let written = create(&temporary).and_then(|mut file| {
            file.write_all(&checksum_of(engine, id, artifact))?;
            file.write_all(&artifact.needs.memory.to_le_bytes())?;
            file.write_all(&artifact.code)
        });
        let kept = written.and_then(|()| fs::rename(&temporary, self.path(engine, id)));
        if kept.is_err() {
            drop(fs::remove_file(&temporary));
        }
        kept
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

    fn path(&self, engine: Fingerprint, id: BlobId) -> PathBuf {
        let engine = pocketmesh_types::Hash(engine.0).short();
        self.directory.join(format!("{id}-{engine}.compiled"))
    }
}

fn checksum_of(engine: Fingerprint, id: BlobId, artifact: &Artifact) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key("pocketmesh compiled program 2");
    hasher.update(&engine.0).update(id.as_bytes());
    hasher.update(&artifact.needs.memory.to_le_bytes()).update(&artifact.code);
    *hasher.finalize().as_bytes()
}

fn read(path: &Path) -> io::Result<([u8; HEADER_BYTES], Vec<u8>)> {
    let mut file = File::open(path)?.take(FILE_BYTES_MAX);
    let (mut header, mut code) = ([0; HEADER_BYTES], Vec::new());
    file.read_exact(&mut header)?;
    file.read_to_end(&mut code)?;
    Ok((header, code))
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}
