//! The writer over disks that fail: nothing is acknowledged that is not synced, and nothing at all after a failure.

mod crashes;

use super::*;
use pocketmesh_ledger::journal::Reader;
use std::sync::{Condvar, Mutex};

/// What a [`FaultyDisk`] does, and what it has been given; shared with the test.
#[derive(Debug, Default)]
struct Script {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Written, in order, and how much of it is synced.
    bytes: Vec<u8>,
    synced: usize,
    syncs: usize,
    /// No write takes more than this.
    write_bytes_max: usize,
    /// Room on the disk.
    space: usize,
    /// This sync and all after it fail, once.
    failing_sync: Option<usize>,
    /// Syncs wait while this is set.
    hold: bool,
}

impl Default for State {
    fn default() -> Self {
        let unlimited = usize::MAX;
        let (write_bytes_max, space) = (unlimited, unlimited);
        Self { bytes: vec![], synced: 0, syncs: 0, write_bytes_max, space, failing_sync: None, hold: false }
    }
}

struct FaultyDisk(Arc<Script>);

impl Disk for FaultyDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock().unwrap();
        let count = bytes.len().min(state.write_bytes_max).min(state.space - state.bytes.len());
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.state.lock().unwrap();
        state.syncs += 1;
        self.0.changed.notify_all();
        while state.hold {
            state = self.0.changed.wait(state).unwrap();
        }
        // As the kernel does: the error is told once, and the next sync would succeed.
        if state.failing_sync == Some(state.syncs) {
            return Err(io::Error::from_raw_os_error(5));
        }
        state.synced = state.bytes.len();
        Ok(())
    }
}

