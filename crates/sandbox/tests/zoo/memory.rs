//! Programs that want more memory than there is for them, and ones that set up theirs in odd ways.

use crate::animal::{Animal, DONE, End, Expect, INVALID, MODEST, Refusal, TRAP, code};
use crate::text::{command, module};
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection, MemorySection,
    MemoryType, Module, TypeSection,
};

const NOT_ENOUGH: End = End::Refused(Refusal::Memory);
const PAGE: u64 = 1 << 16;

pub fn animals() -> Vec<Animal> {
    [growth(), initial(), data(), tables()].into_iter().flatten().collect()
}

/// The limit is 4 MiB: 64 pages.
fn growth() -> Vec<Animal> {
    let grown = |name: &str, body: &str, end: End| Animal::text(&format!("memory/{name}"), command(body), end);
    let touch = "(loop $more
        (i32.store8 (local.get $i) (i32.const 1))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4096)))
                               (i32.mul (memory.size) (i32.const 65536)))))";
    let greed = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))";
    vec![
        grown("grown to the limit", "(call $proc_exit (memory.grow (i32.const 63)))", code(1)),
        grown("grown one page beyond the limit", "(call $proc_exit (memory.grow (i32.const 64)))", code(-1)),
        grown(
            "grown page by page, then every page touched",
            &format!("{greed} {touch} (call $proc_exit (memory.size))"),
            code(64),
        ),
        grown(
            "256 MiB touched",
            &format!("(drop (memory.grow (i32.const 4095))) {touch} (call $proc_exit (memory.size))"),
            code(4096),
        )
        .with(|limits| limits.memory = 256 << 20),
        grown(
            "a byte beyond what was granted",
            &format!("{greed} (i32.store8 (i32.const 0x400000) (i32.const 1))"),
            TRAP,
        ),
        Animal::text(
            "memory/grown beyond its own maximum",
            module(r#"(memory 1 2) (func (export "_start") (call $proc_exit (memory.grow (i32.const 2))))"#),
            code(-1),
        ),
    ]
}

