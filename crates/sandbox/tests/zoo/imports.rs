//! Programs that ask for what is not there, ask for it wrongly, or offer no way in.

use crate::animal::{Animal, DONE, End, Expect, Refusal};
use wasm_encoder::{EntityType, ImportSection, Module, TypeSection};

const UNKNOWN: End = End::Refused(Refusal::Import);
const WRONG_TYPE: End = End::Refused(Refusal::ImportType);
const NO_START: End = End::Refused(Refusal::NoStart);
const WASI: &str = "wasi_snapshot_preview1";

pub fn animals() -> Vec<Animal> {
    [unknown(), wrong_types(), ways_in()].into_iter().flatten().collect()
}

fn importing(name: &str, module: &str, item: &str, what: &str, end: End) -> Animal {
    let text = format!(r#"(module (import "{module}" "{item}" ({what})) (func (export "_start")))"#);
    Animal::text(&format!("imports/{name}"), text, end)
}

fn unknown() -> Vec<Animal> {
    vec![
        importing("of an unknown module", "env", "system", "func (param i32) (result i32)", UNKNOWN),
        importing("of an unknown function", WASI, "fd_open", "func (param i32) (result i32)", UNKNOWN),
        importing(
            "of the WASI before",
            "wasi_unstable",
            "fd_write",
            "func (param i32 i32 i32 i32) (result i32)",
            UNKNOWN,
        ),
        importing("of the WASI after", "wasi:cli/run@0.2.0", "run", "func", UNKNOWN),
        importing("of threads", "wasi", "thread-spawn", "func (param i32) (result i32)", UNKNOWN),
        importing("of a memory", "env", "memory", "memory 1", UNKNOWN),
        importing("of no name at all", "", "", "func", UNKNOWN),
        importing("of a name with a zero in it", WASI, "fd_write\\00", "func", UNKNOWN),
        importing(
            "of a name that would write on a terminal",
            "\\1b]0;owned\\07",
            "\\1b[2J\\0d\\0a\\e2\\80\\ae",
            "func",
            UNKNOWN,
        ),
        Animal::made("imports/of names of 100,000 bytes", || long_names(100_000), Expect::Always(UNKNOWN)),
        Animal::made(
            "imports/of names longer than any engine takes",
            || long_names(100_001),
            Expect::Always(End::Refused(Refusal::Invalid)),
        ),
    ]
}

fn wrong_types() -> Vec<Animal> {
    vec![
        importing(
            "of a function with a parameter too few",
            WASI,
            "fd_write",
            "func (param i32 i32 i32) (result i32)",
            WRONG_TYPE,
        ),
        importing(
            "of a function with a 64-bit pointer",
            WASI,
            "random_get",
            "func (param i64 i32) (result i32)",
            WRONG_TYPE,
        ),
        importing("of a function without its result", WASI, "fd_close", "func (param i32)", WRONG_TYPE),
        importing(
            "of a function with a result it has not",
            WASI,
            "proc_exit",
            "func (param i32) (result i32)",
            WRONG_TYPE,
        ),
        importing("of a memory by a function's name", WASI, "fd_write", "memory 1", WRONG_TYPE),
        importing("of a table by a function's name", WASI, "fd_read", "table 1 funcref", WRONG_TYPE),
        importing("of a global by a function's name", WASI, "proc_exit", "global i32", WRONG_TYPE),
        importing("of a mutable global by a function's name", WASI, "args_get", "global (mut i64)", WRONG_TYPE),
    ]
}

fn ways_in() -> Vec<Animal> {
    let text = |name: &str, text: &str, end: End| Animal::text(&format!("imports/{name}"), text, end);
    vec![
        text("nothing in it", "(module)", NO_START),
        text("a _start that is not exported", "(module (func $_start))", NO_START),
        text("a _start with a parameter", r#"(module (func (export "_start") (param i32)))"#, NO_START),
        text("a _start with a result", r#"(module (func (export "_start") (result i32) i32.const 0))"#, NO_START),
        text("a _start that is a global", r#"(module (global (export "_start") i32 (i32.const 0)))"#, NO_START),
        text("a _start that is a memory", r#"(module (memory (export "_start") 1))"#, NO_START),
        text(
            "a library",
            r#"(module (func (export "_initialize")) (func (export "add") (param i32) (result i32) local.get 0))"#,
            NO_START,
        ),
        text("a start section and no _start", "(module (func $f) (start $f))", NO_START),
        text(
            "a _start that is the host's",
            &format!(
                r#"(module
            (import "{WASI}" "sched_yield" (func $yield (result i32))) (export "_start" (func $yield)))"#
            ),
            NO_START,
        ),
        text(
            "one function of the host, twice under other names",
            &format!(
                r#"(module
            (import "{WASI}" "sched_yield" (func $a (result i32))) (import "{WASI}" "sched_yield" (func $b (result i32)))
            (func (export "_start") (drop (i32.add (call $a) (call $b)))))"#
            ),
            DONE,
        ),
        text(
            "a function of the host, by way of a table",
            &format!(
                r#"(module
            (import "{WASI}" "sched_yield" (func $yield (result i32)))
            (table funcref (elem $yield))
            (func (export "_start") (drop (call_indirect (result i32) (i32.const 0)))))"#
            ),
            DONE,
        ),
        text(
            "two exports of a name that would write on a terminal",
            r#"(module
            (func (export "_start")) (memory 1) (export "\1b[2J\e2\80\ae" (memory 0)) (export "\1b[2J\e2\80\ae" (memory 0)))"#,
            End::Refused(Refusal::Invalid),
        ),
        text(
            "everything exported",
            r#"(module
            (memory (export "memory") 1) (table (export "table") 1 funcref) (global (export "stack") (mut i32) (i32.const 0))
            (func (export "_start")) (func (export "malloc") (param i32) (result i32) local.get 0))"#,
            DONE,
        ),
    ]
}

fn long_names(bytes: usize) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    imports.import(&"m".repeat(bytes), &"n".repeat(bytes), EntityType::Function(0));
    let mut module = Module::new();
    module.section(&types).section(&imports);
    module.finish()
}
