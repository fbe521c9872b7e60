//! The journal format: records in a chain of hashes, each saying what had reached the disk before it.
//!
//! [`Chain`] writes frames, [`Reader`] takes them back. The page is specs/journal.md. What this never does: guess. A
//! file that a crash may have left is cut where its last whole record ends; any other fault is an error that names
//! the record and its offset.

mod chain;
mod frame;
mod header;
mod reader;
mod scan;

pub use chain::{AppendError, Chain};
pub use frame::{BATCH_BYTES_MAX, FRAME_OVERHEAD_BYTES, PAYLOAD_BYTES_MAX};
pub use header::{HEADER_BYTES, Header, HeaderError};
pub use reader::{Damage, End, Fault, ReadError, Reader, Record};
