//! What the store keeps, refuses, evicts and finds damaged.

use pocketmesh_blobs::{
    Durability, Store,
    store::{GetError, Notes, PutError},
};
use pocketmesh_types::{BlobId, Hash};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;

const BLOCK: u64 = 4096;
const PLENTY: u64 = 1 << 30;

pub fn open(quota_bytes: u64) -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path().join("blobs"), quota_bytes).unwrap();
    (home, store)
}

fn reopen(home: &TempDir, quota_bytes: u64) -> Store {
    Store::open(home.path().join("blobs"), quota_bytes).unwrap()
}

fn path_of(home: &TempDir, id: BlobId) -> PathBuf {
    let name = id.to_string();
    home.path().join("blobs").join(&name[..2]).join(name)
}

/// All files anywhere under a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

fn missing(result: Result<Vec<u8>, GetError>) -> bool {
    matches!(result, Err(GetError::Missing(_)))
}

#[test]
fn what_is_put_is_there_under_its_hash_and_after_reopening() {
    let (home, store) = open(PLENTY);
    let id = store.put(b"some bytes").unwrap();
    let empty = store.put_durable(b"").unwrap();
    assert_eq!(id, BlobId::of(b"some bytes"));
    assert!(path_of(&home, id).is_file());
    for store in [store, reopen(&home, PLENTY)] {
        assert_eq!(store.get(id, 100).unwrap(), b"some bytes");
        assert_eq!(store.get(empty, 0).unwrap(), b"");
        assert_eq!((store.len(id), store.contains(empty)), (Some(10), true));
        assert!(missing(store.get(BlobId::of(b"other"), 100)));
    }
}

#[test]
fn a_blob_longer_than_the_caller_takes_is_not_read() {
    let (_home, store) = open(PLENTY);
    let id = store.put(&[1; 1000]).unwrap();
    assert!(matches!(store.get(id, 999), Err(GetError::TooLong { len: 1000, max_bytes: 999, .. })));
}

#[test]
fn a_reader_is_cut_off_at_the_bound_and_leaves_nothing() {
    let (home, store) = open(PLENTY);
    let bytes = vec![7; 300_000];
    let id = store.put_reader(&mut &bytes[..], 300_000, Durability::Durable).unwrap();
    assert_eq!(store.get(id, PLENTY).unwrap(), bytes);
    let longer = vec![8; 300_001];
    let error = store.put_reader(&mut &longer[..], 300_000, Durability::Refetchable).unwrap_err();
    assert!(matches!(error, PutError::TooLong { max_bytes: 300_000 }));
    // The blob and its tree.
    assert_eq!(files(home.path()).len(), 2);
}

#[test]
fn the_same_bytes_are_held_once() {
    let (home, store) = open(PLENTY);
    let id = store.put(b"twice").unwrap();
    assert_eq!(store.put_durable(b"twice").unwrap(), id);
    let mut writer = store.writer(5).unwrap();
    writer.write(b"twice").unwrap();
    assert_eq!(writer.finish(Durability::Refetchable).unwrap(), id);
    assert_eq!((files(home.path()).len(), store.usage().used_bytes), (1, BLOCK));
}

#[test]
fn an_unfinished_or_misnamed_writer_leaves_nothing() {
    let (home, store) = open(PLENTY);
    let mut dropped = store.writer(100).unwrap();
    dropped.write(b"half").unwrap();
    assert!(!store.contains(BlobId::of(b"half")));
    drop(dropped);
    let mut misnamed = store.writer(100).unwrap();
    misnamed.write(b"wrong").unwrap();
    let error = misnamed.finish_as(BlobId::of(b"right"), Durability::Refetchable).unwrap_err();
    assert!(matches!(error, PutError::WrongHash { .. }));
    assert_eq!((files(home.path()).len(), store.usage().used_bytes), (0, 0));
}

#[test]
fn what_a_crash_left_half_written_is_removed_and_foreign_files_are_left_alone() {
    let (home, store) = open(PLENTY);
    let id = store.put(b"whole").unwrap();
    let mut writer = store.writer(100).unwrap();
    writer.write(b"half").unwrap();
    std::mem::forget(writer);
    let foreign = home.path().join("blobs/ab/notes.txt");
    fs::create_dir(home.path().join("blobs/ab")).unwrap();
    fs::write(&foreign, "mine").unwrap();
    fs::write(home.path().join("blobs/ab").join(id.to_string()), "a name in the wrong place").unwrap();
    let store = reopen(&home, PLENTY);
    assert_eq!(fs::read_dir(home.path().join("blobs/incoming")).unwrap().count(), 0);
    assert_eq!((store.usage().blobs, store.usage().used_bytes), (1, BLOCK));
    assert_eq!(store.get(id, 100).unwrap(), b"whole");
    assert!(foreign.exists());
}

