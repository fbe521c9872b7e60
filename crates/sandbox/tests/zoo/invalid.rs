//! Bytes that are no module, or that lie about how many there are.

use crate::animal::{Animal, DONE, End, Expect, INVALID, OUT_OF_FUEL, Refusal, TRAP, code};

const NOT_WASM: End = End::Refused(Refusal::NotWasm);
const NO_START: End = End::Refused(Refusal::NoStart);
const UNKNOWN_IMPORT: End = End::Refused(Refusal::Import);
const MAGIC: &[u8] = b"\0asm\x01\0\0\0";
/// Makes the bytes of an animal.
type Make = fn() -> Vec<u8>;
/// The type `() -> ()`, one function of it, exported as `_start`, which does nothing.
const TYPES: (u8, &[u8]) = (1, &[1, 0x60, 0, 0]);
const FUNCTIONS: (u8, &[u8]) = (3, &[1, 0]);
const EXPORTS: (u8, &[u8]) = (7, b"\x01\x06_start\0\0");
const BODIES: (u8, &[u8]) = (10, &[1, 2, 0, 0x0b]);

pub fn animals() -> Vec<Animal> {
    [foreign(), sections(), numbers(), counts(), bodies(), herds()].into_iter().flatten().collect()
}

/// A module of these sections.
fn module(sections: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for (id, content) in sections {
        assert!(content.len() < 128, "one byte holds the length");
        bytes.extend_from_slice(&[*id, content.len() as u8]);
        bytes.extend_from_slice(content);
    }
    bytes
}

/// The smallest command, with the body of its function.
fn with_body(body: &[u8]) -> Vec<u8> {
    let len = body.len() as u8;
    module(&[TYPES, FUNCTIONS, EXPORTS, (10, &[&[1, len], body].concat())])
}

fn made(name: &str, make: fn() -> Vec<u8>, end: End) -> Animal {
    Animal::made(&format!("invalid/{name}"), make, Expect::Always(end))
}

/// Files of another kind.
fn foreign() -> Vec<Animal> {
    vec![
        made("the smallest command, which is valid", || module(&[TYPES, FUNCTIONS, EXPORTS, BODIES]), DONE),
        made("nothing", Vec::new, NOT_WASM),
        made("one byte", || vec![0], NOT_WASM),
        made("the magic number alone", || MAGIC[..4].to_vec(), NOT_WASM),
        made("a module of version 2", || b"\0asm\x02\0\0\0".to_vec(), NOT_WASM),
        made("a component", || b"\0asm\x0d\0\x01\0".to_vec(), NOT_WASM),
        made("text", || b"(module)".to_vec(), NOT_WASM),
        made("machine code of Linux", || b"\x7fELF\x02\x01\x01\0".to_vec(), NOT_WASM),
        made("machine code of Windows", || b"MZ\x90\0".to_vec(), NOT_WASM),
        made("a script", || b"#!/bin/sh\nrm -rf /\n".to_vec(), NOT_WASM),
        made("two modules in a row", || module(&[TYPES, FUNCTIONS, EXPORTS, BODIES]).repeat(2), INVALID),
        made(
            "a byte more than a program may have",
            || {
                let mut bytes = MAGIC.to_vec();
                bytes.resize(pocketmesh_types::limits::PROGRAM_BYTES_MAX as usize + 1, 0);
                bytes
            },
            End::Refused(Refusal::TooLarge),
        ),
    ]
}

