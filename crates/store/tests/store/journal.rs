//! A journal opened, closed, torn and damaged.

use pocketmesh_store::{
    FolderLock, Journal,
    journal::{Event, Events, FILE_NAME, OpenError, Opened, scan},
};
use pocketmesh_types::Hash;
use std::{fs, path::Path};
use tempfile::TempDir;

fn context() -> Hash {
    Hash::of(b"test network")
}

/// Opens the journal in `folder`; its payloads beside it.
fn open(folder: &Path) -> Result<(Opened, Vec<Vec<u8>>), OpenError> {
    let lock = FolderLock::acquire(folder).unwrap();
    let mut payloads = Vec::new();
    let opened = Journal::open(&lock, context(), |sequence, payload| {
        assert!(payloads.is_empty() || sequence > 0);
        payloads.push(payload.to_vec());
        Ok(())
    })?;
    Ok((opened, payloads))
}

fn append(opened: &mut Opened, payload: &[u8]) {
    opened.journal.append(payload.to_vec(), 1).unwrap();
    assert_eq!(opened.events.blocking_recv(), Some(Event::Stored(vec![1])));
}

fn close(opened: Opened) {
    opened.journal.close();
    drain(opened.events);
}

fn drain(mut events: Events) {
    while events.blocking_recv().is_some() {}
}

/// A journal of three batches, left in order or as by a crash.
fn written(sealed: bool) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let (mut opened, _) = open(home.path()).unwrap();
    assert!(opened.recovered.created);
    for payload in [b"first", b"again", b"third"] {
        append(&mut opened, payload);
    }
    let path = home.path().join(FILE_NAME);
    let crashed = fs::read(&path).unwrap();
    close(opened);
    if !sealed {
        fs::write(path, crashed).unwrap();
    }
    home
}

#[test]
fn records_come_back_in_order_and_appending_goes_on() {
    let home = written(true);
    let (mut opened, payloads) = open(home.path()).unwrap();
    assert_eq!(payloads, [b"first", b"again", b"third"]);
    assert!(!opened.recovered.created);
    assert_eq!((opened.recovered.records, opened.recovered.truncated_bytes), (3, 0));
    append(&mut opened, b"later");
    close(opened);
    assert_eq!(open(home.path()).unwrap().1.len(), 4);
}

#[test]
fn a_torn_tail_is_cut_once_and_appending_goes_on() {
    let home = written(false);
    let path = home.path().join(FILE_NAME);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    let (mut opened, payloads) = open(home.path()).unwrap();
    assert_eq!(payloads, [b"first", b"again"]);
    assert_eq!(opened.recovered.truncated_bytes, 59);
    append(&mut opened, b"later");
    close(opened);
    let (opened, payloads) = open(home.path()).unwrap();
    assert_eq!(payloads, [b"first", b"again", b"later"]);
    assert_eq!(opened.recovered.truncated_bytes, 0);
}

#[test]
fn damage_names_the_record_and_changes_nothing() {
    let home = written(true);
    let path = home.path().join(FILE_NAME);
    let mut bytes = fs::read(&path).unwrap();
    bytes[120 + 69 + 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        let error = open(home.path()).unwrap_err().to_string();
        assert!(error.contains("journal record 1 at byte 189 is damaged (its hash does not match)"), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn another_networks_journal_is_refused() {
    let home = written(true);
    let lock = FolderLock::acquire(home.path()).unwrap();
    let error = Journal::open(&lock, Hash::of(b"other"), |_, _| Ok(())).unwrap_err();
    assert!(error.to_string().contains("another network"), "{error}");
}

#[test]
fn a_record_that_the_caller_cannot_take_stops_the_opening() {
    let home = written(true);
    let lock = FolderLock::acquire(home.path()).unwrap();
    let error = Journal::open(&lock, context(), |sequence, _| match sequence {
        0 => Ok(()),
        _ => Err("of a later release".into()),
    });
    assert!(matches!(error, Err(OpenError::Rejected { sequence: 1, .. })));
}

#[test]
fn the_folder_is_free_as_soon_as_the_events_end() {
    let home = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let (opened, _) = open(home.path()).unwrap();
        let error = FolderLock::acquire(home.path()).unwrap_err().to_string();
        assert!(error.starts_with("another pocketmesh daemon"), "{error}");
        opened.journal.append(vec![1], 1).unwrap();
        close(opened);
    }
    assert_eq!(open(home.path()).unwrap().1.len(), 20);
}

#[test]
fn a_chain_value_tells_a_journal_that_was_put_back() {
    let home = written(true);
    let path = home.path().join(FILE_NAME);
    let copy = fs::read(&path).unwrap();
    let (mut opened, _) = open(home.path()).unwrap();
    let old = opened.recovered;
    append(&mut opened, b"newer");
    close(opened);
    let (opened, _) = open(home.path()).unwrap();
    let newer = opened.recovered;
    close(opened);
    fs::write(path, copy).unwrap();
    let put_back = open(home.path()).unwrap().0.recovered;
    assert_eq!((put_back.chain, put_back.next_sequence), (old.chain, old.next_sequence));
    assert!(newer.chain != old.chain && newer.next_sequence > old.next_sequence);
}

#[test]
fn a_journal_is_looked_at_while_it_is_written_to_and_nothing_of_it_is_changed() {
    let home = written(true);
    let (mut opened, _) = open(home.path()).unwrap();
    append(&mut opened, b"fourth");
    let path = home.path().join(FILE_NAME);
    let before = fs::read(&path).unwrap();
    let mut seen = Vec::new();
    let look = |home: &Path, seen: &mut Vec<Vec<u8>>| {
        scan(home, context(), |_, payload| {
            seen.push(payload.to_vec());
            Ok(())
        })
    };
    let scanned = look(home.path(), &mut seen).unwrap();
    assert_eq!(seen, [&b"first"[..], b"again", b"third", b"fourth"]);
    assert_eq!((scanned.records, scanned.torn_bytes), (4, 0));
    // Half a record, as a writer leaves it for a moment.
    close(opened);
    let torn = [&before[..], &before[before.len() - 30..]].concat();
    fs::write(&path, &torn).unwrap();
    let scanned = look(home.path(), &mut seen).unwrap();
    assert_eq!((scanned.records, scanned.torn_bytes), (4, 30));
    assert_eq!(fs::read(&path).unwrap(), torn);
    // A changed byte of what was synced is damage here, too.
    let mut damaged = before;
    damaged[200] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(matches!(look(home.path(), &mut seen), Err(OpenError::Unreadable { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(look(home.path(), &mut seen), Err(OpenError::Io { .. })));
}