/// What a module asks for from the start.
fn initial() -> Vec<Animal> {
    let starts = |name: &str, memory: &str, end: End| {
        Animal::text(&format!("memory/{name}"), module(&format!(r#"(memory {memory}) (func (export "_start"))"#)), end)
    };
    let raw =
        |name: &str, make: fn() -> Vec<u8>| Animal::made(&format!("memory/{name}"), make, Expect::Always(INVALID));
    vec![
        starts("all of the limit from the start", "64", DONE),
        starts("a page more than the limit from the start", "65", NOT_ENOUGH),
        starts("4 GiB from the start", "65536", NOT_ENOUGH),
        starts("4 GiB at most", "1 65536", DONE),
        starts("4 GiB from the start, allowed and untouched", "65536", DONE).with(|limits| limits.memory = 4 << 30),
        starts("none at all", "0 0", DONE),
        raw("one page more than 32 bits address", || with_memory(65537, None)),
        raw("a maximum beyond 32 bits", || with_memory(0, Some(u64::from(u32::MAX)))),
        raw("less at most than at first", || with_memory(2, Some(1))),
    ]
}

/// Segments that are written when the instance is made.
fn data() -> Vec<Animal> {
    let segment = |name: &str, segments: &str, end: End| {
        let text = module(&format!(
            r#"
            (memory (export "memory") 1) {segments}
            (func (export "_start") (call $proc_exit (i32.load8_u (i32.const 0))))"#
        ));
        Animal::text(&format!("memory/{name}"), text, end)
    };
    let made = |name: &str, make: fn() -> Vec<u8>, end: End| {
        Animal::made(&format!("memory/{name}"), make, Expect::Always(end))
    };
    vec![
        segment("the last of overlapping segments", r#"(data (i32.const 0) "aaa") (data (i32.const 0) "b")"#, code(98)),
        segment("a segment across the end", r#"(data (i32.const 65535) "ab")"#, TRAP),
        segment("a segment at the last address", r#"(data (i32.const -1) "a")"#, TRAP),
        segment("an empty segment just beyond the end", r#"(data (i32.const 65537) "")"#, TRAP),
        segment("an empty segment at the end", r#"(data (i32.const 65536) "")"#, code(0)),
        segment(
            "a segment whose place is a sum that wraps",
            r#"(data (i32.add (i32.const -1) (i32.const 1)) "a")"#,
            code(97),
        ),
        made("100,000 segments on one spot", || with_segments(100_000), DONE),
        made("a segment more than any engine takes", || with_segments(100_001), INVALID),
        made(
            "two segments with 4 GiB between them",
            || {
                let mut data = DataSection::new();
                data.active(0, &ConstExpr::i32_const(0), *b"first").active(0, &ConstExpr::i32_const(-9), *b"last");
                small(MemoryType { minimum: 65536, ..memory(0, None) }, Some(&data))
            },
            DONE,
        )
        .with(|limits| limits.memory = 65536 * PAGE),
    ]
}

/// Tables count as memory, and there is a bound of their own, which the engine keeps for us where it pools instances.
fn tables() -> Vec<Animal> {
    let tables = |name: &str, tables: &str, end: End| {
        Animal::text(&format!("memory/{name}"), module(&format!(r#"{tables} (func (export "_start"))"#)), end)
    };
    let grown = |name: &str, table: &str, amount: u32, end: End| {
        let text = module(&format!(
            r#"
            (table {table} funcref)
            (func (export "_start") (call $proc_exit (table.grow (ref.null func) (i32.const {amount}))))"#
        ));
        Animal::text(&format!("memory/{name}"), text, end)
    };
    let four = "(table 131072 funcref)".repeat(4);
    vec![
        tables("four tables of the largest size", &four, DONE),
        tables("a table too many", &"(table 1 funcref)".repeat(5), INVALID),
        tables("an element too many", "(table 131073 funcref)", INVALID),
        tables("a table of 2^32-1 elements", "(table 0xffffffff funcref)", INVALID),
        tables("a table of ten million elements", "(table 10000000 funcref)", INVALID),
        tables("four tables that leave no room for a page", &format!("{four} (memory 1)"), NOT_ENOUGH),
        tables("a table larger than the memory limit", "(table 131072 funcref)", NOT_ENOUGH)
            .with(|limits| limits.memory = PAGE),
        grown("a table grown to the bound", "1", 131_071, code(1)),
        grown("a table grown beyond the bound", "1", 131_072, code(-1)),
        grown("a table grown beyond the memory limit", "1", 8192, code(-1)).with(|limits| limits.memory = PAGE),
        grown("a table grown by 2^32-1", "1", u32::MAX, code(-1)).with(|limits| limits.fuel.0 = MODEST.fuel.0 << 10),
        Animal::text(
            "memory/elements beyond the table",
            module(r#"(table 1 funcref) (elem (i32.const 1) $f) (func $f (export "_start"))"#),
            TRAP,
        ),
    ]
}

fn memory(minimum: u64, maximum: Option<u64>) -> MemoryType {
    MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None }
}

fn with_memory(minimum: u64, maximum: Option<u64>) -> Vec<u8> {
    small(memory(minimum, maximum), None)
}

fn with_segments(count: usize) -> Vec<u8> {
    let mut data = DataSection::new();
    for _ in 0..count {
        data.active(0, &ConstExpr::i32_const(65535), *b"x");
    }
    small(memory(1, None), Some(&data))
}

/// A command that does nothing, with this memory and data.
fn small(memory: MemoryType, data: Option<&DataSection>) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut memories = MemorySection::new();
    memories.memory(memory);
    let mut exports = ExportSection::new();
    exports.export("_start", ExportKind::Func, 0);
    let mut body = Function::new([]);
    body.instructions().end();
    let mut bodies = CodeSection::new();
    bodies.function(&body);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&exports).section(&bodies);
    if let Some(data) = data {
        module.section(data);
    }
    module.finish()
}
