//! WebAssembly text for animals: a module that imports just the WASI functions which it mentions.

use crate::preview1::{FUNCTIONS, import};

/// A module with these fields, and the imports of every `$function` of WASI that they call.
pub fn module(fields: &str) -> String {
    let imports: String = FUNCTIONS.iter().filter(|(name, _)| calls(fields, name)).map(import).collect();
    format!("(module {imports} {fields})")
}

/// A command with one page of memory, the locals `$i`, `$j` and `$n`, and this body.
pub fn command(body: &str) -> String {
    module(&format!(
        r#"(memory (export "memory") 1) (func (export "_start") (local $i i32) (local $j i32) (local $n i64) {body})"#
    ))
}

/// A command that does `body` for ever.
pub fn forever(body: &str) -> String {
    command(&format!("(loop $more {body} (br $more))"))
}

/// A command that exits with what `call` returns: an errno.
pub fn answer(call: &str) -> String {
    command(&format!("(call $proc_exit {call})"))
}

fn calls(fields: &str, name: &str) -> bool {
    fields.contains(&format!("${name} ")) || fields.contains(&format!("${name})"))
}
