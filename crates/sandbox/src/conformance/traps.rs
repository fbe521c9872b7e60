//! What the scripts call a trap, and what the engine calls it.

use wasmtime::Trap;

/// How a script's message begins, and the traps that it may mean. `undefined element` is a call through a table beyond
/// its end, `uninitialized element` one through an empty place of it; some scripts go on with the place's number.
/// Older scripts are terser.
const MESSAGES: [(&str, &[Trap]); 12] = [
    ("unreachable", &[Trap::UnreachableCodeReached]),
    ("integer divide by zero", &[Trap::IntegerDivisionByZero]),
    ("integer overflow", &[Trap::IntegerOverflow]),
    ("invalid conversion to integer", &[Trap::BadConversionToInteger]),
    ("out of bounds memory access", &[Trap::MemoryOutOfBounds]),
    ("out of bounds table access", &[Trap::TableOutOfBounds]),
    ("out of bounds", &[Trap::MemoryOutOfBounds, Trap::TableOutOfBounds]),
    ("undefined", &[Trap::TableOutOfBounds]),
    ("uninitialized", &[Trap::IndirectCallToNull]),
    ("indirect call", &[Trap::BadSignature]),
    ("call stack exhausted", &[Trap::StackOverflow]),
    ("null", &[Trap::NullReference]),
];

/// Whether `error` is the trap that `message` tells of; if not, both.
pub(super) fn compare(error: &wasmtime::Error, message: &str) -> Result<(), String> {
    let meant = MESSAGES.iter().find(|(start, _)| message.starts_with(start)).map_or(&[][..], |(_, traps)| traps);
    match error.downcast_ref::<Trap>() {
        Some(trap) if meant.contains(trap) => Ok(()),
        _ => Err(format!("ended with `{error:#}`, expected `{message}`")),
    }
}
