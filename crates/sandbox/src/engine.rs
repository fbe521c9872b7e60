//! The engine: checks, compiles and runs programs under the profile.

use crate::cache::{Artifact, Compiled, Fingerprint, Label, Programs};
use crate::deadline::{StopFlag, Watchdog};
use crate::profile::{self, Backend};
use crate::program::{self, Program, ProgramError};
use crate::task::{Contents, Executed, Failure, Task};
use crate::wasi::{self, Host};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{BlobId, ProfileId};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::{Linker, Module};

/// What may differ between peers without their outcomes differing.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where compiled programs are kept between runs; made if it is not there. Nobody else may write to it.
    pub cache_dir: Option<PathBuf>,
    /// Compiled or interpreted.
    pub backend: Backend,
    /// Keep slots ready for instances: several times faster for small tasks, at the price of address space.
    pub pooling: bool,
    /// With pooling: how many tasks can run at once.
    pub slots: u32,
    /// Who stops a task that exceeds its wall-clock limit.
    pub deadline: Deadline,
    /// Reserve little address space (phones). Not together with pooling.
    pub scarce_address_space: bool,
    /// How many compiled programs are held in memory.
    pub programs: usize,
    /// How many bytes of compiled programs are held in memory; the newest is held in any case.
    pub program_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_dir: None,
            backend: Backend::Cranelift,
            pooling: cfg!(target_pointer_width = "64"),
            slots: 16,
            deadline: Deadline::Inside,
            scarce_address_space: false,
            programs: 64,
            program_bytes: 256 << 20,
        }
    }
}

/// Who stops a task that exceeds its wall-clock limit or is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// The engine, which makes programs look now and then: that costs tight loops some of their speed.
    Inside,
    /// Whoever started this process, by killing it.
    Outside,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine refuses its configuration, or the system the addresses for it.
    #[error("failed to set up the WebAssembly engine (with less address space, switch pooling off): {0}")]
    Setup(String),
    /// The cache directory.
    #[error("failed to open the cache of compiled programs at {path}: {error}")]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The thread that watches deadlines.
    #[error("failed to start a thread: {0}")]
    Thread(io::Error),
}

/// Why a program could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its bytes could not be read.
    #[error("failed to read the program: {0}")]
    Read(#[from] io::Error),
    /// The bytes are another program's.
    #[error("the program's bytes are not those of {0}")]
    WrongBytes(BlobId),
    /// It is no program.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// Checks, compiles and runs programs. Clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    wasm: wasmtime::Engine,
    linker: Linker<Host>,
    profile: ProfileId,
    programs: Programs<Program>,
    fingerprint: Fingerprint,
    compiled: Option<Compiled>,
    watchdog: Option<Watchdog>,
}

impl Engine {
    /// Sets up an engine.
    pub fn new(config: &Config) -> Result<Self, EngineError> {
        let setup = |error: wasmtime::Error| EngineError::Setup(format!("{error:#}"));
        let wasm = wasmtime::Engine::new(&profile::configure(config).map_err(setup)?).map_err(setup)?;
        let linker = wasi::linker(&wasm).map_err(setup)?;
        let compiled = match config.cache_dir.clone() {
            Some(path) => Some(Compiled::open(&path).map_err(|error| EngineError::Cache { path, error })?),
            None => None,
        };
        let watchdog = match config.deadline {
            Deadline::Inside => {
                let engine = wasm.clone();
                Some(Watchdog::start(move || engine.increment_epoch()).map_err(EngineError::Thread)?)
            }
            Deadline::Outside => None,
        };
        let (profile, fingerprint) = (profile::id(), Fingerprint::of(&wasm));
        let programs = Programs::new(config.programs, config.program_bytes);
        Ok(Self(Arc::new(Inner { wasm, linker, profile, programs, fingerprint, compiled, watchdog })))
    }

    /// The profile that outcomes are comparable under.
    pub fn profile(&self) -> ProfileId {
        self.0.profile
    }

    /// Whether these bytes are a program that tasks with these limits can run. It is compiled on the way, and kept.
    pub fn check(&self, wasm: &[u8], limits: &TaskLimits) -> Result<(), ProgramError> {
        program::check_bytes(wasm)?;
        let id = BlobId::of(wasm);
        self.0.programs.get_or(id, || self.compile(id, wasm))?.check_limits(limits)
    }