impl Script {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn wait_for_sync(&self, number: usize) {
        let mut state = self.state.lock().unwrap();
        while state.syncs < number {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// What a reader finds in the synced part of the disk.
    fn stored(&self) -> Vec<Vec<u8>> {
        let state = self.state.lock().unwrap();
        let mut reader = Reader::new(header().context);
        reader.feed(&header().encode());
        reader.feed(&[]);
        assert!(reader.next().unwrap().is_none());
        reader.feed(&state.bytes[..state.synced]);
        std::iter::from_fn(|| reader.next().unwrap()).map(|record| record.payload).collect()
    }
}

fn header() -> Header {
    Header { context: Hash::of(b"test"), genesis: Hash::of(b"genesis"), first_sequence: 0 }
}

fn start(change: impl FnOnce(&mut State)) -> (Journal, Events, Arc<Script>) {
    let script = Arc::new(Script::default());
    script.set(change);
    let (journal, events) = Journal::start(FaultyDisk(script.clone()), Chain::new(&header()), None).unwrap();
    (journal, events, script)
}

fn stored_tokens(events: &mut Events) -> Vec<u64> {
    match events.blocking_recv() {
        Some(Event::Stored(tokens)) => tokens,
        other => panic!("not stored: {other:?}"),
    }
}

#[test]
fn a_lone_record_is_synced_at_once() {
    let (journal, mut events, script) = start(|_| {});
    journal.append(b"alone".to_vec(), 7).unwrap();
    assert_eq!(stored_tokens(&mut events), [7]);
    assert_eq!(script.stored(), [b"alone"]);
}

#[test]
fn records_that_arrive_during_a_sync_share_the_next_one_in_order() {
    let (journal, mut events, script) = start(|state| state.hold = true);
    journal.append(vec![0], 0).unwrap();
    script.wait_for_sync(1);
    for token in 1..100 {
        journal.append(vec![token as u8], token).unwrap();
    }
    script.set(|state| state.hold = false);
    assert_eq!(stored_tokens(&mut events), [0]);
    assert_eq!(stored_tokens(&mut events), (1..100).collect::<Vec<_>>());
    assert_eq!(script.state.lock().unwrap().syncs, 2);
    assert_eq!(script.stored().len(), 100);
}

#[test]
fn nothing_is_acknowledged_before_its_sync_returns() {
    let (journal, mut events, script) = start(|state| state.hold = true);
    journal.append(vec![1], 1).unwrap();
    script.wait_for_sync(1);
    assert!(events.0.try_recv().is_err());
    script.set(|state| state.hold = false);
    assert_eq!(stored_tokens(&mut events), [1]);
}

#[test]
fn short_writes_are_completed() {
    let (journal, mut events, script) = start(|state| state.write_bytes_max = 3);
    journal.append(vec![5; 1000], 1).unwrap();
    assert_eq!(stored_tokens(&mut events), [1]);
    assert_eq!(script.stored(), [vec![5; 1000]]);
}

#[test]
fn a_failed_sync_is_never_retried_and_nothing_is_acknowledged_after_it() {
    let (journal, mut events, script) = start(|state| state.failing_sync = Some(2));
    journal.append(vec![1], 1).unwrap();
    assert_eq!(stored_tokens(&mut events), [1]);
    journal.append(vec![2], 2).unwrap();
    let Some(Event::Failed(failure)) = events.blocking_recv() else { panic!("no failure was told") };
    assert_eq!((failure.step, failure.disk_full), ("synced", false));
    let Err(AppendError::Failed(again)) = journal.append(vec![3], 3) else {
        panic!("a poisoned journal took a record")
    };
    assert_eq!(again, failure);
    assert_eq!(events.blocking_recv(), None);
    drop(journal);
    assert_eq!(script.state.lock().unwrap().syncs, 2);
    assert_eq!(script.stored(), [[1]]);
}

#[test]
fn a_full_disk_stops_the_journal_and_says_so() {
    let (journal, mut events, script) = start(|state| state.space = 300);
    journal.append(vec![1; 100], 1).unwrap();
    assert_eq!(stored_tokens(&mut events), [1]);
    journal.append(vec![2; 100], 2).unwrap();
    let mut failure = events.blocking_recv();
    if matches!(&failure, Some(Event::Stored(_))) {
        journal.append(vec![3; 100], 3).unwrap();
        failure = events.blocking_recv();
    }
    let Some(Event::Failed(failure)) = failure else { panic!("no failure was told") };
    assert!(failure.disk_full);
    assert!(failure.to_string().contains("free some disk space"), "{failure}");
    assert_eq!(events.blocking_recv(), None);
    assert_eq!(script.stored().len(), 1);
}

#[test]
fn a_full_queue_gives_the_record_back() {
    let (journal, mut events, script) = start(|state| state.hold = true);
    journal.append(vec![], 0).unwrap();
    script.wait_for_sync(1);
    for token in 0..QUEUE_RECORDS_MAX as u64 {
        journal.append(vec![], 1 + token).unwrap();
    }
    let Err(AppendError::Full { payload }) = journal.append(b"late".to_vec(), 0) else { panic!("no bound held") };
    assert_eq!(payload, b"late");
    script.set(|state| state.hold = false);
    let mut next = 0;
    while next <= QUEUE_RECORDS_MAX as u64 {
        for token in stored_tokens(&mut events) {
            assert_eq!(token, next);
            next += 1;
        }
    }
    journal.append(payload, next).unwrap();
    assert_eq!(stored_tokens(&mut events), [next]);
}

#[test]
fn bytes_in_the_queue_are_bounded_and_given_back() {
    let (journal, mut events, script) = start(|state| state.hold = true);
    journal.append(vec![0; PAYLOAD_BYTES_MAX], 0).unwrap();
    assert!(matches!(journal.append(vec![0; PAYLOAD_BYTES_MAX], 1), Err(AppendError::Full { .. })));
    assert!(matches!(journal.append(vec![0; PAYLOAD_BYTES_MAX + 1], 1), Err(AppendError::TooLong(_))));
    journal.append(vec![0], 1).unwrap();
    script.set(|state| state.hold = false);
    let mut tokens = stored_tokens(&mut events);
    while tokens.len() < 2 {
        tokens.extend(stored_tokens(&mut events));
    }
    assert_eq!(tokens, [0, 1]);
    assert_eq!(journal.shared.queued_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn closing_writes_what_is_queued_and_seals() {
    let (journal, mut events, script) = start(|state| state.hold = true);
    for token in 0..10 {
        journal.append(vec![token as u8], token).unwrap();
    }
    journal.close();
    script.set(|state| state.hold = false);
    let mut tokens = Vec::new();
    while let Some(Event::Stored(more)) = events.blocking_recv() {
        tokens.extend(more);
    }
    assert_eq!(tokens, (0..10).collect::<Vec<_>>());
    assert_eq!(script.stored().len(), 10);
    let state = script.state.lock().unwrap();
    assert_eq!(state.synced, state.bytes.len());
    assert_eq!(&state.bytes[state.bytes.len() - 64..][..4], b"pmrs");
}

#[test]
fn a_large_record_does_not_break_a_batch_bound() {
    let (journal, mut events, script) = start(|state| state.hold = true);
    journal.append(vec![0], 0).unwrap();
    script.wait_for_sync(1);
    journal.append(vec![1; 1000], 1).unwrap();
    journal.append(vec![2; 4 << 20], 2).unwrap();
    journal.append(vec![3; 1000], 3).unwrap();
    script.set(|state| state.hold = false);
    for expected in 0..4 {
        assert_eq!(stored_tokens(&mut events), [expected]);
    }
    assert_eq!(script.stored().len(), 4);
}
