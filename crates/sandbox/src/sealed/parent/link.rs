//! A child process and its pipes, seen from the daemon: every wait has an end, every message a bound.
//!
//! A child that is dropped is killed and waited for, so there is never a zombie and never one that is forgotten.

use super::bell::Bell;
use super::launch::Launch;
use crate::sealed::frame::{Fields, HEADER_BYTES, Head, Header, Malformed, Outgoing};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::time::{Duration, Instant};

/// What is read at once.
const READ_BYTES: usize = 64 << 10;
/// Of a bulk that passes through.
const PIECE_BYTES: usize = 64 << 10;
/// What is kept of a buffer that a large answer grew.
const KEPT_BYTES: usize = 1 << 20;
/// Of a child's last words in the log.
const LAST_WORDS_BYTES: usize = 2 << 10;

/// Why a child is of no more use.
#[derive(Debug, thiserror::Error)]
pub(in crate::sealed) enum Broken {
    /// It ended, or does not keep to the protocol.
    #[error("{0}")]
    Died(String),
    /// It took too long.
    #[error("it did not answer in time")]
    Late,
    /// What it was to get could not be read to its end, so that it has a part.
    #[error("what it was sent could not be read: {0}")]
    Unread(io::Error),
    /// What it said could not be kept, so that some of it is still to come.
    #[error("what it wrote could not be stored: {0}")]
    Unsaved(io::Error),
    /// Somebody rang for something more urgent. The link is whole.
    #[error("it was stopped")]
    Interrupted,
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Died(format!("it sent {malformed}"))
    }
}

/// How long to wait, and for what else.
pub(in crate::sealed) struct Vigil<'a> {
    pub(in crate::sealed) until: Instant,
    pub(in crate::sealed) bell: Option<&'a Bell>,
    /// Asked whenever the bell was rung, and before waiting: whether to leave off.
    pub(in crate::sealed) leave_off: &'a dyn Fn() -> bool,
}

impl Vigil<'_> {
    /// Waits for `fd`.
    fn wait(&self, fd: BorrowedFd<'_>, flags: PollFlags) -> Result<(), Broken> {
        loop {
            if (self.leave_off)() {
                return Err(Broken::Interrupted);
            }
            let ready = wait_for(Some((fd, flags)), self.bell, Some(self.until));
            match ready.map_err(|error| Broken::Died(error.to_string()))? {
                Ready::Fd => return Ok(()),
                Ready::Bell => {}
                Ready::Nothing => return Err(Broken::Late),
            }
        }
    }
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sealed) enum Ready {
    Fd,
    Bell,
    Nothing,
}

/// Waits until the descriptor is ready or closed, the bell is rung, or it is too late.
pub(in crate::sealed) fn wait_for(
    fd: Option<(BorrowedFd<'_>, PollFlags)>,
    bell: Option<&Bell>,
    until: Option<Instant>,
) -> io::Result<Ready> {
    let mut fds = Vec::with_capacity(2);
    fds.extend(bell.map(|bell| PollFd::new(bell, PollFlags::IN)));
    fds.extend(fd.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match poll(&mut fds, left.map(rounded_up).as_ref()) {
            Ok(0) => return Ok(Ready::Nothing),
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match bell.filter(|_| !fds[0].revents().is_empty()) {
        Some(bell) => {
            bell.hush();
            Ok(Ready::Bell)
        }
        None => Ok(Ready::Fd),
    }
}

fn rounded_up(time: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() }
}

/// A message of the child, but for its bulk.
#[derive(Debug)]
pub(in crate::sealed) struct Frame<'a> {
    pub(in crate::sealed) kind: u8,
    head: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(in crate::sealed) fn fields(&self) -> Fields<'a> {
        Fields(self.head)
    }
}

/// A child and its pipes.
pub(in crate::sealed) struct Link {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    outgoing: Outgoing,
    /// What has come and is not used up, from `used` on.
    incoming: Vec<u8>,
    used: usize,
}

