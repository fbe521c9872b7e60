//! A crash before every call that the store makes of the file system, and again before every call of the recovery.
//!
//! Half a thousand operations are done once, in a file system that writes down each call. Then, for each call, what a crash would have
//! left at that moment is put on a fresh disk in five ways, and opened. What must hold: everything acknowledged is there, in order, and
//! nothing that was not appended; the accounts are those of exactly these records; and what a recovery has found, another finds too.

mod memory;
mod money;

use crate::{
    atomic_file::{self, Access},
    journal::{FILE_NAME, Mark, OpenError, Recovered, log::Log, open_in},
};
use memory::{Call, Dice, How, Image, Memory, MemoryFile, after_crash};
use money::{Balance, Business, ME, balances, fold};
use pocketmesh_ledger::{Accounts, journal::Chain};
use pocketmesh_types::Hash;
use std::{collections::BTreeMap, path::Path};

const OPERATIONS: usize = 500;
/// A small file beside the journal is replaced every so many operations.
const REPLACED_EVERY: usize = 20;
/// The journal is closed and opened again every so many.
const REOPENED_EVERY: usize = 170;
const SMALL_FILE: &str = "anchors";

struct Opened {
    file: MemoryFile,
    chain: Chain,
    payloads: Vec<Vec<u8>>,
    recovered: Recovered,
}

fn open(files: &Memory) -> Result<Opened, OpenError> {
    let mut payloads = Vec::new();
    let (file, recovered, chain) = open_in(files, Path::new(""), Hash::of(b"a network"), |_, payload| {
        payloads.push(payload.to_vec());
        Ok(())
    })?;
    Ok(Opened { file, chain, payloads, recovered })
}

/// What was done, and from which call on what was promised.
struct Done {
    calls: Vec<Call>,
    payloads: Vec<Vec<u8>>,
    /// From this call on, so many records may be on the disk; and from that call on, they must be.
    written: Vec<(usize, usize)>,
    acknowledged: Vec<(usize, usize)>,
    /// The same of the versions of the small file.
    replacing: Vec<(usize, usize)>,
    replaced: Vec<(usize, usize)>,
    /// The accounts after each number of records.
    balances: Vec<Vec<Balance>>,
}

fn up_to(marks: &[(usize, usize)], call: usize) -> usize {
    marks.iter().take_while(|(from, _)| *from <= call).last().map_or(0, |(_, count)| *count)
}

fn workload() -> Done {
    let (files, mut business, mut dice) = (Memory::default(), Business::new(), Dice(3));
    let opened = open(&files).unwrap();
    let mut log = Log::new(opened.file, opened.chain);
    let [mut written, mut acknowledged, mut replacing, mut replaced] = [const { Vec::new() }; 4];
    let (mut payloads, mut accounts, mut version) = (Vec::new(), vec![balances(&business.accounts)], 0);
    let (mut operation, mut batch, mut reopened) = (0, 0, 0);
    while operation < OPERATIONS {
        operation += 1;
        if operation % REPLACED_EVERY == 0 {
            version += 1;
            replacing.push((files.calls_count() + 1, version));
            atomic_file::replace_in(&files, Path::new(SMALL_FILE), &version_bytes(version), Access::Everyone).unwrap();
            replaced.push((files.calls_count(), version));
            continue;
        }
        let payload = business.next();
        log.add(&payload);
        payloads.push(payload);
        accounts.push(balances(&business.accounts));
        batch += 1;
        if batch > dice.below(3) || operation == OPERATIONS - 1 {
            batch = 0;
            written.push((files.calls_count() + 1, payloads.len()));
            log.commit().unwrap();
            acknowledged.push((files.calls_count(), payloads.len()));
            if operation % REOPENED_EVERY > REOPENED_EVERY - 3 {
                log.seal().unwrap();
                let again = open(&files).unwrap();
                assert_eq!(again.payloads, payloads);
                log = Log::new(again.file, again.chain);
                reopened += 1;
            }
        }
    }
    log.seal().unwrap();
    assert!(reopened >= 2);
    Done { calls: files.calls(), payloads, written, acknowledged, replacing, replaced, balances: accounts }
}

fn version_bytes(version: usize) -> Vec<u8> {
    vec![version as u8; 700 + version]
}

struct Checker<'a> {
    done: &'a Done,
    points: usize,
    inner_points: usize,
    violations: Vec<String>,
    /// The accounts of so many records, folded from what a recovery has read.
    folded: BTreeMap<usize, Vec<Balance>>,
}

