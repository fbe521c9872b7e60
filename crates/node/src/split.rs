//! Cutting an input into parts, one a task. Nothing is copied: the parts are written down in a table. specs/jobs.md §8.

use pocketmesh_api::{Source, Split};
use pocketmesh_blobs::{
    Durability, Store,
    store::{GetError, PutError, Writer},
};
use pocketmesh_types::parts::{NoTable, Part, ROW_BYTES, SOURCE_BYTES, Sources};
use pocketmesh_types::{BlobId, Hash, Output, TaskIndex, limits};
use std::io::{self, Read};

/// Read and hashed at once.
const PIECE_BYTES: usize = 256 << 10;
/// Rows are written in groups of this many bytes.
const ROWS_BYTES: usize = 64 << 10;
/// The largest table: of as many tasks and blobs as there can be.
const TABLE_BYTES_MAX: u64 =
    limits::TASKS_PER_JOB_MAX as u64 * ROW_BYTES + limits::SOURCES_PER_JOB_MAX as u64 * SOURCE_BYTES + 16;

/// The inputs of a job's tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Their table, a blob in the store.
    pub table: Output,
    /// The blobs that they are cut from.
    pub sources: Sources,
    /// How many tasks.
    pub tasks: TaskIndex,
    /// The longest of them, in bytes.
    pub longest: u64,
}

