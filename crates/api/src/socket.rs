//! The Unix socket: made so that it is never open to others, not even for a moment.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// A longer path does not fit into the kernel's socket address everywhere (108 bytes on Linux, 104 on others), with
/// room for the suffix of [`Listener::bind`].
pub const SOCKET_PATH_BYTES_MAX: usize = 100;

/// A socket that listens; its file goes when it is dropped.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    path: PathBuf,
}

/// Why the socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there already.
    #[error("another daemon is already listening on {}: stop it with `pocketmesh stop`", .0.display())]
    InUse(PathBuf),
    /// The path does not fit into a socket address.
    #[error("the socket path {} is longer than {SOCKET_PATH_BYTES_MAX} bytes: choose a shorter data folder", .0.display())]
    TooLong(PathBuf),
    /// The disk refused.
    #[error("cannot make the control socket {path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
}

impl Listener {
    /// Binds `path`, readable and writable by its owner alone, replacing a socket that a dead daemon left. Must be
    /// called inside a tokio runtime.
    pub fn bind(path: impl Into<PathBuf>) -> Result<Self, BindError> {
        let path = path.into();
        if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(BindError::TooLong(path));
        }
        if UnixStream::connect(&path).is_ok() {
            return Err(BindError::InUse(path));
        }
        match bind_hidden(&path) {
            Ok(inner) => Ok(Self { inner, path }),
            Err(error) => Err(BindError::Io(path, error)),
        }
    }

    /// The next caller.
    pub(crate) async fn accept(&self) -> io::Result<tokio::net::UnixStream> {
        self.inner.accept().await.map(|(stream, _)| stream)
    }
}

/// Binds under another name, restricts it, and only then gives it its own: there is no moment at which `path` exists and
/// others may open it.
fn bind_hidden(path: &Path) -> io::Result<UnixListener> {
    let mut hidden = path.as_os_str().to_owned();
    hidden.push("~");
    let hidden = PathBuf::from(hidden);
    match fs::remove_file(&hidden) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&hidden)?;
    fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
    fs::rename(&hidden, path)?;
    Ok(listener)
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may be gone already; a stale socket is replaced by the next daemon anyway.
        let _ = fs::remove_file(&self.path);
    }
}
