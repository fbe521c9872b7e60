//! Programs: compiled once, in a process of their own, and kept for the next daemon.

use crate::Claim;
use crate::rig::{command, guest, task};
use crate::watch::{
    PATIENCE, ROOM, children, config, honest, kill, next, refusal, serves, start, submit, task_of, wait_until_childless,
};
use pocketmesh_sandbox::sealed::{Sealed, SealedConfig};
use pocketmesh_sandbox::{Executor as _, Failure, LoadError, ProgramError, Task};
use pocketmesh_types::BlobId;
use pocketmesh_types::job::TaskLimits;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

pub const CLAIMS: &[Claim] = &[
    (
        "a_program_is_compiled_once_and_never_again_after_a_restart",
        a_program_is_compiled_once_and_never_again_after_a_restart,
    ),
    ("a_damaged_entry_is_compiled_again_and_repaired", a_damaged_entry_is_compiled_again_and_repaired),
    (
        "a_program_that_is_damaged_in_use_is_compiled_again_and_costs_no_task",
        a_program_that_is_damaged_in_use_is_compiled_again_and_costs_no_task,
    ),
    ("a_program_whose_file_is_removed_in_use_is_run", a_program_whose_file_is_removed_in_use_is_run),
    ("why_something_is_no_program_is_said_as_in_the_process", why_something_is_no_program_is_said_as_in_the_process),
    (
        "a_program_that_needs_more_memory_than_allowed_is_refused",
        a_program_that_needs_more_memory_than_allowed_is_refused,
    ),
    ("a_missing_program_is_a_failure", a_missing_program_is_a_failure),
    ("other_bytes_than_the_programs_are_a_failure", other_bytes_than_the_programs_are_a_failure),
    ("a_prepared_program_is_ready", a_prepared_program_is_ready),
    ("a_program_that_takes_too_long_to_compile_is_refused", a_program_that_takes_too_long_to_compile_is_refused),
    (
        "a_program_that_takes_too_much_memory_to_compile_is_refused",
        a_program_that_takes_too_much_memory_to_compile_is_refused,
    ),
    ("more_programs_than_a_runner_holds_are_run", more_programs_than_a_runner_holds_are_run),
];

/// Runs a task and returns which children were started for it: `R` for a runner, `C` for a compiler.
fn started(directory: &Path, wasm: &[u8]) -> String {
    let notes = directory.join("notes");
    let args = ["fake", "relay", notes.to_str().expect("a path of letters")];
    let cache_dir = Some(directory.join("compiled"));
    let sealed = start(SealedConfig { cache_dir, ..config(1, &args) }, &[wasm]);
    let (done, ends) = sync_channel(ROOM);
    submit(&sealed, task_of(wasm), &done);
    assert!(next(&ends).is_ok());
    drop(sealed);
    let noted = std::fs::read_to_string(&notes).expect("notes");
    std::fs::remove_file(&notes).expect("notes");
    noted
}

fn a_program_is_compiled_once_and_never_again_after_a_restart() {
    let (directory, wasm) = (tempfile::tempdir().expect("a directory"), guest("noop"));
    assert_eq!(started(directory.path(), &wasm), "RC");
    assert_eq!(started(directory.path(), &wasm), "R");
    let files: Vec<_> = std::fs::read_dir(directory.path().join("compiled")).expect("the cache").collect();
    assert_eq!(files.len(), 1, "no temporary file stays");
    let sealed = cached(directory.path(), &wasm);
    assert!(sealed.seal().is_ok());
    sealed.check(BlobId::of(&wasm), &task().limits).expect("from the disk");
    assert!(children().is_empty());
}

/// An executor whose compilers never finish.
fn cached(directory: &Path, wasm: &[u8]) -> Sealed {
    let cache_dir = Some(directory.join("compiled"));
    start(SealedConfig { cache_dir, compile_time: Duration::ZERO, ..honest(1) }, &[wasm])
}

