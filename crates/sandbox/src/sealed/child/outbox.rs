//! Answers on their way to the parent: many small ones in one write, and none held back for long.
//!
//! The parent kills whatever runs past its limit, and takes the first task that it has not heard of for the one that
//! runs. So answers leave within a millisecond even while the next task computes: a thread of its own sees to that.

use super::super::frame::Outgoing;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer may wait for others.
const WAIT_MAX: Duration = Duration::from_millis(1);
/// How many bytes may wait: what a pipe holds.
const BYTES_MAX: usize = 64 << 10;
/// What is kept of a buffer that a large answer grew.
const KEPT_BYTES: usize = 1 << 20;

/// The answers.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    outgoing: Outgoing,
    /// When the oldest answer that waits was put in.
    since: Option<Instant>,
    closed: bool,
    broken: bool,
}

impl Outbox {
    /// Puts an answer in. With `now`, it is written before this returns.
    pub(super) fn send(&self, push: impl FnOnce(&mut Outgoing), now: bool) -> io::Result<()> {
        let mut state = self.lock();
        push(&mut state.outgoing);
        if now || state.outgoing.0.len() >= BYTES_MAX {
            return state.write();
        }
        if state.since.is_none() {
            state.since = Some(Instant::now());
            self.filled.notify_one();
        }
        if state.broken { Err(broken()) } else { Ok(()) }
    }

    /// Ends the thread that flushes.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// That thread's life.
    pub(super) fn flush_in_time(&self) {
        let mut state = self.lock();
        while !state.closed {
            let Some(since) = state.since else {
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = WAIT_MAX.saturating_sub(since.elapsed());
            if left.is_zero() {
                // The next answer tells the worker that nobody listens.
                let _ = state.write();
            } else {
                state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self) -> io::Result<()> {
        self.since = None;
        let written = write_all(&self.outgoing.0);
        self.broken |= written.is_err();
        self.outgoing.0.clear();
        self.outgoing.0.shrink_to(KEPT_BYTES);
        if self.broken { Err(broken()) } else { Ok(()) }
    }
}

/// Past the line buffer of `std`, which would cut answers at every byte that looks like the end of a line.
fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(io::stdout(), bytes) {
            Ok(0) => return Err(broken()),
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
