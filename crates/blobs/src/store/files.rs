//! Where blobs lie in the folder: `ab/abcd…` by name, `incoming/` while written, `damaged/` when found wrong.

use pocketmesh_types::BlobId;
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

/// Kept for whoever wants to look; beyond this damaged blobs are removed.
const DAMAGED_KEPT: usize = 16;

#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    incoming: PathBuf,
    damaged: PathBuf,
    count: AtomicU64,
}

/// A blob found when the folder was opened.
#[derive(Debug)]
pub struct Found {
    pub id: BlobId,
    pub len: u64,
    pub modified: SystemTime,
}

impl Files {
    /// Makes what is missing of the folder and removes what was being written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let files = Self {
            folder: folder.to_owned(),
            incoming: folder.join("incoming"),
            damaged: folder.join("damaged"),
            count: AtomicU64::new(0),
        };
        fs::create_dir_all(&files.damaged)?;
        if files.incoming.try_exists()? {
            fs::remove_dir_all(&files.incoming)?;
        }
        fs::create_dir(&files.incoming)?;
        // All of them now, so that a durable blob never waits for its folder's own name to be synced.
        for first in 0..=u8::MAX {
            make_folder(&files.folder.join(format!("{first:02x}")))?;
        }
        sync_folder(&files.folder)?;
        Ok(files)
    }

    /// All files that have a blob's name in its place. Others are left alone.
    pub fn list(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for first in 0..=u8::MAX {
            for file in fs::read_dir(self.folder.join(format!("{first:02x}")))? {
                let file = file?;
                let name = file.file_name();
                let Some(id) = name.to_str().and_then(|name| name.parse::<BlobId>().ok()) else { continue };
                let about = file.metadata()?;
                if about.is_file() && file.path() == self.path(id) {
                    let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    found.push(Found { id, len: about.len(), modified });
                }
            }
        }
        Ok(found)
    }

    /// A new file to write into.
    pub fn create_incoming(&self) -> io::Result<(PathBuf, File)> {
        let path = self.incoming.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((path, file))
    }

    /// Gives a written file its name.
    pub fn admit(&self, incoming: &Path, id: BlobId) -> io::Result<()> {
        fs::rename(incoming, self.path(id))
    }

    /// Makes a blob's name durable.
    pub fn sync_name(&self, id: BlobId) -> io::Result<()> {
        sync_folder(self.path(id).parent().unwrap_or(&self.folder))
    }

    pub fn open_blob(&self, id: BlobId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// Removes a blob; one that is gone already is no error.
    pub fn remove(&self, id: BlobId) -> io::Result<()> {
        gone_is_fine(fs::remove_file(self.path(id)))
    }

    /// Moves a damaged blob out of the way.
    pub fn put_aside(&self, id: BlobId) -> io::Result<()> {
        if fs::read_dir(&self.damaged)?.count() >= DAMAGED_KEPT {
            return self.remove(id);
        }
        gone_is_fine(fs::rename(self.path(id), self.damaged.join(id.to_string())))
    }

    fn path(&self, id: BlobId) -> PathBuf {
        let name = id.to_string();
        self.folder.join(&name[..2]).join(name)
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
