//! Modules that nobody wrote: generated from a seed, run compiled and interpreted, and equal to the last bit.
//!
//! A generated module has a function `main` and every function of WASI to call. What is added to it is a `_start` that calls
//! `main` and writes its results and the first page of memory to standard output, so that every value that was computed, a
//! NaN's bits included, can show in the outcome. Half of the modules may trap; the others would rather go on.

use crate::preview1::{FUNCTIONS, import};
use crate::rig::{ENGINE, PULLEY, task, wat};
use arbitrary::Unstructured;
use pocketmesh_sandbox::{Contents, Engine, Failure, LoadError, Task};
use pocketmesh_types::{BlobId, Exit, Fuel, Outcome};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::io::Write as _;
use std::ops::Range;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, MemArg, MemArgTarget, TypeSection,
    ValType,
};
use wasm_smith::Module;

/// Bytes that a module is made from.
const ENTROPY_BYTES: usize = 16 << 10;
/// What a module may use: enough for some milliseconds, and for the interpreter's tenth of a second.
const FUEL: u64 = 2_000_000;
/// Loops and calls of a module that counts them.
const STEPS: u32 = 3_000;
/// How often a module's `main` is called.
const ROUNDS: i32 = 50;
/// What of its memory a module shows at the end.
const SHOWN_BYTES: i32 = 64 << 10;
/// Fuel of showing it: what is used beyond that was used by the generated code.
const SHOWING_FUEL: u64 = SHOWN_BYTES as u64 + 3_000;
/// More fuel than a module that does next to nothing uses.
const BUSY_FUEL: u64 = 1_000;

/// Where `fd_write` is among the functions of WASI, and so among the functions of a module.
const FD_WRITE: u32 = 0;

/// What every module imports and exports.
fn shape() -> Vec<u8> {
    let imports: String = FUNCTIONS.iter().map(import).collect();
    let main = "(func (export \"main\") (result i32 i64 f32 f64 v128) unreachable)";
    wat(&format!("(module {imports} (memory (export \"memory\") 1 4) {main})"))
}

/// What the profile has, and sizes that take milliseconds. Half of the modules may trap where they would, half know
/// references, half are without vectors.
fn config(dice: &mut ChaCha20Rng) -> wasm_smith::Config {
    let mut coin = || dice.next_u32() & 1 == 0;
    wasm_smith::Config {
        module_shape: Some(shape()),
        disallow_traps: coin(),
        reference_types_enabled: coin(),
        simd_enabled: coin(),
        max_tables: 4,
        max_table_elements: 1_000,
        max_funcs: 70,
        max_instructions: 400,
        max_memory32_bytes: 4 << 16,
        compact_imports_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        ..wasm_smith::Config::default()
    }
}

/// The module of a seed, as a command. Three in four count their loops and calls, and end after [`STEPS`].
fn command(seed: u64) -> Vec<u8> {
    let mut dice = ChaCha20Rng::seed_from_u64(seed);
    let config = config(&mut dice);
    let mut entropy = vec![0; ENTROPY_BYTES];
    dice.fill_bytes(&mut entropy);
    let mut module = Module::new(config, &mut Unstructured::new(&entropy)).expect("entropy for a module");
    if dice.next_u32() & 3 != 0 {
        module.ensure_termination(STEPS).expect("no function of raw bytes");
    }
    let mut command = wasm_encoder::Module::new();
    let (parser, module) = (wasmparser::Parser::new(0), module.to_bytes());
    Commander::default().parse_core_module(&mut command, parser, &module).expect("what was generated is valid");
    command.finish()
}

/// Makes a command of a module: adds `_start`, and makes functions of things of the host, which the profile has not. All
/// of them at once, so that the module stays valid.
#[derive(Default)]
struct Commander {
    types: u32,
    functions: u32,
    main: u32,
}

type Reencoded = Result<(), reencode::Error>;

impl Reencode for Commander {
    type Error = std::convert::Infallible;

    fn abstract_heap_type(
        &mut self,
        ty: wasmparser::AbstractHeapType,
    ) -> Result<wasm_encoder::AbstractHeapType, reencode::Error> {
        use wasmparser::AbstractHeapType::{Extern, Func};
        Ok(reencode::utils::abstract_heap_type(self, if ty == Extern { Func } else { ty }))
    }

