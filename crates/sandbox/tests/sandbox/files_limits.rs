//! What files may take: memory, numbers, fuel, output. Every bound is exact, and the same for everybody.

use crate::files_script::{BUFFER, BUFFER_BYTES, CREATE, DIRECTORY, FINE, NOSPC, READ, Script, WRITE, names, value};
use crate::rig::{outcome, task, wat, with_files};
use pocketmesh_sandbox::{Contents, Executed, Failure, LoadError, ProgramError, Task};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{Exit, Fuel, limits};

const BOTH: u64 = READ | WRITE;
/// The memory that a script's program has from the start.
const PROGRAM_BYTES: u64 = 64 * 65536;
/// What a file or directory takes besides its name and bytes.
const NODE_BYTES: u64 = 512;

fn limited(change: impl FnOnce(&mut TaskLimits)) -> Task {
    let mut task = task();
    change(&mut task.limits);
    task
}

/// A task in which files may take so many bytes.
fn with_room(bytes: u64) -> Task {
    limited(|limits| limits.memory = PROGRAM_BYTES + bytes)
}

fn run(script: &Script, task: Task) -> Executed {
    script.run_with(task, Contents::default())
}

#[test]
fn files_share_the_memory_limit_to_the_byte() {
    let mut script = Script::default();
    // A file of one letter takes 513 bytes before it has any.
    script.open("tmp/f", CREATE, BOTH, value(4));
    script.write_bulk(4, 1, 60_000, value(60_000));
    script.write_bulk(4, 2, 60_000, value(40_000));
    script.write(4, "x", NOSPC);
    script.mkdir("tmp/d", NOSPC);
    script.open("tmp/g", CREATE, WRITE, NOSPC);
    script.set_size(4, 100_001, NOSPC);
    script.rename("tmp/f", "tmp/ff", NOSPC);
    script.stat("tmp/f", value(100_000));
    script.pwrite(4, 99_999, "yz", value(1));
    script.pwrite(4, 100_000, "z", NOSPC);
    script.pread(4, 99_998, 10, value(2));
    // What is given back can be taken again: by cutting, by removing, by a shorter name.
    script.set_size(4, 99_000, FINE);
    script.rename("tmp/f", "tmp/1234567890", FINE);
    script.write_bulk(4, 3, 2000, NOSPC);
    script.set_size(4, 99_990, FINE);
    script.set_size(4, 99_992, NOSPC);
    script.unlink("tmp/1234567890", FINE);
    script.mkdir("tmp/d", NOSPC);
    script.close(4, FINE);
    script.mkdir("tmp/d", FINE);
    script.rmdir("tmp/d", FINE);
    script.open("tmp/f", CREATE, WRITE, value(4));
    script.set_size(4, 100_000, FINE);
    script.set_size(4, 100_001, NOSPC);
    assert_eq!(run(&script, with_room(NODE_BYTES + 1 + 100_000)).written.stderr, b"\x02y");
}

#[test]
fn a_gap_is_filled_with_zeros_only_if_they_fit() {
    let mut script = Script::default();
    script.open("out/f", CREATE, BOTH, value(4));
    for at in [100_000, 1 << 20, 1 << 40, (1 << 63) - 2] {
        script.pwrite(4, at, "x", NOSPC);
        script.set_size(4, at, if at == 100_000 { FINE } else { NOSPC });
        script.set_size(4, 0, FINE);
    }
    script.pwrite(4, 99_990, "1234567890 and more", value(10));
    script.pread(4, 99_985, 100, value(15));
    let run = run(&script, with_room(NODE_BYTES + 1 + 100_000));
    assert_eq!(run.written.stderr, b"\0\0\0\0\x001234567890");
}

#[test]
fn memory_and_files_take_from_each_other() {
    let grow = |pages: i32, result: i32| {
        format!(
            "(if (i32.ne (memory.grow (i32.const {pages})) (i32.const {result})) (then (call $exit (i32.const 1))))"
        )
    };
    let mut script = Script::default();
    script.open("tmp/f", CREATE, BOTH, value(4));
    script.set_size(4, 65536, FINE);
    script.raw(&grow(1, 64));
    script.raw(&grow(1, -1));
    script.set_size(4, 65537, NOSPC);
    script.set_size(4, 0, FINE);
    script.raw(&grow(1, 65));
    script.set_size(4, 1, NOSPC);
    run(&script, with_room(NODE_BYTES + 1 + 2 * 65536));
}

