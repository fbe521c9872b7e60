//! `identity.key`: 32 bytes that are this peer. Readable by its owner alone, wiped from memory after use.

use pocketmesh_store::atomic_file::{self, Access};
use pocketmesh_types::PeerId;
use pocketmesh_wire::{Key, Signer};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const SEED_BYTES: usize = 32;

/// The seed of this peer's identity. Its memory is wiped when it is dropped.
pub struct Seed(Zeroizing<[u8; SEED_BYTES]>);

/// Why there is no key to use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Others can read it, so it may be known to them.
    #[error("the key {path} can be read by others (mode {mode:03o}): run `chmod 600 {path}`, if they are to be trusted",
        path = .0.display(), mode = .1)]
    TooOpen(PathBuf, u32),
    /// It has another length than a key.
    #[error("the key {} is damaged: it needs exactly {SEED_BYTES} bytes; restore it from a backup", .0.display())]
    Damaged(PathBuf),
    /// There is one already, which is never overwritten.
    #[error("the key {} exists already", .0.display())]
    Exists(PathBuf),
    /// The operating system has no randomness to give.
    #[error("the operating system gives no randomness: {0}")]
    NoRandomness(getrandom::Error),
    /// The disk refused.
    #[error("cannot use the key {path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
}

impl Seed {
    /// The raw bytes, for whoever builds a key of them; a copy is theirs to wipe.
    pub fn bytes(&self) -> &[u8; SEED_BYTES] {
        &self.0
    }

    /// The name of the peer that this is.
    pub fn peer(&self) -> PeerId {
        Key::from_seed(&self.0).peer()
    }

    /// Draws a new identity and writes it to `path`, where there must be none.
    pub(super) fn create(path: &Path) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        getrandom::fill(&mut *seed).map_err(KeyError::NoRandomness)?;
        match atomic_file::create(path, &*seed, Access::Owner) {
            Ok(()) => Ok(Self(seed)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(KeyError::Exists(path.into())),
            Err(error) => Err(KeyError::Io(path.into(), error)),
        }
    }

    /// Reads the identity at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        let io_error = |error| KeyError::Io(path.into(), error);
        let file = File::open(path).map_err(io_error)?;
        let mode = file.metadata().map_err(io_error)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::TooOpen(path.into(), mode));
        }
        // One byte more than a key: a longer file is damaged too.
        let mut bytes = Zeroizing::new([0; SEED_BYTES + 1]);
        let read = read_up_to(file, &mut *bytes).map_err(io_error)?;
        match bytes.first_chunk::<SEED_BYTES>() {
            Some(seed) if read == SEED_BYTES => Ok(Self(Zeroizing::new(*seed))),
            _ => Err(KeyError::Damaged(path.into())),
        }
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seed({:?})", self.peer())
    }
}

fn read_up_to(mut file: File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    #[test]
    fn a_key_is_read_back_as_it_was_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("identity.key");
        let made = Seed::create(&path).expect("made");
        assert_eq!(Seed::read(&path).expect("read").bytes(), made.bytes());
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(made.peer().to_string().starts_with("12D3KooW"));
        assert!(!format!("{made:?}").contains(&format!("{:?}", made.bytes())));
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("identity.key");
        let peer = Seed::create(&path).expect("made").peer();
        assert!(matches!(Seed::create(&path), Err(KeyError::Exists(_))));
        assert_eq!(Seed::read(&path).expect("read").peer(), peer);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("identity.key");
        Seed::create(&path).expect("made");
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            let error = Seed::read(&path).expect_err("too open");
            assert!(error.to_string().contains(&format!("mode {mode:03o}")), "{error}");
        }
    }

    #[test]
    fn a_damaged_key_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("identity.key");
        for length in [0, 31, 33, 100_000] {
            fs::write(&path, vec![7; length]).expect("written");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
            assert!(matches!(Seed::read(&path), Err(KeyError::Damaged(_))), "{length}");
        }
    }
}
