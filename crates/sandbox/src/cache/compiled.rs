//! Machine code on disk, so that a restart compiles nothing again.
//!
//! Deserialising machine code runs whatever it says, so nothing is read that this user's daemon did not write: the
//! directory is 0700, its files are 0600, and a checksum that covers program and engine guards against damage and
//! mix-ups. Anything wrong is a miss. No machine code ever comes from the network.

use pocketmesh_types::BlobId;
use std::fs::{self, File, OpenOptions};
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use wasmtime::{Engine, Module};

/// Of all files together: some thousand programs of ordinary size.
const DIRECTORY_BYTES_MAX: u64 = 1 << 30;
/// Of one file; a program of the largest size compiles to less.
const FILE_BYTES_MAX: u64 = 1 << 30;
const CHECKSUM_BYTES: usize = 32;

/// The directory of compiled programs.
pub(crate) struct Compiled {
    directory: PathBuf,
    /// Differs between engines whose machine code differs.
    engine: [u8; 32],
    /// Tells temporary files apart.
    written: AtomicU64,
}

impl Compiled {
    /// Opens the directory, makes it if it is not there, and makes it private.
    pub(crate) fn open(directory: &Path, engine: &Engine) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // Fails for a directory of somebody else's, which is one that must not be used.
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        }
        let mut hasher = Fingerprint(blake3::Hasher::new_derive_key("pocketmesh compiled program engine 1"));
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = *hasher.0.finalize().as_bytes();
        Ok(Self { directory: directory.into(), engine, written: AtomicU64::new(0) })
    }

    /// The compiled program, if it is here and whole.
    pub(crate) fn get(&self, id: BlobId, engine: &Engine) -> Option<Module> {
        let path = self.path(id);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(program = %id.short(), %error, "compiled program not readable, compiling again");
                return None;
            }
        };
        let (checksum, code) = bytes.split_at_checked(CHECKSUM_BYTES)?;
        if self.checksum(id, code) != *checksum {
            tracing::warn!(program = %id.short(), "compiled program damaged, compiling again");
            return None;
        }
        // SAFETY: this code was serialised by this very engine: the checksum covers its configuration and the
        // program's id, and only this user can write to the directory.
        #[expect(unsafe_code, reason = "the only way to load machine code that was compiled earlier")]
        let module = unsafe { Module::deserialize(engine, code) };
        module.inspect_err(|error| tracing::warn!(program = %id.short(), %error, "compiled program refused")).ok()
    }

    /// Keeps a compiled program. A cache that cannot be written to is slow and not wrong, so nobody is troubled.
    pub(crate) fn put(&self, id: BlobId, module: &Module) {
        let result = module.serialize().map_err(io::Error::other).and_then(|code| self.write(id, &code));
        if let Err(error) = result.and_then(|()| self.prune()) {
            tracing::warn!(program = %id.short(), %error, "compiled program not kept");
        }
    }

    fn write(&self, id: BlobId, code: &[u8]) -> io::Result<()> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let temporary = self.directory.join(format!("{}-{number}.tmp", std::process::id()));
        let written = create(&temporary).and_then(|mut file| {
            file.write_all(self.checksum(id, code).as_slice())?;
            file.write_all(code)
        });
        let kept = written.and_then(|()| fs::rename(&temporary, self.path(id)));
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

    fn path(&self, id: BlobId) -> PathBuf {
        let engine = pocketmesh_types::Hash(self.engine).short();
        self.directory.join(format!("{id}-{engine}.compiled"))
    }

    fn checksum(&self, id: BlobId, code: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let mut hasher = blake3::Hasher::new_derive_key("pocketmesh compiled program 1");
        hasher.update(&self.engine).update(id.as_bytes()).update(code);
        *hasher.finalize().as_bytes()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
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

/// Feeds what the engine hashes of itself to a hash that is the same in every run.
struct Fingerprint(blake3::Hasher);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        pocketmesh_types::Hash(*self.0.finalize().as_bytes()).to_u64()
    }
}
