//! A compiled program, and why something is none.

use crate::cache::{Loaded, Needs};
use crate::limiter;
use crate::wasi::Host;
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{BlobId, limits};
use std::sync::Arc;
use wasmtime::{ExternType, InstancePre, Linker, Module, UnknownImportError};

/// A compiled program, checked and ready to run. Clones share it.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    id: BlobId,
    ready: InstancePre<Host>,
    needs: Needs,
    compiled_bytes: usize,
}

/// Why some bytes are no program for the mesh.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// Too many bytes.
    #[error("the program has {0} bytes; at most {max} are allowed", max = limits::PROGRAM_BYTES_MAX)]
    TooLarge(usize),
    /// Something else altogether.
    #[error("not a WebAssembly module: {0}")]
    NotWasm(&'static str),
    /// A module that is malformed, or uses what the profile has not.
    #[error("not a module that the mesh can run: {}", printable(.0))]
    Invalid(String),
    /// An import that is no function of WASI preview 1.
    #[error(
        "the program imports `{}` from `{}`, which the mesh does not offer: build it for wasm32-wasip1",
        printable(name),
        printable(module)
    )]
    Import {
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
    },
    /// A function of WASI preview 1 with parameters that it does not have.
    #[error("the program imports a WASI function with the wrong type: {}", printable(.0))]
    ImportType(String),
    /// A library.
    #[error("the program has no `_start` function: build it as a command, not as a library")]
    NoStart,
    /// It could not even start.
    #[error(
        "the program needs {needs} bytes of memory from the start, and {allowed} are allowed: raise the memory limit"
    )]
    Memory {
        /// Bytes it starts with.
        needs: u64,
        /// Bytes it may have.
        allowed: u64,
    },
    /// Its input files leave it no room.
    #[error(
        "the task's input files take {files} bytes of memory, which is too much beside the program's own where {allowed} \
        are allowed: raise the memory limit"
    )]
    Files {
        /// Bytes that the files take.
        files: u64,
        /// Bytes that files and program may have together.
        allowed: u64,
    },
    /// More tables than compilers make.
    #[error("the program has too many or too large tables: at most {max} with {elements} elements each are allowed",
        max = limiter::TABLES_MAX, elements = limiter::TABLE_ELEMENTS_MAX)]
    Tables,
    /// The compiler was ended, or ended itself, over it.
    #[error(
        "the program takes too long or too much memory to compile: make it smaller, or split its largest functions"
    )]
    TooExpensive,
    /// Nothing is known about the program, for it could not even be tried.
    #[error("this machine could not compile the program: {0}")]
    NoCompiler(String),
}

/// Letters of what a program says that a person gets to see.
const PRINTED_LETTERS_MAX: usize = 300;

/// Names are the program's own words: some of them, and none that a terminal obeys.
fn printable(words: &str) -> String {
    let (start, rest) = words.split_at(words.char_indices().nth(PRINTED_LETTERS_MAX).map_or(words.len(), |(at, _)| at));
    let escaped = |letter: char| match letter {
        '\'' | '"' | '\\' => letter.to_string(),
        _ => letter.escape_debug().to_string(),
    };
    let start: String = start.chars().map(escaped).collect();
    if rest.is_empty() { start } else { start + "…" }
}

impl Program {
    /// Checks what the engine has compiled.
    pub(crate) fn new(id: BlobId, module: &Module, linker: &Linker<Host>) -> Result<Self, ProgramError> {
        let ready = linker.instantiate_pre(module).map_err(|error| import_error(&error))?;
        check_start(module)?;
        let needs = module.resources_required();
        if needs.num_tables > limiter::TABLES_MAX
            || needs.max_initial_table_size.is_some_and(|size| size > limiter::TABLE_ELEMENTS_MAX as u64)
        {
            return Err(ProgramError::Tables);
        }
        let memory = needs.max_initial_memory_size.unwrap_or(0).saturating_mul(limits::WASM_PAGE_BYTES);
        let needs = Needs { memory };
        let range = module.image_range();
        let compiled_bytes = range.end as usize - range.start as usize;
        Ok(Self(Arc::new(Inner { id, ready, needs, compiled_bytes })))
    }