#[test]
fn a_listing_that_is_remembered_takes_memory_while_it_is() {
    let mut script = Script::default();
    let room = |script: &mut Script, bytes: u64| {
        script.set_size(4, bytes + 1, NOSPC);
        script.set_size(4, bytes, FINE);
        script.set_size(4, 0, FINE);
    };
    script.open("out/f", CREATE, BOTH, value(4));
    script.mkdir("tmp/a", FINE);
    script.mkdir("tmp/b", FINE);
    script.open("tmp", DIRECTORY, READ, value(5));
    script.readdir(5, 60, 0, value(60));
    room(&mut script, 10_000 - 2 * 65);
    script.readdir(5, 60, 2, value(50));
    room(&mut script, 10_000);
    script.readdir(5, 60, 0, value(60));
    script.readdir(5, 60, 0, value(60));
    room(&mut script, 10_000 - 2 * 65);
    script.close(5, FINE);
    room(&mut script, 10_000);
    // No room for it: then it is listed as it is.
    script.set_size(4, 9_900, FINE);
    script.open("tmp", DIRECTORY, READ, value(5));
    script.readdir(5, 60, 0, value(60));
    script.set_size(4, 10_000, FINE);
    script.readdir(5, 60, 2, value(50));
    let run = run(&script, with_room(3 * (NODE_BYTES + 1) + 10_000));
    assert_eq!(names(&run.written.stderr[run.written.stderr.len() - 50..]), ["a", "b"]);
}

/// Makes `tmp/aaaa`, `tmp/aaab` and so on by a call until one fails, and exits with its errno; writes how many it made.
fn flood(import: &str, call: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
            {import}
            (memory (export "memory") 1)
            (data (i32.const 100) "tmp/aaaa")
            (func (export "_start") (local $made i32) (local $errno i32) (local $digit i32)
                (loop $more
                    (i32.store8 (i32.const 104) (i32.add (i32.const 97) (i32.shr_u (local.get $made) (i32.const 12))))
                    (i32.store8 (i32.const 105)
                        (i32.add (i32.const 97) (i32.and (i32.const 15) (i32.shr_u (local.get $made) (i32.const 8)))))
                    (i32.store8 (i32.const 106)
                        (i32.add (i32.const 97) (i32.and (i32.const 15) (i32.shr_u (local.get $made) (i32.const 4)))))
                    (i32.store8 (i32.const 107) (i32.add (i32.const 97) (i32.and (i32.const 15) (local.get $made))))
                    (local.set $errno {call})
                    (if (i32.eqz (local.get $errno))
                        (then (local.set $made (i32.add (local.get $made) (i32.const 1))) (br $more))))
                (i32.store (i32.const 0) (local.get $made))
                (i32.store (i32.const 16) (i32.const 0)) (i32.store (i32.const 20) (i32.const 4))
                (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
                (call $exit (local.get $errno))))"#
    ))
}

#[test]
fn a_flood_of_files_ends_at_a_number() {
    let mkdir =
        r#"(import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))"#;
    let run = outcome(&flood(mkdir, "(call $mkdir (i32.const 3) (i32.const 100) (i32.const 8))"), task());
    assert_eq!((run.outcome.exit, run.written.stdout), (Exit::Code(51), 65_536u32.to_le_bytes().to_vec()));
}

#[test]
fn a_flood_of_files_ends_at_the_memory_limit() {
    let open = r#"(import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#;
    let call = "(call $open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 8) (i32.const 1) (i64.const 64)
        (i64.const 0) (i32.const 0) (i32.const 8)) (drop (call $close (i32.load (i32.const 8))))";
    let run = outcome(&flood(open, call), limited(|limits| limits.memory = 65536 + 1000 * (NODE_BYTES + 4)));
    assert_eq!((run.outcome.exit, run.written.stdout), (Exit::Code(51), 1000u32.to_le_bytes().to_vec()));
}

#[test]
fn input_files_that_leave_the_program_no_memory_are_refused_before_the_start() {
    let (inputs, contents) = with_files(&[("a/b", &[1; 1000]), ("a/c", &[2; 500])]);
    // Three nodes with a letter each; and the input, if it has a name.
    let takes = 3 * (NODE_BYTES + 1) + 1500;
    let script = Script::default().wasm();
    let result = |memory: u64, name: &str| {
        let program = crate::rig::load(&crate::rig::ENGINE, &script);
        let limits = TaskLimits { memory, ..inputs.limits };
        let task = Task { limits, input_name: name.into(), stdin: vec![3; 100].into(), ..inputs.clone() };
        crate::rig::ENGINE.run(&program, task, contents.clone())
    };
    for (name, takes) in [("", takes), ("in.txt", takes + NODE_BYTES + 6 + 100)] {
        assert_eq!(result(PROGRAM_BYTES + takes, name).expect("an outcome").outcome.exit, Exit::Code(0));
        for allowed in [PROGRAM_BYTES + takes - 1, PROGRAM_BYTES] {
            let refused = result(allowed, name).expect_err("too little memory");
            let expected = ProgramError::Files { files: takes, allowed };
            assert!(matches!(&refused, Failure::Load(LoadError::Program(error)) if *error == expected), "{refused:?}");
            assert!(refused.to_string().ends_with("raise the memory limit"), "{refused}");
        }
    }
}

