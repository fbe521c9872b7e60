//! Executors to test with, and a look at the processes that they start.

use crate::rig::task;
use pocketmesh_sandbox::sealed::{Sealed, SealedConfig};
use pocketmesh_sandbox::{
    Executed, Executor as _, Failure, Kept, LoadError, Loader, ProgramError, Submission, Task, Ticket,
};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{BlobId, Fuel, limits};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

/// Only a test that has failed waits for so long.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// No test sends more without listening.
pub const ROOM: usize = 4096;
/// Writes a byte and never ends.
pub const ENDLESS: &str = "(call $put (i32.const 1) (i32.const 0) (i32.const 1)) (loop $more (br $more))";

pub type Ended = Result<Executed, Failure>;

/// A configuration whose children are this binary, started with `args`.
pub fn config(executors: usize, args: &[&str]) -> SealedConfig {
    let command = std::env::current_exe().expect("this binary");
    let executors = NonZeroUsize::new(executors).expect("at least one");
    let config = SealedConfig::new(command, args.iter().map(Into::into).collect(), executors);
    SealedConfig { memory: 256 << 20, ..config }
}

pub fn honest(executors: usize) -> SealedConfig {
    config(executors, &["executor"])
}

pub fn start(config: SealedConfig, blobs: &[&[u8]]) -> Sealed {
    Sealed::start(config, serves(blobs), None).expect("threads")
}

/// Reads these blobs and no others.
pub fn serves(blobs: &[&[u8]]) -> Loader {
    let blobs: BTreeMap<BlobId, Vec<u8>> = blobs.iter().map(|bytes| (BlobId::of(bytes), bytes.to_vec())).collect();
    Arc::new(move |id| {
        let found = blobs.get(&id).cloned();
        found.map(Into::into).ok_or_else(|| std::io::Error::other("no such blob"))
    })
}

pub fn task_of(wasm: &[u8]) -> Task {
    let mut task = Task { program: BlobId::of(wasm), ..task() };
    task.limits.fuel = Fuel(limits::TASK_FUEL_MAX);
    task
}

pub fn submit(executor: &Sealed, task: Task, done: &SyncSender<Ended>) -> Ticket {
    let done = done.clone();
    let on_done = Box::new(move |ended: Result<Executed<Kept>, Failure>| {
        let ended = ended.map(|executed| executed.here().expect("nothing was saved elsewhere"));
        done.send(ended).expect("the test listens");
    });
    executor.submit(Submission { task, on_done }).expect("room in the queue")
}

/// Why a program cannot be run.
pub fn refusal(executor: &Sealed, wasm: &[u8], limits: &TaskLimits) -> ProgramError {
    match executor.check(BlobId::of(wasm), limits) {
        Err(LoadError::Program(error)) => error,
        other => panic!("no refusal: {other:?}"),
    }
}

pub fn next(ends: &Receiver<Ended>) -> Ended {
    ends.recv_timeout(PATIENCE).expect("an end")
}

/// A child of this process.
#[derive(Debug)]
pub struct Process {
    pub pid: i32,
    pub is_zombie: bool,
    /// Processor time it has had, in ticks of 10 ms.
    pub ticks: u64,
}

/// All children of this process, dead ones that nobody waited for among them.
pub fn children() -> Vec<Process> {
    let me = std::process::id().to_string();
    let stats = std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| {
        // A process may end while it is looked at.
        std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()
    });
    stats.filter_map(|stat| child_of(&me, &stat)).collect()
}

fn child_of(parent: &str, stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let fields: Vec<&str> = rest.rsplit_once(") ")?.1.split(' ').collect();
    let is_mine = *fields.get(1)? == parent;
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    is_mine.then_some(Process { pid: pid.parse().ok()?, is_zombie: fields[0] == "Z", ticks })
}

/// Waits until a child computes, which is after its first tick in the middle of a task.
pub fn computing(ends: &Receiver<Ended>) -> Process {
    let before: BTreeMap<i32, u64> = children().into_iter().map(|child| (child.pid, child.ticks)).collect();
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < deadline {
        let busy = |child: &Process| child.ticks >= before.get(&child.pid).unwrap_or(&0) + 5;
        if let Some(child) = children().into_iter().find(busy) {
            return child;
        }
        let early = ends.recv_timeout(Duration::from_millis(5));
        assert!(early.is_err(), "it ended before it was seen to run: {early:?}");
    }
    panic!("no child ever computed");
}

/// Waits until the executor has noticed that its processes are gone.
pub fn wait_until_childless() {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !children().is_empty() {
        assert!(std::time::Instant::now() < deadline, "{:?}", children());
        std::thread::yield_now();
    }
}

pub fn kill(process: &Process) {
    let pid = rustix::process::Pid::from_raw(process.pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a child of ours");
}