#[test]
fn the_least_recently_used_unpinned_blob_makes_room() {
    let (home, store) = open(3 * BLOCK);
    let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| store.put(bytes).unwrap());
    store.get(a, 1).unwrap();
    store.pin(b, Hash::of(b"job"));
    let d = store.put(b"d").unwrap();
    assert_eq!([a, b, c, d].map(|id| store.contains(id)), [true, true, false, true]);
    assert!(!path_of(&home, c).exists());
}

#[test]
fn pinned_blobs_fill_the_quota_with_a_clear_error() {
    let (_home, store) = open(2 * BLOCK);
    let job = Hash::of(b"job");
    for bytes in [b"a", b"b"] {
        store.pin(store.put(bytes).unwrap(), job);
    }
    let error = store.put(b"c").unwrap_err();
    assert!(matches!(error, PutError::QuotaExceeded { quota_bytes: 8192, pinned_bytes: 8192, .. }));
    assert!(error.to_string().contains("raise the quota"), "{error}");
    store.unpin_all(job);
    store.put(b"c").unwrap();
}

#[test]
fn bytes_being_written_count_towards_the_quota() {
    let (home, store) = open(4 * BLOCK);
    let old = store.put(b"old").unwrap();
    let mut writer = store.writer(PLENTY).unwrap();
    writer.write(&[1; 4 * BLOCK as usize]).unwrap();
    assert!(!store.contains(old));
    assert!(matches!(writer.write(&[1]), Err(PutError::QuotaExceeded { .. })));
    drop(writer);
    assert_eq!((files(home.path()).len(), store.usage().used_bytes), (0, 0));
}

#[test]
fn a_smaller_quota_is_kept_from_the_next_opening_on() {
    let (home, store) = open(PLENTY);
    for number in 0..10 {
        store.put(&[number]).unwrap();
    }
    let store = reopen(&home, 4 * BLOCK);
    assert_eq!((store.usage().blobs, files(home.path()).len()), (4, 4));
}

#[test]
fn a_blob_damaged_before_opening_is_put_aside_at_its_first_use() {
    let (home, store) = open(PLENTY);
    let ids = [b"flipped", b"cut off"].map(|bytes| store.put(bytes).unwrap());
    fs::write(path_of(&home, ids[0]), b"Flipped").unwrap();
    fs::write(path_of(&home, ids[1]), b"cut").unwrap();
    let store = reopen(&home, PLENTY);
    for id in ids {
        assert!(missing(store.get(id, 100)));
        assert!(!store.contains(id));
        assert!(home.path().join("blobs/damaged").join(id.to_string()).exists());
    }
    assert_eq!(store.usage().used_bytes, 0);
    store.put(b"flipped").unwrap();
    assert_eq!(store.get(ids[0], 100).unwrap(), b"flipped");
}

#[test]
fn damage_while_open_is_found_when_asked_for() {
    let (home, store) = open(PLENTY);
    let [flipped, shorter, gone, good] = [b"one", b"two", b"six", b"ten"].map(|bytes| store.put(bytes).unwrap());
    fs::write(path_of(&home, flipped), b"0ne").unwrap();
    fs::write(path_of(&home, shorter), b"tw").unwrap();
    fs::remove_file(path_of(&home, gone)).unwrap();
    store.verify(good).unwrap();
    for id in [flipped, shorter, gone] {
        assert!(matches!(store.verify(id), Err(GetError::Missing(_))));
        assert!(!store.contains(id));
    }
}

#[test]
fn no_more_than_sixteen_damaged_blobs_are_kept() {
    let (home, store) = open(PLENTY);
    for number in 0..20u8 {
        let id = store.put(&[number]).unwrap();
        fs::write(path_of(&home, id), [255]).unwrap();
        assert!(store.verify(id).is_err());
    }
    assert_eq!(files(home.path()).len(), 16);
}

#[test]
fn removing_takes_pinned_blobs_too() {
    let (home, store) = open(PLENTY);
    let id = store.put(b"gone").unwrap();
    store.pin(id, Hash::of(b"job"));
    assert!(store.remove(id).unwrap());
    assert!(!store.remove(id).unwrap());
    assert!(files(home.path()).is_empty());
}

#[test]
fn what_is_to_go_unless_it_is_pinned_stays_while_it_is() {
    let (home, store) = open(PLENTY);
    let (id, owner) = (store.put(b"some bytes").unwrap(), Hash::of(b"an owner"));
    store.pin(id, owner);
    assert!(!store.remove_unpinned(id).unwrap() && path_of(&home, id).is_file());
    store.unpin(id, owner);
    assert!(store.remove_unpinned(id).unwrap() && !path_of(&home, id).exists());
    assert!(!store.remove_unpinned(id).unwrap());
    assert_eq!(store.usage().used_bytes, 0);
}

