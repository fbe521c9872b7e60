//! WASI preview 1: what a program sees, and that none of it is the host's.

use crate::rig::{ENGINE, command, exit_of, load, outcome, task, wat};
use pocketmesh_sandbox::Task;
use pocketmesh_types::{Exit, UnixTime};

const BADF: Exit = Exit::Code(8);
const FAULT: Exit = Exit::Code(21);
const INVAL: Exit = Exit::Code(28);
const SPIPE: Exit = Exit::Code(70);

/// Copies standard input to a stream, 4 KiB at a time.
fn echo(fd: u32) -> Vec<u8> {
    command(&format!(
        "(block $end (loop $more
            (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 4096))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br_if $end (i32.eqz (i32.load (i32.const 8))))
            (call $put (i32.const {fd}) (i32.const 1024) (i32.load (i32.const 8)))
            (br $more)))"
    ))
}

#[test]
fn standard_input_arrives_and_output_leaves() {
    let input: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    let task = Task { stdin: input.clone().into(), ..task() };
    let (out, err) = (outcome(&echo(1), task.clone()), outcome(&echo(2), task));
    assert_eq!((out.written.stdout, out.written.stderr), (input.clone(), Vec::new()));
    assert_eq!((err.written.stdout, err.written.stderr), (Vec::new(), input));
}

#[test]
fn output_is_named_by_its_hash_in_the_outcome() {
    let run = outcome(&echo(1), Task { stdin: b"abc".to_vec().into(), ..task() });
    assert_eq!(run.outcome.stdout, pocketmesh_types::Output::of(b"abc"));
    assert_eq!(run.outcome.stderr, pocketmesh_types::Output::of(b""));
}

#[test]
fn arguments_and_environment_are_the_tasks() {
    let wasm = command(
        "(drop (call $args_sizes (i32.const 0) (i32.const 4)))
         (drop (call $args (i32.const 100) (i32.const 200)))
         (call $put (i32.const 1) (i32.const 0) (i32.const 8))
         (call $put (i32.const 1) (i32.load (i32.const 104)) (i32.const 4))
         (drop (call $env_sizes (i32.const 0) (i32.const 4)))
         (drop (call $env (i32.const 100) (i32.const 200)))
         (call $put (i32.const 2) (i32.const 200) (i32.load (i32.const 4)))",
    );
    let env = vec![("B".into(), "2".into()), ("A".into(), "x=y".into())];
    let run = outcome(&wasm, Task { args: vec!["one".into(), String::new()], env, ..task() });
    assert_eq!(run.written.stdout, b"\x03\0\0\0\x0d\0\0\0one\0");
    assert_eq!(run.written.stderr, b"B=2\0A=x=y\0");
}

#[test]
fn time_starts_at_the_epoch_and_passes_with_fuel() {
    let wasm = command(
        "(drop (call $time (i32.const 0) (i64.const 0) (i32.const 0)))
         (drop (call $time (i32.const 1) (i64.const 0) (i32.const 8)))
         (call $put (i32.const 1) (i32.const 0) (i32.const 16))",
    );
    let run = outcome(&wasm, Task { epoch: UnixTime(1_000), ..task() });
    let [real, elapsed] =
        [0, 8].map(|at| u64::from_le_bytes(run.written.stdout[at..at + 8].try_into().expect("8 bytes")));
    assert!((1_000_000_000..1_000_001_000).contains(&real), "{real}");
    assert!(0 < elapsed && elapsed < run.outcome.fuel.0, "{elapsed}");
    assert_eq!(run, outcome(&wasm, Task { epoch: UnixTime(1_000), ..task() }));
    outcome(&wasm, Task { epoch: UnixTime(u64::MAX), ..task() });
}

