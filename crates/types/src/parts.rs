//! The table of a job's inputs: which bytes of which blobs are the input of which task.
//!
//! A blob like any other, named by its hash in the [`Job`](crate::Job). Every row has the same size, so the row of a task is
//! found by its index, and nobody has to hold the table. specs/jobs.md §8.
//!
//! Integers are little-endian:
//!
//! | bytes | |
//! | --- | --- |
//! | 8 | `pmparts1` |
//! | 8 | how many blobs are cut |
//! | 40 each | a blob: its hash, its length |
//! | 48 each | a task: the hash of its input, where that starts in all blobs joined, its length |

use crate::{BlobId, Hash, Output, TaskIndex, limits};
use alloc::vec::Vec;

/// The first bytes of a table.
const MAGIC: [u8; 8] = *b"pmparts1";
/// Bytes before the list of blobs.
pub const HEAD_BYTES: u64 = 16;
/// Bytes of a blob in the list.
pub const SOURCE_BYTES: u64 = 40;
/// Bytes of a task's row.
pub const ROW_BYTES: u64 = 48;

/// The input of one task: some bytes of one blob, and their hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The hash of the bytes.
    pub id: BlobId,
    /// Where they start in all blobs joined.
    pub start: u64,
    /// How many.
    pub len: u64,
}

/// The blobs that are cut, in order: what stands before the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    blobs: Vec<Output>,
    /// Where each starts in all of them joined.
    starts: Vec<u64>,
    bytes: u64,
}

/// Why some bytes are no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no table of inputs")]
pub struct NoTable;

impl Part {
    /// The row.
    pub fn to_bytes(&self) -> [u8; ROW_BYTES as usize] {
        let mut bytes = [0; ROW_BYTES as usize];
        bytes[..32].copy_from_slice(self.id.as_bytes());
        bytes[32..40].copy_from_slice(&self.start.to_le_bytes());
        bytes[40..].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    /// The part of a row.
    pub fn from_bytes(bytes: &[u8; ROW_BYTES as usize]) -> Self {
        Self { id: id_of(&bytes[..32]), start: u64_of(&bytes[32..40]), len: u64_of(&bytes[40..]) }
    }
}

impl Sources {
    /// These blobs, if they are not too many.
    pub fn new(blobs: Vec<Output>) -> Result<Self, NoTable> {
        if blobs.len() > limits::SOURCES_PER_JOB_MAX {
            return Err(NoTable);
        }
        let (mut starts, mut bytes) = (Vec::with_capacity(blobs.len()), 0u64);
        for blob in &blobs {
            starts.push(bytes);
            bytes = bytes.checked_add(blob.len).ok_or(NoTable)?;
        }
        Ok(Self { blobs, starts, bytes })
    }

    /// The blobs.
    pub fn blobs(&self) -> &[Output] {
        &self.blobs
    }

    /// All of them together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What stands before the rows.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        bytes.extend(MAGIC);
        bytes.extend((self.blobs.len() as u64).to_le_bytes());
        for blob in &self.blobs {
            bytes.extend(blob.id.as_bytes());
            bytes.extend(blob.len.to_le_bytes());
        }
        bytes
    }

    fn encoded_len(&self) -> usize {
        HEAD_BYTES as usize + self.blobs.len() * SOURCE_BYTES as usize
    }

    /// How many blobs follow a head of [`HEAD_BYTES`] bytes.
    pub fn count(head: &[u8; HEAD_BYTES as usize]) -> Result<usize, NoTable> {
        let count = usize::try_from(u64_of(&head[8..])).map_err(|_| NoTable)?;
        if head[..8] == MAGIC && count <= limits::SOURCES_PER_JOB_MAX { Ok(count) } else { Err(NoTable) }
    }

