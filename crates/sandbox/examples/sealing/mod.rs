//! What sealing costs: the same tasks in the process and through the pipes, and how late an endless one is ended.
//!
//! Whoever uses this is the sealed executor too: its `main` calls `executor_main` if it is started with `executor`.

use super::{GUESTS, NOOPS, millis, program, task, wasm};
use pocketmesh_sandbox::sealed::{Sealed, SealedConfig};
use pocketmesh_sandbox::{Config, Contents, Deadline, Engine, Executed, Executor as _, Failure, Submission, Task};
use pocketmesh_types::BlobId;
use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Tasks past their time.
const LATE: usize = 100;

/// Executors that serve the guests.
fn sealed(executors: usize) -> Result<Sealed, Box<dyn Error>> {
    let executors = NonZeroUsize::new(executors).ok_or("no executors")?;
    let config = SealedConfig::new(std::env::current_exe()?, vec!["executor".into()], executors);
    let loader = |id| {
        let guests = GUESTS.iter().map(|name| wasm(name)).collect::<Result<Vec<_>, _>>()?;
        let endless = wat::parse_str(ENDLESS).map_err(std::io::Error::other)?;
        let found = guests.into_iter().chain([endless]).find(|wasm| BlobId::of(wasm) == id);
        found.map(Into::into).ok_or_else(|| std::io::Error::other("no such guest"))
    };
    Ok(Sealed::start(config, Arc::new(loader), None)?)
}

/// Ends at once without input, and never with some.
const ENDLESS: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\40\00\00\00\01\00\00\00")
    (func (export "_start")
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
        (if (i32.load (i32.const 16)) (then (loop $more (br $more))))))"#;

/// Runs tasks, of which so many are on their way at any time, and returns what each took.
fn run_sealed(sealed: &Sealed, count: u32, ahead: u32) -> Result<Duration, Box<dyn Error>> {
    let program = BlobId::of(&wasm("noop")?);
    let (done, ends) = sync_channel::<Result<_, Failure>>(ahead as usize);
    let submit = || {
        let done = done.clone();
        let on_done = Box::new(move |end: Result<Executed<_>, _>| drop(done.send(end.map(drop))));
        let task = Task { program, ..task(Vec::new(), vec![1; 64]) };
        sealed.submit(Submission { task, on_done }).map_err(|_| "the queue is full")
    };
    let start = Instant::now();
    for _ in 0..ahead {
        submit()?;
    }
    for ended in 0..count {
        ends.recv()??;
        if ended + ahead < count {
            submit()?;
        }
    }
    Ok(start.elapsed() / count)
}

/// A no-op in the process, alone through the pipes, and in batches.
pub fn sealed_times() -> Result<(), Box<dyn Error>> {
    let engine = Engine::new(&Config { deadline: Deadline::Outside, ..Config::default() })?;
    let program = program(&engine, "noop")?;
    let inside = || -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        for _ in 0..NOOPS {
            engine.run(&program, task(Vec::new(), vec![1; 64]), Contents::default())?;
        }
        Ok(start.elapsed() / NOOPS)
    };
    let start = Instant::now();
    let sealed = sealed(1)?;
    let seal = sealed.seal()?;
    println!(
        "\nstart of an executor, seals and end included: {:.1} ms; missing: {:?}",
        millis(start.elapsed()),
        seal.missing()
    );
    run_sealed(&sealed, 1, 1)?;
    let bests = (0..3).map(|_| Ok([inside()?, run_sealed(&sealed, NOOPS, 1)?, run_sealed(&sealed, 10 * NOOPS, 512)?]));
    let bests = bests.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    println!("\nno-op task, one executor          µs a task (best of 3)   ratio");
    let best = |which: usize| bests.iter().map(|times| times[which].as_secs_f64()).fold(f64::INFINITY, f64::min);
    for (which, label) in
        ["in the process", "sealed, one at a time", "sealed, in batches of up to 64"].iter().enumerate()
    {
        println!("{label:<33} {:22.1} {:7.2}", best(which) * 1e6, best(which) / best(0));
    }
    println!("memory of an idle executor: {}", resident()?);
    Ok(())
}

/// What this process's one child has in memory.
fn resident() -> Result<String, Box<dyn Error>> {
    let me = format!("PPid:\t{}\n", std::process::id());
    for entry in std::fs::read_dir("/proc")? {
        let status = std::fs::read_to_string(entry?.path().join("status")).unwrap_or_default();
        if status.contains(&me) {
            let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon"));
            return Ok(lines
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
                .join(", "));
        }
    }
    Ok("unknown here".into())
}

/// How long past its limit an endless task is reported, from when it is submitted to an executor that has its program.
pub fn lateness() -> Result<(), Box<dyn Error>> {
    let (sealed, limit) = (sealed(1)?, Duration::from_millis(50));
    let endless = wat::parse_str(ENDLESS)?;
    let (done, ends) = sync_channel(1);
    let mut late = Vec::with_capacity(2 * LATE);
    for number in 0..2 * LATE {
        // Every other one ends, so that there is an executor, and it has the program.
        let mut task = Task { program: BlobId::of(&endless), ..task(Vec::new(), vec![1; number % 2]) };
        task.limits.wall_ms = limit.as_millis() as u64;
        let done = done.clone();
        let on_done = Box::new(move |end: Result<_, Failure>| {
            let _ = done.send((Instant::now(), end.is_err()));
        });
        let start = Instant::now();
        sealed.submit(Submission { task, on_done }).map_err(|_| "the queue is full")?;
        if let (reported, true) = ends.recv()? {
            late.push(reported.saturating_duration_since(start + limit));
        }
    }
    late.sort_unstable();
    let [p50, p99] = [50, 99].map(|percent| millis(late[late.len() * percent / 100]));
    println!("\nendless task, limit of {} ms: reported {p50:.1} ms late (p50), {p99:.1} ms (p99)", limit.as_millis());
    Ok(())
}
