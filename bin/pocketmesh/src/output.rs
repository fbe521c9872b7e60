//! Standard output: text for people, JSON for scripts, and the bytes of results.

use crate::exit::Error;
use crate::terminal::Sanitiser;
use futures::{StreamExt, stream};
use pocketmesh_api::{Chunk, Chunks};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Prints a block of text; a line break is added if it lacks one.
pub fn text(text: impl AsRef<str>) -> Result<(), Error> {
    let text = text.as_ref();
    let ending = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    write(text.as_bytes()).and_then(|()| write(ending.as_bytes()))
}

/// Prints a value as JSON, indented.
pub fn json(value: &impl Serialize) -> Result<(), Error> {
    let line =
        serde_json::to_string_pretty(value).map_err(|error| Error::failed(format!("cannot show this: {error}")))?;
    text(line)
}

/// Prints a value as JSON on one line.
pub fn json_line(value: &impl Serialize) -> Result<(), Error> {
    let line = serde_json::to_string(value).map_err(|error| Error::failed(format!("cannot show this: {error}")))?;
    text(line)
}

/// Something for the person that is not the answer: to standard error, lost if that is closed.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// Passes a job's output on: as it is into a file or a pipe, with control characters shown on a terminal.
pub async fn bytes(mut chunks: Chunks) -> Result<(), Error> {
    let mut sanitiser = io::stdout().is_terminal().then(Sanitiser::default);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Error::failed(format!("the output broke off: {error}")))?;
        match &mut sanitiser {
            Some(sanitiser) => write(sanitiser.push(&chunk).as_bytes())?,
            None => write(&chunk)?,
        }
    }
    sanitiser.map_or(Ok(()), |sanitiser| write(sanitiser.finish().as_bytes()))
}

/// The same of output that is here already.
pub async fn whole(output: &[u8]) -> Result<(), Error> {
    bytes(stream::iter([Ok(Chunk::copy_from_slice(output))]).boxed()).await
}

/// Passes a program's standard error on, to ours; lost if that is closed.
pub fn foreign_note(output: &[u8]) {
    let mut stderr = io::stderr().lock();
    let _ = if stderr.is_terminal() {
        let mut sanitiser = Sanitiser::default();
        write!(stderr, "{}{}", sanitiser.push(output), sanitiser.finish())
    } else {
        stderr.write_all(output)
    };
}

fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Error::output(&error))
}
