//! The owner's view of the blobs on this peer, and fetches that the owner asks for.

use super::Desk;
use futures::{StreamExt, stream};
use pocketmesh_api::{
    Answer, Code, CollectBlobs, CollectedBlobs, Failure, FetchBlob, FetchUpdate, FetchUpdates, HeldBlob, HeldBlobs,
    HoldsBlobs, PeerBytes,
};
use pocketmesh_blobs::{
    Durability, FetchError, Fetched, Progress, Wanted,
    store::{Blob, PutError},
};
use pocketmesh_types::{BlobId, PeerId, limits};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// How often a fetch says how far it is.
const UPDATE_EVERY: Duration = Duration::from_millis(100);

impl HoldsBlobs for Desk {
    async fn blobs(&self) -> Answer<HeldBlobs> {
        let usage = self.store.usage();
        let mut sent = peers(self.exchange.sent());
        sent.sort_by_key(|one| std::cmp::Reverse(one.bytes));
        Ok(HeldBlobs {
            blobs: self.store.list().into_iter().map(held).collect(),
            used: usage.used_bytes,
            pinned: usage.pinned_bytes,
            quota: usage.quota_bytes,
            sent,
        })
    }

    async fn blob(&self, id: BlobId) -> Answer<HeldBlob> {
        self.store.blob(id).map(held).ok_or_else(|| missing(id))
    }

    async fn keep_blob(&self, id: BlobId, keep: bool) -> Answer<HeldBlob> {
        let blob = self.store.blob(id).ok_or_else(|| missing(id))?;
        let store = self.store.clone();
        let changed = tokio::task::spawn_blocking(move || if keep { store.keep(id) } else { store.release(id) });
        changed.await.map_err(Failure::internal)?.map_err(Failure::internal)?;
        if keep && blob.held == blob.len {
            self.exchange.tell_of(id);
        } else if !keep {
            self.exchange.untell(id);
        }
        self.blob(id).await
    }

    async fn fetch_blob(&self, id: BlobId, request: FetchBlob) -> Answer<FetchUpdates> {
        let progress = Arc::new(Progress::default());
        let wanted = Wanted { durability: Durability::Durable, ..Wanted::new(id, None, limits::BLOB_BYTES_MAX) };
        let (exchange, seen) = (self.exchange.clone(), Arc::clone(&progress));
        let task = tokio::spawn(async move { exchange.bring_wanted(wanted, request.from.into(), seen).await });
        let fetch = Fetch { task: Some(Task(task)), progress, store: self.store.clone(), id };
        Ok(stream::unfold(fetch, Fetch::next).boxed())
    }

    async fn collect_blobs(&self, request: CollectBlobs) -> Answer<CollectedBlobs> {
        let store = self.store.clone();
        let collected = tokio::task::spawn_blocking(move || {
            let freed = store.collect()?;
            let scrubbed = if request.check { store.scrub()? } else { Default::default() };
            std::io::Result::Ok(CollectedBlobs {
                blobs: freed.blobs,
                partial: freed.partial,
                bytes: freed.bytes,
                good: scrubbed.good,
                damaged: scrubbed.damaged,
            })
        });
        collected.await.map_err(Failure::internal)?.map_err(Failure::internal)
    }
}

/// A fetch that ends when nobody wants to know of it any more.
struct Task(JoinHandle<Result<Fetched, FetchError>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A fetch whose reader waits for updates.
struct Fetch {
    /// `None` when its end has been told.
    task: Option<Task>,
    progress: Arc<Progress>,
    store: pocketmesh_blobs::Store,
    id: BlobId,
}

impl Fetch {
    async fn next(mut self) -> Option<(FetchUpdate, Self)> {
        let task = self.task.as_mut()?;
        let update = match tokio::time::timeout(UPDATE_EVERY, &mut task.0).await {
            Err(_) => self.running(),
            Ok(ended) => {
                self.task = None;
                match ended {
                    Ok(ended) => self.ended(ended),
                    Err(error) => FetchUpdate::Failed(Failure::internal(error)),
                }
            }
        };
        Some((update, self))
    }

    fn running(&self) -> FetchUpdate {
        let progress = &self.progress;
        FetchUpdate::Progress { len: progress.len(), held: progress.held(), received: progress.received() }
    }

    fn ended(&self, ended: Result<Fetched, FetchError>) -> FetchUpdate {
        match (ended, self.store.blob(self.id)) {
            (Ok(fetched), Some(blob)) => {
                FetchUpdate::Done { blob: held(blob), liars: fetched.liars(), from: peers(fetched.from) }
            }
            (Ok(_), None) => FetchUpdate::Failed(missing(self.id)),
            (Err(error), _) => FetchUpdate::Failed(Failure::new(code(&error), error.to_string())),
        }
    }
}

fn code(error: &FetchError) -> Code {
    match error {
        FetchError::NotHere { .. } => Code::NotFound,
        FetchError::TooLong { .. } => Code::TooLarge,
        FetchError::Store(PutError::QuotaExceeded { .. }) => Code::Quota,
        FetchError::Store(_) => Code::Internal,
    }
}

fn held(blob: Blob) -> HeldBlob {
    HeldBlob { id: blob.id, len: blob.len, held: blob.held, kept: blob.kept, pinned: blob.pinned }
}

fn peers(bytes: BTreeMap<PeerId, u64>) -> Vec<PeerBytes> {
    bytes.into_iter().map(|(peer, bytes)| PeerBytes { peer, bytes }).collect()
}

fn missing(id: BlobId) -> Failure {
    Failure::new(Code::NotFound, format!("no blob {id} here"))
}
