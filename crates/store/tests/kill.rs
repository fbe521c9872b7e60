//! A process killed while it appends: every acknowledged record is there afterwards.
//!
//! A binary of its own, because its children would inherit, for a moment, the locks of tests beside it.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use pocketmesh_store::{
    FolderLock, Journal,
    journal::{AppendError, Event, Opened},
};
use pocketmesh_types::Hash;
use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

const KILLS: u64 = 20;
/// Each child stops by itself after so many records.
const RECORDS_MAX: u64 = 200_000;
const FOLDER_VARIABLE: &str = "POCKETMESH_TEST_KILL_FOLDER";

/// Record `number` of a journal: its number, then up to 400 bytes that follow from it.
fn payload(number: u64) -> Vec<u8> {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(8 + (number * 37 % 400) as usize, number as u8);
    payload
}

fn open(folder: &Path) -> (Opened, Vec<Vec<u8>>) {
    let mut payloads = Vec::new();
    let opened = Journal::open(&FolderLock::acquire(folder).unwrap(), Hash::of(b"test"), |_, payload| {
        payloads.push(payload.to_vec());
        Ok(())
    });
    (opened.unwrap(), payloads)
}

/// Appends as fast as the journal takes records, and prints the number of each acknowledged one.
fn append_until_killed(folder: &Path) {
    let (mut opened, payloads) = open(folder);
    let first = payloads.len() as u64;
    let mut next = first;
    let mut out = std::io::stdout().lock();
    while next < first + RECORDS_MAX {
        match opened.journal.append(payload(next), next) {
            Ok(()) => next += 1,
            Err(AppendError::Full { .. }) => report(opened.events.blocking_recv(), &mut out),
            Err(other) => panic!("{other}"),
        }
        if next.is_multiple_of(16) {
            report(opened.events.blocking_recv(), &mut out);
        }
    }
}

fn report(event: Option<Event>, out: &mut impl Write) {
    let Some(Event::Stored(tokens)) = event else { panic!("the journal stopped") };
    writeln!(out, "stored {}", tokens.last().unwrap()).unwrap();
    out.flush().unwrap();
}

/// Starts a child, kills it after `lines` acknowledgements, and returns the newest record that it acknowledged.
fn kill_after(folder: &Path, lines: u64) -> Option<u64> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed_twenty_times_it_keeps_every_acknowledged_record", "--nocapture"])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("stored ")?.parse().ok());
    let mut newest = None;
    for _ in 0..lines {
        newest = acknowledged.next().or(newest);
    }
    child.kill().unwrap();
    newest = acknowledged.last().or(newest);
    child.wait().unwrap();
    newest
}

#[test]
fn killed_twenty_times_it_keeps_every_acknowledged_record() {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        return append_until_killed(Path::new(&folder));
    }
    let home = tempfile::tempdir().unwrap();
    for kill in 0..KILLS {
        let newest = kill_after(home.path(), 1 + kill * 7 % 31).unwrap();
        let (opened, payloads) = open(home.path());
        assert!(payloads.len() as u64 > newest, "record {newest} was acknowledged and {} are there", payloads.len());
        for (number, found) in (0..).zip(&payloads) {
            assert_eq!(*found, payload(number));
        }
        opened.journal.close();
        let mut events = opened.events;
        while events.blocking_recv().is_some() {}
    }
}
