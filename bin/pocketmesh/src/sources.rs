//! Programs and inputs on the person's side: checked before the daemon is asked, then streamed to it.

use crate::exit::Error;
use crate::uploads::Uploads;
use futures::{StreamExt, stream};
use pocketmesh_api::{Blob, Chunk, Chunks, Client, Failure, Refusal};
use pocketmesh_types::limits::{BLOB_BYTES_MAX, PROGRAM_BYTES_MAX};
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes read and sent at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A program file whose first bytes are right.
#[derive(Debug)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// The file's name without its extension.
    pub name: String,
    /// Its bytes.
    pub bytes: Chunk,
}

impl Program {
    /// Reads and checks a program; `what` is "the program" or "the reduce program".
    pub fn read(path: &Path, what: &str) -> Result<Self, Error> {
        let shown = path.display();
        let cannot = |error: io::Error| Error::usage(format!("cannot read {what} {shown}: {error}"));
        let file = std::fs::File::open(path).map_err(cannot)?;
        let mut bytes = Vec::new();
        file.take(PROGRAM_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() as u64 > PROGRAM_BYTES_MAX {
            return Err(Error::usage(format!("{what} {shown} is larger than {} MiB", PROGRAM_BYTES_MAX >> 20)));
        }
        if let Some(is) = what_else(&bytes) {
            return Err(Error::usage(format!("{what} {shown} {is}")));
        }
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { path: path.into(), name, bytes: bytes.into() })
    }

    /// A program that came with this binary.
    pub fn embedded(name: &str, bytes: &'static [u8]) -> Self {
        Self { path: format!("{name}.wasm").into(), name: name.into(), bytes: Chunk::from_static(bytes) }
    }

    /// Hands it to the daemon.
    pub async fn upload(&self, client: &Client) -> Result<Blob, Error> {
        Ok(client.put_blob(stream::iter([Ok(self.bytes.clone())]).boxed()).await?)
    }
}

/// What some bytes are that are no WebAssembly core module, in words that help; none if they are one.
fn what_else(bytes: &[u8]) -> Option<&'static str> {
    let starts_as_text = || bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'(');
    match bytes {
        [] => Some("is empty"),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => None,
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => {
            Some("is a WebAssembly component, not a module: build it for wasm32-wasip1 (WASI preview 1)")
        }
        [0, b'a', b's', b'm', ..] => Some("is WebAssembly of a version that is not known here"),
        [0x7f, b'E', b'L', b'F', ..] => Some("is a native program, not WebAssembly: build it for wasm32-wasip1"),
        _ if starts_as_text() => Some("is WebAssembly text: turn it into a module with `wat2wasm` first"),
        _ => Some("is not WebAssembly: build it for wasm32-wasip1 (WASI preview 1)"),
    }
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input of this command.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// Checks the inputs that a person named; `-` is standard input.
pub fn inputs(paths: &[PathBuf]) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            if sources.contains(&Source::Stdin) {
                return Err(Error::usage("standard input (`-`) can be read only once"));
            }
            sources.push(Source::Stdin);
            continue;
        }
        let cannot = |error| Error::usage(format!("cannot read the input {}: {error}", path.display()));
        let metadata = std::fs::metadata(path).map_err(cannot)?;
        if metadata.is_dir() {
            return Err(Error::usage(format!(
                "the input {shown} is a folder: name the files in it, or lay it under /in with -i {shown}:DST",
                shown = path.display()
            )));
        }
        if metadata.len() > BLOB_BYTES_MAX {
            let (shown, most) = (path.display(), BLOB_BYTES_MAX >> 20);
            return Err(Error::usage(format!(
                "the input {shown} is larger than {most} MiB: cut it into several files"
            )));
        }
        std::fs::File::open(path).map_err(cannot)?;
        sources.push(Source::File(path.clone()));
    }
    Ok(sources)
}

/// Fails if it is plain now that there is nothing in any of them.
pub fn check_not_empty(sources: &[Source]) -> Result<(), Error> {
    if !sources.is_empty() && sources.iter().all(|source| source.len() == Some(0)) { Err(empty()) } else { Ok(()) }
}

/// The refusal of an input without a byte.
pub fn empty() -> Error {
    Error::usage(Failure::from(Refusal::EmptyInput))
}

impl Source {
    /// Its name, for people.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "-".into(),
            Self::File(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        }
    }

    /// Its extension, if it has one.
    pub fn extension(&self) -> Option<&str> {
        match self {
            Self::Stdin => None,
            Self::File(path) => path.extension()?.to_str(),
        }
    }

    /// Its length in bytes, if it tells: a pipe or a device does not.
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::File(path) => std::fs::metadata(path).ok().filter(Metadata::is_file).map(|metadata| metadata.len()),
        }
    }

    /// Hands it to the daemon, as fast as it comes.
    pub async fn upload(&self, client: &Client, uploads: &Uploads) -> Result<Blob, Error> {
        Ok(client.put_blob(uploads.watch(self.open().await?)).await?)
    }

    /// Its bytes, as they come.
    pub async fn open(&self) -> Result<Chunks, Error> {
        match self {
            Self::Stdin => Ok(chunks(stdin().map_err(|error| self.cannot_read(&error))?)),
            Self::File(path) => {
                Ok(chunks(tokio::fs::File::open(path).await.map_err(|error| self.cannot_read(&error))?))
            }
        }
    }

    /// That it cannot be read.
    pub fn cannot_read(&self, error: &io::Error) -> Error {
        match self {
            Self::Stdin => Error::failed(format!("cannot read standard input: {error}")),
            Self::File(path) => Error::usage(format!("cannot read the input {}: {error}", path.display())),
        }
    }
}

/// Standard input as a file, which is read on a thread of its own.
fn stdin() -> io::Result<tokio::fs::File> {
    let descriptor = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(tokio::fs::File::from_std(std::fs::File::from(descriptor)))
}

/// What a reader reads, as it comes.
pub fn chunks(reader: impl AsyncRead + Send + Unpin + 'static) -> Chunks {
    stream::try_unfold(reader, |mut reader| async {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = reader.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok((read > 0).then(|| (chunk.into(), reader)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_module_is_told_from_all_else() {
        assert_eq!(what_else(b"\0asm\x01\0\0\0rest"), None);
        let others: [(&[u8], &str); 7] = [
            (b"", "is empty"),
            (b"\0asm\x0d\0\x01\0", "component"),
            (b"\0asm\x02\0\0\0", "version"),
            (b"\0asm", "version"),
            (b"\x7fELF\x02", "native program"),
            (b"\n  (module)", "wat2wasm"),
            (b"#!/bin/sh", "is not WebAssembly"),
        ];
        for (bytes, expected) in others {
            assert!(what_else(bytes).is_some_and(|is| is.contains(expected)), "{expected}");
        }
    }
}
