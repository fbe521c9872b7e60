//! Modules too large to write down: the smallest command, and as many of anything beside it as one likes.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, CustomSection, DataSection, ElementSection, Elements, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection, InstructionSink, MemorySection,
    MemoryType, Module, RefType, TableSection, TableType, TypeSection, ValType,
};

/// What a module has besides its `_start`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parts {
    /// Function types, all different.
    pub types: u32,
    /// Imports of `sched_yield`.
    pub imports: u32,
    /// Functions of the type `(parameters) -> ()`, which do nothing. `_start` is function 0 behind the imports; they
    /// come after it.
    pub functions: u32,
    /// `i32` parameters of each of them.
    pub parameters: usize,
    /// `i64` locals of each of them.
    pub locals: u32,
    /// Targets of a `br_table` in each of them.
    pub br_table: usize,
    /// `i32` results of type 1, for blocks.
    pub results: usize,
    /// Globals besides the first.
    pub globals: u32,
    /// Exports besides `_start`.
    pub exports: u32,
    /// Elements of a table, each of which is `_start`.
    pub elements: usize,
    /// Pages of memory.
    pub pages: u64,
    /// Bytes of data at 0.
    pub data: usize,
    /// Bytes of a custom section.
    pub custom: usize,
}

/// A command with these parts, and this body of its `_start`, which is compiled but never reached.
pub fn command(parts: Parts, locals: &[(u32, ValType)], body: impl FnOnce(&mut InstructionSink<'_>)) -> Vec<u8> {
    let mut module = Module::new();
    module.section(&types(parts)).section(&imports(parts)).section(&functions(parts));
    let mut tables = TableSection::new();
    if parts.elements > 0 {
        let minimum = parts.elements as u64;
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum,
            maximum: None,
            shared: false,
        });
    }
    let mut memories = MemorySection::new();
    if parts.pages > 0 {
        memories.memory(MemoryType {
            minimum: parts.pages,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
    }
    module.section(&tables).section(&memories).section(&globals(parts)).section(&exports(parts));
    let mut elements = ElementSection::new();
    if parts.elements > 0 {
        let all = vec![parts.imports; parts.elements];
        elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(all.into()));
    }
    module.section(&elements).section(&bodies(parts, locals, body));
    let mut data = DataSection::new();
    if parts.data > 0 {
        data.active(0, &ConstExpr::i32_const(0), vec![7; parts.data]);
    }
    let rubbish = vec![7; parts.custom];
    module.section(&data).section(&CustomSection { name: "rubbish".into(), data: rubbish.into() });
    module.finish()
}

/// Type 0 is `() -> ()`, 1 has the results, 2 the parameters, 3 is `() -> i32`.
fn types(parts: Parts) -> TypeSection {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types.ty().function([], vec![ValType::I32; parts.results]);
    types.ty().function(vec![ValType::I32; parts.parameters], []);
    types.ty().function([], [ValType::I32]);
    for number in 0..parts.types {
        // The number in base 4, as parameters: no two are the same.
        let digit = |at: u32| [ValType::I32, ValType::I64, ValType::F32, ValType::F64][(number >> at) as usize % 4];
        types.ty().function((0..20).step_by(2).map(digit), []);
    }
    types
}

fn imports(parts: Parts) -> ImportSection {
    let mut imports = ImportSection::new();
    for _ in 0..parts.imports {
        imports.import("wasi_snapshot_preview1", "sched_yield", EntityType::Function(3));
    }
    imports
}

fn functions(parts: Parts) -> FunctionSection {
    let mut functions = FunctionSection::new();
    functions.function(0);
    for _ in 0..parts.functions {
        functions.function(2);
    }
    functions
}

fn globals(parts: Parts) -> GlobalSection {
    let mut globals = GlobalSection::new();
    for _ in 0..=parts.globals {
        globals.global(GlobalType { val_type: ValType::I64, mutable: true, shared: false }, &ConstExpr::i64_const(0));
    }
    globals
}

fn exports(parts: Parts) -> ExportSection {
    let mut exports = ExportSection::new();
    exports.export("_start", ExportKind::Func, parts.imports);
    for number in 0..parts.exports {
        exports.export(&format!("export {number}"), ExportKind::Func, parts.imports);
    }
    exports
}

fn bodies(parts: Parts, locals: &[(u32, ValType)], start: impl FnOnce(&mut InstructionSink<'_>)) -> CodeSection {
    let mut bodies = CodeSection::new();
    let mut body = Function::new(locals.iter().copied());
    return_at_once(&mut body.instructions(), locals);
    start(&mut body.instructions());
    body.instructions().end();
    bodies.function(&body);
    for _ in 0..parts.functions {
        bodies.function(&idle(parts));
    }
    bodies
}

/// Returns, so that a body is dear to compile and not to run, in a way that no compiler sees through. Neither does it
/// know what is in the first local, which is 0.
fn return_at_once(code: &mut InstructionSink<'_>, locals: &[(u32, ValType)]) {
    match locals.first() {
        Some((_, ValType::I32)) => code.global_get(0).i32_wrap_i64().local_set(0),
        Some((_, ValType::I64)) => code.global_get(0).local_set(0),
        _ => code,
    };
    code.block(BlockType::Empty).global_get(0).i64_eqz().i32_eqz().br_if(0).return_().end();
}

/// A function that does nothing, in the dearest way that its parts allow.
fn idle(parts: Parts) -> Function {
    let mut body = Function::new(if parts.locals > 0 { vec![(parts.locals, ValType::I64)] } else { Vec::new() });
    let mut code = body.instructions();
    for local in 0..parts.locals {
        code.local_get(parts.parameters as u32 + local).drop();
    }
    if parts.br_table > 0 {
        (0..parts.br_table).for_each(|_| {
            code.block(BlockType::Empty);
        });
        code.i32_const(1).br_table(0..parts.br_table as u32, 0);
        (0..parts.br_table).for_each(|_| {
            code.end();
        });
    }
    code.end();
    body
}
