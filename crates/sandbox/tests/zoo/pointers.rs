//! Games with pointers, and with when and in what order the host is asked. Most exit with the errno they got.

use crate::animal::{Animal, DONE, End, TRAP, code};
use crate::text::{answer, command, module};

const BADF: End = code(8);
const FAULT: End = code(21);
const INVAL: End = code(28);

pub fn animals() -> Vec<Animal> {
    [ends_of_memory(), wraps(), start_functions(), exits(), closings()].into_iter().flatten().collect()
}

fn answers(name: &str, call: &str, end: End) -> Animal {
    Animal::text(&format!("pointers/{name}"), answer(&format!("(call ${call})")), end)
}

/// The one page ends at 65536.
fn ends_of_memory() -> Vec<Animal> {
    vec![
        answers("the last byte filled", "random_get (i32.const 65535) (i32.const 1)", DONE),
        answers("the byte beyond", "random_get (i32.const 65536) (i32.const 1)", FAULT),
        answers("nothing at the end", "random_get (i32.const 65536) (i32.const 0)", DONE),
        answers("nothing beyond the end", "random_get (i32.const 65537) (i32.const 0)", FAULT),
        answers("a time that fits to the byte", "clock_time_get (i32.const 0) (i64.const 0) (i32.const 65528)", DONE),
        answers("a time that does not", "clock_time_get (i32.const 0) (i64.const 0) (i32.const 65529)", FAULT),
        answers("a stat across the end", "fd_fdstat_get (i32.const 1) (i32.const 65520)", FAULT),
        answers("a list of arguments across the end", "args_get (i32.const 65530) (i32.const 0)", FAULT),
        answers("arguments across the end", "args_get (i32.const 0) (i32.const 65530)", FAULT),
        answers("counts across the end", "args_sizes_get (i32.const 0) (i32.const 65533)", FAULT),
        answers(
            "events across the end",
            "poll_oneoff (i32.const 0) (i32.const 65530) (i32.const 1) (i32.const 0)",
            FAULT,
        ),
        answers(
            "subscriptions across the end",
            "poll_oneoff (i32.const 65500) (i32.const 0) (i32.const 1) (i32.const 0)",
            FAULT,
        ),
    ]
}

/// Sums that leave 32 bits.
fn wraps() -> Vec<Animal> {
    vec![
        answers("2^32-1 random bytes", "random_get (i32.const 0) (i32.const -1)", FAULT),
        answers("2^32-1 random bytes at the last address", "random_get (i32.const -1) (i32.const -1)", FAULT),
        answers("arguments at the last address", "args_get (i32.const 0) (i32.const -1)", FAULT),
        answers("2^32-1 subscriptions", "poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0)", INVAL),
        answers(
            "a subscription list that wraps to 0",
            "poll_oneoff (i32.const 0) (i32.const 0) (i32.const 0x5555556) (i32.const 0)",
            INVAL,
        ),
        answers(
            "a read into a list at the last address",
            "fd_read (i32.const 0) (i32.const -1) (i32.const 2) (i32.const 0)",
            FAULT,
        ),
        answers("a clock of another world", "clock_time_get (i32.const -1) (i64.const -1) (i32.const 0)", INVAL),
        answers("a descriptor of 2^32-1", "fd_fdstat_get (i32.const -1) (i32.const 0)", BADF),
        Animal::text(
            "pointers/without any memory to point into",
            module(r#"(func (export "_start") (call $proc_exit (call $random_get (i32.const 0) (i32.const 0))))"#),
            FAULT,
        ),
        Animal::text(
            "pointers/into a memory that is not exported",
            module(
                r#"(memory 1) (func (export "_start") (call $proc_exit (call $random_get (i32.const 0) (i32.const 1))))"#,
            ),
            FAULT,
        ),
        Animal::text(
            "pointers/into a memory of another name",
            module(
                r#"
            (memory (export "Memory") 1)
            (func (export "_start") (call $proc_exit (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))"#,
            ),
            FAULT,
        ),
        Animal::text(
            "pointers/into a function that is called memory",
            module(
                r#"
            (func (export "memory"))
            (func (export "_start") (call $proc_exit (call $random_get (i32.const 0) (i32.const 1))))"#,
            ),
            FAULT,
        ),
        Animal::text(
            "pointers/where memory was before it moved",
            command(
                "(drop (call $random_get (i32.const 0) (i32.const 1)))
             (drop (memory.grow (i32.const 60)))
             (call $proc_exit (call $random_get (i32.const 0x3c0000) (i32.const 65536)))",
            ),
            DONE,
        ),
    ]
}

/// The host is asked before the program has properly begun.
fn start_functions() -> Vec<Animal> {
    let first = |name: &str, body: &str, end: End| {
        let text = module(&format!(
            r#"
            (memory (export "memory") 1)
            (func $first {body}) (start $first) (func (export "_start") unreachable)"#
        ));
        Animal::text(&format!("pointers/the start function {name}"), text, end)
    };
    vec![
        first("ends the program", "(call $proc_exit (i32.const 3))", code(3)),
        first("asks for random bytes", "(call $proc_exit (call $random_get (i32.const 0) (i32.const 65536)))", DONE),
        first("returns, and _start traps", "", TRAP),
        Animal::text(
            "pointers/the start function is the host's",
            r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (func $first (call $exit (i32.const 9))) (start $first)
            (func (export "_start")))"#,
            code(9),
        ),
        Animal::text(
            "pointers/_start is the start function too, and runs twice",
            module(
                r#"
            (global $runs (mut i32) (i32.const 0))
            (func $twice (export "_start")
                (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
                (if (i32.eq (global.get $runs) (i32.const 2)) (then (call $proc_exit (i32.const 2)))))
            (start $twice)"#,
            ),
            code(2),
        ),
    ]
}

/// Exit codes that other systems would cut to a byte.
fn exits() -> Vec<Animal> {
    let exit = |number: i32| {
        Animal::text(
            &format!("pointers/exit code {number}"),
            command(&format!("(call $proc_exit (i32.const {number}))")),
            code(number),
        )
    };
    [0, 126, 255, 256, 65536, i32::MAX, i32::MIN, -1].map(exit).into()
}

/// Descriptors that are closed, and then used.
fn closings() -> Vec<Animal> {
    let close = "(loop $close (drop (call $fd_close (local.get $i)))
        (br_if $close (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))";
    let closed = |name: &str, call: &str, end: End| {
        let body = format!("{close} (call $proc_exit (call ${call}))");
        Animal::text(&format!("pointers/everything closed, then {name}"), command(&body), end)
    };
    vec![
        closed("written", "fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)", BADF),
        closed("read", "fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)", BADF),
        closed("closed", "fd_close (i32.const 1)", BADF),
        closed("asked", "fd_fdstat_get (i32.const 2) (i32.const 0)", BADF),
    ]
}
