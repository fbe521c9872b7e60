//! Blobs that a job names and that are not here: fetched from whoever is connected and has them.

use super::{Desk, put_failure, stopping};
use crate::blobs::PROTOCOL;
use pocketmesh_api::{Answer, Failure, Refusal, Source};
use pocketmesh_blobs::{Durability, FetchError, Store, Wanted, fetch, store::PutError};
use pocketmesh_types::{BlobId, limits};
use std::io;
use std::time::Duration;

/// How long a peer may take over one chunk.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sees to it that all of these are here.
pub async fn bring(desk: &Desk, sources: &[Source]) -> Answer<()> {
    for source in sources {
        if !desk.store.contains(source.blob) {
            from_anybody(desk, source.blob).await?;
        }
    }
    Ok(())
}

async fn from_anybody(desk: &Desk, id: BlobId) -> Answer<()> {
    let wanted = Wanted { id, len: None, max_bytes: limits::BLOB_BYTES_MAX };
    for peer in desk.network.peers().await.map_err(|_| stopping())? {
        let Ok(mut stream) = desk.network.open(peer.peer, PROTOCOL).await else { continue };
        match fetch(&mut stream, wanted, &desk.store, PATIENCE).await {
            Ok(_) => {
                let store = desk.store.clone();
                let kept = tokio::task::spawn_blocking(move || make_durable(&store, id)).await;
                return kept.map_err(Failure::internal)?.map_err(|error| put_failure(&error));
            }
            Err(FetchError::Store(error)) => return Err(put_failure(&error)),
            Err(error) => tracing::debug!(peer = %peer.peer, blob = %id, %error, "a blob was not to be had here"),
        }
    }
    Err(Refusal::NoBlob(id).into())
}

/// A job relies on its inputs after a power cut too.
fn make_durable(store: &Store, id: BlobId) -> Result<(), PutError> {
    let (mut file, len) = store.open_file(id).map_err(io::Error::other)?;
    store.put_reader(&mut file, len, Durability::Durable).map(drop)
}