impl Link {
    /// Starts a child. It dies with this thread.
    pub(super) fn open(launch: &Launch) -> io::Result<Self> {
        let mut child = launch.command().spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            unreachable!("the command asks for all three pipes");
        };
        let link = Self { child, stdin, stdout, stderr, outgoing: Outgoing::default(), incoming: Vec::new(), used: 0 };
        ioctl_fionbio(&link.stdin, true)?;
        ioctl_fionbio(&link.stdout, true)?;
        ioctl_fionbio(&link.stderr, true)?;
        Ok(link)
    }

    /// Puts a message in; it leaves with the next [`flush`](Self::flush), or earlier if it is large.
    pub(in crate::sealed) fn push(
        &mut self,
        kind: u8,
        head: &Head,
        bulk: &[u8],
        vigil: &Vigil<'_>,
    ) -> Result<(), Broken> {
        match self.outgoing.push(kind, head, bulk) {
            Ok(None) => Ok(()),
            Ok(Some(bulk)) => self.flush(vigil).and_then(|()| self.write(bulk, vigil)),
            Err(too_large) => Err(Broken::Died(format!("it cannot be told: {too_large}"))),
        }
    }

    /// The same for a bulk of `len` bytes that passes through a piece at a time.
    pub(in crate::sealed) fn push_from(
        &mut self,
        kind: u8,
        head: &Head,
        len: u64,
        mut bulk: impl Read,
        vigil: &Vigil<'_>,
    ) -> Result<(), Broken> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let pushed = self.outgoing.push_head(kind, head, len);
        pushed.map_err(|too_large| Broken::Died(format!("it cannot be told: {too_large}")))?;
        let mut left = len;
        while left > 0 {
            let start = self.outgoing.0.len();
            let most = left.min(PIECE_BYTES);
            self.outgoing.0.resize(start + most, 0);
            bulk.read_exact(&mut self.outgoing.0[start..]).map_err(Broken::Unread)?;
            left -= most;
            if self.outgoing.0.len() >= PIECE_BYTES {
                self.flush(vigil)?;
            }
        }
        Ok(())
    }

    /// Writes what was put in. If it is broken off, the child cannot be used any more.
    pub(in crate::sealed) fn flush(&mut self, vigil: &Vigil<'_>) -> Result<(), Broken> {
        let outgoing = std::mem::take(&mut self.outgoing.0);
        let written = self.write(&outgoing, vigil);
        self.outgoing.0 = outgoing;
        self.outgoing.0.clear();
        self.outgoing.0.shrink_to(KEPT_BYTES);
        written
    }

    fn write(&mut self, mut bytes: &[u8], vigil: &Vigil<'_>) -> Result<(), Broken> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.stdin, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN) => vigil.wait(self.stdin.as_fd(), PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(_) => return Err(Broken::Died("it does not listen any more".into())),
            }
        }
        Ok(())
    }

    /// The next message, which has no bulk. If it is interrupted, it can be called again.
    pub(in crate::sealed) fn receive(&mut self, vigil: &Vigil<'_>) -> Result<Frame<'_>, Broken> {
        self.receive_head(0, vigil).map(|(frame, _)| frame)
    }

    /// The same for a message with a bulk of at most `bulk_max` bytes, which is to be [taken in pieces](Self::receive_some),
    /// and its length.
    pub(in crate::sealed) fn receive_head(
        &mut self,
        bulk_max: usize,
        vigil: &Vigil<'_>,
    ) -> Result<(Frame<'_>, usize), Broken> {
        self.wait_for_bytes(HEADER_BYTES, vigil)?;
        let header = self.incoming[self.used..].first_chunk().expect("they have come");
        let header = Header::decode(*header, bulk_max)?;
        self.wait_for_bytes(HEADER_BYTES + header.head, vigil)?;
        let head = &self.take(HEADER_BYTES + header.head)[HEADER_BYTES..];
        Ok((Frame { kind: header.kind, head }, header.bulk))
    }

    /// The next bytes of a bulk: as many as have come, and no more than `most`.
    pub(in crate::sealed) fn receive_some(&mut self, most: usize, vigil: &Vigil<'_>) -> Result<&[u8], Broken> {
        self.wait_for_bytes(1, vigil)?;
        Ok(self.take(most.min(self.incoming.len() - self.used)))
    }

    fn wait_for_bytes(&mut self, count: usize, vigil: &Vigil<'_>) -> Result<(), Broken> {
        while self.incoming.len() - self.used < count {
            self.read(count, vigil)?;
        }
        Ok(())
    }

    /// The next bytes, which have come.
    fn take(&mut self, count: usize) -> &[u8] {
        self.used += count;
        &self.incoming[self.used - count..self.used]
    }

    /// Reads some of the `wanted` bytes, and perhaps more.
    fn read(&mut self, wanted: usize, vigil: &Vigil<'_>) -> Result<(), Broken> {
        self.incoming.drain(..self.used);
        self.used = 0;
        if wanted < KEPT_BYTES {
            self.incoming.shrink_to(KEPT_BYTES);
        }
        // No more than the child has sent so far is ever allocated on the word of a header, but for one doubling.
        self.incoming.reserve(READ_BYTES);
        loop {
            match rustix::io::read(&self.stdout, rustix::buffer::spare_capacity(&mut self.incoming)) {
                Ok(0) => return Err(Broken::Died("it ended".into())),
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN) => vigil.wait(self.stdout.as_fd(), PollFlags::IN)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(Broken::Died(error.to_string())),
            }
        }
    }

    /// Where it is heard that the child does something unasked: all that it can do then is end.
    pub(in crate::sealed) fn unasked(&self) -> (BorrowedFd<'_>, PollFlags) {
        (self.stdout.as_fd(), PollFlags::IN)
    }

    /// Ends the child, and returns how it ended and what it wrote to standard error, for the log.
    pub(in crate::sealed) fn end(mut self) -> String {
        let status = self.reap();
        let mut words = vec![0; LAST_WORDS_BYTES];
        let len = rustix::io::read(&self.stderr, words.as_mut_slice()).unwrap_or(0);
        let words = String::from_utf8_lossy(&words[..len]).trim().to_owned();
        match status {
            Ok(status) if words.is_empty() => status.to_string(),
            Ok(status) => format!("{status}: {words}"),
            Err(error) => error.to_string(),
        }
    }

    /// Ends the child without waiting until it is gone.
    pub(in crate::sealed) fn kill(&mut self) {
        if let Err(error) = self.child.kill() {
            tracing::error!(%error, "an executor could not be ended");
        }
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.child.wait()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A child that has been waited for already is left alone by both calls.
        if let Err(error) = self.reap() {
            tracing::error!(%error, "an executor could not be waited for");
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", self.child.id())
    }
}
