//! A compiler: compiles one program and ends.
//!
//! A process of its own, because compiling foreign code is the one long computation that no fuel bounds: a program can
//! be written to take hours or all memory. Here the kernel bounds memory, the parent bounds time, and neither a runner
//! nor the next program notices.

use super::super::answer;
use super::super::request::Request;
use super::Outbox;
use crate::engine::Engine;
use std::io;

/// A module with one function: compiling it starts all threads that the compiler will ever use. They have to be there
/// before threads can no longer be started, and after the seals that bind each thread for itself.
const TINY: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";

pub(super) fn start_threads(engine: &Engine) {
    // It is no command, which is found out only after it was compiled.
    drop(engine.artifact(TINY));
}

/// Answers one request.
pub(super) fn serve(engine: &Engine, outbox: &Outbox) -> io::Result<()> {
    match Request::read(&mut io::stdin().lock())? {
        Some(Request::Compile(wasm)) => match engine.artifact(&wasm) {
            Ok(artifact) => {
                let head = answer::encode_compiled(artifact.needs);
                outbox.send(|to| super::push(to, answer::kind::COMPILED, &head, &artifact.code), true)
            }
            Err(error) => {
                let head = answer::encode_unfit(&error);
                outbox.send(|to| super::push(to, answer::kind::UNFIT, &head, &[]), true)
            }
        },
        Some(_) => Err(io::Error::other("this is a compiler")),
        None => Ok(()),
    }
}
