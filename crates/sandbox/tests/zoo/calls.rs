//! Storms of calls to the host: time that passes outside of the program has to cost it fuel all the same.

use crate::animal::Animal;
use crate::text::{command, forever, module};

pub fn animals() -> Vec<Animal> {
    [cheap(), large(), lists(), wrong()].into_iter().flatten().flatten().collect()
}

fn storm(name: &str, call: &str) -> [Animal; 2] {
    Animal::endless(&format!("calls/{name}"), forever(&format!("(drop (call ${call}))")))
}

/// Calls that do next to nothing.
fn cheap() -> Vec<[Animal; 2]> {
    vec![
        storm("sched_yield", "sched_yield "),
        storm("clock_time_get", "clock_time_get (i32.const 0) (i64.const 0) (i32.const 0)"),
        storm("random_get of nothing", "random_get (i32.const 0) (i32.const 0)"),
        storm("fd_write of no buffers", "fd_write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)"),
        storm("fd_read at the end", "fd_read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 0)"),
        storm("fd_fdstat_get", "fd_fdstat_get (i32.const 1) (i32.const 0)"),
        storm("fd_prestat_get", "fd_prestat_get (i32.const 3) (i32.const 0)"),
        storm("args_sizes_get", "args_sizes_get (i32.const 0) (i32.const 8)"),
        storm("environ_get", "environ_get (i32.const 0) (i32.const 8)"),
        Animal::endless(
            "calls/sched_yield from the start function",
            module(
                r#"(func $first (loop $more (drop (call $sched_yield )) (br $more))) (start $first) (func (export "_start"))"#,
            ),
        ),
    ]
}

/// Calls that move as much as they can.
fn large() -> Vec<[Animal; 2]> {
    let all = |name: &str, call: &str| {
        let text = module(&format!(
            r#"
            (memory (export "memory") 1024)
            (func (export "_start") (loop $more (drop (call ${call})) (br $more)))"#
        ));
        Animal::endless(&format!("calls/{name}"), text).map(|animal| animal.with(|limits| limits.memory = 64 << 20))
    };
    vec![
        all("random_get of 64 MiB", "random_get (i32.const 0) (i32.const 0x4000000)"),
        storm("random_get of a page", "random_get (i32.const 0) (i32.const 65536)"),
        storm("args_get of 8 KiB", "args_get (i32.const 0) (i32.const 1024)"),
    ]
}

/// Calls that walk the longest lists they may.
fn lists() -> Vec<[Animal; 2]> {
    // 1,024 subscriptions to the monotonic clock, all for the end of time.
    let subscribe = "(loop $fill
            (i64.store (i32.add (i32.const 24) (local.get $i)) (i64.const -1))
            (i32.store (i32.add (i32.const 16) (local.get $i)) (i32.const 1))
            (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 48))) (i32.const 49152))))";
    let poll = "(loop $more (drop (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 1024) (i32.const 65532))) (br $more))";
    vec![
        storm(
            "fd_write of 1,024 empty buffers",
            "fd_write (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 65532)",
        ),
        storm(
            "fd_write of 2^32-1 empty buffers",
            "fd_write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 65532)",
        ),
        storm(
            "fd_read into 1,024 empty buffers",
            "fd_read (i32.const 0) (i32.const 0) (i32.const 1024) (i32.const 65532)",
        ),
        storm("poll_oneoff for nothing", "poll_oneoff (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)"),
        storm(
            "poll_oneoff of 1,024 clocks",
            "poll_oneoff (i32.const 0) (i32.const 0) (i32.const 1024) (i32.const 65532)",
        ),
        storm(
            "poll_oneoff of 2^32-1 clocks",
            "poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 65532)",
        ),
        Animal::endless("calls/poll_oneoff until the end of time", command(&format!("{subscribe} {poll}"))),
    ]
}

/// Calls that are refused: a refusal is not for free.
fn wrong() -> Vec<[Animal; 2]> {
    let path = "(i32.const 3) (i32.const 0) (i32.const 0) (i32.const 60000) (i32.const 0) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 0)";
    vec![
        storm("fd_close of nothing", "fd_close (i32.const -1)"),
        storm("clock_res_get of no clock", "clock_res_get (i32.const 99) (i32.const 0)"),
        storm("random_get beyond memory", "random_get (i32.const -1) (i32.const -1)"),
        storm("fd_write to a wild list", "fd_write (i32.const 1) (i32.const -8) (i32.const 1024) (i32.const 0)"),
        // The long string still begins within the address space, and the one behind it does not.
        storm("args_get to the last addresses", "args_get (i32.const 0) (i32.const -100)"),
        storm("args_get beyond memory", "args_get (i32.const 0) (i32.const 0x7fffffff)"),
        storm("fd_readdir", "fd_readdir (i32.const 3) (i32.const 0) (i32.const 65536) (i64.const 0) (i32.const 0)"),
        storm("path_open of a long name", &format!("path_open {path}")),
        storm(
            "path_symlink",
            "path_symlink (i32.const 0) (i32.const 60000) (i32.const 3) (i32.const 0) (i32.const 60000)",
        ),
        storm("sock_accept", "sock_accept (i32.const 0) (i32.const 0) (i32.const 0)"),
        storm("proc_raise", "proc_raise (i32.const 9)"),
    ]
}
