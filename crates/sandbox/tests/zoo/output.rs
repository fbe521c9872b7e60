//! Programs that write too much. The limit is 64 KiB for standard output and standard error together.

use crate::animal::{Animal, DONE, End, OUT_OF_FUEL, OUTPUT_LIMIT, code};
use crate::text::{command, module};

pub fn animals() -> Vec<Animal> {
    let mut animals = floods();
    animals.extend(lists());
    animals
}

/// `$put fd len` writes the first bytes of a megabyte of memory.
fn writer(body: &str) -> String {
    module(&format!(
        r#"
        (memory (export "memory") 16)
        (func $put (param $fd i32) (param $len i32)
            (i32.store (i32.const 4) (local.get $len))
            (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func (export "_start") {body})"#
    ))
}

fn floods() -> Vec<Animal> {
    let flood = |name: &str, body: &str, end: End| Animal::text(&format!("output/{name}"), writer(body), end);
    let put = |fd: u32, len: u32| format!("(call $put (i32.const {fd}) (i32.const {len}))");
    let endless = |body: &str| format!("(loop $more {body} (br $more))");
    vec![
        flood("a flood on standard output", &endless(&put(1, 4096)), OUTPUT_LIMIT),
        flood("a flood on standard error", &endless(&put(2, 4096)), OUTPUT_LIMIT),
        flood("a flood on both", &endless(&(put(1, 999) + &put(2, 1001))), OUTPUT_LIMIT),
        flood("a flood byte by byte", &endless(&put(1, 1)), OUTPUT_LIMIT),
        flood("a flood of nothing", &endless(&put(1, 0)), OUT_OF_FUEL),
        flood("a flood on standard input", &endless(&put(0, 4096)), OUT_OF_FUEL),
        flood("all that is allowed", &put(1, 65536), DONE),
        flood("one byte more than is allowed", &(put(1, 65536) + &put(2, 1)), OUTPUT_LIMIT),
        flood("a megabyte at once", &put(1, 1 << 20), OUTPUT_LIMIT),
        flood("a megabyte at once, without the fuel for it", &put(1, 1 << 20), OUT_OF_FUEL)
            .with(|limits| limits.fuel.0 = 100_000),
        flood("anything where nothing is allowed", &put(1, 1), OUTPUT_LIMIT).with(|limits| limits.output = 0),
        flood(
            "256 MiB at once, where a gigabyte is allowed and no fuel",
            &format!("(drop (memory.grow (i32.const 4080))) {}", put(1, 256 << 20)),
            OUT_OF_FUEL,
        )
        .with(|limits| (limits.memory, limits.output) = (256 << 20, 1 << 30)),
    ]
}

/// Lists of buffers at 0 that were made to hurt whoever adds up their lengths. Each exits with the errno.
fn lists() -> Vec<Animal> {
    let list = |name: &str, fill: &str, count: i64, end: End| {
        let body = format!(
            "{fill} (call $proc_exit (call $fd_write (i32.const 1) (i32.const 0) (i32.const {count}) (i32.const 65532)))"
        );
        Animal::text(&format!("output/{name}"), command(&body), end)
    };
    // `count` buffers of `len` bytes at `at`.
    let filled = |count: u32, at: i64, len: i64| {
        format!(
            "(loop $fill
            (i32.store (local.get $i) (i32.const {at}))
            (i32.store offset=4 (local.get $i) (i32.const {len}))
            (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const {}))))",
            count * 8
        )
    };
    vec![
        list("1,024 buffers that are one", &filled(1024, 0, 64), 1024, code(0)),
        list("1,024 buffers that are one, a byte too long", &filled(1024, 0, 65), 1024, OUTPUT_LIMIT),
        list("more buffers than are looked at", &filled(2048, 0, 64), 2048, code(0)),
        list("2^29 buffers, so that the list's length wraps to 0", &filled(1, 0, 1), 1 << 29, code(0)),
        list("a buffer across the end of memory", &filled(2, 65535, 2), 2, code(21)),
        list("a buffer that wraps", &filled(1, -1, 2), 1, code(21)),
        list("a buffer of 2^32-1 bytes", &filled(1, 0, -1), 1, code(21)),
        list("a list across the end of memory", "", 8193, code(0)),
        list(
            "buffers whose sum is beyond 32 bits",
            &("(drop (memory.grow (i32.const 1023)))".to_owned() + &filled(1024, 0, 64 << 20)),
            1024,
            code(28),
        )
        .with(|limits| limits.memory = 64 << 20),
        Animal::text(
            "output/nowhere to put the count: nothing is written",
            writer(
                "(i32.store (i32.const 4) (i32.const 9))
             (if (i32.ne (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0xffffd)) (i32.const 21))
                 (then unreachable))
             (call $put (i32.const 1) (i32.const 65536))",
            ),
            DONE,
        ),
    ]
}
