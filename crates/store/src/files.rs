//! The calls that the store makes of a file system, each of them one that a crash may come before.
//!
//! [`System`] is the real one. Tests put one in its place that keeps all in memory and writes down every call, so that a crash can be
//! tried at each.

use crate::atomic_file::Access;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// A file open for writing.
pub(crate) trait Disk: Send + 'static {
    /// Writes some of `bytes` where it is, and says how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Returns when all that was written would survive a power cut.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file open for reading and writing.
pub(crate) trait OpenFile: Disk {
    /// Reads some bytes from where it is; none at the end.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize>;
    /// Goes to this byte.
    fn seek(&mut self, at: u64) -> io::Result<()>;
    /// Cuts the file to this length.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// As [`Disk::sync`], with everything that the system knows of the file.
    fn sync_all(&mut self) -> io::Result<()>;
    /// Makes what is read from now on be what is on the disk: specs/journal.md §5.2.
    fn settle(&mut self) -> io::Result<()>;
}

/// A file system.
pub(crate) trait Files {
    /// A file of it.
    type File: OpenFile;
    /// Whether there is something of this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Makes a file that must not be there yet.
    fn create(&self, path: &Path, access: Access) -> io::Result<Self::File>;
    /// Opens a file that must be there.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Gives a file another name, in place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// The same, but nothing may have the name yet.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable: a file's own sync does not cover its name.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The one that this process runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System;

impl Disk for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl OpenFile for File {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Read::read(self, bytes)
    }

    fn seek(&mut self, at: u64) -> io::Result<()> {
        Seek::seek(self, SeekFrom::Start(at)).map(drop)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync_all(&mut self) -> io::Result<()> {
        Self::sync_all(self)
    }

    fn settle(&mut self) -> io::Result<()> {
        Self::sync_all(self)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        rustix::fs::fadvise(&*self, 0, None, rustix::fs::Advice::DontNeed)?;
        Ok(())
    }
}

impl Files for System {
    type File = File;

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn create(&self, path: &Path, access: Access) -> io::Result<File> {
        let mode = match access {
            Access::Owner => 0o600,
            Access::Everyone => 0o666,
        };
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Writes all of `bytes`. A short write is not an error by itself; what made it short comes with the next one.
pub(crate) fn write_all(disk: &mut impl Disk, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match disk.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
