//! The pool of threads: bounded, unharmed by panics, and stoppable.

use crate::rig::{ENGINE, command, task};
use pocketmesh_sandbox::{Executed, Executor as _, Failure, Kept, Loader, Pool, PoolConfig, Submission, Task, Ticket};
use pocketmesh_types::{BlobId, Exit, Fuel, limits};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Only a test that has failed waits for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// No test sends more without listening.
const ROOM: usize = 64;

type Result = std::result::Result<Executed, Failure>;

fn pool(threads: usize, queue: usize, loader: Loader) -> Pool {
    let threads = NonZeroUsize::new(threads).expect("at least one thread");
    Pool::start(PoolConfig { threads, queue }, ENGINE.clone(), loader).expect("threads")
}

fn serves(programs: Vec<Vec<u8>>) -> Loader {
    Arc::new(move |id| {
        let program = programs.iter().find(|wasm| BlobId::of(wasm) == id);
        program.cloned().map(Into::into).ok_or_else(|| std::io::Error::other("no such program"))
    })
}

fn submission(wasm: &[u8], done: &SyncSender<Result>) -> Submission {
    let mut task = Task { program: BlobId::of(wasm), ..task() };
    task.limits.fuel = Fuel(limits::TASK_FUEL_MAX);
    let done = done.clone();
    let on_done = Box::new(move |result: std::result::Result<Executed<Kept>, Failure>| {
        let here = |executed: Executed<Kept>| executed.here().expect("nothing was saved elsewhere");
        done.send(result.map(here)).expect("the test listens");
    });
    Submission { task, on_done }
}

fn submit(pool: &Pool, wasm: &[u8], done: &SyncSender<Result>) -> Ticket {
    pool.submit(submission(wasm, done)).expect("room in the queue")
}

fn next(results: &Receiver<Result>) -> Result {
    results.recv_timeout(PATIENCE).expect("a result")
}

const ENDLESS: &str = "(call $put (i32.const 1) (i32.const 0) (i32.const 1)) (loop $more (br $more))";

#[test]
fn tasks_run_and_everybody_is_told_once() {
    let (wasm, (done, results)) = (command("(call $exit (i32.const 3))"), sync_channel(ROOM));
    let pool = pool(2, 64, serves(vec![wasm.clone()]));
    for _ in 0..50 {
        submit(&pool, &wasm, &done);
    }
    for _ in 0..50 {
        assert_eq!(next(&results).expect("an outcome").outcome.exit, Exit::Code(3));
    }
    drop((pool, done));
    assert!(results.recv_timeout(PATIENCE).is_err(), "nobody is told twice");
}

#[test]
fn a_panic_ends_its_task_alone() {
    let (good, bad, (done, results)) =
        (command("(drop (call $yield))"), command("(drop (i32.const 1))"), sync_channel(ROOM));
    let (served, cursed) = (good.clone(), BlobId::of(&bad));
    let pool = pool(
        1,
        8,
        Arc::new(move |id| {
            assert_ne!(id, cursed, "this program is cursed");
            Ok(served.clone().into())
        }),
    );
    submit(&pool, &bad, &done);
    let result = next(&results);
    assert!(matches!(&result, Err(Failure::Panicked(text)) if text.contains("cursed")), "{result:?}");
    let mut careless = submission(&good, &done);
    careless.on_done = Box::new(|_| panic!("whoever is told may panic too"));
    pool.submit(careless).expect("room in the queue");
    submit(&pool, &good, &done);
    assert!(next(&results).is_ok());
}

