//! Compiled programs: kept, checked, and compiled again when anything is wrong.

use crate::rig::{engine, guest, task};
use pocketmesh_sandbox::{Backend, Config, Contents, Engine};
use pocketmesh_types::{BlobId, Exit};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

fn cached(directory: &Path) -> Engine {
    engine(&Config { cache_dir: Some(directory.join("compiled")), ..Config::default() })
}

/// Runs the no-op and returns how often its bytes were read.
fn reads(engine: &Engine) -> usize {
    let (wasm, count) = (guest("noop"), AtomicUsize::new(0));
    let read = |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(wasm.clone())
    };
    let program = engine.load(BlobId::of(&wasm), &read).expect("a program");
    let run = engine
        .run(&program, pocketmesh_sandbox::Task { stdin: vec![9; 64].into(), ..task() }, Contents::default())
        .expect("an outcome");
    assert_eq!((run.outcome.exit, run.written.stdout), (Exit::Code(0), vec![0; 32]));
    count.into_inner()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("compiled")).expect("the cache");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn a_program_is_read_once_and_never_again_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = cached(directory.path());
    assert_eq!((reads(&first), reads(&first)), (1, 0));
    assert_eq!(reads(&cached(directory.path())), 0);
    assert_eq!(files(directory.path()).len(), 1, "no temporary file stays");
}

#[test]
fn a_damaged_entry_is_compiled_again_and_repaired() {
    let directory = tempfile::tempdir().expect("a directory");
    reads(&cached(directory.path()));
    let entry = files(directory.path()).remove(0);
    let whole = fs::read(&entry).expect("the entry");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut unsigned = whole.clone();
    unsigned[0] ^= 1;
    for damaged in [flipped, unsigned, whole[..whole.len() / 2].to_vec(), whole[..10].to_vec(), Vec::new()] {
        fs::write(&entry, damaged).expect("a writable entry");
        assert_eq!(reads(&cached(directory.path())), 1);
        assert_eq!(fs::read(&entry).expect("the entry"), whole);
    }
}

#[test]
fn an_entry_under_another_programs_name_is_not_used() {
    let directory = tempfile::tempdir().expect("a directory");
    reads(&cached(directory.path()));
    let noop = files(directory.path()).remove(0);
    let other = guest("primes");
    cached(directory.path()).check(&other, &task().limits).expect("a program");
    let primes = files(directory.path()).into_iter().find(|path| *path != noop).expect("a second entry");
    fs::copy(&primes, &noop).expect("a copy");
    assert_eq!(reads(&cached(directory.path())), 1);
}

#[test]
fn engines_with_other_machine_code_keep_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    reads(&cached(directory.path()));
    let cache_dir = Some(directory.path().join("compiled"));
    let pulley = engine(&Config { cache_dir, backend: Backend::Pulley, ..Config::default() });
    assert_eq!(reads(&pulley), 1);
    assert_eq!(files(directory.path()).len(), 2);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_touch_the_cache() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    reads(&cached(directory.path()));
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&directory.path().join("compiled")), 0o700);
    assert_eq!(mode(&files(directory.path())[0]), 0o600);
}

#[test]
fn a_cache_that_cannot_be_opened_is_a_clear_error() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let config = Config { cache_dir: Some(file.path().into()), ..Config::default() };
    let error = Engine::new(&config).expect_err("a file is no directory");
    assert!(error.to_string().starts_with("failed to open the cache of compiled programs at"), "{error}");
}

#[test]
fn memory_holds_no_more_programs_than_allowed() {
    let engine = engine(&Config { programs: 1, ..Config::default() });
    assert_eq!((reads(&engine), reads(&engine)), (1, 0));
    engine.check(&guest("primes"), &task().limits).expect("a program");
    assert_eq!(reads(&engine), 1, "the other program took its place");
}