/// Sections in disorder.
fn sections() -> Vec<Animal> {
    vec![
        made("sections out of order", || module(&[FUNCTIONS, TYPES, EXPORTS, BODIES]), INVALID),
        made("a section twice", || module(&[TYPES, TYPES, FUNCTIONS, EXPORTS, BODIES]), INVALID),
        made("functions without bodies", || module(&[TYPES, FUNCTIONS, EXPORTS]), INVALID),
        made("bodies without functions", || module(&[TYPES, BODIES]), INVALID),
        made("an unknown section", || module(&[TYPES, (14, &[]), FUNCTIONS, EXPORTS, BODIES]), INVALID),
        made("a section longer than the file", || [MAGIC, &[1, 127, 1, 0x60, 0, 0]].concat(), INVALID),
        made("a section shorter than its content", || module(&[(1, &[2, 0x60, 0, 0])]), INVALID),
        made("a section longer than its content", || module(&[(1, &[1, 0x60, 0, 0, 0])]), INVALID),
        made("a custom section without a name", || module(&[(0, &[])]), INVALID),
        made("a custom section whose name is longer than itself", || module(&[(0, &[9, b'x'])]), INVALID),
        made(
            "a name section of rubbish, which nobody reads",
            || module(&[TYPES, FUNCTIONS, EXPORTS, BODIES, (0, b"\x04name\xff\xff\xff\xff\xff")]),
            DONE,
        ),
        made(
            "data without the memory for it",
            || module(&[TYPES, FUNCTIONS, EXPORTS, BODIES, (11, &[1, 0, 0x41, 0, 0x0b, 0])]),
            INVALID,
        ),
        made("a count of data that is wrong", || module(&[TYPES, FUNCTIONS, EXPORTS, (12, &[1]), BODIES]), INVALID),
        made(
            "a start function that does not exist",
            || module(&[TYPES, FUNCTIONS, EXPORTS, (8, &[1]), BODIES]),
            INVALID,
        ),
        made("an export of a function that does not exist", || module(&[TYPES, (7, b"\x01\x06_start\0\0")]), INVALID),
        made(
            "two exports of one name",
            || module(&[TYPES, FUNCTIONS, (7, b"\x02\x01a\0\0\x01a\0\0"), BODIES]),
            INVALID,
        ),
        made(
            "an export whose name is not UTF-8",
            || module(&[TYPES, FUNCTIONS, (7, b"\x01\x02\xff\xfe\0\0"), BODIES]),
            INVALID,
        ),
        made("a function of a type that does not exist", || module(&[TYPES, (3, &[1, 7]), BODIES]), INVALID),
    ]
}

/// Numbers written longer than they may be.
fn numbers() -> Vec<Animal> {
    vec![
        made(
            "a number longer than it need be, which is allowed",
            || module(&[(1, &[0x81, 0x80, 0x80, 0x80, 0, 0x60, 0, 0]), FUNCTIONS, EXPORTS, BODIES]),
            DONE,
        ),
        made(
            "a number longer than it may be",
            || module(&[(1, &[0x81, 0x80, 0x80, 0x80, 0x80, 0, 0x60, 0, 0])]),
            INVALID,
        ),
        made("a number beyond 32 bits", || module(&[(1, &[0xff, 0xff, 0xff, 0xff, 0x7f])]), INVALID),
        made("a number that never ends", || module(&[(1, &[0xff; 100])]), INVALID),
        made("a section whose length never ends", || [MAGIC, &[1], &[0xff; 64]].concat(), INVALID),
        made(
            "a constant beyond 64 bits",
            || with_body(&[0, 0x42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7e, 0x1a, 0x0b]),
            INVALID,
        ),
    ]
}

/// Sections that promise 2^32-1 items and have none: whoever makes room first has lost.
fn counts() -> Vec<Animal> {
    const MANY: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let promised: [(&str, Make); 12] = [
        ("types", || module(&[(1, &MANY)])),
        ("imports", || module(&[(2, &MANY)])),
        ("functions", || module(&[TYPES, (3, &MANY)])),
        ("tables", || module(&[(4, &MANY)])),
        ("memories", || module(&[(5, &MANY)])),
        ("globals", || module(&[(6, &MANY)])),
        ("exports", || module(&[(7, &MANY)])),
        ("elements", || module(&[(9, &MANY)])),
        ("bodies", || module(&[TYPES, FUNCTIONS, EXPORTS, (10, &MANY)])),
        ("segments of data", || module(&[(12, &MANY)])),
        ("parameters", || module(&[(1, &[&[1, 0x60], MANY.as_slice()].concat())])),
        ("bytes of a name", || module(&[TYPES, (2, &[&[1], MANY.as_slice()].concat())])),
    ];
    promised.map(|(what, make)| made(&format!("2^32-1 {what}"), make, INVALID)).into()
}

