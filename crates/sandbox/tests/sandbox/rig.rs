//! Engines, tasks and small programs to test with.

use pocketmesh_sandbox::{Backend, Config, Contents, Engine, Executed, Failure, Program, Task};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::tree::{File, Tree};
use pocketmesh_types::{BlobId, Exit, Fuel, Output, UnixTime};
use std::sync::{Arc, LazyLock};

/// The engine that most tests share: pooling, Cranelift, deadlines inside.
pub static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine(&Config::default()));
/// The interpreter.
pub static PULLEY: LazyLock<Engine> =
    LazyLock::new(|| engine(&Config { backend: Backend::Pulley, ..Config::default() }));

pub fn engine(config: &Config) -> Engine {
    Engine::new(config).expect("an engine on this machine")
}

/// A task with generous limits, for a program that takes a few milliseconds.
pub fn task() -> Task {
    Task {
        program: BlobId::default(),
        name: "program".into(),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new().into(),
        files: Arc::default(),
        input_name: String::new(),
        limits: TaskLimits { fuel: Fuel(10_000_000_000), memory: 64 << 20, output: 1 << 20, wall_ms: 600_000 },
        epoch: UnixTime(1_700_000_000_000),
        seed: [7; 32],
    }
}

pub fn load(engine: &Engine, wasm: &[u8]) -> Program {
    engine.load(BlobId::of(wasm), &|_| Ok(wasm.to_vec())).expect("a program")
}

/// Runs `task` in the shared engine.
pub fn run(wasm: &[u8], task: Task) -> Result<Executed, Failure> {
    ENGINE.run(&load(&ENGINE, wasm), task, Contents::default())
}

/// Runs a program that comes to an outcome.
pub fn outcome(wasm: &[u8], task: Task) -> Executed {
    run(wasm, task).expect("an outcome")
}

/// How a command with this body ends.
pub fn exit_of(body: &str) -> Exit {
    outcome(&command(body), task()).outcome.exit
}

pub fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("well-formed text")
}

/// A command with two pages of memory, the functions that tests call, and this body.
pub fn command(body: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fdstat (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $flags (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_filestat_get" (func $filestat (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "clock_res_get" (func $resolution (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
            (memory (export "memory") 2)
            (table 1 8 funcref)
            (elem declare func $put)
            ;; Writes `len` bytes at `at` to `fd`. The vector is at 16, the count goes to 24.
            (func $put (param $fd i32) (param $at i32) (param $len i32)
                (i32.store (i32.const 16) (local.get $at))
                (i32.store (i32.const 20) (local.get $len))
                (drop (call $write (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 24))))
            (func (export "_start") (local $i i32) {body}))"#
    ))
}

/// A task with these files under `/in`, and their contents.
pub fn with_files(files: &[(&str, &[u8])]) -> (Task, Contents) {
    let file = |(path, bytes): &(&str, &[u8])| File { path: (*path).to_owned(), content: Output::of(bytes) };
    let tree = Tree::new(files.iter().map(file).collect()).expect("a tree");
    let bytes_of = |file: &File| files.iter().find(|(path, _)| *path == file.path).expect("its bytes").1;
    let contents = tree.files().iter().map(|file| Arc::from(bytes_of(file))).collect();
    (Task { files: Arc::new(tree), ..task() }, Contents(contents))
}

/// A program that the guests' workspace built.
pub fn guest(name: &str) -> Vec<u8> {
    let path = format!("{}/../guests/wasm/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A task for a guest with these arguments.
pub fn with_args(args: &[&str]) -> Task {
    Task { args: args.iter().map(ToString::to_string).collect(), ..task() }
}