impl Checker<'_> {
    /// Opens what a crash at `call` has left, crashes again inside of that, and opens again.
    fn crash_at(&mut self, call: usize, how: How) {
        self.points += 1;
        let place = format!("call {call} ({:?}), {how:?}", self.done.calls.get(call).map(std::mem::discriminant));
        let before = &self.done.calls[..call];
        // A killed process leaves the system as it is: what was not synced is still not on the disk when the next one starts.
        let (image, files) = match how {
            How::Kept => (Image::new(), Memory::after(before)),
            _ => {
                let image = after_crash(&Image::new(), before, how);
                (image.clone(), Memory::of(&image))
            }
        };
        let begun = files.calls_count();
        let Some(first) = self.check(&files, call, &place) else { return };
        let calls = files.calls();
        for inner in begun..=calls.len() {
            for how in [How::Lost, How::Torn(call as u64 + 13)] {
                self.inner_points += 1;
                let again = Memory::of(&after_crash(&image, &calls[..inner], how));
                let place = format!("{place}, then call {} of the recovery, {how:?}", inner - begun);
                let Some(second) = self.check(&again, call, &place) else { continue };
                if inner == calls.len() && second.payloads.len() != first.payloads.len() {
                    self.violation(&place, "what one recovery found, the next did not");
                }
            }
        }
        self.go_on(&files, first, &place);
    }

    fn violation(&mut self, place: &str, what: &str) {
        self.violations.push(format!("{place}: {what}"));
    }

    fn check(&mut self, files: &Memory, call: usize, place: &str) -> Option<Opened> {
        let opened = match open(files) {
            Ok(opened) => opened,
            Err(error) => {
                self.violation(place, &error.to_string());
                return None;
            }
        };
        let (found, done) = (opened.payloads.len(), self.done);
        let (least, most) = (up_to(&done.acknowledged, call), up_to(&done.written, call));
        if found < least || found > most || opened.payloads[..] != done.payloads[..found.min(most)] {
            self.violation(
                place,
                &format!("{found} records, {least} to {most} expected, or others than were appended"),
            );
            return None;
        }
        let balances = self.folded.entry(found).or_insert_with(|| {
            let mut accounts = Accounts::new(ME);
            opened.payloads.iter().for_each(|payload| fold(&mut accounts, payload).unwrap());
            assert!(accounts.books().are_balanced());
            balances(&accounts)
        });
        if *balances != done.balances[found] {
            self.violation(place, "the balances are not those of the records");
        }
        self.check_small_file(files, call, place);
        Some(opened)
    }

    fn check_small_file(&mut self, files: &Memory, call: usize, place: &str) {
        let (least, most) = (up_to(&self.done.replaced, call), up_to(&self.done.replacing, call));
        let found = files.image().remove(Path::new(SMALL_FILE));
        let is_one = (least..=most).any(|version| match version {
            0 => found.is_none(),
            _ => found.as_ref() == Some(&version_bytes(version)),
        });
        if !is_one {
            self.violation(place, "the small file is neither the old one nor the new one");
        }
    }

    /// Appending goes on where the recovery has left the journal.
    fn go_on(&mut self, files: &Memory, opened: Opened, place: &str) {
        let mut log = Log::new(opened.file, opened.chain);
        log.add(b"later");
        log.commit().unwrap();
        let synced = after_crash(&files.image(), &[], How::Lost);
        match open(&Memory::of(&synced)) {
            Ok(again)
                if again.payloads.last().is_some_and(|last| last == b"later")
                    && again.payloads.len() == opened.payloads.len() + 1 => {}
            Ok(again) => self.violation(place, &format!("{} records after one more", again.payloads.len())),
            Err(error) => self.violation(place, &error.to_string()),
        }
    }
}

fn ways(call: usize) -> [How; 6] {
    let seed = call as u64;
    [How::Kept, How::Lost, How::NamesOnly, How::Torn(seed), How::Torn(seed + 7_919), How::CutShort(seed)]
}

#[test]
fn a_crash_before_any_call_loses_nothing_that_was_acknowledged() {
    let done = workload();
    let mut checker =
        Checker { done: &done, points: 0, inner_points: 0, violations: Vec::new(), folded: BTreeMap::new() };
    for call in 0..=done.calls.len() {
        ways(call).into_iter().for_each(|how| checker.crash_at(call, how));
    }
    let Checker { points, inner_points, violations, folded, .. } = checker;
    println!(
        "{OPERATIONS} operations, {} calls: {points} crashes, {inner_points} more inside of recoveries, {} different ends, {} violations",
        done.calls.len(),
        folded.len(),
        violations.len()
    );
    assert!(
        violations.is_empty(),
        "{} violations, the first: {:#?}",
        violations.len(),
        &violations[..violations.len().min(3)]
    );
    assert!(points >= 2_000 && inner_points >= points, "{points} and {inner_points}");
}