#[test]
fn a_pool_may_go_with_the_end_of_its_last_task() {
    let (wasm, (done, results)) = (command("(call $exit (i32.const 3))"), sync_channel(ROOM));
    let pool = Arc::new(pool(2, 8, serves(vec![wasm.clone()])));
    let (release, gate) = sync_channel::<()>(ROOM);
    let (held, last) = (Arc::clone(&pool), done.clone());
    let on_done = Box::new(move |result: std::result::Result<Executed<Kept>, Failure>| {
        gate.recv_timeout(PATIENCE).expect("a release");
        assert_eq!(Arc::strong_count(&held), 1, "nobody else holds the pool");
        drop(held);
        last.send(result.map(|executed| executed.here().expect("here"))).expect("the test listens");
    });
    pool.submit(Submission { on_done, ..submission(&wasm, &done) }).expect("room in the queue");
    drop(pool);
    release.send(()).expect("the task waits");
    assert!(next(&results).is_ok());
}

#[test]
fn a_full_queue_gives_the_task_back() {
    let (wasm, (done, results)) = (command("(drop (i32.const 2))"), sync_channel(ROOM));
    let (reached, at_loader) = sync_channel(ROOM);
    let (release, gate) = sync_channel::<()>(ROOM);
    let (served, gate) = (wasm.clone(), Mutex::new(gate));
    let pool = pool(
        1,
        2,
        Arc::new(move |_| {
            reached.send(()).expect("the test listens");
            gate.lock().expect("one thread").recv_timeout(PATIENCE).expect("a release");
            Ok(served.clone().into())
        }),
    );
    submit(&pool, &wasm, &done);
    at_loader.recv_timeout(PATIENCE).expect("the first task is being loaded");
    submit(&pool, &wasm, &done);
    submit(&pool, &wasm, &done);
    let back = pool.submit(submission(&wasm, &done)).expect_err("the queue is full");
    assert_eq!(back.task.program, BlobId::of(&wasm));
    assert!(pool.prepare(BlobId::of(&wasm), Box::new(|_| {})).is_err());
    release.send(()).expect("the loader waits");
    for _ in 0..3 {
        assert!(next(&results).is_ok());
    }
}

#[test]
fn a_stopped_task_ends_at_once_running_or_waiting() {
    let (wasm, (done, results)) = (command(ENDLESS), sync_channel(ROOM));
    let pool = pool(1, 8, serves(vec![wasm.clone()]));
    let (running, waiting) = (submit(&pool, &wasm, &done), submit(&pool, &wasm, &done));
    waiting.stop();
    running.stop();
    for _ in 0..2 {
        assert!(matches!(next(&results), Err(Failure::Stopped)));
    }
    running.stop();
}

#[test]
fn dropping_the_pool_stops_and_tells_everybody() {
    let (wasm, (done, results)) = (command(ENDLESS), sync_channel(ROOM));
    let pool = pool(1, 8, serves(vec![wasm.clone()]));
    for _ in 0..3 {
        submit(&pool, &wasm, &done);
    }
    drop(pool);
    for _ in 0..3 {
        assert!(matches!(results.try_recv(), Ok(Err(Failure::Stopped))));
    }
}

#[test]
fn a_prepared_program_is_not_read_again() {
    let (wasm, (done, results)) = (command("(drop (i32.const 4))"), sync_channel(ROOM));
    let served = Mutex::new(Some(wasm.clone()));
    let (told, ready) = sync_channel(ROOM);
    let pool = pool(
        1,
        8,
        Arc::new(move |_| {
            served.lock().expect("one thread").take().map(Vec::into).ok_or_else(|| std::io::Error::other("read twice"))
        }),
    );
    let prepared =
        Box::new(move |result: std::result::Result<(), Failure>| told.send(result.is_ok()).expect("the test listens"));
    pool.prepare(BlobId::of(&wasm), prepared).expect("room in the queue");
    assert_eq!(ready.recv_timeout(PATIENCE), Ok(true));
    submit(&pool, &wasm, &done);
    assert!(next(&results).is_ok());
}

#[test]
fn a_missing_program_is_a_failure() {
    let (done, results) = sync_channel(ROOM);
    let pool = pool(1, 8, serves(Vec::new()));
    submit(&pool, b"never stored", &done);
    let error = next(&results).expect_err("nothing to run");
    assert_eq!(error.to_string(), "failed to read the program: no such program");
}
