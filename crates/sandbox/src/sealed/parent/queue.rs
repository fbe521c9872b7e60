//! What waits: tasks whose programs are ready, in order, and tasks whose programs have still to be compiled.
//!
//! Keepers and the press take from here and, where an executor died, put back at the front. Nobody is told under the lock.

use super::bell::Bell;
use super::library::Library;
use crate::LoadError;
use crate::cache::Needs;
use crate::deadline::StopFlag;
use crate::executor::{Loader, OnDone, OnPrepared, QueueFull, Saver, Submission, tell};
use crate::task::{Executed, Failure, Kept, Task};
use pocketmesh_types::BlobId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A task on its way, and whom to tell.
pub(in crate::sealed) struct Entry {
    pub(super) task: Task,
    pub(super) stop: StopFlag,
    /// An executor died while this task may have been running: it runs alone, so that the next death has one cause.
    pub(super) suspect: bool,
    /// Executors that died while this task was running alone.
    pub(super) deaths: u8,
    on_done: Option<OnDone>,
}

impl Entry {
    fn new(Submission { task, on_done }: Submission, stop: StopFlag) -> Box<Self> {
        Box::new(Self { task, stop, suspect: false, deaths: 0, on_done: Some(on_done) })
    }

    /// Tells how it ended, unless that was told already.
    pub(super) fn tell(&mut self, result: Result<Executed<Kept>, Failure>) {
        if let Some(on_done) = self.on_done.take() {
            tell(|| on_done(result));
        }
    }

    pub(super) fn is_told(&self) -> bool {
        self.on_done.is_none()
    }
}

impl Drop for Entry {
    /// Whatever goes wrong in between, whoever waits is told.
    fn drop(&mut self) {
        self.tell(Err(Failure::Stopped));
    }
}

/// Who waits for a program.
#[derive(Default)]
pub(super) struct Parked {
    pub(super) entries: VecDeque<Box<Entry>>,
    pub(super) prepared: Vec<OnPrepared>,
}

/// What keepers, the press and the daemon share.
pub(in crate::sealed) struct Shared {
    pub(super) library: Library,
    pub(super) loader: Loader,
    pub(super) saver: Option<Saver>,
    /// Of trees that a runner holds besides the one in use, in bytes.
    pub(super) tree_bytes: u64,
    /// One for each keeper, and the last one for the press.
    pub(super) bells: Vec<Bell>,
    queue_max: usize,
    queue: Mutex<Queue>,
    closed: AtomicBool,
    /// A task in the queue may have been stopped.
    stops: AtomicBool,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Box<Entry>>,
    parked: BTreeMap<BlobId, Parked>,
    /// Those in `parked`.
    parked_count: usize,
    /// Programs in `parked` that nobody is compiling yet, oldest first.
    wanted: VecDeque<BlobId>,
    /// Keepers that have nothing to do.
    idle: Vec<usize>,
}

impl Queue {
    fn park(&mut self, program: BlobId, put: impl FnOnce(&mut Parked)) {
        let parked = self.parked.entry(program).or_insert_with(|| {
            self.wanted.push_back(program);
            Parked::default()
        });
        put(parked);
        self.parked_count += 1;
    }
}

impl Shared {
    pub(in crate::sealed) fn new(
        library: Library,
        loader: Loader,
        saver: Option<Saver>,
        bells: Vec<Bell>,
        queue_max: usize,
        tree_bytes: u64,
    ) -> Self {
        Self {
            library,
            loader,
            saver,
            tree_bytes,
            bells,
            queue_max,
            queue: Mutex::default(),
            closed: AtomicBool::new(false),
            stops: AtomicBool::new(false),
        }
    }

    pub(in crate::sealed) fn library(&self) -> &Library {
        &self.library
    }

    /// What a program needs, compiled if need be.
    pub(in crate::sealed) fn check(&self, program: BlobId) -> Result<Needs, LoadError> {
        self.library.check(program, &*self.loader)
    }

    /// Takes a task on, or gives it back if there is no room.
    pub(in crate::sealed) fn submit(&self, submission: Submission, stop: StopFlag) -> Result<(), Box<Submission>> {
        let is_ready = self.library.may_have(submission.task.program);
        let mut queue = self.lock();
        if queue.ready.len() + queue.parked_count >= self.queue_max {
            return Err(Box::new(submission));
        }
        let entry = Entry::new(submission, stop);
        if is_ready {
            queue.ready.push_back(entry);
            self.ring_idle(&mut queue, 1);
        } else {
            self.park_and_ring(queue, entry.task.program, |parked| parked.entries.push_back(entry));
        }
        Ok(())
    }

    /// Asks for a program, whoever has it.
    pub(in crate::sealed) fn prepare(&self, program: BlobId, on_prepared: OnPrepared) -> Result<(), QueueFull> {
        let queue = self.lock();
        if queue.ready.len() + queue.parked_count >= self.queue_max {
            return Err(QueueFull);
        }
        self.park_and_ring(queue, program, |parked| parked.prepared.push(on_prepared));
        Ok(())
    }