/// Function bodies that make no sense.
fn bodies() -> Vec<Animal> {
    vec![
        made("2^32-1 locals", || with_body(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7e, 0x0b]), INVALID),
        made(
            "locals whose sum is beyond 32 bits",
            || with_body(&[2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7e, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b]),
            INVALID,
        ),
        made("50,001 locals", || with_body(&[1, 0xd1, 0x86, 0x03, 0x7e, 0x0b]), INVALID),
        made("locals of no type", || with_body(&[1, 1, 0x13, 0x0b]), INVALID),
        made("a body without an end", || with_body(&[0, 0x01]), INVALID),
        made("an end too many", || with_body(&[0, 0x0b, 0x0b]), INVALID),
        made("nothing to drop", || with_body(&[0, 0x1a, 0x0b]), INVALID),
        made("a value left over", || with_body(&[0, 0x41, 0, 0x0b]), INVALID),
        made("a float where an integer belongs", || with_body(&[0, 0x43, 0, 0, 0, 0, 0x45, 0x1a, 0x0b]), INVALID),
        made("an address of 64 bits", || with_body(&[0, 0x42, 0, 0x28, 0, 0, 0x1a, 0x0b]), INVALID),
        made("a load without a memory", || with_body(&[0, 0x41, 0, 0x28, 0, 0, 0x1a, 0x0b]), INVALID),
        made("a branch out of the function", || with_body(&[0, 0x0c, 9, 0x0b]), INVALID),
        made("a call of a function that does not exist", || with_body(&[0, 0x10, 9, 0x0b]), INVALID),
        made("a local that does not exist", || with_body(&[0, 0x20, 0, 0x1a, 0x0b]), INVALID),
        made("an unknown instruction", || with_body(&[0, 0x27, 0x0b]), INVALID),
        made("an unknown instruction of two bytes", || with_body(&[0, 0xfc, 0x7f, 0x0b]), INVALID),
        made("an else without an if", || with_body(&[0, 0x05, 0x0b]), INVALID),
        made(
            "a br_table of 2^32-1 targets",
            || with_body(&[0, 0x41, 0, 0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0x0b]),
            INVALID,
        ),
        made("rubbish behind unreachable, which counts", || with_body(&[0, 0x00, 0x45, 0x43, 0x0b]), INVALID),
    ]
}

/// A command with something of everything.
const WHOLE: &str = r#"(module
    (type $sum (func (param i32 i64) (result i64)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (table 2 4 funcref) (memory (export "memory") 1 16) (global $g (mut i32) (i32.const 5))
    (export "_start" (func $start)) (elem (i32.const 0) $sum)
    (func $sum (type $sum) (i64.add (i64.extend_i32_u (local.get 0)) (local.get 1)))
    (func $start (local i32 f64)
        (loop $more
            (memory.fill (i32.const 512) (local.get 0) (i32.const 64))
            (local.set 1 (f64.sqrt (f64.convert_i32_u (local.get 0))))
            (drop (call_indirect (type $sum) (local.get 0) (i64.trunc_sat_f64_s (local.get 1)) (i32.const 0)))
            (br_if $more (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 9))))
        (if (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)) (then (unreachable)))
        (call $exit (global.get $g)))
    (data (i32.const 16) "\20\00\00\00\05\00\00\00") (data (i32.const 32) "hello"))"#;

fn whole() -> Vec<u8> {
    wat::parse_str(WHOLE).expect("well-formed text")
}

const CUT_OFF: &[(End, usize)] = &[(NOT_WASM, 8), (INVALID, 314), (NO_START, 3), (code(5), 2)];
const FLIPPED: &[(End, usize)] = &[
    (NOT_WASM, 51),
    (INVALID, 993),
    (UNKNOWN_IMPORT, 342),
    (NO_START, 30),
    (TRAP, 99),
    (OUT_OF_FUEL, 3),
    (DONE, 3),
    (code(1), 3),
    (code(5), 472),
    (code(7), 2),
    (code(13), 1),
    (code(37), 1),
];
const REPLACED: &[(End, usize)] = &[
    (NOT_WASM, 51),
    (INVALID, 1227),
    (UNKNOWN_IMPORT, 194),
    (NO_START, 21),
    (TRAP, 83),
    (OUT_OF_FUEL, 2),
    (code(5), 418),
    (code(-14), 1),
    (code(18), 1),
    (code(27), 1),
    (code(39), 1),
];

/// Every beginning of a module, and modules with a bit or a byte that is another: 2,000 each.
fn herds() -> Vec<Animal> {
    vec![
        Animal::text("invalid/something of everything, which is valid", WHOLE, code(5)),
        Animal::herd("invalid/cut off at every byte", beginnings, CUT_OFF),
        Animal::herd("invalid/one bit flipped", || herd(|byte, dice| byte ^ (1 << (dice % 8))), FLIPPED),
        Animal::herd("invalid/one byte replaced", || herd(|_, dice| dice as u8), REPLACED),
    ]
}

fn beginnings() -> Vec<Vec<u8>> {
    let whole = whole();
    (0..whole.len()).map(|len| whole[..len].to_vec()).collect()
}

/// Two thousand modules that differ in one byte each. The dice are the same in every run (splitmix64).
fn herd(change: fn(u8, u64) -> u8) -> Vec<Vec<u8>> {
    let mut state = 0_u64;
    let mut dice = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let whole = whole();
    let one = |_| {
        let mut bytes = whole.clone();
        let at = dice() as usize % bytes.len();
        bytes[at] = change(bytes[at], dice());
        bytes
    };
    (0..2000).map(one).collect()
}
