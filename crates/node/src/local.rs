//! One task, here, without a daemon or a data folder: what a program's author tries before a job is submitted.
//!
//! It runs under the profile of the mesh, within the limits of a job, on the executor that a daemon would use. Its epoch
//! and seed are fixed, so a task has one outcome, today and tomorrow, here and elsewhere. specs/local.md.

use crate::control::{memory_left, program_refusal};
use crate::home::Sandbox;
use crate::sandbox::{self, Plan, StartError};
use pocketmesh_api::Refusal;
use pocketmesh_sandbox::sealed::Sealed;
use pocketmesh_sandbox::{Failure, LoadError, Stdin, Submission, Task};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::tree::{File, Tree};
use pocketmesh_types::{BlobId, Fuel, Hash, Job, Outcome, Output, PerGib, Policy, Price, ProfileId, UnixTime, limits};
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

pub use pocketmesh_sandbox::sealed::Seal;

/// What the task's clock shows at the start: 2026-01-01, 00:00 UTC.
pub const EPOCH: UnixTime = UnixTime(1_767_225_600_000);

/// A file of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Where it lies under `/in`, or under `/out`.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What is to be run.
#[derive(Debug, Clone, Default)]
pub struct LocalTask {
    /// The program's bytes.
    pub program: Vec<u8>,
    /// What it is called.
    pub name: String,
    /// Its arguments, `{index}` and `{input}` not filled in.
    pub args: Vec<String>,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// What `{index}` is; the seed is drawn from it too.
    pub index: u64,
    /// Its standard input.
    pub stdin: Vec<u8>,
    /// What lies under `/in`.
    pub files: Vec<LocalFile>,
    /// What its standard input is called there; nothing if this is empty.
    pub input_name: String,
    /// What it may use.
    pub limits: TaskLimits,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRun {
    /// What any peer would claim of it.
    pub outcome: Outcome,
    /// The profile that this holds for.
    pub profile: ProfileId,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// What it left under `/out`, sorted by path.
    pub files: Vec<LocalFile>,
    /// How long it took to get the program ready: compiled, above all, and loaded.
    pub prepared_in: Duration,
    /// How long the task took then.
    pub ran_in: Duration,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A daemon would not take this on as a job either.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The sandbox does not start.
    #[error(transparent)]
    Sandbox(#[from] StartError),
    /// The task came to no outcome, so no peer could claim one.
    #[error("no outcome: {0}")]
    NoOutcome(#[from] Failure),
    /// Its outcome is one under another profile.
    #[error("it was run under another profile than this version's, {0}")]
    OtherProfile(ProfileId),
    /// The sandbox has nothing to say any more.
    #[error("the sandbox stopped")]
    Gone,
}

/// Runs it, on threads or in a process of its own, and waits.
pub fn run(local: LocalTask, settings: Sandbox) -> Result<LocalRun, LocalError> {
    let (task, blobs) = prepare(local)?;
    execute(task, blobs, settings, None)
}

/// Runs a task of whatever origin, under `profile` if one is named, and waits.
pub(crate) fn execute(
    task: Task,
    blobs: Blobs,
    settings: Sandbox,
    profile: Option<ProfileId>,
) -> Result<LocalRun, LocalError> {
    let (memory, input_len) = (task.limits.memory, task.stdin.len());
    let left = memory_left(&task.files, memory, &task.input_name, input_len)?;
    let left = TaskLimits { memory: left, ..task.limits };
    let executor = sandbox::start(plan(settings, memory), Arc::new(move |id| Ok(blobs.get(id)?.into())), None)?;
    if profile.is_some_and(|profile| profile != executor.profile()) {
        return Err(LocalError::OtherProfile(executor.profile()));
    }
    let began = Instant::now();
    executor.check(task.program, &left).map_err(|error| match error {
        LoadError::Program(error) => program_refusal("the program", error).into(),
        other => LocalError::from(Failure::Load(other)),
    })?;
    let submit = |task: Task| {
        wait(|on_done| executor.submit(Submission { task, on_done }).map(drop).map_err(|_| LocalError::Gone))
    };
    // A first run that ends at once, so that the second is measured where everything is loaded, as on the mesh. What it
    // came to does not matter: if it failed, so will the second.
    drop(submit(first_steps(&task))?);
    let (prepared_in, began) = (began.elapsed(), Instant::now());
    let executed = submit(task)??.here().ok_or(LocalError::Gone)?;
    let (ran_in, written) = (began.elapsed(), executed.written);
    let files = written.files.into_iter().map(|file| LocalFile { path: file.path, bytes: file.bytes });
    Ok(LocalRun {
        outcome: executed.outcome,
        profile: executor.profile(),
        stdout: written.stdout,
        stderr: written.stderr,
        files: files.collect(),
        prepared_in,
        ran_in,
    })
}

/// The same program with hardly any fuel, and nothing to read.
fn first_steps(task: &Task) -> Task {
    Task {
        program: task.program,
        name: task.name.clone(),
        args: task.args.clone(),
        env: task.env.clone(),
        stdin: Stdin::default(),
        files: Arc::default(),
        input_name: String::new(),
        limits: TaskLimits { fuel: Fuel(1), ..task.limits },
        epoch: task.epoch,
        seed: task.seed,
    }
}

/// What this machine's kernel keeps a sealed process from that runs programs.
pub fn seal(settings: Sandbox) -> Result<Seal, StartError> {
    let loader = Arc::new(|_| Err(io::ErrorKind::NotFound.into()));
    let config = sandbox::sealed(plan(settings, limits::DEFAULT_TASK_MEMORY_BYTES))?;
    Ok(Sealed::start(config, loader, None)?.seal()?)
}

/// One task at a time, and nothing kept.
fn plan(settings: Sandbox, memory: u64) -> Plan {
    let executors = NonZeroUsize::MIN;
    Plan { settings, executors, queue: executors.get() + 1, cache_dir: None, memory }
}

/// Starts something, and waits for it to call back.
fn wait<T: Send + 'static>(
    start: impl FnOnce(Box<dyn FnOnce(T) + Send>) -> Result<(), LocalError>,
) -> Result<T, LocalError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    // There is room for the one value, and its receiver is waiting below.
    start(Box::new(move |value| drop(sender.send(value))))?;
    receiver.recv().map_err(|_| LocalError::Gone)
}

/// Program and files, by their names.
#[derive(Default)]
pub(crate) struct Blobs(BTreeMap<BlobId, Vec<u8>>);

impl Blobs {
    /// Keeps these bytes; their name.
    pub(crate) fn keep(&mut self, bytes: Vec<u8>) -> Output {
        let content = Output::of(&bytes);
        self.0.insert(content.id, bytes);
        content
    }