/// Why an input could not be cut.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// There is nothing to cut.
    #[error("the input is empty: there is nothing to split into tasks")]
    Empty,
    /// More parts than a job may have.
    #[error("this makes more than {max} tasks: use larger parts", max = limits::TASKS_PER_JOB_MAX)]
    TooMany,
    /// More sources than a job may have.
    #[error("the input has more than {max} files: put several into one", max = limits::SOURCES_PER_JOB_MAX)]
    TooManySources(#[from] NoTable),
    /// A part larger than a blob may be.
    #[error("a part of the input has more than {max} bytes: split it more finely", max = limits::BLOB_BYTES_MAX)]
    TooLarge,
    /// A blob that was named is not here.
    #[error("the blob {0} is not on this peer: upload it first")]
    NoBlob(BlobId),
    /// There is no room for the table.
    #[error("failed to store the table of the tasks' inputs: {0}")]
    Store(#[from] PutError),
    /// Reading failed.
    #[error("failed to read the input: {0}")]
    Read(#[from] io::Error),
}

impl From<GetError> for SplitError {
    fn from(error: GetError) -> Self {
        match error {
            GetError::Missing(blob) => Self::NoBlob(blob),
            error => Self::Read(io::Error::other(error)),
        }
    }
}

/// Cuts all sources in order. Memory does not grow with them.
pub fn split(store: &Store, sources: &[Source], how: Split) -> Result<Cut, SplitError> {
    let blob = |source: &Source| {
        let len = store.len(source.blob).ok_or(SplitError::NoBlob(source.blob))?;
        Ok(Output { id: source.blob, len })
    };
    let sources = Sources::new(sources.iter().map(blob).collect::<Result<_, SplitError>>()?)?;
    if sources.bytes() == 0 {
        return Err(SplitError::Empty);
    }
    let mut table = Table::new(store, sources.clone())?;
    for blob in sources.blobs() {
        match how {
            // It is named already.
            Split::File => table.add(Part { id: blob.id, start: table.next, len: blob.len })?,
            Split::Lines(_) | Split::Bytes(_) => {
                let (mut file, _) = store.open_file(blob.id)?;
                cut(&mut file, how, &mut table)?;
            }
        }
    }
    table.finish()
}

/// Writes down the parts of sources that begin where the one before ends and have these lengths and names.
pub fn tabulate(
    store: &Store,
    sources: Sources,
    parts: impl Iterator<Item = (BlobId, u64)>,
) -> Result<Cut, SplitError> {
    let mut table = Table::new(store, sources)?;
    for (id, len) in parts {
        table.add(Part { id, start: table.next, len })?;
    }
    table.finish()
}

/// A table that is being written.
struct Table {
    writer: Writer,
    rows: Vec<u8>,
    sources: Sources,
    tasks: TaskIndex,
    longest: u64,
    /// Where the next part starts.
    next: u64,
}

impl Table {
    fn new(store: &Store, sources: Sources) -> Result<Self, SplitError> {
        let mut writer = store.writer(TABLE_BYTES_MAX)?;
        writer.write(&sources.to_bytes())?;
        Ok(Self { writer, rows: Vec::with_capacity(ROWS_BYTES), sources, tasks: 0, longest: 0, next: 0 })
    }

    fn add(&mut self, part: Part) -> Result<(), SplitError> {
        if self.tasks == limits::TASKS_PER_JOB_MAX {
            return Err(SplitError::TooMany);
        }
        if part.len > limits::BLOB_BYTES_MAX {
            return Err(SplitError::TooLarge);
        }
        self.rows.extend(part.to_bytes());
        if self.rows.len() >= ROWS_BYTES {
            self.writer.write(&self.rows)?;
            self.rows.clear();
        }
        self.tasks += 1;
        self.longest = self.longest.max(part.len);
        self.next = part.start + part.len;
        Ok(())
    }

    fn finish(mut self) -> Result<Cut, SplitError> {
        self.writer.write(&self.rows)?;
        let len = self.writer.len();
        let table = Output { id: self.writer.finish(Durability::Durable)?, len };
        Ok(Cut { table, sources: self.sources, tasks: self.tasks, longest: self.longest })
    }
}

/// The part that is being read.
struct Growing {
    hasher: blake3::Hasher,
    len: u64,
    lines: u64,
}

impl Growing {
    fn new() -> Self {
        Self { hasher: blake3::Hasher::new(), len: 0, lines: 0 }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
    }

    fn end(&mut self, table: &mut Table) -> Result<(), SplitError> {
        let id = BlobId(Hash(*self.hasher.finalize().as_bytes()));
        table.add(Part { id, start: table.next, len: self.len })?;
        self.hasher.reset();
        (self.len, self.lines) = (0, 0);
        Ok(())
    }
}

/// Whole lines with their ends, and a last one without an end too; or so many bytes.
fn cut(from: &mut impl Read, how: Split, table: &mut Table) -> Result<(), SplitError> {
    let (mut piece, mut part) = (vec![0; PIECE_BYTES], Growing::new());
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let mut rest = &piece[..read];
        while !rest.is_empty() {
            let (taken, is_whole) = next(rest, how, &mut part);
            part.take(&rest[..taken]);
            rest = &rest[taken..];
            if part.len > limits::BLOB_BYTES_MAX {
                return Err(SplitError::TooLarge);
            }
            if is_whole {
                part.end(table)?;
            }
        }
    }
    if part.len > 0 { part.end(table) } else { Ok(()) }
}

/// How many of the bytes that come belong to the part that is being read, and whether it is whole then.
fn next(bytes: &[u8], how: Split, part: &mut Growing) -> (usize, bool) {
    match how {
        Split::File => (bytes.len(), false),
        Split::Bytes(most) => {
            let missing = usize::try_from(most.max(1) - part.len).unwrap_or(usize::MAX);
            (missing.min(bytes.len()), missing <= bytes.len())
        }
        Split::Lines(lines) => {
            let mut ends = memchr::memchr_iter(b'\n', bytes);
            let missing = lines.max(1) - part.lines;
            match usize::try_from(missing - 1).ok().and_then(|before| ends.nth(before)) {
                Some(end) => (end + 1, true),
                None => {
                    part.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
                    (bytes.len(), false)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Cutter;

    fn parts_of(texts: &[&[u8]], how: Split) -> Result<Vec<Vec<u8>>, SplitError> {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), 1 << 30).expect("a store");
        let source = |text: &&[u8]| Source { name: "text".into(), blob: store.put(text).expect("stored"), len: 0 };
        let sources: Vec<Source> = texts.iter().map(source).collect();
        let cut = split(&store, &sources, how)?;
        let cutter = Cutter::new(store.clone());
        let tasks: Vec<TaskIndex> = (0..cut.tasks).collect();
        let crate::parts::Read { parts, problem, .. } = cutter.read(Hash::default(), cut.table, &tasks);
        assert_eq!(problem, None);
        let bytes_of = |input| match input {
            pocketmesh_types::TaskInput::None => Vec::new(),
            pocketmesh_types::TaskInput::Inline(bytes) => bytes.0,
            pocketmesh_types::TaskInput::Blob(id, len) => store.get(id, len).expect("the part"),
        };
        let parts: Vec<Vec<u8>> = parts.into_iter().map(|(_, input)| bytes_of(input.expect("it is here"))).collect();
        assert_eq!(parts.iter().map(|part| part.len() as u64).max(), Some(cut.longest));
        Ok(parts)
    }

    #[test]
    fn lines_stay_whole_and_nothing_is_lost() {
        let parts = parts_of(&[b"one\ntwo\n\nfour\nfive"], Split::Lines(2)).expect("parts");
        assert_eq!(parts, [&b"one\ntwo\n"[..], b"\nfour\n", b"five"]);
    }

    #[test]
    fn lines_that_lie_across_pieces_stay_whole() {
        let text: Vec<u8> = (0..300_000u32).flat_map(|n| format!("{n:x}\n").into_bytes()).collect();
        assert!(text.len() > 4 * PIECE_BYTES);
        for lines in [1_000, 77_777] {
            let parts = parts_of(&[&text], Split::Lines(lines)).expect("parts");
            let ends = |part: &Vec<u8>| part.iter().filter(|&&byte| byte == b'\n').count() as u64;
            let last = parts.len() - 1;
            assert!(parts[..last].iter().all(|part| ends(part) == lines && part.ends_with(b"\n")));
            assert_eq!(parts.concat(), text);
        }
    }

    #[test]
    fn bytes_are_cut_evenly_and_large_parts_become_blobs() {
        let text: Vec<u8> = (0..600_000u32).map(|n| (n % 251) as u8).collect();
        for size in [10_000, PIECE_BYTES, PIECE_BYTES + 1] {
            let parts = parts_of(&[&text], Split::Bytes(size as u64)).expect("parts");
            assert!(parts[..parts.len() - 1].iter().all(|part| part.len() == size));
            assert_eq!(parts.concat(), text);
        }
    }

    #[test]
    fn no_part_spans_two_sources_and_a_file_is_one_part() {
        let texts: [&[u8]; 4] = [b"a\nb", b"", b"c\n", &[7; 10_000]];
        assert_eq!(parts_of(&texts, Split::Lines(2)).expect("parts"), [&b"a\nb"[..], b"c\n", texts[3]]);
        assert_eq!(parts_of(&texts, Split::File).expect("parts"), texts);
    }

    #[test]
    fn an_empty_input_is_refused() {
        for how in [Split::Lines(1), Split::Bytes(1), Split::File] {
            assert!(matches!(parts_of(&[b""], how), Err(SplitError::Empty)));
        }
    }
}