#[test]
fn the_deepest_tree_that_a_job_can_have_is_laid_out() {
    // As many directories as fit the list of a tree: each file is 1,022 deep in directories of its own.
    let paths: Vec<String> = (0..480).map(|number| format!("{number:03}{}", "/d".repeat(1022))).collect();
    let files: Vec<(&str, &[u8])> = paths.iter().map(|path| (path.as_str(), b"x".as_slice())).collect();
    let (inputs, contents) = with_files(&files);
    let mut script = Script::default();
    script.stat(format!("in/{}", paths[479]), value(1));
    let takes = 480 * (NODE_BYTES + 3 + 1022 * (NODE_BYTES + 1) + 1);
    script.run_with(Task { limits: with_room(takes).limits, ..inputs.clone() }, contents.clone());
    let program = crate::rig::load(&crate::rig::ENGINE, &script.wasm());
    let less = Task { limits: with_room(takes - 1).limits, ..inputs };
    assert!(matches!(crate::rig::ENGINE.run(&program, less, contents), Err(Failure::Load(_))));
}

#[test]
fn standard_input_without_a_name_takes_nothing() {
    let task = Task { stdin: vec![1; 1 << 20].into(), ..with_room(0) };
    run(&Script::default(), task);
}

/// Two files of 100 bytes under `/out`.
fn two_files() -> Script {
    let mut script = Script::default();
    for (fd, path) in [(4, "out/a"), (5, "out/b")] {
        script.open(path, CREATE, WRITE, value(fd));
        script.write_bulk(fd as u32, 7, 100, value(100));
    }
    script
}

#[test]
fn streams_and_files_share_the_output_limit() {
    let exits = |output| outcome(&two_files().wasm(), limited(|limits| limits.output = output));
    // Four calls leave 12 bytes each on standard output.
    let exact = exits(48 + 200);
    assert_eq!((exact.outcome.exit, exact.written.files.len()), (Exit::Code(0), 2));
    let less = exits(48 + 199);
    assert_eq!((less.outcome.exit, less.written.files.len(), less.written.stdout.len()), (Exit::OutputLimit, 0, 48));
    assert_eq!((exact.outcome.files_bytes, less.outcome.files_bytes), (200, 0));
    assert_eq!(less.outcome.files, pocketmesh_types::Output::of(b""));
}

#[test]
fn too_large_files_under_out_are_never_put_together() {
    let mut script = Script::default();
    script.open("out/f", CREATE, WRITE, value(4));
    script.set_size(4, 3 << 30, FINE);
    let run = outcome(&script.wasm(), limited(|limits| limits.memory = limits::TASK_MEMORY_BYTES_MAX));
    assert_eq!((run.outcome.exit, run.written.files.len()), (Exit::OutputLimit, 0));
}

#[test]
fn more_files_than_a_tree_has_are_too_much_output() {
    let made = |count: usize| {
        let mut script = Script::default();
        script.open("out", DIRECTORY, READ, value(4));
        for number in 0..count {
            script.open_at(4, &number.to_string(), CREATE, WRITE, 0, value(5));
            script.close(5, FINE);
        }
        outcome(&script.wasm(), task())
    };
    let most = made(limits::TREE_FILES_MAX);
    assert_eq!((most.outcome.exit, most.written.files.len()), (Exit::Code(0), limits::TREE_FILES_MAX));
    let many = made(limits::TREE_FILES_MAX + 1);
    assert_eq!((many.outcome.exit, many.written.files.len()), (Exit::OutputLimit, 0));
}

#[test]
fn files_are_part_of_every_outcome_however_it_ends() {
    for (end, exit) in [
        ("unreachable", Exit::Trap),
        ("(call $exit (i32.const 3))", Exit::Code(3)),
        ("(loop $more (br $more))", Exit::OutOfFuel),
        ("(loop $more (drop (call $sync (i32.const 4))) (br $more))", Exit::OutOfFuel),
    ] {
        let mut script = two_files();
        script.raw(end);
        let run = outcome(&script.wasm(), limited(|limits| limits.fuel = Fuel(1_000_000)));
        assert_eq!((run.outcome.exit, run.written.files.len()), (exit, 2), "{end}");
        assert_ne!(run.outcome.files, pocketmesh_types::Output::of(b""));
    }
}

