//! Limits: which ends are outcomes and which are none.

use crate::rig::{PULLEY, command, exit_of, load, outcome, run, task, wat};
use pocketmesh_sandbox::{Contents, Failure, LoadError, ProgramError, Task};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{Exit, Fuel, limits};

fn limited(change: impl FnOnce(&mut TaskLimits)) -> Task {
    let mut task = task();
    change(&mut task.limits);
    task
}

const ENDLESS: &str = "(loop $more (br $more))";
const ENDLESS_CALLS: [&str; 5] = [
    "(loop $more (drop (call $yield)) (br $more))",
    "(loop $more (drop (call $time (i32.const 0) (i64.const 0) (i32.const 0))) (br $more))",
    "(loop $more (drop (call $random (i32.const 0) (i32.const 65536))) (br $more))",
    "(loop $more (drop (call $write (i32.const 7) (i32.const 0) (i32.const 0) (i32.const 0))) (br $more))",
    "(loop $more (drop (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 8))) (br $more))",
];

#[test]
fn running_out_of_fuel_is_an_outcome_that_costs_the_limit() {
    for body in ENDLESS_CALLS.into_iter().chain([ENDLESS]) {
        let wasm = command(&format!("(call $put (i32.const 1) (i32.const 0) (i32.const 3)) {body}"));
        let run = outcome(&wasm, limited(|limits| limits.fuel = Fuel(1_000_000)));
        assert_eq!((run.outcome.exit, run.outcome.fuel), (Exit::OutOfFuel, Fuel(1_000_000)), "{body}");
        assert_eq!(run.written.stdout, [0; 3], "what was written before stays");
    }
}

#[test]
fn the_fuel_limit_is_exact_to_the_unit() {
    let wasm = command(
        "(drop (call $yield)) (loop $more (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 999))))",
    );
    let needs = outcome(&wasm, task()).outcome.fuel.0;
    let ends = |fuel| outcome(&wasm, limited(|limits| limits.fuel = Fuel(fuel))).outcome;
    assert_eq!((ends(needs + 1).exit, ends(needs + 1).fuel.0), (Exit::Code(0), needs));
    assert_eq!(ends(needs / 2).exit, Exit::OutOfFuel);
}

#[test]
fn the_wall_clock_stops_loops_of_every_kind_and_is_no_outcome() {
    for body in ENDLESS_CALLS.into_iter().chain([ENDLESS]) {
        let task = limited(|limits| (limits.fuel, limits.wall_ms) = (Fuel(limits::TASK_FUEL_MAX), 20));
        let result = run(&command(body), task);
        assert!(matches!(result, Err(Failure::WallClock)), "{body}: {result:?}");
    }
}

#[test]
fn a_time_limit_of_nothing_stops_the_task() {
    let task = limited(|limits| (limits.fuel, limits.wall_ms) = (Fuel(limits::TASK_FUEL_MAX), 0));
    assert!(matches!(run(&command(ENDLESS), task), Err(Failure::WallClock)));
}

#[test]
fn stack_exhaustion_is_no_outcome() {
    let wasm = wat(r#"(module (func $deep (param i32) (result i32)
            (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
        (func (export "_start") (drop (call $deep (i32.const 0)))))"#);
    assert!(matches!(run(&wasm, task()), Err(Failure::StackExhausted)));
    assert!(matches!(PULLEY.run(&load(&PULLEY, &wasm), task(), Contents::default()), Err(Failure::StackExhausted)));
}

/// Grows by `pages` until that fails, and exits with how often it did not.
fn grower(pages: u32) -> Vec<u8> {
    command(&format!(
        "(loop $more
            (if (i32.ne (memory.grow (i32.const {pages})) (i32.const -1))
                (then (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more))))
         (call $exit (local.get $i))"
    ))
}

#[test]
fn memory_grows_to_the_limit_and_never_beyond() {
    // The command starts with 2 pages and a table of one element, which counts too.
    let grown = |bytes| outcome(&grower(1), limited(|limits| limits.memory = bytes)).outcome.exit;
    assert_eq!(grown(10 * 65536 + 8), Exit::Code(8));
    assert_eq!(grown(10 * 65536), Exit::Code(7), "the table's element is missing");
    assert_eq!(grown(11 * 65536), Exit::Code(8));
}

