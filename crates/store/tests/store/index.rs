//! The index kept, damaged and rebuilt.

use pocketmesh_store::{
    FolderLock, Index,
    index::{CACHE_BYTES_DEFAULT, Condition},
};
use std::{fs, path::Path};

fn open(folder: &Path) -> (Index, Condition) {
    Index::open(&FolderLock::acquire(folder).unwrap(), CACHE_BYTES_DEFAULT).unwrap()
}

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn fill(folder: &Path) {
    let (index, condition) = open(folder);
    assert_eq!(condition, Condition::Created);
    let tree = index.tree("peers").unwrap();
    for number in 0..5000 {
        tree.put(&key(number), &[number as u8; 100]).unwrap();
    }
    index.flush().unwrap();
}

/// Writes a working set over and over, and copies the folder while the index is open.
fn fill_as_a_crash_leaves_it(folder: &Path, copy: &Path) {
    let (index, _) = open(folder);
    let (peers, blobs) = (index.tree("peers").unwrap(), index.tree("blobs").unwrap());
    for round in 0..10u32 {
        for number in 0..3000u32 {
            let spread = number.wrapping_mul(2_654_435_761);
            peers.put(&key(spread ^ (round % 3)), &[number as u8; 200]).unwrap();
            blobs.put(&key(number), &key(round)).unwrap();
        }
        index.flush().unwrap();
    }
    copy_folder(folder, copy);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn pairs(index: &Index, prefix: &[u8]) -> usize {
    index.tree("peers").unwrap().scan_prefix(prefix).inspect(|pair| assert!(pair.is_ok())).count()
}

#[test]
fn trees_keep_what_was_put_apart_and_in_order() {
    let home = tempfile::tempdir().unwrap();
    let (index, _) = open(home.path());
    let (peers, blobs) = (index.tree("peers").unwrap(), index.tree("blobs").unwrap());
    for name in ["b2", "a1", "b1"] {
        peers.put(name.as_bytes(), name.as_bytes()).unwrap();
    }
    blobs.put(b"b3", b"").unwrap();
    assert_eq!(peers.get(b"a1").unwrap().unwrap(), b"a1");
    let found: Vec<_> = peers.scan_prefix(b"b").map(|pair| pair.unwrap().0).collect();
    assert_eq!(found, [b"b1", b"b2"]);
    peers.remove(b"b1").unwrap();
    assert_eq!(peers.get(b"b1").unwrap(), None);
    peers.clear().unwrap();
    assert_eq!(peers.scan_prefix(b"").count(), 0);
    assert_eq!(blobs.get(b"b3").unwrap().unwrap(), b"");
}

#[test]
fn an_index_is_kept_across_openings() {
    let home = tempfile::tempdir().unwrap();
    fill(home.path());
    let (index, condition) = open(home.path());
    assert_eq!(condition, Condition::Kept);
    assert_eq!(pairs(&index, b""), 5000);
}

/// Whatever is in the folder, it opens, it may be written, and it opens again.
fn survives(home: &Path) -> Condition {
    let (index, condition) = open(home);
    if let Condition::Rebuilt { reason } = &condition {
        assert!(!reason.is_empty());
        assert!(home.join("index.damaged-1/db").exists());
        assert_eq!(pairs(&index, b""), 0);
    }
    let tree = index.tree("peers").unwrap();
    tree.put(b"new", b"value").unwrap();
    index.flush().unwrap();
    drop((tree, index));
    let (index, again) = open(home);
    assert_eq!((again, pairs(&index, b"new")), (Condition::Kept, 1));
    condition
}

#[test]
fn a_cut_or_overwritten_file_is_read_or_rebuilt_and_never_a_panic() {
    let original = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    fill_as_a_crash_leaves_it(original.path(), crashed.path());
    let bytes = fs::read(crashed.path().join("index/db")).unwrap();
    let mut damaged = Vec::new();
    for cut in [1, 16, 100, 512, 1000, 3000, 4096, 1 << 19, 1 << 20, 2_000_000] {
        damaged.push(bytes[..bytes.len().saturating_sub(cut)].to_vec());
    }
    for part in 0..12 {
        let mut bytes = bytes.clone();
        let start = bytes.len() * part / 12 + 77;
        bytes[start..start + 64].fill(0x5A);
        damaged.push(bytes);
    }
    let of = damaged.len();
    let rebuilt = damaged.into_iter().filter(|bytes| {
        let home = tempfile::tempdir().unwrap();
        copy_folder(crashed.path(), home.path());
        fs::write(home.path().join("index/db"), bytes).unwrap();
        survives(home.path()) != Condition::Kept
    });
    println!("{} of {of} damaged files were rebuilt, the others read", rebuilt.count());
}

#[test]
fn junk_in_its_files_is_moved_aside_and_only_the_newest_three_are_kept() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    for round in 0..5u8 {
        let junk = vec![round + 1; 100_000];
        fs::write(home.path().join("index/db"), &junk).unwrap();
        fs::write(home.path().join("index/conf"), &junk).unwrap();
        assert!(matches!(open(home.path()).1, Condition::Rebuilt { .. }));
    }
    let damaged = |number| fs::read(home.path().join(format!("index.damaged-{number}/db"))).unwrap()[0];
    assert_eq!([damaged(1), damaged(2), damaged(3)], [3, 4, 5]);
    assert!(!home.path().join("index.damaged-4").exists());
}

#[test]
fn an_index_that_is_open_already_is_not_taken_for_damaged() {
    let home = tempfile::tempdir().unwrap();
    let lock = FolderLock::acquire(home.path()).unwrap();
    let (index, _) = Index::open(&lock, CACHE_BYTES_DEFAULT).unwrap();
    assert!(Index::open(&lock, CACHE_BYTES_DEFAULT).is_err());
    index.tree("peers").unwrap().put(b"still", b"here").unwrap();
    assert!(!home.path().join("index.damaged-1").exists());
}
