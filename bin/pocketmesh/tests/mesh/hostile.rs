//! Programs of the hostile zoo that want much of a daemon's memory: by their own size, by what they compile to, by what they
//! write. Their makers are the zoo's (`crates/sandbox/tests/zoo`).

use crate::made::{Parts, command};
use crate::text::module;
use wasm_encoder::{BlockType, ValType};

/// What a task may write by default.
const OUTPUT_BYTES: u32 = 16 << 20;

/// Names and programs.
pub fn programs() -> Vec<(&'static str, Vec<u8>)> {
    let of = |text: String| wat::parse_str(text).expect("well-formed text");
    let functions = Parts { functions: 100_000, ..Parts::default() };
    let locals = Parts { functions: 100, locals: 50_000, ..Parts::default() };
    let custom = Parts { custom: 60 << 20, ..Parts::default() };
    vec![
        ("100,000 empty functions", command(functions, &[], |_| {})),
        ("50,000 locals in each of 100 functions", command(locals, &[], |_| {})),
        ("a function of 4 MB", long_function()),
        ("1,000 results along each of 2,000 branches", bomb()),
        ("a program of 60 MB", command(custom, &[], |_| {})),
        ("a flood on standard output", of(stream("(loop $more (call $put) (br $more))"))),
        ("all that is allowed on standard output", of(stream("(call $put)"))),
        ("a flood of files", of(files(1 << 16, 4096))),
        ("4,000 files with all that is allowed", of(files(4000, OUTPUT_BYTES / 4096))),
        ("a file with all that is allowed", of(files(1, OUTPUT_BYTES))),
    ]
}

fn long_function() -> Vec<u8> {
    command(Parts::default(), &[(2, ValType::I32)], |code| {
        for _ in 0..500_000 {
            code.local_get(0).local_get(0).i32_mul().local_set(0).nop();
        }
    })
}

fn bomb() -> Vec<u8> {
    command(Parts { results: 1000, ..Parts::default() }, &[(1, ValType::I32)], |code| {
        code.block(BlockType::FunctionType(1));
        (0..1000).for_each(|number| {
            code.i32_const(number);
        });
        (0..2000).for_each(|_| {
            code.local_get(0).br_if(0);
        });
        code.end();
        (0..1000).for_each(|_| {
            code.drop();
        });
    })
}

/// `$put` writes all that is allowed, at once.
fn stream(body: &str) -> String {
    module(&format!(
        r#"(memory (export "memory") 257)
        (func $put
            (i32.store (i32.const 4) (i32.const {OUTPUT_BYTES}))
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func (export "_start") {body})"#
    ))
}

/// Leaves so many files of so many bytes, all different, under `/out`.
fn files(count: u32, len: u32) -> String {
    module(&format!(
        r#"(memory (export "memory") 257) (data (i32.const 64) "out/aaaaaaaa")
        (func (export "_start") (local $file i32) (local $digit i32)
            (i32.store (i32.const 0) (i32.const 64))
            (i32.store (i32.const 4) (i32.const {len}))
            (loop $more
                (local.set $digit (i32.const 0))
                (loop $letters
                    (i32.store8 offset=68 (local.get $digit) (i32.add (i32.const 97) (i32.and (i32.const 15)
                        (i32.shr_u (local.get $file) (i32.shl (local.get $digit) (i32.const 2))))))
                    (br_if $letters (i32.gt_u (i32.const 8)
                        (local.tee $digit (i32.add (local.get $digit) (i32.const 1))))))
                (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 12) (i32.const 1)
                        (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 8))
                    (then (return)))
                (drop (call $fd_write (i32.load (i32.const 8)) (i32.const 0) (i32.const 1) (i32.const 12)))
                (drop (call $fd_close (i32.load (i32.const 8))))
                (br_if $more (i32.lt_u (local.tee $file (i32.add (local.get $file) (i32.const 1)))
                    (i32.const {count})))))"#
    ))
}
