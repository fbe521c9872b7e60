//! Programs that call until there is no stack: a failure and never an outcome, because its size is the machine's.

use crate::animal::{Animal, DONE, End, Expect, OUT_OF_FUEL, TRAP, code};
use crate::text::module;
use wasm_encoder::{
    CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, ImportSection, Module, TypeSection, ValType,
};

pub fn animals() -> Vec<Animal> {
    let mut animals = endless();
    animals.extend(deep_and_back());
    animals
}

fn endless() -> Vec<Animal> {
    let exhausted =
        |name: &str, fields: &str| Animal::text(&format!("stack/{name}"), module(fields), End::StackExhausted);
    let many = |what: &str| what.repeat(1000);
    let wide = format!(
        r#"(func $wide (param {}) {} (call $wide)) (func (export "_start") {} (call $wide))"#,
        many("i64 "),
        (0..1000).map(|index| format!("local.get {index} ")).collect::<String>(),
        many("i64.const 1 "),
    );
    vec![
        exhausted("a function that calls itself", r#"(func $f (export "_start") (call $f))"#),
        exhausted(
            "two functions that call each other",
            r#"
            (func $even (call $odd)) (func $odd (call $even)) (func (export "_start") (call $even))"#,
        ),
        exhausted(
            "a table whose one entry calls the table",
            r#"
            (table 1 funcref) (elem (i32.const 0) $f)
            (func $f (export "_start") (call_indirect (i32.const 0)))"#,
        ),
        exhausted(
            "recursion in the start function",
            r#"
            (func $first (call $first)) (start $first) (func (export "_start"))"#,
        ),
        exhausted(
            "recursion that asks the host on its way",
            r#"
            (func $f (export "_start") (drop (call $sched_yield )) (call $f))"#,
        ),
        exhausted("frames of 1,000 parameters", &wide),
        Animal::made(
            "stack/frames of 5,000 locals",
            || frame_of_locals(5000, true),
            Expect::Always(End::StackExhausted),
        ),
        Animal::text(
            "stack/recursion that costs too much",
            module(r#"(func $f (export "_start") (call $f))"#),
            OUT_OF_FUEL,
        )
        .with(|limits| limits.fuel.0 = 1000),
    ]
}

/// What happens far down is what would have happened above.
fn deep_and_back() -> Vec<Animal> {
    let at_depth = |name: &str, bottom: &str, end: End| {
        let text = module(&format!(
            r#"
            (memory (export "memory") 1)
            (func $down (param i32)
                (if (i32.eqz (local.get 0)) (then {bottom}) (else (call $down (i32.sub (local.get 0) (i32.const 1))))))
            (func (export "_start") (call $down (i32.const 5000)))"#
        ));
        Animal::text(&format!("stack/5,000 calls down, {name}"), text, end)
    };
    vec![
        at_depth("and back", "", DONE),
        at_depth("a trap", "unreachable", TRAP),
        at_depth("the end", "(call $proc_exit (i32.const 7))", code(7)),
        at_depth("a call of the host", "(drop (call $random_get (i32.const 0) (i32.const 65536)))", DONE),
        at_depth("a loop", "(loop $more (br $more))", OUT_OF_FUEL),
        Animal::made("stack/a frame of 5,000 locals", || frame_of_locals(5000, false), Expect::Always(DONE)),
        Animal::made("stack/a frame of 50,000 locals", || frame_of_locals(50_000, false), Expect::UnlessTooDear(DONE)),
    ]
}

/// A function whose locals are all alive while it calls the host, and itself too if it is recursive.
fn frame_of_locals(locals: u32, recursive: bool) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types.ty().function([], [ValType::I32]);
    let mut imports = ImportSection::new();
    imports.import("wasi_snapshot_preview1", "sched_yield", EntityType::Function(1));
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut globals = GlobalSection::new();
    globals.global(GlobalType { val_type: ValType::I64, mutable: true, shared: false }, &ConstExpr::i64_const(0));
    let mut exports = ExportSection::new();
    exports.export("_start", ExportKind::Func, 1);
    let mut body = Function::new([(locals, ValType::I64)]);
    let mut code = body.instructions();
    for local in 0..locals {
        code.call(0).i64_extend_i32_u().local_set(local);
    }
    if recursive {
        code.call(1);
    }
    code.i64_const(0);
    for local in 0..locals {
        code.local_get(local).i64_sub();
    }
    code.global_set(0).end();
    let mut bodies = CodeSection::new();
    bodies.function(&body);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&globals).section(&exports).section(&bodies);
    module.finish()
}
