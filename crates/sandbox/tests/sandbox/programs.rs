//! What is refused as a program, and what a person is told.

use crate::rig::{ENGINE, command, guest, task, wat};
use pocketmesh_sandbox::{LoadError, ProgramError};
use pocketmesh_types::BlobId;

fn refusal(wasm: &[u8]) -> ProgramError {
    ENGINE.check(wasm, &task().limits).expect_err("no program")
}

#[test]
fn a_program_passes() {
    assert_eq!(ENGINE.check(&guest("noop"), &task().limits), Ok(()));
}

#[test]
fn what_is_no_module_is_named_for_what_it_is() {
    for (bytes, word) in [
        (b"hello".as_slice(), "does not begin like one"),
        (b"\0asm\x0d\0\x01\0", "component"),
        (b"(module)", "wat2wasm"),
        (b"\x7fELF", "machine code"),
        (b"", "empty"),
    ] {
        let text = refusal(bytes).to_string();
        assert!(text.starts_with("not a WebAssembly module: ") && text.contains(word), "{text}");
    }
}

#[test]
fn garbage_behind_a_good_header_is_invalid() {
    let mut wasm = guest("noop");
    let middle = wasm.len() / 2;
    wasm.truncate(middle);
    assert!(matches!(refusal(&wasm), ProgramError::Invalid(_)));
    assert!(matches!(refusal(b"\0asm\x01\0\0\0\xff\xff\xff\xff\xff"), ProgramError::Invalid(_)));
}

#[test]
fn an_unknown_import_is_refused_by_name() {
    for (module, name) in [("env", "main"), ("wasi_snapshot_preview1", "fd_open"), ("wasi_unstable", "proc_exit")] {
        let wasm = wat(&format!(r#"(module (import "{module}" "{name}" (func)) (func (export "_start")))"#));
        let expected = ProgramError::Import { module: module.into(), name: name.into() };
        assert_eq!(refusal(&wasm), expected);
        assert!(expected.to_string().contains(name) && expected.to_string().contains("wasm32-wasip1"));
    }
    let memory = wat(r#"(module (import "env" "memory" (memory 1)) (func (export "_start")))"#);
    assert!(matches!(refusal(&memory), ProgramError::Import { name, .. } if name == "memory"));
}

#[test]
fn a_known_import_of_the_wrong_type_is_refused() {
    let wasm =
        wat(r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i64))) (func (export "_start")))"#);
    assert!(matches!(refusal(&wasm), ProgramError::ImportType(text) if text.contains("proc_exit")));
}

#[test]
fn a_library_is_refused() {
    for wasm in
        [r#"(module)"#, r#"(module (func (export "_start") (param i32)))"#, r#"(module (memory (export "_start") 1))"#]
    {
        assert_eq!(refusal(&wat(wasm)), ProgramError::NoStart, "{wasm}");
    }
}

#[test]
fn what_the_profile_lacks_is_refused() {
    let programs = [
        r#"(module (memory 1 1 shared) (func (export "_start")))"#,
        r#"(module (memory i64 1) (func (export "_start")))"#,
        r#"(module (memory 1) (memory 1) (func (export "_start")))"#,
        r#"(module (tag) (func (export "_start")))"#,
        r#"(module (type (struct)) (func (export "_start")))"#,
        r#"(module (table 1 externref) (func (export "_start")))"#,
        r#"(module (func (export "_start") (return_call 0)))"#,
        r#"(module (func (export "_start")
            (drop (f32x4.relaxed_min (v128.const i64x2 0 0) (v128.const i64x2 0 0)))))"#,
    ];
    for program in programs {
        assert!(matches!(refusal(&wat(program)), ProgramError::Invalid(_)), "{program}");
    }
}

#[test]
fn too_much_memory_or_too_many_tables_are_refused() {
    let mut limits = task().limits;
    limits.memory = 65536;
    let expected = ProgramError::Memory { needs: 131_072, allowed: 65536 };
    assert_eq!(ENGINE.check(&command(""), &limits), Err(expected));
    let tables = "(table 1 funcref) ".repeat(5);
    for tables in [tables.as_str(), "(table 200000 funcref)"] {
        let refused = refusal(&wat(&format!(r#"(module {tables} (func (export "_start")))"#)));
        // Pooled slots refuse while compiling what is refused afterwards without them.
        assert!(matches!(refused, ProgramError::Tables | ProgramError::Invalid(_)), "{refused}");
    }
}

#[test]
fn bytes_of_another_program_are_refused() {
    let result = ENGINE.load(BlobId::of(b"another"), &|_| Ok(guest("noop")));
    assert!(matches!(result, Err(LoadError::WrongBytes(_))));
}

#[test]
fn a_program_that_cannot_be_read_is_a_clear_error() {
    let result = ENGINE.load(BlobId::of(b"missing"), &|_| Err(std::io::Error::other("no such blob")));
    assert_eq!(result.expect_err("nothing to load").to_string(), "failed to read the program: no such blob");
}