fn a_damaged_entry_is_compiled_again_and_repaired() {
    let (directory, wasm) = (tempfile::tempdir().expect("a directory"), guest("noop"));
    started(directory.path(), &wasm);
    let mut files = std::fs::read_dir(directory.path().join("compiled")).expect("the cache");
    let entry = files.next().expect("an entry").expect("an entry").path();
    let whole = std::fs::read(&entry).expect("the entry");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut hungrier = whole.clone();
    hungrier[33] ^= 1;
    for damaged in [flipped, hungrier, whole[..whole.len() / 2].to_vec(), whole[..10].to_vec(), Vec::new()] {
        std::fs::write(&entry, damaged).expect("a writable entry");
        assert_eq!(started(directory.path(), &wasm), "RC");
        assert_eq!(std::fs::read(&entry).expect("the entry"), whole);
    }
}

/// Damaged where the executor has it open, so that it shows only on its way to the next runner.
fn a_program_that_is_damaged_in_use_is_compiled_again_and_costs_no_task() {
    let (directory, wasm) = (tempfile::tempdir().expect("a directory"), guest("wordcount"));
    let (notes, compiled) = (directory.path().join("notes"), directory.path().join("compiled"));
    let args = ["fake", "relay", notes.to_str().expect("a path of letters")];
    let sealed = start(SealedConfig { cache_dir: Some(compiled.clone()), ..config(1, &args) }, &[&wasm]);
    let (done, ends) = sync_channel(ROOM);
    submit(&sealed, task_of(&wasm), &done);
    let first = next(&ends).expect("an outcome").outcome;
    let entry = std::fs::read_dir(&compiled).expect("the cache").next().expect("an entry").expect("an entry").path();
    let whole = std::fs::read(&entry).expect("the entry");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&entry, damaged).expect("a writable entry");
    // The next runner has to be sent the program anew.
    children().iter().for_each(kill);
    wait_until_childless();
    submit(&sealed, task_of(&wasm), &done);
    assert_eq!(next(&ends).expect("an outcome").outcome, first);
    assert_eq!(std::fs::read_to_string(&notes).expect("notes"), "RCRRC");
    assert_eq!(std::fs::read(&entry).expect("the entry"), whole);
}

fn a_program_whose_file_is_removed_in_use_is_run() {
    let (directory, wasm) = (tempfile::tempdir().expect("a directory"), guest("noop"));
    let cache_dir = directory.path().join("compiled");
    let sealed = start(SealedConfig { cache_dir: Some(cache_dir.clone()), ..honest(1) }, &[&wasm]);
    let (done, ends) = sync_channel(ROOM);
    submit(&sealed, task_of(&wasm), &done);
    next(&ends).expect("an outcome");
    std::fs::remove_dir_all(&cache_dir).expect("a cache to remove");
    children().iter().for_each(kill);
    wait_until_childless();
    submit(&sealed, task_of(&wasm), &done);
    next(&ends).expect("an outcome, of a file that is still open");
    let other = guest("wordcount");
    drop(sealed);
    let sealed = start(SealedConfig { cache_dir: Some(cache_dir.clone()), ..honest(1) }, &[&other]);
    std::fs::remove_dir_all(&cache_dir).expect("a cache to remove");
    submit(&sealed, task_of(&other), &done);
    next(&ends).expect("an outcome, of a program that could not be kept");
}

fn why_something_is_no_program_is_said_as_in_the_process() {
    let limits = task().limits;
    let modules = [
        r#"(module (import "env" "system" (func)) (func (export "_start")))"#,
        r#"(module (import "wasi_snapshot_preview1" "fd_read" (func)) (func (export "_start")))"#,
        r#"(module (func (export "main")))"#,
        r#"(module (memory i64 1) (func (export "_start")))"#,
        r#"(module (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)
            (func (export "_start")))"#,
    ];
    let foreign = [b"#!/bin/sh".to_vec(), Vec::new(), b"\0asm\x01\0\0\0\xff".to_vec()];
    let all: Vec<_> = modules.into_iter().map(crate::rig::wat).chain(foreign).collect();
    let served: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let sealed = start(honest(1), &served);
    for wasm in &all {
        let inside = crate::rig::ENGINE.check(wasm, &limits).expect_err("no program");
        assert_eq!(refusal(&sealed, wasm, &limits), inside);
    }
}

