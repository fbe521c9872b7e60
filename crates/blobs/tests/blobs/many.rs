//! One blob, many peers: interruptions, liars, swarms, full disks.

use crate::{
    store::files,
    swarm::{Peer, Swarm, noise, options, peer_id, wanted},
};
use pocketmesh_blobs::{Durability, Fault, FetchError, Options, Progress, Rates, Store, Wanted, store::PutError};
use pocketmesh_types::BlobId;
use std::{fs, sync::Arc, time::Duration};

const MIB: u64 = 1 << 20;
const PART: u64 = 256 << 10;
const FREE: Rates = Rates { total: None, per_peer: None };

/// A peer that has this blob.
fn holder(swarm: &Swarm, number: u8, bytes: &[u8]) -> (Peer, BlobId) {
    let peer = swarm.join(number, FREE);
    let id = peer.store.put(bytes).unwrap();
    (peer, id)
}

/// Waits until a fetch has so many bytes.
async fn until_held(progress: &Progress, bytes: u64) {
    while progress.held() < bytes {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn blobs_of_all_lengths_come_whole_from_several_peers_and_leave_nothing_else() {
    let swarm = Swarm::default();
    let fetcher = swarm.join(9, FREE);
    for len in [0, 1, 16_383, 16_384, 16_385, PART as usize - 1, PART as usize, PART as usize + 1, 3_000_000] {
        let bytes = noise(len, len as u64);
        let (_one, id) = holder(&swarm, 1, &bytes);
        let (_two, _) = holder(&swarm, 2, &bytes);
        let fetched = fetcher.fetch(wanted(id, len as u64), &[1, 2]).await.unwrap();
        assert_eq!(fetched.len, len as u64);
        assert!(fetched.faults.is_empty(), "{:?}", fetched.faults);
        assert_eq!(fetcher.store.get(id, len as u64).unwrap(), bytes);
        fetcher.store.verify(id).unwrap();
    }
    assert!(fs::read_dir(fetcher.home.path().join("blobs/partial")).unwrap().next().is_none());
    assert_eq!(fetcher.store.usage().blobs, 9);
}

#[tokio::test]
async fn a_blob_of_unknown_length_is_bounded_by_proof() {
    let swarm = Swarm::default();
    let bytes = noise(3 * MIB as usize + 5, 1);
    let (_holder, id) = holder(&swarm, 1, &bytes);
    let fetcher = swarm.join(9, FREE);
    let error = fetcher.fetch(Wanted::new(id, None, 3 * MIB), &[1]).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLong { .. }), "{error}");
    fetcher.fetch(Wanted::new(id, None, 4 * MIB), &[7, 1]).await.unwrap();
    assert_eq!(fetcher.store.get(id, 4 * MIB).unwrap(), bytes);
}

#[tokio::test]
async fn a_range_is_had_alone_and_the_rest_is_not_readable() {
    let swarm = Swarm::default();
    let bytes = noise(8 * MIB as usize, 2);
    let (_holder, id) = holder(&swarm, 1, &bytes);
    let fetcher = swarm.join(9, FREE);
    let range = MIB + 5..2 * MIB + 7;
    let partly = Wanted { bytes: Some(range.clone()), ..wanted(id, 8 * MIB) };
    let fetched = fetcher.fetch(partly, &[1]).await.unwrap();
    assert!(fetched.from[&peer_id(1)] < 2 * MIB);
    let read = fetcher.store.read_range(id, range.clone()).unwrap();
    assert!(read == bytes[range.start as usize..range.end as usize]);
    assert!(fetcher.store.read_range(id, 0..10).is_err());
    assert!(!fetcher.store.contains(id));
    assert!(fetcher.store.get(id, 8 * MIB).is_err());
    let rest = fetcher.fetch(wanted(id, 8 * MIB), &[1]).await.unwrap();
    assert!(rest.from[&peer_id(1)] < 7 * MIB + MIB / 4);
    assert!(fetcher.store.get(id, 8 * MIB).unwrap() == bytes);
}

