//! Blobs that a job names and that are not here: fetched from whoever has them.

use super::{Desk, put_failure, stopping};
use pocketmesh_api::{Answer, Refusal, Source};
use pocketmesh_blobs::{Durability, FetchError, Wanted};
use pocketmesh_types::{BlobId, PeerId, limits};
use std::sync::Arc;

/// Sees to it that all of these are here to stay: the job relies on its inputs after a power cut too.
pub async fn bring(desk: &Desk, sources: &[Source]) -> Answer<()> {
    for source in sources {
        if !desk.store.contains(source.blob) {
            fetch(desk, source.blob).await?;
        }
    }
    Ok(())
}

/// Fetches from peers that are connected, and from those that the mesh names.
async fn fetch(desk: &Desk, id: BlobId) -> Answer<()> {
    let connected = desk.network.peers().await.map_err(|_| stopping())?;
    let from: Vec<PeerId> = connected.into_iter().map(|peer| peer.peer).collect();
    let wanted = Wanted { durability: Durability::Durable, ..Wanted::new(id, None, limits::BLOB_BYTES_MAX) };
    match desk.exchange.bring_wanted(wanted, from.into(), Arc::default()).await {
        Ok(_) => Ok(()),
        Err(FetchError::Store(error)) => Err(put_failure(&error)),
        Err(error) => {
            tracing::debug!(blob = %id, %error, "a blob of a job was not to be had");
            Err(Refusal::NoBlob(id).into())
        }
    }
}
