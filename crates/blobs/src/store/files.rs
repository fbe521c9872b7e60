//! Where blobs lie in the folder: `ab/abcd…` by name, `incoming/` while written, `damaged/` when found wrong.

use pocketmesh_types::BlobId;
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
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
    /// Whether the name of the folder `ab/` has been synced since opening, by its number.
    folder_synced: [AtomicBool; 256],
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
            folder_synced: [const { AtomicBool::new(false) }; 256],
        };
        fs::create_dir_all(&files.damaged)?;
        if files.incoming.try_exists()? {
            fs::remove_dir_all(&files.incoming)?;
        }
        fs::create_dir(&files.incoming)?;
        Ok(files)
    }

    /// All files that have a blob's name in its place. Others are left alone.
    pub fn list(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            let named = folder.file_name().to_str().is_some_and(|name| name.len() == 2);
            if named && folder.file_type()?.is_dir() {
                self.list_folder(&folder.path(), &mut found)?;
            }
        }
        Ok(found)
    }

    fn list_folder(&self, folder: &Path, found: &mut Vec<Found>) -> io::Result<()> {
        for file in fs::read_dir(folder)? {
            let file = file?;
            let name = file.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<BlobId>().ok()) else { continue };
            let about = file.metadata()?;
            if about.is_file() && file.path() == self.path(id) {
                let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push(Found { id, len: about.len(), modified });
            }
        }
        Ok(())
    }

    /// A new file to write into.
    pub fn create_incoming(&self) -> io::Result<(PathBuf, File)> {
        let path = self.incoming.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((path, file))
    }

    /// Gives a written file its name. Not to be called by two threads at once.
    pub fn admit(&self, incoming: &Path, id: BlobId) -> io::Result<()> {
        match fs::rename(incoming, self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(self.folder_of(id))?;
                fs::rename(incoming, self.path(id))
            }
            result => result,
        }
    }

    /// Makes a blob's name durable, and those of the folders it is in.
    pub fn sync_name(&self, id: BlobId) -> io::Result<()> {
        let synced = &self.folder_synced[usize::from(id.as_bytes()[0])];
        if !synced.load(Ordering::Acquire) {
            sync_folder(&self.folder)?;
            if let Some(parent) = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync_folder(parent)?;
            }
            synced.store(true, Ordering::Release);
        }
        sync_folder(&self.folder_of(id))
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
        self.folder_of(id).join(id.to_string())
    }

    fn folder_of(&self, id: BlobId) -> PathBuf {
        self.folder.join(format!("{:02x}", id.as_bytes()[0]))
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
