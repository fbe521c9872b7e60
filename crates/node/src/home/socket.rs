//! Where the control socket is: in the data folder, or, when that path is too long for a socket, in a short folder of
//! the running system, which a file in the data folder names.
//!
//! The place is recorded and not computed anew, because the caller's environment may differ from the daemon's.

use pocketmesh_api::SOCKET_PATH_BYTES_MAX;
use pocketmesh_store::atomic_file::{self, Access};
use pocketmesh_types::Hash;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const SOCKET: &str = "api.sock";
/// Holds the path of the socket when it is elsewhere.
const RECORD: &str = "api.path";

/// Why there is no place for the socket.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Nowhere short enough, or not ours.
    #[error("no place for the control socket: {} is too long a path, and {problem}; use a shorter data folder", .home.display())]
    Nowhere {
        /// The data folder.
        home: PathBuf,
        /// What is wrong with the other place.
        problem: String,
    },
    /// The disk refused.
    #[error("cannot record the place of the control socket in {home}: {error}", home = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
}

/// Where callers find the socket of the data folder `home`, whether or not a daemon runs.
pub(super) fn find(home: &Path) -> PathBuf {
    let recorded = fs::read(home.join(RECORD)).ok().filter(|path| path.len() <= SOCKET_PATH_BYTES_MAX);
    match recorded.map(|bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes))) {
        Some(path) if path.is_absolute() => path,
        _ => home.join(SOCKET),
    }
}

/// Chooses and records the place for a daemon that is about to start.
pub(super) fn place(home: &Path, runtime: &Path) -> Result<PathBuf, PlaceError> {
    let io_error = |error| PlaceError::Io(home.into(), error);
    let inside = home.join(SOCKET);
    if inside.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return match fs::remove_file(home.join(RECORD)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(error)),
            _ => Ok(inside),
        };
    }
    let home = &home.canonicalize().map_err(io_error)?;
    let folder = runtime.join(format!("pocketmesh-{}", Hash::of(home.as_os_str().as_bytes()).short()));
    let path = folder.join(SOCKET);
    let nowhere = |problem: String| PlaceError::Nowhere { home: home.clone(), problem };
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX || !path.is_absolute() {
        return Err(nowhere(format!("so is {}", path.display())));
    }
    own_folder(&folder, home).map_err(|error| nowhere(format!("{} cannot be used: {error}", folder.display())))?;
    atomic_file::replace(&home.join(RECORD), path.as_os_str().as_bytes(), Access::Owner).map_err(io_error)?;
    Ok(path)
}

/// Where the running system keeps short-lived files of this user.
pub(super) fn runtime_folder() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(std::env::temp_dir)
}

/// Makes `folder`, or makes sure that it is a folder, not a link, of the owner of `home`, closed to others: the place is
/// one where others can write too.
fn own_folder(folder: &Path, home: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let metadata = fs::symlink_metadata(folder)?;
    let ours = metadata.is_dir() && metadata.uid() == fs::metadata(home)?.uid();
    if ours && metadata.permissions().mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not a private folder of this user"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    fn deep(root: &Path) -> PathBuf {
        let home = root.join("d".repeat(SOCKET_PATH_BYTES_MAX));
        fs::create_dir(&home).expect("made");
        home
    }

    #[test]
    fn a_short_folder_keeps_its_socket_inside() {
        let root = tempfile::tempdir().expect("a folder");
        let home = root.path();
        fs::write(home.join(RECORD), "/elsewhere/api.sock").expect("an old record");
        assert_eq!(place(home, Path::new("/nowhere")).expect("placed"), home.join(SOCKET));
        assert_eq!(find(home), home.join(SOCKET));
    }

    #[test]
    fn a_long_folder_names_a_short_place_that_callers_find() {
        let root = tempfile::tempdir().expect("a folder");
        let home = deep(root.path());
        let socket = place(&home, root.path()).expect("placed");
        assert!(socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX);
        assert_eq!(find(&home), socket);
        assert_eq!(place(&home, root.path()).expect("again"), socket, "a restart finds the same place");
        let folder = socket.parent().expect("a folder");
        assert_eq!(fs::metadata(folder).expect("there").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_place_that_others_prepared_is_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let home = deep(root.path());
        let folder = place(&home, root.path()).expect("placed").parent().expect("a folder").to_owned();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).expect("opened");
        assert!(place(&home, root.path()).is_err(), "open to others");
        fs::remove_dir(&folder).expect("removed");
        symlink("/", &folder).expect("a trap");
        assert!(place(&home, root.path()).is_err(), "a link");
    }

    #[test]
    fn when_every_place_is_too_long_the_error_says_so() {
        let root = tempfile::tempdir().expect("a folder");
        let home = deep(root.path());
        let error = place(&home, &home).expect_err("too long");
        assert!(error.to_string().contains("use a shorter data folder"), "{error}");
    }

    #[test]
    fn a_damaged_record_is_ignored() {
        let root = tempfile::tempdir().expect("a folder");
        for record in [b"".to_vec(), b"relative".to_vec(), vec![b'/'; 5000], vec![0xff; 10]] {
            fs::write(root.path().join(RECORD), record).expect("written");
            assert_eq!(find(root.path()), root.path().join(SOCKET));
        }
    }
}