    /// The blobs of a list that follows the head.
    pub fn from_list(list: &[u8]) -> Result<Self, NoTable> {
        let (rows, rest) = list.as_chunks::<{ SOURCE_BYTES as usize }>();
        if !rest.is_empty() {
            return Err(NoTable);
        }
        Self::new(rows.iter().map(|row| Output { id: id_of(&row[..32]), len: u64_of(&row[32..]) }).collect())
    }

    /// How long the table of so many tasks is, in bytes.
    pub fn table_len(&self, tasks: TaskIndex) -> u64 {
        self.row_at(tasks)
    }

    /// Where the row of a task begins.
    pub fn row_at(&self, task: TaskIndex) -> u64 {
        self.encoded_len() as u64 + u64::from(task) * ROW_BYTES
    }

    /// The blob that a part is cut from, and where it starts in it. No part reaches from one blob into the next.
    pub fn find(&self, part: &Part) -> Option<(Output, u64)> {
        let place = self.starts.partition_point(|&start| start <= part.start).checked_sub(1)?;
        let (blob, inside) = (self.blobs.get(place)?, part.start - self.starts.get(place)?);
        (inside < blob.len && part.len <= blob.len - inside).then_some((*blob, inside))
    }
}

/// Whether a table of so many tasks can have this length.
pub fn is_table_len(len: u64, tasks: TaskIndex) -> bool {
    let sources = len.checked_sub(HEAD_BYTES + u64::from(tasks) * ROW_BYTES);
    sources.is_some_and(|bytes| {
        bytes.is_multiple_of(SOURCE_BYTES) && bytes / SOURCE_BYTES <= limits::SOURCES_PER_JOB_MAX as u64
    })
}

fn id_of(bytes: &[u8]) -> BlobId {
    let mut id = [0; 32];
    id.copy_from_slice(bytes);
    BlobId(Hash(id))
}

fn u64_of(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(bytes);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn blob(len: u64) -> Output {
        Output { id: BlobId::of(&len.to_le_bytes()), len }
    }

    #[test]
    fn what_is_written_is_read() {
        let sources = Sources::new(vec![blob(10), blob(0), blob(7)]).expect("few");
        let bytes = sources.to_bytes();
        let head = bytes.first_chunk().expect("a head");
        assert_eq!(Sources::count(head), Ok(3));
        assert_eq!(Sources::from_list(&bytes[HEAD_BYTES as usize..]), Ok(sources.clone()));
        assert_eq!(bytes.len() as u64, sources.row_at(0));
        assert!(is_table_len(sources.table_len(9), 9));
        assert!(!is_table_len(sources.table_len(9) + 1, 9));
        assert!(!is_table_len(3, 9));
        let part = Part { id: BlobId::of(b"x"), start: 3, len: 1 << 40 };
        assert_eq!(Part::from_bytes(&part.to_bytes()), part);
    }

    #[test]
    fn a_part_lies_in_one_blob() {
        let sources = Sources::new(vec![blob(10), blob(0), blob(7)]).expect("few");
        let find = |start, len| sources.find(&Part { id: BlobId::default(), start, len });
        assert_eq!(find(0, 10), Some((blob(10), 0)));
        assert_eq!(find(4, 6), Some((blob(10), 4)));
        assert_eq!(find(4, 7), None);
        assert_eq!(find(10, 7), Some((blob(7), 0)));
        assert_eq!(find(16, 1), Some((blob(7), 6)));
        assert_eq!(find(17, 0), None);
        assert_eq!(find(5, u64::MAX), None);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let many = vec![blob(1); limits::SOURCES_PER_JOB_MAX + 1];
        assert_eq!(Sources::new(many), Err(NoTable));
        assert_eq!(Sources::new(vec![blob(u64::MAX), blob(1)]), Err(NoTable));
        assert_eq!(Sources::count(b"pmparts0\0\0\0\0\0\0\0\0"), Err(NoTable));
        assert_eq!(Sources::count(b"pmparts1\xff\xff\xff\xff\xff\xff\xff\xff"), Err(NoTable));
        assert_eq!(Sources::from_list(&[0; 41]), Err(NoTable));
    }
}