    /// The program `id`, from the cache, or else from the bytes that `read` returns, which are checked against the id.
    pub fn load(&self, id: BlobId, read: &dyn Fn(BlobId) -> io::Result<Vec<u8>>) -> Result<Program, LoadError> {
        self.0.programs.get_or(id, || {
            if let Some(program) = self.load_compiled(id) {
                return Ok(program);
            }
            let wasm = read(id)?;
            if BlobId::of(&wasm) != id {
                return Err(LoadError::WrongBytes(id));
            }
            Ok(self.compile(id, &wasm)?)
        })
    }

    /// Runs a task to its end on this thread, which needs 2 MiB of stack. `files` are the contents of its tree.
    pub fn run(&self, program: &Program, task: Task, files: Contents) -> Result<Executed, Failure> {
        self.run_until(program, task, files, &StopFlag::default())
    }

    /// The same, unless the flag is raised before the end. After raising it, call [`interrupt`](Self::interrupt).
    pub fn run_until(
        &self,
        program: &Program,
        task: Task,
        files: Contents,
        stop: &StopFlag,
    ) -> Result<Executed, Failure> {
        program.check_limits(&task.limits).map_err(LoadError::Program)?;
        crate::run::run(program, task, files, self.0.watchdog.as_ref(), stop)
    }

    /// Makes all running tasks look at their flags and deadlines now.
    pub fn interrupt(&self) {
        self.0.wasm.increment_epoch();
    }

    /// What tells whose compiled programs this engine can load.
    #[cfg(unix)]
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Compiles a program without keeping it.
    #[cfg(unix)]
    pub(crate) fn artifact(&self, wasm: &[u8]) -> Result<Artifact, ProgramError> {
        let (module, program) = self.build(BlobId::of(wasm), wasm)?;
        serialize(&module, &program)
    }

    /// Loads a program that an engine of the same fingerprint compiled.
    ///
    /// # Safety
    ///
    /// The code must be what such an engine made: what it says is done.
    #[expect(unsafe_code, reason = "the only way to load machine code that was compiled elsewhere")]
    pub(crate) unsafe fn adopt(&self, id: BlobId, artifact: &Artifact) -> Result<Program, String> {
        // SAFETY: as the caller promises; that the engine matches is checked by the engine once more.
        let module = unsafe { Module::deserialize(&self.0.wasm, &artifact.code) };
        let module = module.map_err(|error| format!("{error:#}"))?;
        Program::new(id, &module, &self.0.linker).map_err(|error| error.to_string())
    }

    fn build(&self, id: BlobId, wasm: &[u8]) -> Result<(Module, Program), ProgramError> {
        program::check_bytes(wasm)?;
        let module = Module::new(&self.0.wasm, wasm).map_err(|error| ProgramError::Invalid(format!("{error:#}")))?;
        let program = Program::new(id, &module, &self.0.linker)?;
        Ok((module, program))
    }

    fn compile(&self, id: BlobId, wasm: &[u8]) -> Result<Program, ProgramError> {
        let (module, program) = self.build(id, wasm)?;
        if let (Some(compiled), Ok(artifact)) = (&self.0.compiled, serialize(&module, &program)) {
            compiled.put(self.label(id), &artifact);
        }
        Ok(program)
    }

    fn label(&self, id: BlobId) -> Label {
        Label { engine: self.0.fingerprint, id }
    }

    fn load_compiled(&self, id: BlobId) -> Option<Program> {
        let artifact = self.0.compiled.as_ref()?.read(self.label(id))?;
        // SAFETY: an engine of this fingerprint wrote it: the checksum covers the fingerprint and the program's id, and
        // only this user can write to the directory.
        #[expect(unsafe_code, reason = "the only way to load machine code that was compiled earlier")]
        let program = unsafe { self.adopt(id, &artifact) };
        program.inspect_err(|error| tracing::warn!(program = %id.short(), error, "compiled program refused")).ok()
    }
}

fn serialize(module: &Module, program: &Program) -> Result<Artifact, ProgramError> {
    let code = module.serialize().map_err(|error| ProgramError::NoCompiler(format!("{error:#}")))?;
    Ok(Artifact { needs: program.needs(), code })
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({:?})", self.0.profile)
    }
}
