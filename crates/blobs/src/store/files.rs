//! Where blobs lie in the folder: `ab/abcd…` by name with its tree beside it, `incoming/` while written, `partial/` while
//! fetched, `kept/` for the names to be kept, `damaged/` when found wrong.

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

/// Endings of files: the hashes of a blob's tree; the bytes of one that is being fetched; which of them are here.
pub const TREE: &str = ".tree";
pub const DATA: &str = ".data";
pub const HAVE: &str = ".have";

#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    incoming: PathBuf,
    partial: PathBuf,
    kept: PathBuf,
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
            partial: folder.join("partial"),
            kept: folder.join("kept"),
            damaged: folder.join("damaged"),
            count: AtomicU64::new(0),
            folder_synced: [const { AtomicBool::new(false) }; 256],
        };
        for folder in [&files.damaged, &files.partial, &files.kept] {
            fs::create_dir_all(folder)?;
        }
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
            if let Some(id) = name.to_str().and_then(|name| name.strip_suffix(TREE)).and_then(|name| name.parse().ok())
            {
                self.remove_orphan(&file.path(), id)?;
                continue;
            }
            let Some(id) = name.to_str().and_then(|name| name.parse::<BlobId>().ok()) else { continue };
            let about = file.metadata()?;
            if about.is_file() && file.path() == self.path(id) {
                let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push(Found { id, len: about.len(), modified });
            }
        }
        Ok(())
    }

    /// A tree whose blob is gone serves nobody.
    fn remove_orphan(&self, tree: &Path, id: BlobId) -> io::Result<()> {
        if tree == self.tree_path(id) && !self.path(id).try_exists()? {
            gone_is_fine(fs::remove_file(tree))
        } else {
            Ok(())
        }
    }

    /// A new file to write into.
    pub fn create_incoming(&self) -> io::Result<(PathBuf, File)> {
        let path = self.incoming.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((path, file))
    }

    /// Gives a written file its name, after its tree has got its own. Not to be called by two threads at once.
    pub fn admit(&self, incoming: &Path, tree: Option<&Path>, id: BlobId) -> io::Result<()> {
        if let Some(tree) = tree {
            self.admit_tree(tree, id)?;
        }
        self.rename(incoming, id, &self.path(id))
    }

    /// Puts a tree beside its blob.
    pub fn admit_tree(&self, incoming: &Path, id: BlobId) -> io::Result<()> {
        self.rename(incoming, id, &self.tree_path(id))
    }

    fn rename(&self, from: &Path, id: BlobId, to: &Path) -> io::Result<()> {
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Err(error) = fs::create_dir(self.folder_of(id))
                    && error.kind() != io::ErrorKind::AlreadyExists
                {
                    return Err(error);
                }
                fs::rename(from, to)
            }
            result => result,
        }
    }

    /// Gives the bytes of a fetch that is complete their name. The tree, if it is kept, comes first.
    pub fn admit_partial(&self, id: BlobId, with_tree: bool) -> io::Result<()> {
        let path = self.partial_path(id);
        let tree = ended(&path, TREE);
        self.admit(&ended(&path, DATA), with_tree.then_some(&tree), id)?;
        self.remove_partial(id)
    }

    /// What the three files of a blob that is being fetched are called, without their endings.
    pub fn partial_path(&self, id: BlobId) -> PathBuf {
        self.partial.join(id.to_string())
    }

    /// The blobs of which a part is here, the last written first.
    pub fn list_partial(&self) -> io::Result<Vec<BlobId>> {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.partial)? {
            let file = file?;
            let name = file.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(HAVE)).and_then(|name| name.parse().ok());
            if let Some(id) = id {
                found.push((file.metadata()?.modified().unwrap_or(SystemTime::UNIX_EPOCH), id));
            }
        }
        found.sort_by_key(|&(modified, id)| std::cmp::Reverse((modified, id)));
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    /// Removes all files of a blob that is being fetched.
    pub fn remove_partial(&self, id: BlobId) -> io::Result<()> {
        let path = self.partial_path(id);
        [HAVE, DATA, TREE].into_iter().try_for_each(|ending| gone_is_fine(fs::remove_file(ended(&path, ending))))
    }

    /// The names that are to be kept.
    pub fn list_kept(&self) -> io::Result<Vec<BlobId>> {
        let mut kept = Vec::new();
        for file in fs::read_dir(&self.kept)? {
            kept.extend(file?.file_name().to_str().and_then(|name| name.parse::<BlobId>().ok()));
        }
        Ok(kept)
    }

    /// Writes down durably that a name is to be kept, or is not any more.
    pub fn set_kept(&self, id: BlobId, keep: bool) -> io::Result<()> {
        let path = self.kept.join(id.to_string());
        if keep {
            File::create(path)?;
        } else {
            gone_is_fine(fs::remove_file(path))?;
        }
        sync_folder(&self.kept)
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

    /// When a blob was last changed, if it is there.
    pub fn modified(&self, id: BlobId) -> Option<SystemTime> {
        fs::metadata(self.path(id)).ok()?.modified().ok()
    }

    pub fn open_tree(&self, id: BlobId) -> io::Result<File> {
        File::open(self.tree_path(id))
    }

    /// Removes a blob and its tree; one that is gone already is no error.
    pub fn remove(&self, id: BlobId) -> io::Result<()> {
        gone_is_fine(fs::remove_file(self.path(id)))?;
        gone_is_fine(fs::remove_file(self.tree_path(id)))
    }

    /// Moves a damaged blob out of the way.
    pub fn put_aside(&self, id: BlobId) -> io::Result<()> {
        if fs::read_dir(&self.damaged)?.count() < DAMAGED_KEPT {
            gone_is_fine(fs::rename(self.path(id), self.damaged.join(id.to_string())))?;
        }
        self.remove(id)
    }

    /// Whether a damaged blob of this name was put aside and is there still.
    pub fn is_aside(&self, id: BlobId) -> io::Result<bool> {
        self.damaged.join(id.to_string()).try_exists()
    }

    fn tree_path(&self, id: BlobId) -> PathBuf {
        ended(&self.path(id), TREE)
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.folder_of(id).join(id.to_string())
    }

    fn folder_of(&self, id: BlobId) -> PathBuf {
        self.folder.join(format!("{:02x}", id.as_bytes()[0]))
    }
}

/// A path with an ending put to its name.
pub fn ended(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
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
