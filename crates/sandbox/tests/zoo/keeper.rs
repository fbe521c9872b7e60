//! Who lets the animals in: one executor for all of them, and after each a well-behaved task to see what is left of it.

use crate::animal::{Animal, End, Expect, MODEST, Refusal};
use crate::resident;
use crate::text::module;
use pocketmesh_sandbox::sealed::{Sealed, SealedConfig};
use pocketmesh_sandbox::{
    Blob, Config, Engine, Executed, Executor, Failure, Kept, Loader, Pool, PoolConfig, Submission, Task,
};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{BlobId, Exit, UnixTime};
use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What tells this binary to be an executor.
pub const EXECUTOR: &str = "executor";

/// What this process may grow by while it hosts an animal, and over the whole zoo.
const GROWTH_BYTES_MAX: u64 = 16 << 20;
/// A net under the executor's own limits: nothing should take as long.
const HUNG: Duration = Duration::from_secs(300);
/// What every task finds on its standard input.
const INPUT: &[u8] = b"all is well\n";

/// The programs that the executor may ask for.
#[derive(Clone, Default)]
pub struct Menu(Arc<Mutex<HashMap<BlobId, Arc<[u8]>>>>);

impl Menu {
    /// How an executor asks.
    pub fn loader(&self) -> Loader {
        let menu = self.clone();
        Arc::new(move |id| {
            let wasm = menu.lock().get(&id).map(Arc::clone).ok_or(io::ErrorKind::NotFound)?;
            Ok(Blob::new(wasm.len() as u64, io::Cursor::new(wasm)))
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<BlobId, Arc<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The executor, and what it has gone through.
pub struct Keeper {
    executor: Box<dyn Executor>,
    menu: Menu,
    /// Whether no program runs in this process, so that its memory must not grow.
    sealed: bool,
    /// How it was when the first visitor came, one well-behaved task after the start.
    resident: Option<resident::Resident>,
}

/// One task and its end.
pub struct Visit {
    /// What came of it.
    pub result: Result<Executed, Failure>,
    /// From its submission to its end.
    pub took: Duration,
}

impl Keeper {
    /// A keeper of a sealed process, which is this binary. It waits so long for a compiler.
    pub fn sealed(patience: Duration) -> Self {
        let menu = Menu::default();
        let command = std::env::current_exe().expect("this binary has a path");
        let config = SealedConfig {
            compile_time: patience,
            compile_memory: 1 << 30,
            ..SealedConfig::new(command, vec![EXECUTOR.into()], NonZeroUsize::MIN)
        };
        let executor = Sealed::start(config, menu.loader(), None).expect("threads on this machine");
        Self::of(Box::new(executor), menu, true)
    }

    /// A keeper of a thread of this process. It cannot stop a compiler, so it takes no bombs.
    pub fn in_process(_patience: Duration) -> Self {
        let menu = Menu::default();
        let engine = Engine::new(&Config::default()).expect("an engine on this machine");
        let config = PoolConfig { threads: NonZeroUsize::MIN, queue: 1 };
        let executor = Pool::start(config, engine, menu.loader()).expect("a thread");
        Self::of(Box::new(executor), menu, false)
    }

    fn of(executor: Box<dyn Executor>, menu: Menu, sealed: bool) -> Self {
        let mut keeper = Self { executor, menu, sealed, resident: None };
        keeper.check_on_the_executor();
        keeper.resident = resident::read();
        keeper
    }

    /// Whether it lets such an animal in.
    pub fn takes(&self, animal: &Animal) -> bool {
        self.sealed || !matches!(animal.expect, Expect::UnlessTooDear(_))
    }

    /// Lets the animal in, program by program, and checks on the executor after each of them.
    pub fn host(&self, animal: &Animal) -> Result<(), String> {
        if !self.takes(animal) {
            return Ok(());
        }
        let mut tally: Vec<(End, usize)> = Vec::new();
        for wasm in animal.programs() {
            let end = self.guarded(wasm.into(), animal.limits)?;
            match tally.iter_mut().find(|(known, _)| *known == end) {
                Some((_, count)) => *count += 1,
                None => tally.push((end, 1)),
            }
        }
        animal.expect.met_by(&tally)
    }

    /// How a program ends. The executor is as it was before, and so is this process.
    fn guarded(&self, wasm: Arc<[u8]>, limits: TaskLimits) -> Result<End, String> {
        // Whoever hands a program over has read it.
        let own = wasm.len() as u64;
        resident::restart_peak();
        let before = resident::read();
        let visit = self.visit(wasm, limits);
        let after = resident::read();
        self.check_on_the_executor();
        if let (true, Some(before), Some(after)) = (self.sealed, before, after) {
            within("this process grew", before.now + own, after.peak)?;
        }
        if let Ok(executed) = &visit.result {
            check_outcome(executed, &limits)?;
        }
        End::of(&visit.result)
    }

    /// Runs one task to its end.
    pub fn visit(&self, wasm: Arc<[u8]>, limits: TaskLimits) -> Visit {
        let program = BlobId::of(&wasm);
        self.menu.lock().insert(program, wasm);
        let (told, end) = sync_channel(1);
        let on_done = Box::new(move |result: Result<Executed<Kept>, Failure>| {
            let here = |executed: Executed<Kept>| executed.here().expect("nothing was saved elsewhere");
            told.send(result.map(here)).expect("somebody waits");
        });
        let start = Instant::now();
        self.executor.submit(Submission { task: task(program, limits), on_done }).expect("room for one task");
        let result = end.recv_timeout(HUNG).expect("the executor ends every task");
        let took = start.elapsed();
        self.menu.lock().remove(&program);
        Visit { result, took }
    }

    /// Runs a program that echoes its input and ends with 42.
    pub fn check_on_the_executor(&self) {
        let echo = module(
            r#"(memory (export "memory") 1) (data (i32.const 0) "\10\00\00\00\40\00\00\00")
               (func (export "_start")
                   (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
                   (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                   (call $proc_exit (i32.const 42)))"#,
        );
        let visit = self.visit(wat::parse_str(echo).expect("well-formed text").into(), MODEST);
        let executed = visit.result.expect("a well-behaved task comes to an outcome");
        assert_eq!(executed.outcome.exit, Exit::Code(42));
        assert_eq!(executed.written.stdout, INPUT);
    }

    /// Whether this process is no larger than when the first visitor came.
    pub fn close(&self) -> Result<(), String> {
        match (self.sealed, self.resident, resident::read()) {
            (true, Some(before), Some(after)) => within("over the whole zoo, this process grew", before.now, after.now),
            _ => Ok(()),
        }
    }
}

/// What is true of every outcome, whatever it is.
fn check_outcome(executed: &Executed, limits: &TaskLimits) -> Result<(), String> {
    let (exit, fuel, written) = (executed.outcome.exit, executed.outcome.fuel, &executed.written);
    let files: usize = written.files.iter().map(|file| file.bytes.len()).sum();
    let bytes = (written.stdout.len() + written.stderr.len() + files) as u64;
    if bytes > limits.output || fuel > limits.fuel {
        return Err(format!("more than its limits: {bytes} bytes and {fuel:?}"));
    }
    if exit == Exit::OutOfFuel && fuel != limits.fuel {
        return Err(format!("it ran out of fuel and used {fuel:?}"));
    }
    Ok(())
}

fn within(what: &str, before: u64, after: u64) -> Result<(), String> {
    let growth = after.saturating_sub(before);
    if growth <= GROWTH_BYTES_MAX { Ok(()) } else { Err(format!("{what} by {growth} bytes, from {before}")) }
}

/// A task with something of everything that a task can be given: arguments of 8 KiB, input, an environment.
fn task(program: BlobId, limits: TaskLimits) -> Task {
    Task {
        program,
        name: "animal".into(),
        args: vec!["x".repeat(8 << 10), "y".into()],
        env: vec![("ZOO".into(), "open".into())],
        stdin: INPUT.to_vec().into(),
        files: Arc::default(),
        input_name: String::new(),
        limits,
        epoch: UnixTime(1_700_000_000_000),
        seed: [7; 32],
    }
}

impl Expect {
    fn met_by(&self, tally: &[(End, usize)]) -> Result<(), String> {
        let met = match (self, tally) {
            (Self::Always(expected), [(end, 1)]) => end == expected,
            (Self::UnlessTooDear(expected), [(end, 1)]) => {
                end == expected || *end == End::Refused(Refusal::TooExpensive)
            }
            (Self::Tally(expected), _) => {
                expected.len() == tally.len() && expected.iter().all(|count| tally.contains(count))
            }
            _ => false,
        };
        if met { Ok(()) } else { Err(format!("expected {self:?}, and it came to {tally:?}")) }
    }
}
