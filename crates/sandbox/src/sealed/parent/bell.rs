//! A bell: wakes a thread that waits for a pipe.
//!
//! It is a pipe itself, so that one call can wait for both. Ringing is heard even if nobody waits yet.

use rustix::io::ioctl_fionbio;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

pub(in crate::sealed) struct Bell {
    inside: PipeReader,
    outside: PipeWriter,
}

impl Bell {
    pub(in crate::sealed) fn new() -> io::Result<Self> {
        let (inside, outside) = io::pipe()?;
        ioctl_fionbio(&inside, true)?;
        ioctl_fionbio(&outside, true)?;
        Ok(Self { inside, outside })
    }

    /// Never waits: a pipe that is full has been rung often enough.
    pub(in crate::sealed) fn ring(&self) {
        let _ = (&self.outside).write(&[1]);
    }

    /// Forgets that it was rung.
    pub(in crate::sealed) fn hush(&self) {
        let mut rings = [0; 64];
        while (&self.inside).read(&mut rings).is_ok_and(|read| read == rings.len()) {}
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inside.as_fd()
    }
}
