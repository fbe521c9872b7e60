//! A compiled program in a file, which is written and read piece by piece: whoever passes it on never holds it.

use super::{Artifact, Fingerprint, Needs};
use crate::blob::Checked;
use pocketmesh_types::BlobId;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Of one file; a program of the largest size compiles to less.
const FILE_BYTES_MAX: u64 = 1 << 30;
const CHECKSUM_BYTES: usize = 32;
/// Checksum, then what the program needs (8 bytes of memory, little-endian), then the code.
const HEADER_BYTES: u64 = CHECKSUM_BYTES as u64 + 8;

/// Whose code it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    pub(crate) engine: Fingerprint,
    pub(crate) id: BlobId,
}

impl Label {
    /// What the checksum covers before the code.
    fn hasher(self, needs: Needs) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_derive_key("pocketmesh compiled program 2");
        hasher.update(&self.engine.0).update(self.id.as_bytes()).update(&needs.memory.to_le_bytes());
        hasher
    }

    /// A cache that cannot be written to is slow and not wrong, so nobody is troubled.
    pub(super) fn warn_not_kept(self, error: &io::Error) {
        tracing::warn!(program = %self.id.short(), %error, "compiled program not kept");
    }
}

/// A compiled program. Its file stays readable when it is removed from the cache.
#[derive(Debug)]
pub(crate) struct Stored {
    label: Label,
    needs: Needs,
    len: u64,
    checksum: [u8; CHECKSUM_BYTES],
    file: File,
}

impl Stored {
    /// What is in the cache, read once to see whether it is whole.
    pub(super) fn open(label: Label, path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len().checked_sub(HEADER_BYTES).filter(|&len| (1..FILE_BYTES_MAX).contains(&len));
        let len = len.ok_or(io::ErrorKind::InvalidData)?;
        let (mut checksum, mut memory) = ([0; CHECKSUM_BYTES], [0; 8]);
        file.read_exact(&mut checksum)?;
        file.read_exact(&mut memory)?;
        let needs = Needs { memory: u64::from_le_bytes(memory) };
        let stored = Self { label, needs, len, checksum, file };
        io::copy(&mut stored.code(), &mut io::sink())?;
        Ok(stored)
    }

    /// What the program needs.
    #[cfg(unix)]
    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    /// Of its code.
    #[cfg(unix)]
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The same in memory.
    pub(super) fn read(&self) -> io::Result<Artifact> {
        let mut code = Vec::new();
        self.code().read_to_end(&mut code)?;
        Ok(Artifact { needs: self.needs, code })
    }

    /// Its code, checked once more: a file may be damaged at any time.
    pub(crate) fn code(&self) -> Checked<impl Read> {
        let from = At { file: &self.file, at: HEADER_BYTES };
        Checked::new(self.len, from, self.label.hasher(self.needs), self.checksum)
    }
}

/// Reads a file from a place of its own, whoever else reads it.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(self.file, into, self.at)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(self.file, into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A compiled program that is being written: in the cache under another name, or into a file that has none.
#[derive(Debug)]
pub(crate) struct Incoming {
    label: Label,
    needs: Needs,
    hasher: blake3::Hasher,
    file: File,
    /// Header and code so far, in bytes.
    written: u64,
    /// Its name until it is whole, and from then on.
    names: Option<(Temporary, PathBuf)>,
}

impl Incoming {
    /// One that nobody will find.
    pub(crate) fn unnamed(label: Label, needs: Needs) -> io::Result<Self> {
        Self::new(label, needs, unnamed()?, None)
    }

    /// One that is called `temporary` until it is whole, and then `path`.
    pub(super) fn named(label: Label, needs: Needs, temporary: PathBuf, path: PathBuf) -> io::Result<Self> {
        Self::new(label, needs, create(&temporary)?, Some((Temporary(temporary), path)))
    }

    fn new(label: Label, needs: Needs, file: File, names: Option<(Temporary, PathBuf)>) -> io::Result<Self> {
        let mut new = Self { label, needs, hasher: label.hasher(needs), file, written: 0, names };
        // Room for the checksum, which is known at the end.
        new.append(&[0; CHECKSUM_BYTES])?;
        new.append(&needs.memory.to_le_bytes())?;
        Ok(new)
    }

    /// Appends code.
    pub(crate) fn write(&mut self, code: &[u8]) -> io::Result<()> {
        self.hasher.update(code);
        self.append(code)
    }