    /// A task whose program is in neither memory nor cache.
    pub(super) fn park(&self, entry: Box<Entry>) {
        let queue = self.lock();
        if self.is_closed() {
            drop(queue);
            return drop(entry);
        }
        self.park_and_ring(queue, entry.task.program, |parked| parked.entries.push_back(entry));
    }

    fn park_and_ring(&self, mut queue: MutexGuard<'_, Queue>, program: BlobId, put: impl FnOnce(&mut Parked)) {
        queue.park(program, put);
        self.bells[self.bells.len() - 1].ring();
    }

    /// The next task for keeper `number`, which is woken for the next one if there is none.
    pub(super) fn take(&self, number: usize) -> Option<Box<Entry>> {
        let mut queue = self.lock();
        queue.idle.retain(|&idle| idle != number);
        let entry = queue.ready.pop_front();
        if entry.is_none() {
            queue.idle.push(number);
        }
        entry
    }

    /// Tasks to go with one that was taken: at most `max`, no more than this keeper's share, in order, up to the first
    /// that does not fit.
    pub(super) fn take_more<T>(&self, max: usize, fits: &mut dyn FnMut(&Entry) -> Option<T>) -> Vec<(Box<Entry>, T)> {
        let mut queue = self.lock();
        let share = queue.ready.len().div_ceil(self.keepers());
        let mut taken = Vec::with_capacity(max.min(share));
        while taken.len() < max.min(share) {
            let Some(place) = queue.ready.front().filter(|entry| !entry.suspect).and_then(|entry| fits(entry)) else {
                break;
            };
            taken.extend(queue.ready.pop_front().zip(Some(place)));
        }
        taken
    }

    /// Puts tasks back, in their order, before all others.
    pub(super) fn put_back(&self, entries: impl DoubleEndedIterator<Item = Box<Entry>>) {
        let mut queue = self.lock();
        if self.is_closed() {
            drop(queue);
            return entries.for_each(drop);
        }
        let before = queue.ready.len();
        entries.filter(|entry| !entry.is_told()).rev().for_each(|entry| queue.ready.push_front(entry));
        let added = queue.ready.len() - before;
        self.ring_idle(&mut queue, added);
    }

    /// The next program to be compiled.
    pub(super) fn next_wanted(&self) -> Option<BlobId> {
        self.lock().wanted.pop_front()
    }

    /// A program is ready, or there is nothing to be ready: whoever waits is let go.
    pub(super) fn unpark(&self, program: BlobId, failure: Option<&dyn Fn() -> Failure>) {
        let mut queue = self.lock();
        let Parked { entries, prepared } = queue.parked.remove(&program).unwrap_or_default();
        queue.parked_count -= entries.len() + prepared.len();
        let mut refused = VecDeque::new();
        if failure.is_some() {
            refused = entries;
        } else {
            let count = entries.len();
            queue.ready.extend(entries);
            self.ring_idle(&mut queue, count);
        }
        drop(queue);
        if let Some(failure) = failure {
            refused.iter_mut().for_each(|entry| entry.tell(Err(failure())));
        }
        prepared.into_iter().for_each(|told| tell(|| told(failure.map_or(Ok(()), |failure| Err(failure())))));
    }

    /// A task was stopped, wherever it is.
    pub(in crate::sealed) fn on_stop(&self) {
        self.stops.store(true, Ordering::Release);
        self.bells.iter().for_each(Bell::ring);
    }

    /// Tells the tasks in the queue that were stopped; called by whoever is woken.
    pub(super) fn tell_stopped(&self) {
        if !self.stops.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut queue = self.lock();
        let mut stopped = take_stopped(&mut queue.ready);
        let from_ready = stopped.len();
        for parked in queue.parked.values_mut() {
            stopped.extend(take_stopped(&mut parked.entries));
        }
        queue.parked_count -= stopped.len() - from_ready;
        drop(queue);
        stopped.iter_mut().for_each(|entry| entry.tell(Err(Failure::Stopped)));
    }

    /// Everything ends: who waits is told, who works is woken.
    pub(in crate::sealed) fn close(&self) {
        // Before the queue is emptied: who puts something back looks at it under the lock.
        self.closed.store(true, Ordering::Release);
        let mut queue = self.lock();
        let ready = std::mem::take(&mut queue.ready);
        let parked = std::mem::take(&mut queue.parked);
        queue.parked_count = 0;
        queue.wanted.clear();
        drop(queue);
        self.bells.iter().for_each(Bell::ring);
        drop(ready);
        for Parked { entries, prepared } in parked.into_values() {
            drop(entries);
            prepared.into_iter().for_each(|told| tell(|| told(Err(Failure::Stopped))));
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn keepers(&self) -> usize {
        self.bells.len() - 1
    }

    fn ring_idle(&self, queue: &mut Queue, count: usize) {
        for _ in 0..count {
            match queue.idle.pop() {
                Some(number) => self.bells[number].ring(),
                None => break,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_stopped(entries: &mut VecDeque<Box<Entry>>) -> VecDeque<Box<Entry>> {
    let (stopped, others) = std::mem::take(entries).into_iter().partition(|entry| entry.stop.is_raised());
    *entries = others;
    stopped
}