    /// The hash of the WebAssembly bytes.
    pub fn id(&self) -> BlobId {
        self.0.id
    }

    /// The size of the compiled code and data, in bytes.
    pub fn compiled_bytes(&self) -> usize {
        self.0.compiled_bytes
    }

    /// Whether these limits let it start at all.
    pub fn check_limits(&self, limits: &TaskLimits) -> Result<(), ProgramError> {
        self.0.needs.check(limits)
    }

    pub(crate) fn needs(&self) -> Needs {
        self.0.needs
    }

    pub(crate) fn ready(&self) -> &InstancePre<Host> {
        &self.0.ready
    }
}

impl Needs {
    /// Whether these limits let the program start at all.
    pub(crate) fn check(self, limits: &TaskLimits) -> Result<(), ProgramError> {
        let (needs, allowed) = (self.memory, limits.memory);
        if needs > allowed { Err(ProgramError::Memory { needs, allowed }) } else { Ok(()) }
    }
}

impl Loaded for Program {
    fn bytes(&self) -> usize {
        self.compiled_bytes()
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Program({})", self.0.id.short())
    }
}

/// Tells what foreign bytes are, before the engine is troubled with them.
pub(crate) fn check_bytes(wasm: &[u8]) -> Result<(), ProgramError> {
    check_beginning(wasm.len() as u64, wasm)
}

/// The same, told by how many they are and by the first of them.
pub(crate) fn check_beginning(len: u64, beginning: &[u8]) -> Result<(), ProgramError> {
    if len > limits::PROGRAM_BYTES_MAX {
        return Err(ProgramError::TooLarge(usize::try_from(len).unwrap_or(usize::MAX)));
    }
    let text = beginning.trim_ascii_start();
    Err(ProgramError::NotWasm(match beginning {
        [] => "the file is empty",
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => "it is a component; build a core module, for wasm32-wasip1",
        [0, b'a', b's', b'm', ..] => "it has a version that is not known here",
        [0x7f, b'E', b'L', b'F', ..] | [b'M', b'Z', ..] | [0xcf, 0xfa, 0xed, 0xfe, ..] => {
            "it is machine code; build it for wasm32-wasip1"
        }
        _ if text.starts_with(b"(") || text.starts_with(b";;") => {
            "it looks like WebAssembly text; translate it with wat2wasm"
        }
        _ => "it does not begin like one",
    }))
}

/// Tells an import that is unknown from one that is known and of another type.
fn import_error(error: &wasmtime::Error) -> ProgramError {
    match error.downcast_ref::<UnknownImportError>() {
        Some(unknown) => ProgramError::Import { module: unknown.module().into(), name: unknown.name().into() },
        None => ProgramError::ImportType(format!("{error:#}")),
    }
}

fn check_start(module: &Module) -> Result<(), ProgramError> {
    match module.get_export("_start") {
        Some(ExternType::Func(start)) if start.params().len() == 0 && start.results().len() == 0 => Ok(()),
        _ => Err(ProgramError::NoStart),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_bytes_are_told_apart() {
        let says = |bytes: &[u8]| check_bytes(bytes).expect_err("no module").to_string();
        assert!(says(b"").contains("empty"));
        assert!(says(b"\0asm\x0d\0\x01\0").contains("component"));
        assert!(says(b"  (module)").contains("wat2wasm"));
        assert!(says(b"\x7fELF\x02").contains("machine code"));
        assert!(says(b"#!/bin/sh").contains("does not begin"));
        assert_eq!(check_bytes(b"\0asm\x01\0\0\0"), Ok(()));
    }

    #[test]
    fn what_a_program_says_moves_no_terminal() {
        let import = |name: &str| ProgramError::Import { module: "env".into(), name: name.into() }.to_string();
        assert!(import("\u{1b}[2J\n\u{202e}").contains(r"`\u{1b}[2J\n\u{202e}`"));
        assert!(import("it's").contains("`it's`"));
        assert!(import(&"ü".repeat(100_000)).len() < 2000);
    }

    #[test]
    fn an_oversized_program_is_refused_unread() {
        let len = limits::PROGRAM_BYTES_MAX as usize + 1;
        assert_eq!(check_bytes(&vec![0; len]), Err(ProgramError::TooLarge(len)));
    }
}
