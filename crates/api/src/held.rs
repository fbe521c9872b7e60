//! The blobs of a peer as its owner sees them: what is here, what is kept, what is being fetched.

use crate::{Failure, control::Answer};
use futures::stream::BoxStream;
use pocketmesh_types::{BlobId, PeerId};
use serde::{Deserialize, Serialize};
use std::future::Future;

/// A blob, or what is here of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBlob {
    /// Its name: BLAKE3 of its bytes.
    pub id: BlobId,
    /// Its length in bytes.
    pub len: u64,
    /// Bytes of it that are here: fewer than `len` while it is fetched, or when that was interrupted.
    pub held: u64,
    /// Whether its owner asked for it to be kept.
    pub kept: bool,
    /// Whether it may not be evicted: it is kept, or a job needs it.
    pub pinned: bool,
}

/// All blobs of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBlobs {
    /// Each of them.
    pub blobs: Vec<HeldBlob>,
    /// Bytes taken, each blob rounded up to 4 KiB.
    pub used: u64,
    /// Of these, bytes that may not be evicted.
    pub pinned: u64,
    /// Bytes allowed.
    pub quota: u64,
    /// Bytes of blobs, with their hashes, that other peers were sent since the daemon started; the most first.
    pub sent: Vec<PeerBytes>,
}

/// Bytes to or from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerBytes {
    /// The peer.
    pub peer: PeerId,
    /// How many.
    pub bytes: u64,
}

/// A request to fetch a blob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchBlob {
    /// Peers that are asked besides those that say they have it.
    pub from: Vec<PeerId>,
}

/// How far a fetch is. The last line of a fetch is not `Progress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchUpdate {
    /// It goes on.
    Progress {
        /// The blob's length, 0 before it is known.
        len: u64,
        /// Bytes that are here and checked.
        held: u64,
        /// Bytes that came from peers in this fetch, with their hashes.
        received: u64,
    },
    /// The blob is here.
    Done {
        /// The blob.
        blob: HeldBlob,
        /// Who sent how much of it in this fetch.
        from: Vec<PeerBytes>,
        /// Who sent what is not of it.
        liars: Vec<PeerId>,
    },
    /// It is not here. What came so far stays, and the next fetch goes on from there.
    Failed(Failure),
}

/// A request to make room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectBlobs {
    /// Whether to read what stays and compare its hashes.
    pub check: bool,
}

/// What making room removed, and what checking found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectedBlobs {
    /// Blobs that were removed.
    pub blobs: u64,
    /// Blobs that had not been fetched to their end, removed.
    pub partial: u64,
    /// Bytes that are free again.
    pub bytes: u64,
    /// Blobs that were read and match their names; none unless it was asked for.
    pub good: u64,
    /// Blobs that do not match, and were put aside.
    pub damaged: Vec<BlobId>,
}

/// A fetch as it goes on; it ends after the first line that is not progress.
pub type FetchUpdates = BoxStream<'static, FetchUpdate>;

/// The daemon's side, as far as its blobs are concerned: see [`Control`](crate::Control).
pub trait HoldsBlobs: Send + Sync + 'static {
    /// All blobs.
    fn blobs(&self) -> impl Future<Output = Answer<HeldBlobs>> + Send;

    /// One blob; [`Code::NotFound`](crate::Code::NotFound) if nothing of it is here.
    fn blob(&self, id: BlobId) -> impl Future<Output = Answer<HeldBlob>> + Send;

    /// Keeps a blob that is here, and tells the mesh that it can be had, or does so no more.
    fn keep_blob(&self, id: BlobId, keep: bool) -> impl Future<Output = Answer<HeldBlob>> + Send;

    /// Brings a blob here. The fetch ends when nobody reads its updates any more.
    fn fetch_blob(&self, id: BlobId, request: FetchBlob) -> impl Future<Output = Answer<FetchUpdates>> + Send;

    /// Removes what nobody has pinned.
    fn collect_blobs(&self, request: CollectBlobs) -> impl Future<Output = Answer<CollectedBlobs>> + Send;
}
