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

#[test]
fn any_cut_of_its_file_is_either_read_or_rebuilt_and_never_a_panic() {
    let original = tempfile::tempdir().unwrap();
    fill(original.path());
    let mut rebuilt = 0;
    for cut in (0..12).map(|power| 1 << power).chain([100, 1000, 3000, 4096]) {
        let home = tempfile::tempdir().unwrap();
        copy_folder(original.path(), home.path());
        let db = fs::OpenOptions::new().write(true).open(home.path().join("index/db")).unwrap();
        db.set_len(db.metadata().unwrap().len() - cut).unwrap();
        let (index, condition) = open(home.path());
        if let Condition::Rebuilt { reason } = condition {
            rebuilt += 1;
            assert!(!reason.is_empty());
            assert!(home.path().join("index.damaged-1/db").exists());
            assert_eq!(pairs(&index, b""), 0);
        }
        let tree = index.tree("peers").unwrap();
        tree.put(b"new", b"value").unwrap();
        index.flush().unwrap();
        drop((tree, index));
        let (index, condition) = open(home.path());
        assert_eq!(condition, Condition::Kept);
        assert_eq!(pairs(&index, b"new"), 1);
    }
    println!("{rebuilt} of 16 cuts led to a rebuild");
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
