//! The wall clock as a safety net: a thread that stops tasks which run for too long.
//!
//! It sleeps until the next deadline and costs nothing before. A stopped task has no outcome.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// Asks a running task to stop. Clones share the flag.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// From now on the answer is yes. A task notices at its next look.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Whether `other` is a clone of this one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The thread and what it waits for. Dropping it ends the thread.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The number tells apart two tasks with one deadline.
    deadlines: BTreeSet<(Instant, u64)>,
    next: u64,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watchdog {
    /// Starts the thread. It calls `bark` when a deadline has passed: running tasks then look at their own.
    pub(crate) fn start(bark: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("task-deadline".into()).spawn(move || watch(&watched, &bark))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Watches until the guard is dropped.
    pub(crate) fn watch(&self, deadline: Instant) -> Watched<'_> {
        let mut state = self.shared.lock();
        state.next += 1;
        let key = (deadline, state.next);
        state.deadlines.insert(key);
        if state.deadlines.first() == Some(&key) {
            self.shared.changed.notify_one();
        }
        Watched { shared: &self.shared, key }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A deadline that is being watched.
pub(crate) struct Watched<'a> {
    shared: &'a Shared,
    key: (Instant, u64),
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.shared.lock().deadlines.remove(&self.key);
    }
}

fn watch(shared: &Shared, bark: &dyn Fn()) {
    let mut state = shared.lock();
    while !state.closed {
        let Some(&(first, _)) = state.deadlines.first() else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let now = Instant::now();
        if first <= now {
            state.deadlines.retain(|&(deadline, _)| deadline > now);
            bark();
        } else {
            let waited = shared.changed.wait_timeout(state, first - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