#[test]
fn a_sleep_moves_the_clock_and_takes_no_time() {
    // A subscription at 1024: clock 1, in 3600 seconds. The event goes to 2048.
    let sleep = "(i32.store8 (i32.const 1024) (i32.const 77)) (i32.store (i32.const 1040) (i32.const 1))
         (i64.store (i32.const 1048) (i64.const 3600000000000))
         (drop (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 8)))
         (drop (call $time (i32.const 1) (i64.const 0) (i32.const 0)))
         (call $put (i32.const 1) (i32.const 0) (i32.const 12))
         (call $put (i32.const 2) (i32.const 2048) (i32.const 32))";
    let run = outcome(&command(sleep), task());
    let now = u64::from_le_bytes(run.written.stdout[..8].try_into().expect("8 bytes"));
    assert!(now > 3_600_000_000_000 && run.outcome.fuel.0 < 10_000, "{now} {:?}", run.outcome.fuel);
    assert_eq!(run.written.stdout[8..], [1, 0, 0, 0], "one event");
    assert_eq!((run.written.stderr[0], &run.written.stderr[1..]), (77, &[0; 31][..]));
}

#[test]
fn random_numbers_come_from_the_seed() {
    let wasm = command(
        "(drop (call $random (i32.const 0) (i32.const 32))) (call $put (i32.const 1) (i32.const 0) (i32.const 32))",
    );
    let [once, again, other] = [[1; 32], [1; 32], [2; 32]].map(|seed| outcome(&wasm, Task { seed, ..task() }));
    assert_eq!(once, again);
    assert_ne!(once.written.stdout, other.written.stdout);
    assert_ne!(once.written.stdout, [0; 32]);
}

#[test]
fn exit_codes_are_what_the_program_says() {
    for code in [0, 1, 2, 126, 255, -1, i32::MIN] {
        assert_eq!(exit_of(&format!("(call $exit (i32.const {code}))")), Exit::Code(code));
    }
    assert_eq!(exit_of(""), Exit::Code(0));
}

#[test]
fn pointers_beyond_the_memory_are_faults() {
    let calls = [
        "$write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 0)",
        "$write (i32.const 1) (i32.const 131068) (i32.const 1) (i32.const 0)",
        "$write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const -1)",
        "$read (i32.const 0) (i32.const -1) (i32.const -1) (i32.const 0)",
        "$read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 131070)",
        "$args (i32.const -1) (i32.const 0)",
        "$args (i32.const 0) (i32.const -1)",
        "$args_sizes (i32.const 0) (i32.const -4)",
        "$env_sizes (i32.const 131072) (i32.const 0)",
        "$time (i32.const 0) (i64.const 0) (i32.const 131065)",
        "$resolution (i32.const 0) (i32.const -1)",
        "$random (i32.const 131071) (i32.const 2)",
        "$random (i32.const 0) (i32.const -1)",
        "$random (i32.const -1) (i32.const -1)",
        "$poll (i32.const -1) (i32.const 0) (i32.const 1) (i32.const 0)",
        "$poll (i32.const 0) (i32.const -1) (i32.const 1) (i32.const 0)",
        "$poll (i32.const 0) (i32.const 0) (i32.const 1) (i32.const -1)",
        "$fdstat (i32.const 1) (i32.const 131060)",
        "$filestat (i32.const 1) (i32.const -1)",
    ];
    for call in calls {
        assert_eq!(exit_of(&format!("(call $exit (call {call}))")), FAULT, "{call}");
    }
    // A list whose second buffer is bad: nothing of the first is written.
    let list = "(i32.store (i32.const 4) (i32.const 5)) (i32.store (i32.const 8) (i32.const -1))
        (i32.store (i32.const 12) (i32.const 1))
        (call $exit (call $write (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 64)))";
    let run = outcome(&command(list), task());
    assert_eq!((run.outcome.exit, run.written.stdout.len()), (FAULT, 0));
}

#[test]
fn a_program_without_memory_gets_faults() {
    let wasm = wat(r#"(module
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (func (export "_start") (call $exit (call $random (i32.const 0) (i32.const 1)))))"#);
    assert_eq!(outcome(&wasm, task()).outcome.exit, FAULT);
}

#[test]
fn absurd_lists_are_bounded() {
    let write = "(call $exit (call $write (i32.const 1) (i32.const 0) (i32.const 0x7fffffff) (i32.const 0)))";
    assert_eq!(exit_of(write), Exit::Code(0), "the first 1024 buffers, all empty");
    let poll = "(call $exit (call $poll (i32.const 0) (i32.const 0) (i32.const 0x7fffffff) (i32.const 0)))";
    assert_eq!(exit_of(poll), INVAL);
    assert_eq!(exit_of("(call $exit (call $poll (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))"), INVAL);
}