#[tokio::test]
async fn a_provider_that_dies_half_way_is_replaced_without_starting_again() {
    let swarm = Swarm::default();
    let bytes = noise(16 * MIB as usize, 3);
    let (first, id) = holder(&swarm, 1, &bytes);
    let fetcher = swarm.join(9, FREE);
    let progress = Arc::new(Progress::default());
    let (seen, other) = (progress.clone(), swarm.clone());
    let killer = tokio::spawn(async move {
        until_held(&seen, 8 * MIB).await;
        other.kill(peer_id(1));
    });
    // The second one turns up only when the first is gone.
    let second = swarm.join(2, FREE);
    second.store.put(&bytes).unwrap();
    let fetched = fetcher.fetch_with(wanted(id, 16 * MIB), &[1, 2], options(), progress).await.unwrap();
    killer.await.unwrap();
    assert!(fetcher.store.get(id, 16 * MIB).unwrap() == bytes);
    let received: u64 = fetched.from.values().sum();
    assert!(received < 16 * MIB + 2 * MIB, "{received} bytes for 16 MiB");
    assert!(first.uplink.sent_to(&fetcher.id) > 0);
}

#[tokio::test]
async fn a_fetcher_that_dies_goes_on_where_it_was() {
    let swarm = Swarm::default();
    let bytes = noise(16 * MIB as usize, 4);
    let (provider, id) = holder(&swarm, 1, &bytes);
    let fetcher = swarm.join(9, FREE);
    let progress = Arc::new(Progress::default());
    let (line, store, seen) = (fetcher.line(), fetcher.store.clone(), progress.clone());
    let fetching = tokio::spawn(async move {
        pocketmesh_blobs::fetch(&store, &line, wanted(id, 16 * MIB), vec![peer_id(1)], options(), seen).await
    });
    until_held(&progress, 8 * MIB).await;
    fetching.abort();
    let _ = fetching.await;
    let Peer { store, home, .. } = fetcher;
    drop(store);
    // What a kill leaves: another store over the same folder, and bytes that were never synced.
    let store = Store::open(home.path().join("blobs"), 1 << 30).unwrap();
    let (held, _) = store.held(id).unwrap();
    assert!(held >= 8 * MIB && !store.contains(id));
    let fetcher = swarm.join_with(9, FREE, home, store);
    fetcher.fetch(wanted(id, 16 * MIB), &[1]).await.unwrap();
    assert!(fetcher.store.get(id, 16 * MIB).unwrap() == bytes);
    let hashes = 16 * MIB / 100;
    let sent = provider.uplink.sent_to(&peer_id(9));
    assert!(sent <= 16 * MIB + MIB + hashes, "{sent} bytes were sent for 16 MiB");
}

#[tokio::test]
async fn a_partial_blob_that_the_disk_changed_is_fetched_again_where_it_is_wrong() {
    let swarm = Swarm::default();
    let bytes = noise(8 * MIB as usize, 5);
    let (_provider, id) = holder(&swarm, 1, &bytes);
    let fetcher = swarm.join(9, FREE);
    let most = Wanted { bytes: Some(0..7 * MIB), ..wanted(id, 8 * MIB) };
    fetcher.fetch(most, &[1]).await.unwrap();
    let Peer { store, home, .. } = fetcher;
    drop(store);
    let data = home.path().join("blobs/partial").join(format!("{id}.data"));
    let mut changed = fs::read(&data).unwrap();
    changed[3 * MIB as usize] ^= 1;
    fs::write(&data, changed).unwrap();
    let store = Store::open(home.path().join("blobs"), 1 << 30).unwrap();
    let fetcher = swarm.join_with(9, FREE, home, store);
    assert!(fetcher.store.read_range(id, 3 * MIB..3 * MIB + 1).is_err());
    assert_eq!(fetcher.store.read_range(id, MIB..MIB + 1).unwrap(), bytes[MIB as usize..][..1]);
    let fetched = fetcher.fetch(wanted(id, 8 * MIB), &[1]).await.unwrap();
    assert!(fetched.from[&peer_id(1)] < MIB + MIB / 2);
    assert!(fetcher.store.get(id, 8 * MIB).unwrap() == bytes);
}

