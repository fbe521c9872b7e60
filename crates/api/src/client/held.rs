//! Requests about the blobs of a peer.

use super::{Client, ClientError, QUICK, Reply, transport};
use crate::{CollectBlobs, CollectedBlobs, FetchBlob, FetchUpdate, HeldBlob, HeldBlobs};
use axum::body::Body;
use futures::stream::BoxStream;
use pocketmesh_types::BlobId;
use std::time::Duration;

/// Reading all blobs of a large store.
const COLLECT: Duration = Duration::from_secs(3600);
/// One line about a fetch: at most 64 peers.
const UPDATE_BYTES_MAX: usize = 64 << 10;

impl Client {
    /// All blobs.
    pub async fn blobs(&self) -> Reply<HeldBlobs> {
        self.get("/v1/blobs").await
    }

    /// One blob, or what is here of it.
    pub async fn blob(&self, id: BlobId) -> Reply<HeldBlob> {
        self.get(&format!("/v1/blobs/{id}/about")).await
    }

    /// Keeps a blob, or does so no more.
    pub async fn keep_blob(&self, id: BlobId, keep: bool) -> Reply<HeldBlob> {
        let what = if keep { "keep" } else { "release" };
        self.post(&format!("/v1/blobs/{id}/{what}"), Body::empty(), QUICK).await
    }

    /// Brings a blob to the daemon. The fetch ends when the updates are dropped; a stream that ends with progress was cut
    /// off.
    pub async fn fetch_blob(&self, id: BlobId, request: &FetchBlob) -> Reply<BoxStream<'static, Reply<FetchUpdate>>> {
        let body = serde_json::to_vec(request).map_err(|error| ClientError::Foreign(error.to_string()))?;
        let path = format!("/v1/blobs/{id}/fetch");
        let response = self.send("POST", &path, Body::from(body), Some(QUICK)).await?;
        Ok(transport::lines(response, UPDATE_BYTES_MAX))
    }

    /// Removes what nobody has pinned.
    pub async fn collect_blobs(&self, request: &CollectBlobs) -> Reply<CollectedBlobs> {
        self.post_json("/v1/collect", request, COLLECT).await
    }
}
