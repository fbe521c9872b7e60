//! What was paid and what is owed, without a daemon: over a data folder and a file of receipts that an earlier build has written.

use crate::program::{Place, names};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A place whose data folder is a copy of that in the repository.
fn place() -> Place {
    let place = Place::new();
    fs::create_dir(place.home()).expect("made");
    for name in names(&fixture("folder-1")) {
        let to = place.home().join(&name);
        fs::copy(fixture("folder-1").join(&name), &to).expect("copied");
        fs::set_permissions(to, fs::Permissions::from_mode(0o600)).expect("set");
    }
    place
}

fn expected() -> Value {
    serde_json::from_slice(&fs::read(fixture("folder-1.json")).expect("read")).expect("JSON")
}

#[test]
fn a_folder_of_the_first_release_that_pays_still_opens_with_its_balances() {
    let place = place();
    assert_eq!(place.run(&["wallet", "balance", "--json"]).json(), expected());
    let audit = place.run(&["ledger", "audit", "--json"]).json();
    assert_eq!((&audit["good"], &audit["wallet"]), (&true.into(), &expected()));
    assert_eq!((audit["records"].as_u64(), audit["money_records"].as_u64()), (Some(RECORDS), Some(MONEY)));
    let elsewhere = Place::new();
    let named = elsewhere.run(&["ledger", "audit", &place.home().display().to_string()]);
    assert!(named.succeeds().contains("good: ") && named.stdout.contains("not redeemable"), "{named:?}");
    let before = fs::read(fixture("folder-1").join("journal")).expect("read");
    assert_eq!(fs::read(place.home().join("journal")).expect("read"), before, "an audit changes nothing");
}

/// Of the journal in the repository: two jobs' facts, and what was paid, received and acknowledged for them.
const RECORDS: u64 = 77;
const MONEY: u64 = 4;

#[test]
fn history_and_export_tell_the_same_and_end_with_the_balance() {
    let place = place();
    let rows = place.run(&["wallet", "export", "--json"]).json();
    let rows = rows.as_array().expect("a list");
    let csv = place.run(&["wallet", "export"]).succeeds().to_owned();
    assert_eq!(csv.lines().count(), rows.len() + 1);
    assert_eq!(rows.last().expect("a row")["owed_by_us"], expected()["owed_by_us"]);
    let history = place.run(&["wallet", "history", "--last", "2"]);
    assert!(history.succeeds().contains("nano-credits") && history.stderr.contains("left out"), "{history:?}");
    let listed = place.run(&["receipts", "list", "--json"]).json();
    let kinds: Vec<_> = listed.as_array().expect("a list").iter().map(|row| row["what"].clone()).collect();
    assert!(listed.as_array().expect("a list").iter().all(|row| row["bytes"] == "0"), "it knew no bytes: {listed}");
    assert!(kinds.contains(&"paid".into()) && kinds.contains(&"received".into()), "{listed}");
}

#[test]
fn receipts_are_verified_without_anything_else() {
    let place = Place::new();
    let file = place.file("receipts.cbor", fs::read(fixture("receipts-1.cbor")).expect("read"));
    let good = place.run(&["receipts", "verify", &file]);
    assert!(good.succeeds().contains("good: every signature") && good.stdout.contains("not redeemable"), "{good:?}");
    assert_eq!(place.run(&["receipts", "verify", &file, "--json"]).json()["paid"][0]["tasks"], 70);
    assert_eq!(place.names(), ["receipts.cbor"], "no data folder is needed, and none is made");
    // In the library every byte is tried; here, that the command says so.
    let bytes = fs::read(&file).expect("read");
    for at in (0..bytes.len()).step_by(61) {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        let changed = place.file("changed.cbor", changed);
        place.run(&["receipts", "verify", &changed]).fails(1, &["changed.cbor: it "]);
    }
}

#[test]
fn receipts_are_exported_from_a_folder_and_never_over_another_file() {
    let place = place();
    let job = place.run(&["receipts", "list", "--json"]).json();
    let job = job.as_array().expect("a list").iter().find(|row| row["what"] == "paid").expect("one")["job"].clone();
    let job = job.as_str().expect("an id");
    place.run(&["receipts", "export", job, "-o", "out.cbor"]).succeeds();
    assert_eq!(fs::read(place.path("out.cbor")).expect("read"), fs::read(fixture("receipts-1.cbor")).expect("read"));
    place.run(&["receipts", "export", job, "-o", "out.cbor"]).fails(1, &["cannot write out.cbor"]);
}

#[test]
fn the_first_bad_record_ends_an_audit_with_1() {
    let place = place();
    let path = place.home().join("journal");
    let mut bytes = fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
    place.run(&["ledger", "audit"]).fails(1, &["journal record ", "is damaged"]);
    let output = place.run(&["ledger", "audit", "--json"]);
    assert_eq!(output.code, 1);
    assert!(output.stdout.contains("\"good\": false") && output.stdout.contains("is damaged"), "{output:?}");
    place.run(&["wallet", "balance"]).fails(1, &["is damaged"]);
}

#[test]
fn a_folder_of_a_later_version_is_left_alone() {
    let place = place();
    fs::write(place.home().join("version"), "2\n").expect("written");
    for command in [&["daemon"][..], &["ledger", "audit"], &["wallet", "balance"]] {
        place.run(command).fails(2, &["has version 2, and this release opens version 1: use the release that made it"]);
    }
}