/// The checks see: a store that acknowledges before it has synced, or that renames before the bytes are there, is found out.
#[test]
fn a_store_that_forgets_a_sync_would_be_found_out() {
    let mut done = workload();
    let journal_syncs = |call: &Call| matches!(call, Call::Sync(_));
    let at = done.calls.iter().enumerate().filter(|(_, call)| journal_syncs(call)).nth(40).map(|(at, _)| at).unwrap();
    // The call is still made, and does nothing: a folder is synced that needs none.
    done.calls[at] = Call::SyncFolder;
    let mut checker =
        Checker { done: &done, points: 0, inner_points: 0, violations: Vec::new(), folded: BTreeMap::new() };
    for call in at..at + 3 {
        ways(call).into_iter().for_each(|how| checker.crash_at(call, how));
    }
    assert!(!checker.violations.is_empty());
}

/// A small journal of money, closed in order, and how far it had come before its seal.
fn small_journal() -> (Image, Vec<Vec<u8>>, Mark) {
    let (files, mut business) = (Memory::default(), Business::new());
    let opened = open(&files).unwrap();
    let mut log = Log::new(opened.file, opened.chain);
    let payloads: Vec<Vec<u8>> = (0..6).map(|_| business.next()).collect();
    for payload in &payloads {
        log.add(payload);
        log.commit().unwrap();
    }
    let marked = open(&Memory::of(&files.image())).unwrap().recovered;
    log.seal().unwrap();
    (files.image(), payloads, Mark { next_sequence: marked.next_sequence, chain: Some(marked.chain) })
}

fn altered(image: &Image, change: impl FnOnce(&mut Vec<u8>)) -> Memory {
    let mut image = image.clone();
    change(image.get_mut(Path::new(FILE_NAME)).unwrap());
    Memory::of(&image)
}

/// Opens as a daemon does: the journal, then its mark. Either all records, or a message.
fn open_marked(files: &Memory, mark: Mark) -> Result<Vec<Vec<u8>>, String> {
    let opened = open(files).map_err(|error| error.to_string())?;
    mark.check(&opened.recovered).map_err(|error| error.to_string())?;
    Ok(opened.payloads)
}

fn is_precise(message: &str) -> bool {
    [
        "journal record ",
        "the journal ends before record ",
        "not a journal",
        "the journal's header is damaged",
        "another network",
        "format version",
    ]
    .iter()
    .any(|known| message.contains(known))
}

#[test]
fn every_flipped_bit_is_found_or_takes_nothing() {
    let (image, payloads, mark) = small_journal();
    let len = image[Path::new(FILE_NAME)].len();
    let (mut found, mut harmless) = (0, 0);
    for at in 0..len {
        for bit in 0..8 {
            match open_marked(&altered(&image, |bytes| bytes[at] ^= 1 << bit), mark) {
                Ok(read) => {
                    assert_eq!(read, payloads, "byte {at}, bit {bit}: other records, and nothing said");
                    harmless += 1;
                }
                Err(message) => {
                    assert!(is_precise(&message), "byte {at}, bit {bit}: {message}");
                    found += 1;
                }
            }
        }
    }
    println!("{len} bytes: {found} flipped bits found, {harmless} in the seal, which holds nothing");
    assert_eq!(harmless, 8 * 64, "only the seal's own bytes are no loss");
}

#[test]
fn every_truncation_is_found_or_takes_nothing() {
    let (image, payloads, mark) = small_journal();
    let len = image[Path::new(FILE_NAME)].len();
    for cut in 0..len {
        match open_marked(&altered(&image, |bytes| bytes.truncate(cut)), mark) {
            Ok(read) => {
                assert!(read == payloads && cut >= len - 64, "cut at {cut}: {} records, and nothing said", read.len())
            }
            Err(message) => assert!(is_precise(&message), "cut at {cut}: {message}"),
        }
    }
}

#[test]
fn a_journal_that_was_put_back_or_exchanged_is_noticed() {
    let (image, _, mark) = small_journal();
    assert_eq!(Mark::decode(&mark.encode()), Some(mark));
    assert_eq!(Mark::decode(&mark.encode()[1..]), None);
    let other = open(&Memory::default()).unwrap().recovered;
    let message = mark.check(&other).unwrap_err().to_string();
    assert!(message.contains("the journal ends before record 0, and records up to 6 had been stored"), "{message}");
    let recovered = open(&Memory::of(&image)).unwrap().recovered;
    let same_length = Recovered { next_sequence: mark.next_sequence, ..recovered };
    assert!(mark.check(&same_length).unwrap_err().to_string().contains("they are others"));
    assert_eq!(Mark { chain: None, ..mark }.check(&same_length), Ok(()));
}