    /// Where the cache has no room, all goes on in a file without a name.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            self.names.take().map(|_| self.label.warn_not_kept(&error)).ok_or(error)?;
            let mut file = unnamed()?;
            io::copy(&mut At { file: &self.file, at: 0 }.take(self.written), &mut file)?;
            file.write_all(bytes)?;
            self.file = file;
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// The program, now that it is whole.
    pub(crate) fn finish(self) -> io::Result<Stored> {
        let Self { label, needs, hasher, mut file, written, names } = self;
        let checksum = *hasher.finalize().as_bytes();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&checksum)?;
        if let Some((temporary, path)) = names {
            fs::rename(&temporary.0, path).unwrap_or_else(|error| label.warn_not_kept(&error));
        }
        Ok(Stored { label, needs, len: written - HEADER_BYTES, checksum, file })
    }
}

/// A file's name, which is gone with this, if the file still has it.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// A file that has no name, and is gone when it is closed.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn unnamed() -> io::Result<File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    Ok(rustix::fs::memfd_create("compiled program", flags)?.into())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn unnamed() -> io::Result<File> {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("pocketmesh-{}-{number}.compiled", std::process::id()));
    let file = create(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: Label = Label { engine: Fingerprint([1; 32]), id: BlobId(pocketmesh_types::Hash([2; 32])) };
    const NEEDS: Needs = Needs { memory: 3 };

    fn code_of(stored: &Stored) -> Option<Vec<u8>> {
        stored.read().ok().map(|artifact| artifact.code)
    }

    #[test]
    fn what_is_written_is_read_wherever_it_lies() {
        let directory = tempfile::tempdir().expect("a directory");
        let (temporary, path) = (directory.path().join("temporary"), directory.path().join("path"));
        let named = Incoming::named(LABEL, NEEDS, temporary.clone(), path.clone()).expect("a file");
        for mut incoming in [named, Incoming::unnamed(LABEL, NEEDS).expect("a file")] {
            incoming.write(b"co").and_then(|()| incoming.write(b"de")).expect("written");
            let stored = incoming.finish().expect("a program");
            assert_eq!((code_of(&stored), stored.needs, stored.len), (Some(b"code".to_vec()), NEEDS, 4));
        }
        assert!(path.exists() && !temporary.exists());
        let found = Stored::open(LABEL, &path).expect("whole");
        fs::remove_file(&path).expect("removed");
        assert_eq!(code_of(&found), Some(b"code".to_vec()), "it stays readable");
        let mut unfinished = Incoming::named(LABEL, NEEDS, temporary.clone(), path.clone()).expect("a file");
        unfinished.write(b"half").expect("written");
        drop(unfinished);
        assert!(!path.exists() && !temporary.exists());
    }

    #[test]
    fn damage_after_it_was_opened_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("path");
        let mut incoming = Incoming::named(LABEL, NEEDS, directory.path().join("t"), path.clone()).expect("a file");
        incoming.write(b"code").expect("written");
        let stored = incoming.finish().expect("a program");
        let whole = fs::read(&path).expect("the file");
        for damaged in [[&whole[..whole.len() - 1], b"x"].concat(), whole[..whole.len() - 1].to_vec()] {
            fs::write(&path, damaged).expect("written");
            assert_eq!(code_of(&stored), None);
            assert!(Stored::open(LABEL, &path).is_err());
        }
        fs::write(&path, &whole).expect("written");
        assert_eq!(code_of(&stored), Some(b"code".to_vec()));
        assert!(Stored::open(Label { engine: Fingerprint([2; 32]), ..LABEL }, &path).is_err(), "another engine's");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_costs_the_cache_and_not_the_program() {
        let directory = tempfile::tempdir().expect("a directory");
        let (temporary, path) = (directory.path().join("temporary"), directory.path().join("path"));
        let mut incoming = Incoming::named(LABEL, NEEDS, temporary.clone(), path.clone()).expect("a file");
        incoming.write(b"co").expect("written");
        // Nothing can be written to a file that is open for reading, as to a disk that is full.
        incoming.file = File::open(&temporary).expect("the same file");
        incoming.write(b"de").expect("written elsewhere");
        assert_eq!(code_of(&incoming.finish().expect("a program")), Some(b"code".to_vec()));
        assert!(!path.exists() && !temporary.exists());
    }
}