    fn parse_type_section(&mut self, into: &mut TypeSection, section: wasmparser::TypeSectionReader<'_>) -> Reencoded {
        self.types = section.count();
        reencode::utils::parse_type_section(self, into, section)?;
        into.ty().function([], []);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        into: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Reencoded {
        self.functions = FUNCTIONS.len() as u32 + section.count();
        reencode::utils::parse_function_section(self, into, section)?;
        into.function(self.types);
        Ok(())
    }

    fn parse_export(&mut self, into: &mut ExportSection, export: wasmparser::Export<'_>) -> Reencoded {
        if export.name == "main" {
            self.main = export.index;
            into.export("_start", ExportKind::Func, self.functions);
        }
        reencode::utils::parse_export(self, into, export)
    }

    fn parse_code_section(&mut self, into: &mut CodeSection, section: wasmparser::CodeSectionReader<'_>) -> Reencoded {
        reencode::utils::parse_code_section(self, into, section)?;
        into.function(&start(self.main));
        Ok(())
    }
}

/// `_start`: calls `main` some times, each time on what the calls before left behind, puts its results into memory, and
/// writes the memory out.
fn start(main: u32) -> Function {
    const ROUND: u32 = 5;
    const PLACE: u32 = 6;
    use ValType::{F32, F64, I32, I64, V128};
    let mut body = Function::new([I32, I64, F32, F64, V128, I32, I32].map(|ty| (1, ty)));
    let at = |offset| MemArg { offset, align: 0, target: MemArgTarget::Memory(0), ordering: None };
    let mut code = body.instructions();
    code.loop_(BlockType::Empty);
    code.call(main).local_set(4).local_set(3).local_set(2).local_set(1).local_set(0);
    // 40 bytes for each round, behind the vector and the count of `fd_write`.
    code.local_get(ROUND).i32_const(40).i32_mul().local_set(PLACE);
    code.local_get(PLACE).local_get(0).i32_store(at(16)).local_get(PLACE).local_get(1).i64_store(at(20));
    code.local_get(PLACE).local_get(2).f32_store(at(28)).local_get(PLACE).local_get(3).f64_store(at(32));
    code.local_get(PLACE).local_get(4).v128_store(at(40));
    code.local_get(ROUND).i32_const(1).i32_add().local_tee(ROUND).i32_const(ROUNDS).i32_lt_u().br_if(0).end();
    code.i32_const(0).i32_const(0).i32_store(at(0)).i32_const(0).i32_const(SHOWN_BYTES).i32_store(at(4));
    code.i32_const(1).i32_const(0).i32_const(1).i32_const(8).call(FD_WRITE).drop().end();
    body
}

/// How a module ended on one backend.
#[derive(Debug, PartialEq)]
enum End {
    Outcome(Outcome),
    /// No outcome: how deep the stack is, is the machine's affair.
    Stack,
    /// Not a program, and why not.
    Refused(String),
}

fn end(engine: &Engine, seed: u64, wasm: &[u8]) -> End {
    let mut task = Task { args: vec!["one".into()], stdin: b"some input".to_vec().into(), ..task() };
    task.limits.fuel = Fuel(FUEL);
    let run = engine
        .load(BlobId::of(wasm), &|_| Ok(wasm.to_vec()))
        .map_err(Failure::from)
        .and_then(|program| engine.run(&program, task, Contents::default()));
    match run {
        Ok(run) => End::Outcome(run.outcome),
        Err(Failure::StackExhausted) => End::Stack,
        Err(Failure::Load(LoadError::Program(error))) => End::Refused(error.to_string()),
        Err(failure) => panic!("seed {seed}: {failure}"),
    }
}

/// How many modules ended how.
#[derive(Debug, Default)]
struct Tally {
    modules: usize,
    exit_zero: usize,
    exit_other: usize,
    trap: usize,
    out_of_fuel: usize,
    output_limit: usize,
    no_outcome: usize,
    refused: usize,
    /// Whose generated code used more than [`BUSY_FUEL`].
    busy: usize,
    fuel: u64,
}

impl Tally {
    fn add(&mut self, end: &End) {
        self.modules += 1;
        match end {
            End::Stack => self.no_outcome += 1,
            End::Refused(_) => self.refused += 1,
            End::Outcome(outcome) => {
                let shown = outcome.exit == Exit::Code(0) && outcome.stdout.len >= SHOWN_BYTES as u64;
                let fuel = outcome.fuel.0 - if shown { SHOWING_FUEL.min(outcome.fuel.0) } else { 0 };
                self.fuel += fuel;
                self.busy += usize::from(fuel > BUSY_FUEL);
                *match outcome.exit {
                    Exit::Code(0) => &mut self.exit_zero,
                    Exit::Code(_) => &mut self.exit_other,
                    Exit::Trap => &mut self.trap,
                    Exit::OutOfFuel => &mut self.out_of_fuel,
                    Exit::OutputLimit => &mut self.output_limit,
                } += 1;
            }
        }
    }
}

/// Runs the modules of these seeds on both backends.
fn compare(seeds: Range<u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let wasm = command(seed);
        let (compiled, interpreted) = (end(&ENGINE, seed, &wasm), end(&PULLEY, seed, &wasm));
        if compiled == End::Stack || interpreted == End::Stack {
            tally.add(&End::Stack);
        } else {
            assert_eq!(compiled, interpreted, "seed {seed}");
            tally.add(&compiled);
        }
    }
    tally
}

/// Runs them, and says what became of them past the test harness, which hides what passing tests print.
fn assert_equal(seeds: Range<u64>) {
    let modules = (seeds.end - seeds.start) as usize;
    let tally = compare(seeds);
    writeln!(std::io::stderr(), "generated modules: {tally:?}").expect("standard error is open");
    assert_eq!(tally.modules, modules);
    assert!(tally.busy * 2 > modules, "too many modules do next to nothing");
    assert!(
        tally.exit_zero * 10 > modules && tally.trap * 20 > modules && tally.out_of_fuel * 50 > modules,
        "{tally:?}"
    );
}

#[test]
fn a_thousand_generated_modules_end_alike_on_both_backends() {
    assert_equal(0..1_000);
}

/// `cargo test --release -p pocketmesh-sandbox --test sandbox -- --ignored generated`.
#[test]
#[ignore = "takes some minutes"]
fn ten_thousand_generated_modules_end_alike_on_both_backends() {
    assert_equal(1_000..11_000);
}
