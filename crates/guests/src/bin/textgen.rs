//! `textgen INDEX [BYTES=65536]`: about BYTES bytes of made-up prose, in whole lines; each INDEX has its own.

use pocketmesh_guests::{arguments, text};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((index, [bytes])) = arguments::numbers(&args, [65536]) else {
        return arguments::usage("textgen INDEX [BYTES=65536]");
    };
    arguments::finish(arguments::print(text::generate(index, bytes as usize).as_bytes()))
}