#[test]
fn zeros_are_paid_for_before_they_are_there() {
    let starts = two_files();
    let needs = outcome(&starts.wasm(), task()).outcome.fuel.0;
    for call in [
        "$set_size (i32.const 4) (i64.const 10000000)",
        "$allocate (i32.const 4) (i64.const 9000000) (i64.const 1000000)",
        "$pwrite (i32.const 4) (i32.const 16) (i32.const 1) (i64.const 9999900) (i32.const 32)",
    ] {
        let mut script = two_files();
        script.call(call, 32, FINE);
        let run =
            |fuel| outcome(&script.wasm(), limited(|limits| (limits.fuel, limits.output) = (Fuel(fuel), 1 << 30)));
        let (short, enough) = (run(needs + 9_990_000), run(needs + 10_100_000));
        assert_eq!((short.outcome.exit, short.written.files[0].bytes.len()), (Exit::OutOfFuel, 100), "{call}");
        assert_eq!((enough.outcome.exit, enough.written.files[0].bytes.len()), (Exit::Code(0), 10_000_000), "{call}");
    }
}

#[test]
fn moving_bytes_costs_a_unit_each_and_renaming_costs_nothing_of_the_kind() {
    let fuel = |change: &dyn Fn(&mut Script)| {
        let mut script = two_files();
        change(&mut script);
        outcome(&script.wasm(), limited(|limits| limits.output = 1 << 30)).outcome.fuel.0
    };
    let write = |len: usize| fuel(&move |script| script.write_bulk(4, 1, len, FINE));
    // memory.fill costs one as well.
    assert_eq!(write(BUFFER_BYTES) - write(1), 2 * (BUFFER_BYTES as u64 - 1));
    let renamed = |len: u64| {
        let size = move |script: &mut Script| script.set_size(4, len, FINE);
        let both = move |script: &mut Script| {
            size(script);
            script.rename("out/a", "out/c", FINE);
        };
        fuel(&both) - fuel(&size)
    };
    assert_eq!(renamed(100), renamed(50_000_000));
}

#[test]
fn one_call_moves_no_more_than_a_moments_work() {
    const LIST: usize = 0x38_0000;
    let mut script = Script::default();
    script.open("tmp/f", CREATE, BOTH, value(4));
    // 1,024 times the same MiB.
    script.raw(&format!(
        "(loop $more
            (i32.store (i32.add (i32.const {LIST}) (i32.mul (local.get $i) (i32.const 8))) (i32.const {BUFFER}))
            (i32.store offset=4 (i32.add (i32.const {LIST}) (i32.mul (local.get $i) (i32.const 8))) (i32.const {BUFFER_BYTES}))
            (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1024))))"
    ));
    let moved = value(64 << 20);
    script.call(&format!("$write (i32.const 4) (i32.const {LIST}) (i32.const 1024) (i32.const 32)"), 32, moved);
    script.call(&format!("$write (i32.const 4) (i32.const {LIST}) (i32.const 1024) (i32.const 32)"), 32, moved);
    script.stat("tmp/f", value(128 << 20));
    script.call(
        &format!("$pread (i32.const 4) (i32.const {LIST}) (i32.const 1024) (i64.const 1) (i32.const 32)"),
        32,
        moved,
    );
    run(&script, limited(|limits| limits.memory = 256 << 20));
}

#[test]
fn loops_of_file_calls_end() {
    let loops = [
        "$mkdir (i32.const 3) (i32.const 4096) (i32.const 4096)",
        "$open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)",
        "$readdir (i32.const 3) (i32.const 4096) (i32.const 4096) (i64.const 0) (i32.const 0)",
        "$seek (i32.const 4) (i64.const 0) (i32.const 0) (i32.const 0)",
        "$read (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0)",
        "$renumber (i32.const 4) (i32.const 5)",
        "$set_size (i32.const 4) (i64.const 0)",
    ];
    for call in loops {
        let mut script = two_files();
        script.raw(&format!("(loop $more (drop (call {call})) (br $more))"));
        let run = outcome(&script.wasm(), limited(|limits| limits.fuel = Fuel(2_000_000)));
        assert_eq!(run.outcome.exit, Exit::OutOfFuel, "{call}");
        let wasm = script.wasm();
        let task = limited(|limits| (limits.fuel, limits.wall_ms) = (Fuel(limits::TASK_FUEL_MAX), 20));
        assert!(matches!(crate::rig::run(&wasm, task), Err(Failure::WallClock)), "{call}");
    }
}
