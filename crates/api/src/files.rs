//! Files as they pass the socket: named here, their bytes apart from them, as blobs.

use futures::stream::BoxStream;
use pocketmesh_types::BlobId;
use serde::{Deserialize, Serialize};
use std::io;

/// A file that every task of a job finds under `/in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// Where, relative to `/in`: names joined by `/`.
    pub path: String,
    /// Its bytes.
    pub blob: BlobId,
    /// Their number.
    pub len: u64,
}

/// A file that a task left under `/out`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Where, relative to `/out`: names joined by `/`.
    pub path: String,
    /// Its bytes.
    pub blob: BlobId,
    /// Their number.
    pub len: u64,
}

/// What one task left: one line of a job's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFiles {
    /// What `{index}` was for the task.
    pub index: u64,
    /// Its files, at least one, sorted by path.
    pub files: Vec<OutputFile>,
}

/// What each task left that left something, in task order. An error ends it.
pub type FileLists = BoxStream<'static, io::Result<TaskFiles>>;