#[test]
fn descriptors_are_three_streams_and_a_directory() {
    let answers = [
        ("$write (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 64)", BADF),
        ("$read (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)", BADF),
        ("$write (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 64)", BADF),
        ("$prestat (i32.const 3) (i32.const 0)", Exit::Code(0)),
        ("$prestat (i32.const 0) (i32.const 0)", BADF),
        ("$prestat (i32.const 4) (i32.const 0)", BADF),
        ("$close (i32.const -1)", BADF),
        ("$seek (i32.const 1) (i64.const 0) (i32.const 1) (i32.const 0)", SPIPE),
        ("$seek (i32.const 3) (i64.const 0) (i32.const 1) (i32.const 0)", BADF),
        ("$seek (i32.const 4) (i64.const 0) (i32.const 1) (i32.const 0)", BADF),
        ("$write (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 64)", BADF),
        ("$read (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 64)", Exit::Code(31)),
        ("$fdstat (i32.const 2) (i32.const 0)", Exit::Code(0)),
        ("$flags (i32.const 0) (i32.const 4)", Exit::Code(0)),
        ("$flags (i32.const 0) (i32.const 32)", INVAL),
        ("$time (i32.const 4) (i64.const 0) (i32.const 0)", INVAL),
        ("$yield", Exit::Code(0)),
    ];
    for (call, answer) in answers {
        assert_eq!(exit_of(&format!("(call $exit (call {call}))")), answer, "{call}");
    }
    let closed = "(drop (call $close (i32.const 1)))
        (call $exit (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))";
    assert_eq!(exit_of(closed), BADF);
}

/// All of preview 1, as its specification lists it.
const FUNCTIONS: [(&str, &str); 46] = [
    ("args_get", "i32 i32"),
    ("args_sizes_get", "i32 i32"),
    ("clock_res_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("environ_get", "i32 i32"),
    ("environ_sizes_get", "i32 i32"),
    ("fd_advise", "i32 i64 i64 i32"),
    ("fd_allocate", "i32 i64 i64"),
    ("fd_close", "i32"),
    ("fd_datasync", "i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_fdstat_set_flags", "i32 i32"),
    ("fd_fdstat_set_rights", "i32 i64 i64"),
    ("fd_filestat_get", "i32 i32"),
    ("fd_filestat_set_size", "i32 i64"),
    ("fd_filestat_set_times", "i32 i64 i64 i32"),
    ("fd_pread", "i32 i32 i32 i64 i32"),
    ("fd_prestat_dir_name", "i32 i32 i32"),
    ("fd_prestat_get", "i32 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_renumber", "i32 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_sync", "i32"),
    ("fd_tell", "i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_readlink", "i32 i32 i32 i32 i32 i32"),
    ("path_remove_directory", "i32 i32 i32"),
    ("path_rename", "i32 i32 i32 i32 i32 i32"),
    ("path_symlink", "i32 i32 i32 i32 i32"),
    ("path_unlink_file", "i32 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("proc_exit", "i32"),
    ("proc_raise", "i32"),
    ("random_get", "i32 i32"),
    ("sched_yield", ""),
    ("sock_accept", "i32 i32 i32"),
    ("sock_recv", "i32 i32 i32 i32 i32 i32"),
    ("sock_send", "i32 i32 i32 i32 i32"),
    ("sock_shutdown", "i32 i32"),
];

#[test]
fn every_function_of_preview_1_is_there_and_returns_an_errno() {
    for (name, parameters) in FUNCTIONS {
        let result = if name == "proc_exit" { "" } else { "(result i32)" };
        let zeros: String = parameters.split_whitespace().map(|kind| format!("({kind}.const 0)")).collect();
        let drop = if name == "proc_exit" { "" } else { "drop" };
        let wasm = wat(&format!(
            r#"(module (import "wasi_snapshot_preview1" "{name}" (func $f (param {parameters}) {result}))
                (memory (export "memory") 1) (func (export "_start") (call $f {zeros}) {drop}))"#
        ));
        load(&ENGINE, &wasm);
        assert_eq!(outcome(&wasm, task()).outcome.exit, Exit::Code(0), "{name}");
    }
}
