//! The sealed executor: processes that run what strangers wrote, so that the daemon, which holds keys, never does.
//!
//! A [`Sealed`] starts processes of the daemon's own binary, which give up files, sockets, other processes and most
//! system calls for good before the first foreign byte reaches them ([`Seal`]). **Runners** live long and run one task at a
//! time; **compilers** compile one program each and end. Bytes go over their standard input and output; whatever a
//! child says is checked and bounded like a stranger's message. See `specs/execution.md` §6 and §7.

mod answer;
mod child;
mod frame;
mod parent;
mod request;
mod seal;

pub use child::{executor_main, seal_in};
pub use seal::Seal;

use crate::LoadError;
use crate::cache::Compiled;
use crate::deadline::StopFlag;
use crate::executor::{Executor, Loader, OnPrepared, QueueFull, Saver, Submission, Ticket};
use crate::profile::{self, Backend};
use parent::bell::Bell;
use parent::launch::Launch;
use parent::library::Library;
use parent::queue::Shared;
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{BlobId, ProfileId, limits};
use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Memory of a runner besides that of its task and the trees that it holds: code, output on its way, and its own.
/// A net below a sandbox that fails, no quota: what a task may use is decided inside.
const RUNNER_OWN_BYTES: u64 = 2 << 30;

/// How executors are started, and what they may use.
#[derive(Debug, Clone)]
pub struct SealedConfig {
    /// The program whose `main` is [`executor_main`] when it is started with `args`: the absolute path of the daemon's own
    /// binary, or `/proc/self/exe`, which is still the same after the binary was replaced.
    pub command: PathBuf,
    /// What tells it so.
    pub args: Vec<OsString>,
    /// Runners, each with one task at a time: the cores that are given.
    pub executors: NonZeroUsize,
    /// Tasks and preparations that wait.
    pub queue: usize,
    /// Where compiled programs are kept between runs; made if it is not there. Nobody else may write to it.
    pub cache_dir: Option<PathBuf>,
    /// Compiled or interpreted.
    pub backend: Backend,
    /// Reserve little address space (phones).
    pub scarce_address_space: bool,
    /// The largest memory limit of a task that will be run, in bytes.
    pub memory: u64,
    /// How long a program may take to compile by the clock: a net for a machine that is busy with other things. What bounds
    /// a compiler is its processor time, which depends on the program's size.
    pub compile_time: Duration,
    /// How much memory compiling a program may take, in bytes.
    pub compile_memory: u64,
}

impl SealedConfig {
    /// One executor per core that is given, and what fits most machines for the rest.
    pub fn new(command: PathBuf, args: Vec<OsString>, executors: NonZeroUsize) -> Self {
        Self {
            command,
            args,
            executors,
            queue: 4096,
            cache_dir: None,
            backend: Backend::Cranelift,
            scarce_address_space: false,
            memory: limits::TASK_MEMORY_BYTES_MAX,
            compile_time: Duration::from_secs(1200),
            compile_memory: 3 << 30,
        }
    }
}

/// Why there are no sealed executors.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// The cache directory.
    #[error("failed to open the cache of compiled programs at {path}: {error}")]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A thread or a pipe.
    #[error("failed to start a thread for an executor: {0}")]
    Thread(io::Error),
    /// A process.
    #[error("failed to start an executor: {0}")]
    Executor(String),
}

/// An executor of sealed processes. Dropping it stops what runs, tells everybody, and ends all processes.
pub struct Sealed {
    shared: Arc<Shared>,
    wake: Arc<dyn Fn() + Send + Sync>,
    threads: Vec<JoinHandle<()>>,
}

impl Sealed {
    /// Starts the threads; processes are started when they are needed. Large outputs go to `saver`, if there is one, and
    /// are not in memory then.
    pub fn start(config: SealedConfig, loader: Loader, saver: Option<Saver>) -> Result<Self, SealedError> {
        let executors = config.executors.get();
        let disk = match &config.cache_dir {
            Some(path) => Some(Compiled::open(path).map_err(|error| SealedError::Cache { path: path.clone(), error })?),
            None => None,
        };
        let bells = (0..=executors).map(|_| Bell::new()).collect::<Result<_, _>>().map_err(SealedError::Thread)?;
        let (queue, memory) = (config.queue, config.memory);
        let library = Library::new(launch(&config), config.compile_time, disk);
        let shared = Arc::new(Shared::new(library, loader, saver, bells, queue, memory));
        // A ticket may outlive all this.
        let woken = Arc::downgrade(&shared);
        let wake = Arc::new(move || woken.upgrade().iter().for_each(|shared| shared.on_stop()));
        let mut sealed = Self { shared, wake, threads: Vec::with_capacity(executors + 1) };
        for number in 0..executors {
            let shared = Arc::clone(&sealed.shared);
            sealed.spawn(format!("executor-{number}"), move || parent::keep(&shared, number))?;
        }
        let shared = Arc::clone(&sealed.shared);
        sealed.spawn("compiler".into(), move || parent::compile_wanted(&shared))?;
        Ok(sealed)
    }

    /// What this machine's kernel grants. Starts a process if there was none yet.
    pub fn seal(&self) -> Result<Seal, SealedError> {
        let library = self.shared.library();
        if let Some(seal) = library.seal() {
            return Ok(seal);
        }
        library.probe().map_err(|error| SealedError::Executor(error.to_string()))?;
        library.seal().ok_or_else(|| SealedError::Executor("it did not say what seals it".into()))
    }

    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> Result<(), SealedError> {
        let thread = std::thread::Builder::new().name(name).spawn(body).map_err(SealedError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }
}

fn launch(config: &SealedConfig) -> Launch {
    Launch {
        command: config.command.clone(),
        args: config.args.clone(),
        backend: config.backend,
        scarce_address_space: config.scarce_address_space,
        // A task's own, the trees that are held, and the rest.
        runner_bytes: config.memory.saturating_mul(2).saturating_add(RUNNER_OWN_BYTES),
        compiler_bytes: config.compile_memory,
    }
}

impl Executor for Sealed {
    fn profile(&self) -> ProfileId {
        profile::id()
    }

    fn check(&self, program: BlobId, limits: &TaskLimits) -> Result<(), LoadError> {
        Ok(self.shared.check(program)?.check(limits)?)
    }

    fn prepare(&self, program: BlobId, on_prepared: OnPrepared) -> Result<(), QueueFull> {
        self.shared.prepare(program, on_prepared)
    }

    fn submit(&self, submission: Submission) -> Result<Ticket, Box<Submission>> {
        let stop = StopFlag::default();
        self.shared.submit(submission, stop.clone())?;
        Ok(Ticket::new(stop, Arc::clone(&self.wake)))
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        self.shared.close();
        let me = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // Whoever is told the last result may hold the last handle: a thread cannot wait for itself.
            if thread.thread().id() != me {
                drop(thread.join());
            }
        }
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} executors)", self.threads.len().saturating_sub(1))
    }
}
