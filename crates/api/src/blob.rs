//! Blobs as they pass the socket: streamed, never held whole.

use futures::stream::BoxStream;
use pocketmesh_types::BlobId;
use serde::{Deserialize, Serialize};
use std::io;

/// Some bytes of a stream; cheap to clone and to cut.
pub type Chunk = axum::body::Bytes;

/// The bytes of a blob or an output, in order. An error ends it.
pub type Chunks = BoxStream<'static, io::Result<Chunk>>;

/// A blob that the daemon holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Its name: BLAKE3 of its bytes.
    pub id: BlobId,
    /// Its length in bytes.
    pub len: u64,
}
