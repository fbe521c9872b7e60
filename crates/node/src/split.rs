//! Cutting an input into parts, one a task. specs/jobs.md §2.

use pocketmesh_api::{Source, Split};
use pocketmesh_blobs::Store;
use pocketmesh_types::{BlobId, Bytes, TaskInput, limits};
use std::io::{self, BufRead, BufReader, Read};

/// Why an input could not be cut.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// There is nothing to cut.
    #[error("the input is empty: there is nothing to split into tasks")]
    Empty,
    /// More parts than a job may have.
    #[error("this makes more than {max} tasks: use larger parts", max = limits::PARTS_PER_JOB_MAX)]
    TooMany,
    /// A part larger than a blob may be.
    #[error("a part of the input has more than {max} bytes: split it more finely", max = limits::BLOB_BYTES_MAX)]
    TooLarge,
    /// A blob that was named is not here.
    #[error("the blob {0} is not on this peer: upload it first")]
    NoBlob(BlobId),
    /// The store failed.
    #[error("failed to store a part of the input: {0}")]
    Store(String),
    /// Reading failed.
    #[error("failed to read the input: {0}")]
    Read(#[from] io::Error),
}

/// Cuts all sources in order. Small parts come back as they are, larger ones are put into the store.
pub fn split(store: &Store, sources: &[Source], how: Split) -> Result<Vec<TaskInput>, SplitError> {
    let mut parts = Vec::new();
    for source in sources {
        let (file, len) = store.open_file(source.blob).map_err(|_| SplitError::NoBlob(source.blob))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        match how {
            Split::File if len > 0 => parts.push(whole(source.blob, len, &mut reader)?),
            Split::File => parts.push(TaskInput::None),
            Split::Lines(lines) => cut(store, &mut reader, &mut parts, |reader, part| take_lines(reader, part, lines))?,
            Split::Bytes(bytes) => cut(store, &mut reader, &mut parts, |reader, part| take_bytes(reader, part, bytes))?,
        }
    }
    let is_empty = parts.iter().all(|part| *part == TaskInput::None);
    if is_empty { Err(SplitError::Empty) } else { Ok(parts) }
}

/// A part that is a blob already.
fn whole(blob: BlobId, len: u64, reader: &mut impl Read) -> io::Result<TaskInput> {
    if len > limits::INLINE_BYTES_MAX as u64 {
        return Ok(TaskInput::Blob(blob, len));
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(TaskInput::Inline(Bytes(bytes)))
}

fn cut<R: BufRead>(
    store: &Store,
    reader: &mut R,
    parts: &mut Vec<TaskInput>,
    take: impl Fn(&mut R, &mut Vec<u8>) -> io::Result<()>,
) -> Result<(), SplitError> {
    loop {
        let mut part = Vec::new();
        take(reader, &mut part)?;
        if part.is_empty() {
            return Ok(());
        }
        if parts.len() >= limits::PARTS_PER_JOB_MAX {
            return Err(SplitError::TooMany);
        }
        if part.len() as u64 > limits::BLOB_BYTES_MAX {
            return Err(SplitError::TooLarge);
        }
        parts.push(keep(store, part)?);
    }
}

fn keep(store: &Store, part: Vec<u8>) -> Result<TaskInput, SplitError> {
    if part.len() <= limits::INLINE_BYTES_MAX {
        return Ok(TaskInput::Inline(Bytes(part)));
    }
    let blob = store.put(&part).map_err(|error| SplitError::Store(error.to_string()))?;
    Ok(TaskInput::Blob(blob, part.len() as u64))
}

/// Whole lines, with their ends; a last line without an end counts too. A part over the limit ends where it passes it.
fn take_lines<R: BufRead>(reader: &mut R, part: &mut Vec<u8>, lines: u64) -> io::Result<()> {
    for _ in 0..lines {
        let room = (limits::BLOB_BYTES_MAX + 1).saturating_sub(part.len() as u64);
        if reader.by_ref().take(room).read_until(b'\n', part)? == 0 {
            break;
        }
    }
    Ok(())
}

fn take_bytes<R: Read>(reader: &mut R, part: &mut Vec<u8>, bytes: u64) -> io::Result<()> {
    reader.by_ref().take(bytes.min(limits::BLOB_BYTES_MAX + 1)).read_to_end(part).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts_of(text: &[u8], how: Split) -> Result<Vec<Vec<u8>>, SplitError> {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), 1 << 30).expect("a store");
        let blob = store.put(text).expect("stored");
        let source = Source { name: "text".into(), blob, len: text.len() as u64 };
        let bytes_of = |part: TaskInput| match part {
            TaskInput::None => Vec::new(),
            TaskInput::Inline(bytes) => bytes.0,
            TaskInput::Blob(id, len) => store.get(id, len).expect("the part"),
        };
        Ok(split(&store, &[source], how)?.into_iter().map(bytes_of).collect())
    }

    #[test]
    fn lines_stay_whole_and_nothing_is_lost() {
        let parts = parts_of(b"one\ntwo\n\nfour\nfive", Split::Lines(2)).expect("parts");
        assert_eq!(parts, [&b"one\ntwo\n"[..], b"\nfour\n", b"five"]);
    }

    #[test]
    fn bytes_are_cut_evenly_and_large_parts_become_blobs() {
        let text: Vec<u8> = (0..25_000u32).map(|n| (n % 251) as u8).collect();
        let parts = parts_of(&text, Split::Bytes(10_000)).expect("parts");
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [10_000, 10_000, 5_000]);
        assert_eq!(parts.concat(), text);
    }

    #[test]
    fn a_file_is_one_part() {
        assert_eq!(parts_of(b"a\nb\n", Split::File).expect("parts"), [b"a\nb\n"]);
    }

    #[test]
    fn an_empty_input_is_refused() {
        for how in [Split::Lines(1), Split::Bytes(1), Split::File] {
            assert!(matches!(parts_of(b"", how), Err(SplitError::Empty)));
        }
    }
}