fn a_program_that_needs_more_memory_than_allowed_is_refused() {
    let wasm = guest("noop");
    let sealed = start(honest(1), &[&wasm]);
    let limits = TaskLimits { memory: 65536, ..task().limits };
    let refused = refusal(&sealed, &wasm, &limits);
    assert!(matches!(refused, ProgramError::Memory { allowed: 65536, .. }), "{refused}");
    let (done, ends) = sync_channel(ROOM);
    submit(&sealed, Task { limits, ..task_of(&wasm) }, &done);
    assert!(matches!(next(&ends), Err(Failure::Load(LoadError::Program(error))) if error == refused));
}

fn a_missing_program_is_a_failure() {
    let sealed = start(honest(1), &[]);
    let (done, ends) = sync_channel(ROOM);
    submit(&sealed, task_of(b"never stored"), &done);
    submit(&sealed, task_of(b"never stored"), &done);
    for _ in 0..2 {
        assert_eq!(next(&ends).expect_err("nothing to run").to_string(), "failed to read the program: no such blob");
    }
}

fn other_bytes_than_the_programs_are_a_failure() {
    for other in [guest("noop"), b"no program at all".to_vec(), Vec::new()] {
        let loader = std::sync::Arc::new(move |_| Ok(other.clone().into()));
        let sealed = Sealed::start(honest(1), loader, None).expect("threads");
        let (done, ends) = sync_channel(ROOM);
        submit(&sealed, task_of(b"another"), &done);
        assert!(matches!(next(&ends), Err(Failure::Load(LoadError::WrongBytes(_)))));
    }
}

fn a_prepared_program_is_ready() {
    let wasm = guest("noop");
    let sealed = start(honest(1), &[&wasm]);
    let (told, ready) = sync_channel(ROOM);
    for id in [BlobId::of(&wasm), BlobId::of(&wasm), BlobId::of(b"gone")] {
        let told = told.clone();
        let on_prepared =
            Box::new(move |ready: Result<(), Failure>| told.send(ready.is_ok()).expect("the test listens"));
        sealed.prepare(id, on_prepared).expect("room in the queue");
    }
    let mut answers: Vec<bool> = (0..3).map(|_| ready.recv_timeout(PATIENCE).expect("an answer")).collect();
    answers.sort_unstable();
    assert_eq!(answers, [false, true, true]);
}

fn a_program_that_takes_too_long_to_compile_is_refused() {
    let (slow, fast) = (guest("wordcount"), guest("noop"));
    let sealed = start(SealedConfig { compile_time: Duration::ZERO, ..honest(1) }, &[&slow, &fast]);
    assert_eq!(refusal(&sealed, &slow, &task().limits), ProgramError::TooExpensive);
    let (done, ends) = sync_channel(ROOM);
    submit(&sealed, task_of(&slow), &done);
    assert!(matches!(next(&ends), Err(Failure::Load(LoadError::Program(ProgramError::TooExpensive)))));
    drop(sealed);
    assert!(children().is_empty(), "{:?}", children());
}

/// One function of many instructions, which a compiler holds as a whole.
fn long_function() -> Vec<u8> {
    command(&"(local.set $i (i32.add (local.get $i) (i32.load (local.get $i))))".repeat(300_000))
}

fn a_program_that_takes_too_much_memory_to_compile_is_refused() {
    let (bomb, good) = (long_function(), guest("noop"));
    let sealed = start(SealedConfig { compile_memory: 160 << 20, ..honest(1) }, &[&bomb, &good]);
    assert_eq!(refusal(&sealed, &bomb, &task().limits), ProgramError::TooExpensive);
    sealed.check(BlobId::of(&good), &task().limits).expect("a program");
}

fn more_programs_than_a_runner_holds_are_run() {
    let programs: Vec<Vec<u8>> = (0..70).map(|code| command(&format!("(call $exit (i32.const {code}))"))).collect();
    let served: Vec<&[u8]> = programs.iter().map(Vec::as_slice).collect();
    let sealed = Sealed::start(honest(1), serves(&served), None).expect("threads");
    let (done, ends) = sync_channel(ROOM);
    for wasm in programs.iter().chain(&programs) {
        submit(&sealed, task_of(wasm), &done);
    }
    let mut codes: Vec<_> = (0..140).map(|_| next(&ends).expect("an outcome").outcome.exit).collect();
    codes.sort_unstable();
    let expected: Vec<_> = (0..140).map(|code| pocketmesh_types::Exit::Code(code / 2)).collect();
    assert_eq!(codes, expected);
}