#[test]
fn memory_beyond_what_32_bits_address_is_refused_like_any_other() {
    let all = limited(|limits| limits.memory = limits::TASK_MEMORY_BYTES_MAX);
    assert_eq!(outcome(&grower(65535), all).outcome.exit, Exit::Code(0));
    assert_eq!(
        exit_of("(drop (memory.grow (i32.const 1))) (call $exit (memory.grow (i32.const 65535)))"),
        Exit::Code(-1)
    );
}

#[test]
fn large_memory_is_there_when_it_was_promised() {
    let wasm = command("(drop (memory.grow (i32.const 4000))) (i32.store8 (i32.const 262000000) (i32.const 1))");
    assert_eq!(outcome(&wasm, limited(|limits| limits.memory = 256 << 20)).outcome.exit, Exit::Code(0));
    assert_eq!(outcome(&wasm, limited(|limits| limits.memory = 128 << 20)).outcome.exit, Exit::Trap);
}

#[test]
fn tables_grow_within_what_they_declare() {
    assert_eq!(exit_of("(call $exit (table.grow (ref.null func) (i32.const 7)))"), Exit::Code(1));
    assert_eq!(exit_of("(call $exit (table.grow (ref.null func) (i32.const 8)))"), Exit::Code(-1));
}

#[test]
fn a_program_that_needs_more_memory_than_allowed_does_not_start() {
    let result = run(&command(""), limited(|limits| limits.memory = 65536));
    let expected = ProgramError::Memory { needs: 131_072, allowed: 65536 };
    assert!(matches!(&result, Err(Failure::Load(LoadError::Program(error))) if *error == expected), "{result:?}");
}

#[test]
fn output_is_cut_exactly_at_the_limit() {
    let flood = "(loop $more (call $put (i32.const 1) (i32.const 0) (i32.const 4096))
        (call $put (i32.const 2) (i32.const 0) (i32.const 1)) (br $more))";
    let run = outcome(&command(flood), limited(|limits| limits.output = 10_000));
    assert_eq!(run.outcome.exit, Exit::OutputLimit);
    assert_eq!((run.written.stdout.len(), run.written.stderr.len()), (9_998, 2));
    let exact = command("(call $put (i32.const 1) (i32.const 0) (i32.const 100))");
    assert_eq!(outcome(&exact, limited(|limits| limits.output = 100)).outcome.exit, Exit::Code(0));
    assert_eq!(outcome(&exact, limited(|limits| limits.output = 99)).outcome.exit, Exit::OutputLimit);
    assert_eq!(outcome(&command(""), limited(|limits| limits.output = 0)).outcome.exit, Exit::Code(0));
}

#[test]
fn a_trap_keeps_the_output_before_it() {
    let run = outcome(&command("(call $put (i32.const 1) (i32.const 0) (i32.const 5)) unreachable"), task());
    assert_eq!((run.outcome.exit, run.written.stdout.len()), (Exit::Trap, 5));
}

#[test]
fn a_start_function_counts_as_part_of_the_program() {
    let started = |body: &str| {
        let wasm = wat(&format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1) (func $first {body}) (start $first) (func (export "_start")))"#
        ));
        outcome(&wasm, limited(|limits| limits.fuel = Fuel(1_000_000))).outcome.exit
    };
    assert_eq!(started("unreachable"), Exit::Trap);
    assert_eq!(started("(call $exit (i32.const 5))"), Exit::Code(5));
    assert_eq!(started("(loop $more (br $more))"), Exit::OutOfFuel);
    assert_eq!(started(""), Exit::Code(0));
}

#[test]
fn data_that_does_not_fit_is_a_trap() {
    let wasm = wat(r#"(module (memory 1) (data (i32.const 65536) "x") (func (export "_start")))"#);
    assert_eq!(outcome(&wasm, task()).outcome.exit, Exit::Trap);
}

#[test]
fn a_task_finds_no_trace_of_the_one_before() {
    // Exits with 1 if any byte of 12 pages or the table's second element is not as it was at first; then writes to all.
    let soil = "(drop (memory.grow (i32.const 10)))
        (loop $more
            (if (i64.ne (i64.load (local.get $i)) (i64.const 0)) (then (call $exit (i32.const 1))))
            (i64.store (local.get $i) (i64.const -1))
            (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 786432))))
        (if (i32.ne (table.grow (ref.func $put) (i32.const 3)) (i32.const 1)) (then (call $exit (i32.const 2))))";
    let (one, other) = (command(soil), command(&format!("{soil} (drop (i32.const 0))")));
    for _ in 0..40 {
        for wasm in [&one, &other] {
            assert_eq!(outcome(wasm, task()).outcome.exit, Exit::Code(0));
        }
    }
}
