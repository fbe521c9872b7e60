//! Starting what runs programs, the way the owner's settings say.

use crate::home::{Sandbox, SandboxBackend, SandboxExecutor};
use pocketmesh_sandbox::sealed::{Sealed, SealedConfig, SealedError};
use pocketmesh_sandbox::{Backend, Config, Engine, EngineError, Executor, Loader, Pool, PoolConfig, Saver};
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

/// The hidden command that makes a process of this binary an executor.
pub const EXECUTOR_COMMAND: &str = "executor";
/// This binary, even when another one has been put into its place meanwhile.
const THIS_BINARY: &str = "/proc/self/exe";

/// What is started.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How programs are run.
    pub settings: Sandbox,
    /// Tasks that run at once.
    pub executors: NonZeroUsize,
    /// Tasks that run or wait.
    pub queue: usize,
    /// Where compiled programs are kept between runs.
    pub cache_dir: Option<PathBuf>,
    /// The largest memory limit of a task, in bytes.
    pub memory: u64,
}

/// Why programs cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The executor processes.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The engine in this process.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The threads in this process.
    #[error("cannot start the sandbox: {0}")]
    Threads(#[source] io::Error),
    /// This binary cannot be found again.
    #[error("cannot find this program's own file, which executors are started from: {0}")]
    Binary(#[source] io::Error),
}

/// Starts what runs programs. Large outputs go to `saver`, if it is there and runs in a process of its own.
pub fn start(plan: Plan, loader: Loader, saver: Option<Saver>) -> Result<Arc<dyn Executor>, StartError> {
    match plan.settings.executor {
        SandboxExecutor::Sealed => Ok(Arc::new(Sealed::start(sealed(plan)?, loader, saver)?)),
        SandboxExecutor::InProcess => Ok(Arc::new(in_process(plan, loader)?)),
    }
}

/// How executor processes are started.
pub fn sealed(plan: Plan) -> Result<SealedConfig, StartError> {
    let command = if cfg!(target_os = "linux") {
        PathBuf::from(THIS_BINARY)
    } else {
        std::env::current_exe().map_err(StartError::Binary)?
    };
    Ok(SealedConfig {
        queue: plan.queue.saturating_sub(plan.executors.get()),
        cache_dir: plan.cache_dir,
        backend: backend(plan.settings),
        memory: plan.memory,
        ..SealedConfig::new(command, vec![EXECUTOR_COMMAND.into()], plan.executors)
    })
}

fn in_process(plan: Plan, loader: Loader) -> Result<Pool, StartError> {
    let threads = plan.executors;
    let engine = Engine::new(&Config {
        cache_dir: plan.cache_dir,
        backend: backend(plan.settings),
        slots: u32::try_from(threads.get()).unwrap_or(u32::MAX),
        ..Config::default()
    })?;
    let queue = plan.queue.saturating_sub(threads.get());
    Pool::start(PoolConfig { threads, queue }, engine, loader).map_err(StartError::Threads)
}

fn backend(settings: Sandbox) -> Backend {
    match settings.backend {
        SandboxBackend::Compiled => Backend::Cranelift,
        SandboxBackend::Interpreted => Backend::Pulley,
    }
}
