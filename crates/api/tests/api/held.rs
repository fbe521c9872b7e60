//! The requests about blobs, and a daemon that answers them.

use crate::fake::{Fake, Running, peer};
use futures::{StreamExt, stream};
use pocketmesh_api::*;
use pocketmesh_types::BlobId;

fn held(id: BlobId, len: u64, kept: bool) -> HeldBlob {
    HeldBlob { id, len, held: len, kept, pinned: kept }
}

impl Fake {
    fn held(&self, id: BlobId) -> Answer<HeldBlob> {
        let blobs = self.blobs.lock().expect("not poisoned");
        let bytes = blobs.get(&id).ok_or_else(|| Failure::new(Code::NotFound, "no such blob"))?;
        Ok(held(id, bytes.len() as u64, self.kept.lock().expect("not poisoned").contains(&id)))
    }
}

impl HoldsBlobs for Fake {
    async fn blobs(&self) -> Answer<HeldBlobs> {
        let ids: Vec<BlobId> = self.blobs.lock().expect("not poisoned").keys().copied().collect();
        let blobs = ids.into_iter().map(|id| self.held(id)).collect::<Answer<_>>()?;
        Ok(HeldBlobs {
            blobs,
            used: 8192,
            pinned: 4096,
            quota: 1 << 20,
            sent: vec![PeerBytes { peer: peer(2), bytes: 7 }],
        })
    }

    async fn blob(&self, id: BlobId) -> Answer<HeldBlob> {
        self.held(id)
    }

    async fn keep_blob(&self, id: BlobId, keep: bool) -> Answer<HeldBlob> {
        self.held(id)?;
        let mut kept = self.kept.lock().expect("not poisoned");
        let _ = if keep { kept.insert(id) } else { kept.remove(&id) };
        drop(kept);
        self.held(id)
    }

    async fn fetch_blob(&self, id: BlobId, request: FetchBlob) -> Answer<FetchUpdates> {
        let progress = FetchUpdate::Progress { len: 0, held: 0, received: 0 };
        let last = match request.from.first() {
            Some(from) => FetchUpdate::Done {
                blob: held(id, 5, false),
                from: vec![PeerBytes { peer: *from, bytes: 5 }],
                liars: vec![peer(9)],
            },
            None => FetchUpdate::Failed(Failure::new(Code::NotFound, "nobody has it")),
        };
        Ok(stream::iter([progress, last]).boxed())
    }

    async fn collect_blobs(&self, request: CollectBlobs) -> Answer<CollectedBlobs> {
        let kept = self.kept.lock().expect("not poisoned");
        let mut blobs = self.blobs.lock().expect("not poisoned");
        let before = blobs.len() as u64;
        blobs.retain(|id, _| kept.contains(id));
        let good = if request.check { blobs.len() as u64 } else { 0 };
        Ok(CollectedBlobs { blobs: before - blobs.len() as u64, good, ..Default::default() })
    }
}

async fn put(client: &Client, bytes: &'static [u8]) -> BlobId {
    client.put_blob(stream::iter([Ok(Chunk::from_static(bytes))]).boxed()).await.expect("stored").id
}

#[tokio::test]
async fn blobs_are_shown_kept_let_go_and_collected() {
    let running = Running::start();
    let client = &running.client;
    let (one, other) = (put(client, b"one").await, put(client, b"other").await);
    assert_eq!(client.keep_blob(one, true).await.expect("kept"), held(one, 3, true));
    assert_eq!(client.blob(one).await.expect("here"), held(one, 3, true));
    assert_eq!(client.blobs().await.expect("a list").blobs.len(), 2);
    let collected = client.collect_blobs(&CollectBlobs { check: true }).await.expect("collected");
    assert_eq!((collected.blobs, collected.good), (1, 1));
    let error = client.blob(other).await.expect_err("collected").to_string();
    assert!(error.contains("no such blob"), "{error}");
    assert!(!client.keep_blob(one, false).await.expect("let go").kept);
}

#[tokio::test]
async fn a_fetch_tells_how_far_it_is_and_how_it_ended() {
    let running = Running::start();
    let id = BlobId::of(b"far away");
    for (from, ends_well) in [(vec![peer(2)], true), (Vec::new(), false)] {
        let updates = running.client.fetch_blob(id, &FetchBlob { from }).await.expect("begun");
        let updates: Vec<_> = updates.map(|update| update.expect("a line")).collect().await;
        assert!(matches!(updates[0], FetchUpdate::Progress { .. }));
        match &updates[1] {
            FetchUpdate::Done { blob, from, liars } => {
                assert!(ends_well);
                assert_eq!((blob.id, from[0].peer, liars.as_slice()), (id, peer(2), &[peer(9)][..]));
            }
            FetchUpdate::Failed(failure) => assert_eq!((ends_well, failure.code), (false, Code::NotFound)),
            FetchUpdate::Progress { .. } => panic!("no end"),
        }
    }
}