#[test]
fn threads_share_a_store_that_is_always_short_of_room() {
    let (home, store) = open(8 * BLOCK);
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let store = store.clone();
            scope.spawn(move || {
                for round in 0..200u8 {
                    let bytes = [round % 16, thread % 2, 9];
                    let id = match store.put(&bytes) {
                        Ok(id) => id,
                        Err(PutError::QuotaExceeded { .. }) => continue,
                        Err(other) => panic!("{other}"),
                    };
                    match store.get(id, 3) {
                        Ok(found) => assert_eq!(found, bytes),
                        Err(error) => assert!(matches!(error, GetError::Missing(_)), "{error}"),
                    }
                }
            });
        }
    });
    let usage = store.usage();
    assert!(usage.used_bytes <= usage.quota_bytes);
    assert_eq!(files(home.path()).len() as u64 * BLOCK, usage.used_bytes);
}

#[test]
fn two_stores_do_not_know_of_each_other() {
    let (_one_home, one) = open(PLENTY);
    let (_two_home, two) = open(PLENTY);
    let id = one.put(b"mine").unwrap();
    assert!(!two.contains(id));
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file, PLENTY).unwrap_err().to_string();
    assert!(error.contains("file"), "{error}");
}

/// Notes in memory, that outlive a store.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>);

impl Notes for Shared {
    fn all(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.lock().unwrap().clone().into_iter().collect()
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.0.lock().unwrap().insert(key.into(), value.into());
    }

    fn unset(&self, key: &[u8]) {
        self.0.lock().unwrap().remove(key);
    }
}

fn open_noted(home: &TempDir, quota_bytes: u64, notes: &Shared) -> Store {
    Store::open_with_notes(home.path().join("blobs"), quota_bytes, Box::new(notes.clone())).unwrap()
}

#[test]
fn what_was_synced_is_believed_while_its_file_is_unchanged() {
    let (home, notes) = (tempfile::tempdir().unwrap(), Shared::default());
    let store = open_noted(&home, PLENTY, &notes);
    let (good, bad) = (store.put_durable(b"good").unwrap(), store.put_durable(b"evil").unwrap());
    drop(store);
    fs::write(path_of(&home, bad), b"live").unwrap();
    let store = open_noted(&home, PLENTY, &notes);
    assert_eq!(store.get(good, 10).unwrap(), b"good");
    assert!(missing(store.get(bad, 10)));
    // Without notes the store is the same, and knows less.
    notes.0.lock().unwrap().clear();
    assert_eq!(open_noted(&home, PLENTY, &notes).get(good, 10).unwrap(), b"good");
}

#[test]
fn garbage_in_the_notes_does_no_harm_and_notes_of_what_is_gone_go() {
    let (home, notes) = (tempfile::tempdir().unwrap(), Shared::default());
    let store = open_noted(&home, PLENTY, &notes);
    let id = store.put_durable(b"here").unwrap();
    assert_eq!(notes.all().len(), 1);
    notes.set(id.as_bytes(), b"garbage");
    notes.set(b"nobody", &[7; 25]);
    drop(store);
    let store = open_noted(&home, PLENTY, &notes);
    assert_eq!(store.get(id, 10).unwrap(), b"here");
    assert!(notes.all().iter().all(|(key, _)| key[..] == id.as_bytes()[..]));
    store.remove(id).unwrap();
    assert!(notes.all().is_empty());
}

#[test]
fn what_a_person_keeps_stays_across_restarts_and_until_let_go() {
    let (home, store) = open(2 * BLOCK);
    let kept = store.put(b"kept").unwrap();
    store.keep(kept).unwrap();
    drop(store);
    let store = reopen(&home, 2 * BLOCK);
    for bytes in [b"1", b"2", b"3"] {
        store.put(bytes).unwrap();
    }
    assert!(store.blob(kept).is_some_and(|blob| blob.kept && blob.pinned && blob.held == blob.len));
    assert_eq!(store.collect().unwrap().blobs, 1);
    assert_eq!(store.list().len(), 1);
    store.release(kept).unwrap();
    drop(store);
    let store = reopen(&home, 2 * BLOCK);
    assert_eq!(store.collect().unwrap().blobs, 1);
    assert!(store.list().is_empty());
}

#[test]
fn scrubbing_finds_what_the_disk_has_changed() {
    let (home, store) = open(PLENTY);
    let [good, bad] = [b"good", b"evil"].map(|bytes| store.put(bytes).unwrap());
    fs::write(path_of(&home, bad), b"live").unwrap();
    let scrubbed = store.scrub().unwrap();
    assert_eq!((scrubbed.good, scrubbed.damaged), (1, vec![bad]));
    assert_eq!(store.get(good, 10).unwrap(), b"good");
}
