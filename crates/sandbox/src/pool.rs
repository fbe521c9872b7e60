//! Threads of this process that run tasks: the executor without a sealed child.
//!
//! Threads of its own, because a task blocks its thread for as long as it runs. The queue is bounded; a panic in one
//! task ends that task alone; dropping the pool stops what runs, tells everybody, and waits for the threads.

use crate::deadline::StopFlag;
use crate::engine::{Engine, LoadError};
use crate::executor::{Executor, Loader, OnPrepared, QueueFull, Submission, Ticket, tell, unless_panicked};
use crate::profile::WASM_STACK_BYTES;
use crate::program::Program;
use crate::task::{Contents, Executed, Failure, Stdin};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::tree::{File, Tree};
use pocketmesh_types::{BlobId, ProfileId};
use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Stack of a thread: the program's, and room for the compiler.
const THREAD_STACK_BYTES: usize = WASM_STACK_BYTES + (3 << 20);

/// The size of a pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolConfig {
    /// Tasks that run at once; with pooling, no more than the engine has slots.
    pub threads: NonZeroUsize,
    /// Tasks and preparations that wait.
    pub queue: usize,
}

/// An executor of threads.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    engine: Engine,
    loader: Loader,
    queue: Mutex<Queue>,
    queue_max: usize,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    /// The flags of the tasks that run now.
    running: Vec<StopFlag>,
    closed: bool,
}

enum Work {
    Run(Box<Submission>, StopFlag),
    Prepare(BlobId, OnPrepared),
}

impl Pool {
    /// Starts the threads.
    pub fn start(config: PoolConfig, engine: Engine, loader: Loader) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            engine,
            loader,
            queue: Mutex::default(),
            queue_max: config.queue,
            filled: Condvar::new(),
        });
        let mut pool = Self { shared, threads: Vec::with_capacity(config.threads.get()) };
        for number in 0..config.threads.get() {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name(format!("task-{number}")).stack_size(THREAD_STACK_BYTES);
            pool.threads.push(thread.spawn(move || shared.work())?);
        }
        Ok(pool)
    }

    fn push(&self, work: Work) -> Result<(), Work> {
        let mut queue = self.shared.lock();
        if queue.waiting.len() >= self.shared.queue_max {
            return Err(work);
        }
        queue.waiting.push_back(work);
        self.shared.filled.notify_one();
        Ok(())
    }
}

impl Executor for Pool {
    fn profile(&self) -> ProfileId {
        self.shared.engine.profile()
    }

    fn check(&self, program: BlobId, limits: &TaskLimits) -> Result<(), LoadError> {
        Ok(self.shared.load(program)?.check_limits(limits)?)
    }

    fn prepare(&self, program: BlobId, on_prepared: OnPrepared) -> Result<(), QueueFull> {
        self.push(Work::Prepare(program, on_prepared)).map_err(|_| QueueFull)
    }

    fn submit(&self, submission: Submission) -> Result<Ticket, Box<Submission>> {
        let stop = StopFlag::default();
        match self.push(Work::Run(Box::new(submission), stop.clone())) {
            Ok(()) => {
                let engine = self.shared.engine.clone();
                Ok(Ticket::new(stop, Arc::new(move || engine.interrupt())))
            }
            Err(Work::Run(submission, _)) => Err(submission),
            Err(Work::Prepare(..)) => unreachable!("what comes back is what was pushed"),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let waiting = {
            let mut queue = self.shared.lock();
            queue.closed = true;
            queue.running.iter().for_each(StopFlag::raise);
            std::mem::take(&mut queue.waiting)
        };
        self.shared.filled.notify_all();
        self.shared.engine.interrupt();
        for work in waiting {
            work.refuse();
        }
        // The last to hold the pool may be a task's end, told by one of its threads: that one ends by itself.
        let me = std::thread::current().id();
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != me) {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life.
    fn work(&self) {
        while let Some(work) = self.next() {
            match work {
                Work::Run(submission, stop) => {
                    let Submission { mut task, on_done } = *submission;
                    let result = unless_panicked(|| {
                        let program = self.load(task.program)?;
                        let files = self.contents(&task.files)?;
                        if let Stdin::Blob(input) = task.stdin {
                            task.stdin = self.read(input.id).map_err(LoadError::Read)?.into();
                        }
                        self.engine.run_until(&program, task, files, &stop)
                    });
                    self.lock().running.retain(|running| !running.is(&stop));
                    tell(|| on_done(result.map(Executed::kept)));
                }
                Work::Prepare(program, on_prepared) => {
                    let result = unless_panicked(|| Ok(self.load(program).map(drop)?));
                    tell(|| on_prepared(result));
                }
            }
        }
    }

    /// Waits for work; `None` when the pool is closed.
    fn next(&self) -> Option<Work> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(work) = queue.waiting.pop_front() {
                if let Work::Run(_, stop) = &work {
                    queue.running.push(stop.clone());
                }
                return Some(work);
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn contents(&self, tree: &Tree) -> Result<Contents, Failure> {
        let read = |file: &File| self.read(file.content.id).map(Arc::from).map_err(LoadError::Read);
        Ok(Contents(tree.files().iter().map(read).collect::<Result<_, _>>()?))
    }

    fn load(&self, program: BlobId) -> Result<Program, LoadError> {
        self.engine.load(program, &|id| self.read(id))
    }

    fn read(&self, id: BlobId) -> io::Result<Vec<u8>> {
        (self.loader)(id)?.into_vec()
    }
}

impl Work {
    /// Tells whoever waits that nothing will come.
    fn refuse(self) {
        match self {
            Self::Run(submission, _) => tell(|| (submission.on_done)(Err(Failure::Stopped))),
            Self::Prepare(_, on_prepared) => tell(|| on_prepared(Err(Failure::Stopped))),
        }
    }
}