    fn get(&self, id: BlobId) -> io::Result<Vec<u8>> {
        self.0.get(&id).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The task as the sandbox takes it, and what it will ask for; checked as a job of one task is.
fn prepare(local: LocalTask) -> Result<(Task, Blobs), Refusal> {
    let mut blobs = Blobs::default();
    let file = |file: LocalFile| File { path: file.path, content: blobs.keep(file.bytes) };
    let tree = Tree::new(local.files.into_iter().map(file).collect())?;
    let program = blobs.keep(local.program);
    let job = Job {
        program: program.id,
        program_len: program.len,
        name: local.name,
        args: local.args,
        env: local.env,
        files: Output::of(tree.to_text().as_bytes()),
        inputs: Output::default(),
        input_name: local.input_name,
        tasks: 1,
        first_index: local.index,
        limits: local.limits,
        policy: Policy::Replicas(1),
        max_price: Price::default(),
        per_gib: PerGib::default(),
        budget: None,
        profile: ProfileId::default(),
        epoch: EPOCH,
        nonce: [0; 16],
    };
    job.check()?;
    let (len, max) = (local.stdin.len() as u64, limits::BLOB_BYTES_MAX);
    if len > max {
        return Err(Refusal::PartTooLarge { len, max });
    }
    let task = Task {
        args: job.args_of(0),
        program: job.program,
        name: job.name,
        env: job.env,
        stdin: local.stdin.into(),
        files: Arc::new(tree),
        input_name: job.input_name,
        limits: job.limits,
        epoch: job.epoch,
        seed: Hash::of_parts("pocketmesh exec seed 1", &[&local.index.to_le_bytes()]).0,
    };
    Ok((task, blobs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::{SandboxBackend, SandboxExecutor};
    use pocketmesh_types::Exit;

    fn task(name: &str, args: &[&str]) -> LocalTask {
        let path = format!("{}/../guests/wasm/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
        LocalTask {
            program: std::fs::read(path).expect("a guest"),
            name: name.into(),
            args: args.iter().map(|arg| (*arg).into()).collect(),
            ..LocalTask::default()
        }
    }

    fn in_process(backend: SandboxBackend) -> Sandbox {
        Sandbox { executor: SandboxExecutor::InProcess, backend }
    }

    #[test]
    fn a_task_has_one_outcome_by_whatever_means_it_is_run() {
        let task = LocalTask { index: 7, ..task("textgen", &["{index}", "2000"]) };
        let outcome = |backend| run(task.clone(), in_process(backend)).expect("an outcome").outcome;
        let first = outcome(SandboxBackend::Compiled);
        assert_eq!(first.exit, Exit::Code(0));
        assert_eq!(first.digest(), outcome(SandboxBackend::Compiled).digest());
        assert_eq!(first.digest(), outcome(SandboxBackend::Interpreted).digest());
        let other = run(LocalTask { index: 8, ..task }, in_process(SandboxBackend::Compiled)).expect("an outcome");
        assert_ne!(first.stdout, other.outcome.stdout, "`{{index}}` was filled in");
    }

    #[test]
    fn standard_input_goes_in_and_both_streams_come_out() {
        let task = LocalTask { stdin: [[1; 32], [3; 32]].concat(), ..task("noop", &[]) };
        let ran = run(task, in_process(SandboxBackend::Compiled)).expect("an outcome");
        assert_eq!((ran.stdout, ran.stderr), (vec![2; 32], Vec::new()));
        let failed = run(super::tests::task("noop", &["x"]), in_process(SandboxBackend::Compiled)).expect("an outcome");
        assert_eq!(failed.outcome.exit, Exit::Code(2));
        assert!(failed.stderr.starts_with(b"usage: noop"));
    }

    #[test]
    fn what_no_job_may_be_is_refused() {
        let file = |path: &str, len: usize| LocalFile { path: path.into(), bytes: vec![0; len] };
        let small = TaskLimits { memory: 4 << 20, ..TaskLimits::default() };
        let cases = [
            (LocalTask { program: b"\0asm\x01\0\0\0".to_vec(), ..LocalTask::default() }, "no `_start`"),
            (LocalTask { files: vec![file("../x", 1)], ..task("noop", &[]) }, "is no path"),
            (LocalTask { files: vec![file("x", 5 << 20)], limits: small, ..task("noop", &[]) }, "raise the memory"),
            (LocalTask { files: vec![file("x", 4 << 20)], limits: small, ..task("noop", &[]) }, "raise the memory"),
            (LocalTask { input_name: "a/b".into(), ..task("noop", &[]) }, "no name for a file"),
            (
                LocalTask { limits: TaskLimits { fuel: Fuel(0), ..small }, ..task("noop", &[]) },
                "the fuel limit is out of range",
            ),
        ];
        for (task, said) in cases {
            let error = run(task, in_process(SandboxBackend::Compiled)).expect_err(said);
            assert!(matches!(error, LocalError::Refused(_)) && error.to_string().contains(said), "{error}");
        }
    }
}