#[tokio::test]
async fn a_liar_among_the_providers_is_named_and_does_no_harm() {
    let swarm = Swarm::default();
    let bytes = noise(32 * MIB as usize, 6);
    let (_honest, id) = holder(&swarm, 1, &bytes);
    let (_shelf, liar_store) = crate::store::open(1 << 30);
    liar_store.put(&bytes).unwrap();
    // One byte in a thousand groups of 16 KiB; the first one in its first answer, which nobody else is asked for.
    swarm.behave_as_a_liar(2, liar_store, |gone, bytes| {
        for (at, byte) in (gone..).zip(bytes.iter_mut()) {
            if at % (1000 * 16_384) == 100_000 {
                *byte ^= 0x40;
            }
        }
    });
    let fetcher = swarm.join(9, FREE);
    let fetched = fetcher.fetch(wanted(id, 32 * MIB), &[2, 1]).await.unwrap();
    assert!(fetched.faults[&peer_id(2)].is_lie(), "{:?}", fetched.faults);
    assert!(!fetched.faults.contains_key(&peer_id(1)));
    assert!(fetcher.store.get(id, 32 * MIB).unwrap() == bytes);
    fetcher.store.verify(id).unwrap();
}

#[tokio::test]
async fn with_liars_alone_nothing_wrong_is_ever_readable() {
    let swarm = Swarm::default();
    let bytes = noise(4 * MIB as usize, 7);
    let id = BlobId::of(&bytes);
    for number in [1, 2, 3] {
        let (shelf, store) = crate::store::open(1 << 30);
        store.put(&bytes).unwrap();
        // Kept until the end of the process: three small folders.
        std::mem::forget(shelf);
        swarm.behave_as_a_liar(number, store, |gone, bytes| {
            for (at, byte) in (gone..).zip(bytes.iter_mut()) {
                *byte ^= u8::from(at % 300_000 == 299_999);
            }
        });
    }
    let fetcher = swarm.join(9, FREE);
    let error = fetcher.fetch(wanted(id, 4 * MIB), &[1, 2, 3]).await.unwrap_err();
    assert_eq!(error.liars(), [peer_id(1), peer_id(2), peer_id(3)]);
    assert!(error.to_string().contains("wrong bytes"), "{error}");
    assert!(!fetcher.store.contains(id));
    for start in (0..4 * MIB).step_by(PART as usize) {
        if let Ok(read) = fetcher.store.read_range(id, start..start + PART) {
            assert!(read == bytes[start as usize..(start + PART) as usize]);
        }
    }
    let (_honest, _) = holder(&swarm, 4, &bytes);
    fetcher.fetch(wanted(id, 4 * MIB), &[4]).await.unwrap();
    assert!(fetcher.store.get(id, 4 * MIB).unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_fetchers_take_little_more_than_one_copy_from_the_first_provider() {
    let swarm = Swarm::default();
    let bytes = noise(48 * MIB as usize, 8);
    // Slow against what the fetchers can give each other, whatever the machine: what is asserted are bytes.
    let first = swarm.join(1, Rates { total: Some(8 * MIB), per_peer: None });
    let id = first.store.put(&bytes).unwrap();
    let fetchers: Vec<Arc<Peer>> = (11..19).map(|number| Arc::new(swarm.join(number, FREE))).collect();
    let fetching = fetchers.iter().map(|fetcher| {
        let fetcher = Arc::clone(fetcher);
        tokio::spawn(async move {
            let others: Vec<u8> =
                [1].into_iter().chain((11..19).filter(|other| peer_id(*other) != fetcher.id)).collect();
            fetcher.fetch(wanted(id, 48 * MIB), &others).await
        })
    });
    for fetched in futures::future::join_all(fetching).await {
        fetched.unwrap().unwrap();
    }
    for fetcher in &fetchers {
        assert!(fetcher.store.get(id, 48 * MIB).unwrap() == bytes);
    }
    let sent: u64 = first.uplink.sent().values().sum();
    assert!(sent <= 72 * MIB, "the first provider sent {} KiB for a blob of 48 MiB", sent >> 10);
    let given = fetchers.iter().filter(|fetcher| fetcher.uplink.sent().values().sum::<u64>() > 0).count();
    assert_eq!(given, 8, "every fetcher became a provider");
}

#[tokio::test]
async fn a_part_that_is_overdue_is_had_from_another_peer() {
    let swarm = Swarm::default();
    let bytes = noise(2 * MIB as usize, 9);
    // The slow one never answers at all.
    swarm.behave(1, |_, stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let (_quick, id) = holder(&swarm, 2, &bytes);
    let fetcher = swarm.join(9, FREE);
    let hasty = Options { overdue: Duration::from_millis(20), ..options() };
    let fetched = fetcher.fetch_with(wanted(id, 2 * MIB), &[1, 2], hasty, Arc::default()).await.unwrap();
    assert!(!fetched.from.contains_key(&peer_id(1)));
    assert!(fetcher.store.get(id, 2 * MIB).unwrap() == bytes);
}

#[tokio::test]
async fn a_small_blob_is_had_from_the_next_peer_when_the_first_does_not_answer() {
    let swarm = Swarm::default();
    swarm.behave(1, |_, stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let (_quick, id) = holder(&swarm, 2, b"small");
    let fetcher = swarm.join(9, FREE);
    let hasty = Options { overdue: Duration::from_millis(20), ..options() };
    fetcher.fetch_with(wanted(id, 5), &[1, 2], hasty, Arc::default()).await.unwrap();
    assert_eq!(fetcher.store.get(id, 5).unwrap(), b"small");
}

#[tokio::test]
async fn a_blob_that_nobody_has_is_a_clear_error() {
    let swarm = Swarm::default();
    let (_one, _) = holder(&swarm, 1, b"something else");
    let fetcher = swarm.join(9, FREE);
    for id in [BlobId::of(b"nothing"), BlobId::of(b"nothing either")] {
        for wanted in [wanted(id, 5_000_000), Wanted::new(id, None, 5_000_000)] {
            let error = fetcher.fetch(wanted, &[1]).await.unwrap_err();
            assert!(error.to_string().contains("does not have it"), "{error}");
        }
    }
    let error = fetcher.fetch(wanted(BlobId::of(b"nothing"), 5), &[]).await.unwrap_err();
    assert!(error.to_string().contains("no peer is known to have it"), "{error}");
    assert_eq!(fetcher.store.usage().blobs, 0);
}

#[tokio::test]
async fn a_quota_that_is_reached_fails_the_fetch_and_loses_nothing_else() {
    let swarm = Swarm::default();
    let bytes = noise(4 * MIB as usize, 10);
    let (_holder, id) = holder(&swarm, 1, &bytes);
    let (home, store) = crate::store::open(3 * MIB);
    let kept = store.put(&[7; 100_000]).unwrap();
    let fetcher = swarm.join_with(9, FREE, home, store);
    let error = fetcher.fetch(wanted(id, 4 * MIB), &[1]).await.unwrap_err();
    assert!(matches!(error, FetchError::Store(PutError::QuotaExceeded { .. })), "{error}");
    assert_eq!(fetcher.store.get(kept, 100_000).unwrap(), [7; 100_000]);
    assert_eq!(files(fetcher.home.path()).len(), 1);
}

#[tokio::test]
async fn a_blob_that_is_removed_under_a_fetch_fails_it_clearly_and_can_be_fetched_again() {
    let swarm = Swarm::default();
    let bytes = noise(8 * MIB as usize, 11);
    let first = swarm.join(1, Rates { total: Some(4 * MIB), per_peer: None });
    let id = first.store.put(&bytes).unwrap();
    let fetcher = swarm.join(9, FREE);
    let other = fetcher.store.put(b"another").unwrap();
    let progress = Arc::new(Progress::default());
    let (seen, store) = (progress.clone(), fetcher.store.clone());
    let remover = tokio::spawn(async move {
        until_held(&seen, MIB).await;
        assert!(store.remove(id).unwrap());
    });
    let error = fetcher.fetch_with(wanted(id, 8 * MIB), &[1], options(), progress).await.unwrap_err();
    assert!(matches!(error, FetchError::Store(PutError::Removed(_))), "{error}");
    remover.await.unwrap();
    assert!(fetcher.store.held(id).is_none());
    assert_eq!(fetcher.store.get(other, 10).unwrap(), b"another");
    let quick = swarm.join(2, FREE);
    quick.store.put(&bytes).unwrap();
    fetcher.fetch(wanted(id, 8 * MIB), &[2]).await.unwrap();
    assert!(fetcher.store.get(id, 8 * MIB).unwrap() == bytes);
}

#[tokio::test]
async fn a_blob_that_is_removed_under_its_server_is_had_from_another() {
    let swarm = Swarm::default();
    let bytes = noise(8 * MIB as usize, 12);
    let first = swarm.join(1, Rates { total: Some(4 * MIB), per_peer: None });
    let id = first.store.put(&bytes).unwrap();
    let (_second, _) = holder(&swarm, 2, &bytes);
    let fetcher = swarm.join(9, FREE);
    let progress = Arc::new(Progress::default());
    let (seen, store) = (progress.clone(), first.store.clone());
    tokio::spawn(async move {
        until_held(&seen, MIB).await;
        store.remove(id).unwrap();
    });
    fetcher.fetch_with(wanted(id, 8 * MIB), &[1, 2], options(), progress).await.unwrap();
    assert!(fetcher.store.get(id, 8 * MIB).unwrap() == bytes);
}

#[tokio::test]
async fn a_blob_that_was_damaged_on_its_servers_disk_makes_no_liar_of_it() {
    let swarm = Swarm::default();
    let bytes = noise(2 * MIB as usize, 13);
    let (first, id) = holder(&swarm, 1, &bytes);
    let file = first.home.path().join("blobs").join(&id.to_string()[..2]).join(id.to_string());
    let mut changed = bytes.clone();
    changed[MIB as usize] ^= 1;
    fs::write(&file, changed).unwrap();
    let (_second, _) = holder(&swarm, 2, &bytes);
    let fetcher = swarm.join(9, FREE);
    let fetched = fetcher.fetch(wanted(id, 2 * MIB), &[1, 2]).await.unwrap();
    assert!(fetched.faults.values().all(|fault| matches!(fault, Fault::NotHere)), "{:?}", fetched.faults);
    assert!(fetcher.store.get(id, 2 * MIB).unwrap() == bytes);
}

#[tokio::test]
async fn a_lost_tree_is_made_again_and_a_durable_fetch_is_durable() {
    let swarm = Swarm::default();
    let bytes = noise(2 * MIB as usize, 14);
    let (first, id) = holder(&swarm, 1, &bytes);
    let tree = first.home.path().join("blobs").join(&id.to_string()[..2]).join(format!("{id}.tree"));
    fs::write(&tree, b"not a tree").unwrap();
    let fetcher = swarm.join(9, FREE);
    let durable = Wanted { durability: Durability::Durable, ..wanted(id, 2 * MIB) };
    fetcher.fetch(durable, &[1]).await.unwrap();
    assert!(fetcher.store.get(id, 2 * MIB).unwrap() == bytes);
    assert_eq!(fs::metadata(&tree).unwrap().len(), 127 * 64);
}

/// A file system of its own, gone with the value.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// `None` if this process may not mount.
    fn mount(home: &std::path::Path, bytes: u64) -> Option<Self> {
        let folder = home.join("disk");
        fs::create_dir(&folder).unwrap();
        let size = format!("size={bytes}");
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // If it is busy it goes with the last file that is open.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_fails_the_fetch_clearly_and_loses_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(home.path(), 6 * MIB) else {
        eprintln!("SKIPPED: a disk of its own cannot be mounted here");
        return;
    };
    let swarm = Swarm::default();
    let (large, small) = (noise(8 * MIB as usize, 15), noise(3 * MIB as usize, 16));
    let (holder, id) = holder(&swarm, 1, &large);
    let small_id = holder.store.put(&small).unwrap();
    let store = Store::open(disk.0.join("blobs"), 1 << 30).unwrap();
    let kept = store.put(&noise(MIB as usize, 17)).unwrap();
    let fetcher = swarm.join_with(9, FREE, tempfile::tempdir().unwrap(), store);

    let error = fetcher.fetch(wanted(id, 8 * MIB), &[1]).await.unwrap_err();
    let full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
    assert!(matches!(&error, FetchError::Store(PutError::Io(error)) if full(error)), "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    assert!(matches!(fetcher.store.put(&noise(3 * MIB as usize, 18)), Err(PutError::Io(error)) if full(&error)));

    fetcher.store.verify(kept).unwrap();
    assert!(!fetcher.store.contains(id));
    assert!(fetcher.store.remove(id).unwrap());
    fetcher.fetch(wanted(small_id, 3 * MIB), &[1]).await.unwrap();
    assert!(fetcher.store.get(small_id, 3 * MIB).unwrap() == small);
}
