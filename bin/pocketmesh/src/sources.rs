//! Programs and inputs on the person's side: checked before the daemon is asked, then streamed to it.

mod segments;

use crate::exit::Error;
use futures::{StreamExt, stream};
use pocketmesh_api::{Blob, Chunk, Chunks, Client, Failure, Refusal};
use pocketmesh_types::BlobId;
use pocketmesh_types::limits::{BLOB_BYTES_MAX, PROGRAM_BYTES_MAX, SOURCES_PER_JOB_MAX};
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes read and sent at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Of a source's name, told to the daemon: there may be thousands of them.
const NAME_CHARS_MAX: usize = 40;

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
    /// A blob that the daemon has.
    Blob(BlobId),
}

/// Finds the inputs that a person named: `-` is standard input, a folder is all files in it, a pattern all files that it fits,
/// and the id of a blob is that blob.
pub fn inputs(paths: &[PathBuf]) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::new();
    for path in paths {
        find(path, &mut sources)?;
    }
    Ok(sources)
}

fn find(path: &Path, sources: &mut Vec<Source>) -> Result<(), Error> {
    let shown = path.display();
    if path.as_os_str() == "-" {
        if sources.contains(&Source::Stdin) {
            return Err(Error::usage("standard input (`-`) can be read only once"));
        }
        sources.push(Source::Stdin);
        return Ok(());
    }
    let before = sources.len();
    match (std::fs::metadata(path), path.to_str()) {
        (Ok(metadata), _) if metadata.is_dir() => {
            walk(path, sources)?;
            if sources.len() == before {
                return Err(Error::usage(format!("there is no file in the folder {shown}")));
            }
        }
        (Ok(_), _) => file(path, sources)?,
        (Err(_), Some(text)) if text.parse::<BlobId>().is_ok() => sources.extend(text.parse().map(Source::Blob)),
        (Err(_), Some(text)) if text.contains(['*', '?', '[']) => {
            fitting(text, sources)?;
            if sources.len() == before {
                return Err(Error::usage(format!("no file fits the pattern {shown}")));
            }
        }
        (Err(error), _) => return Err(cannot_read(path, &error)),
    }
    Ok(())
}

/// All files that fit a pattern, sorted by name.
fn fitting(pattern: &str, sources: &mut Vec<Source>) -> Result<(), Error> {
    let paths = glob::glob(pattern).map_err(|error| Error::usage(format!("{pattern} is no pattern: {error}")))?;
    for path in paths {
        let path = path.map_err(|error| Error::usage(format!("cannot read the input {error}")))?;
        if !path.is_dir() {
            file(&path, sources)?;
        }
    }
    Ok(())
}

/// All files in a folder and the folders in it, sorted by name. Symbolic links in it are left alone: they may have no end.
fn walk(folder: &Path, sources: &mut Vec<Source>) -> Result<(), Error> {
    let cannot = |error| cannot_read(folder, &error);
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(cannot)?.collect();
    let mut entries = entries.map_err(cannot)?;
    entries.sort_unstable_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(cannot)?;
        if kind.is_dir() {
            walk(&entry.path(), sources)?;
        } else if kind.is_file() {
            file(&entry.path(), sources)?;
        }
    }
    Ok(())
}

fn file(path: &Path, sources: &mut Vec<Source>) -> Result<(), Error> {
    if sources.len() == SOURCES_PER_JOB_MAX {
        return Err(Error::usage(format!("the input has more than {SOURCES_PER_JOB_MAX} files: put several into one")));
    }
    std::fs::File::open(path).map_err(|error| cannot_read(path, &error))?;
    sources.push(Source::File(path.into()));
    Ok(())
}

fn cannot_read(path: &Path, error: &io::Error) -> Error {
    Error::usage(format!("cannot read the input {}: {error}", path.display()))
}

/// Fails if one of them cannot be one task's input as a whole.
pub fn check_whole(sources: &[Source]) -> Result<(), Error> {
    match sources.iter().find(|source| source.len().is_some_and(|len| len > BLOB_BYTES_MAX)) {
        Some(source) => Err(Error::usage(format!(
            "the input {} is larger than {} MiB: cut it into tasks with --split lines=N or bytes=SIZE",
            source.shown(),
            BLOB_BYTES_MAX >> 20
        ))),
        None => Ok(()),
    }
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
            Self::File(path) => {
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                name.chars().take(NAME_CHARS_MAX).collect()
            }
            Self::Blob(blob) => blob.to_string(),
        }
    }

    /// What a person names it by.
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin | Self::Blob(_) => self.name(),
        }
    }

    /// Its extension, if it has one.
    pub fn extension(&self) -> Option<&str> {
        match self {
            Self::Stdin | Self::Blob(_) => None,
            Self::File(path) => path.extension()?.to_str(),
        }
    }

    /// Its length in bytes, if it tells: a pipe or a device does not.
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Stdin | Self::Blob(_) => None,
            Self::File(path) => std::fs::metadata(path).ok().filter(Metadata::is_file).map(|metadata| metadata.len()),
        }
    }

    /// Its bytes, as they come.
    pub async fn open(&self) -> Result<Chunks, Error> {
        match self {
            Self::Stdin => Ok(chunks(stdin().map_err(|error| self.cannot_read(&error))?)),
            Self::File(path) => {
                Ok(chunks(tokio::fs::File::open(path).await.map_err(|error| self.cannot_read(&error))?))
            }
            Self::Blob(blob) => Err(Error::usage(format!("blob {blob} is with a daemon: name a file"))),
        }
    }

    /// That it cannot be read.
    pub fn cannot_read(&self, error: &io::Error) -> Error {
        match self {
            Self::Stdin => Error::failed(format!("cannot read standard input: {error}")),
            Self::File(path) => cannot_read(path, error),
            Self::Blob(blob) => Error::failed(format!("cannot read the blob {blob}: {error}")),
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
