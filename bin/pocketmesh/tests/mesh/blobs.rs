//! `blob`: files that go from peer to peer by their names alone.

use crate::rig::{Testnet, guest};
use std::fs;

/// Bytes that differ everywhere.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(|_| word()).take(len).collect()
}

#[test]
fn a_blob_goes_from_peer_to_peer_by_its_name_and_outlives_the_first_one() {
    let mesh = Testnet::start(3);
    let (source, bytes) = (mesh.dir().join("source"), noise(3_000_000));
    fs::write(&source, &bytes).expect("a file");
    let added = mesh.json(0, &["blob", "add", source.to_str().expect("UTF-8")]);
    let id = added[0]["id"].as_str().expect("a hash").to_owned();
    assert_eq!((added[0]["len"].as_u64(), added[0]["kept"].as_bool()), (Some(3_000_000), Some(true)));

    let get = |peer: usize| {
        let target = mesh.dir().join(format!("got-{peer}"));
        let got = mesh.json(peer, &["blob", "get", &id, "--output", target.to_str().expect("UTF-8")]);
        assert!(fs::read(target).expect("written") == bytes, "peer {peer} got other bytes");
        got
    };
    let got = get(1);
    let sent: u64 = got["from"].as_array().expect("a list").iter().filter_map(|one| one["bytes"].as_u64()).sum();
    assert!(sent >= 3_000_000 && got["liars"].as_array().is_some_and(Vec::is_empty), "{got}");
    let given = mesh.json(0, &["blob", "ls"])["sent"].clone();
    assert!(given[0]["bytes"].as_u64() >= Some(3_000_000), "{given}");

    // Whoever has fetched it is a provider, and the first one is not needed any more.
    let from = mesh.json(1, &["status"])["peer"].as_str().expect("an id").to_owned();
    mesh.kill(0);
    let got = get(2);
    assert_eq!(got["from"][0]["peer"].as_str(), Some(from.as_str()), "{got}");

    // What nobody keeps goes when it is asked for; what is kept stays.
    assert_eq!(mesh.json(2, &["blob", "pin", &id])["kept"].as_bool(), Some(true));
    assert_eq!(mesh.json(2, &["blob", "gc", "--check"])["blobs"].as_u64(), Some(0));
    mesh.json(2, &["blob", "unpin", &id]);
    let collected = mesh.json(2, &["blob", "gc"]);
    assert!(collected["blobs"].as_u64() == Some(1) && collected["bytes"].as_u64() >= Some(3_000_000), "{collected}");
}

/// A program with so many bytes that nobody reads in a section of its own.
fn heavy(program: &[u8], ballast: usize) -> Vec<u8> {
    let content = [&[4][..], b"heap", &noise(ballast)].concat();
    let mut section = vec![0];
    let mut rest = content.len();
    while rest >= 0x80 {
        section.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    section.push(rest as u8);
    [program, &section, &content].concat()
}

#[test]
fn a_requester_sends_its_program_about_once_however_many_work_for_it() {
    const PROGRAM_BYTES: u64 = 20 << 20;
    let mesh = Testnet::start(9);
    let program = mesh.dir().join("heavy.wasm");
    let primes = fs::read(guest("primes")).expect("a guest");
    fs::write(&program, heavy(&primes, PROGRAM_BYTES as usize)).expect("a file");
    let out = mesh.dir().join("out");
    let args = ["run", program.to_str().expect("UTF-8"), "--range", "0..160", "--replicas", "2", "-o"];
    mesh.json(0, &[&args[..], &[out.to_str().expect("UTF-8"), "--", "{index}"]].concat());
    let given = mesh.json(0, &["blob", "ls"])["sent"].clone();
    let sent: u64 = given.as_array().expect("a list").iter().filter_map(|one| one["bytes"].as_u64()).sum();
    let copies = sent as f64 / PROGRAM_BYTES as f64;
    let has_it = |peer: usize| {
        let held = mesh.json(peer, &["blob", "ls"])["blobs"].clone();
        held.as_array().is_some_and(|blobs| blobs.iter().any(|blob| blob["held"].as_u64() >= Some(PROGRAM_BYTES)))
    };
    let workers = (1..9).filter(|&peer| has_it(peer)).count();
    println!("{copies:.2} copies of the program sent for {workers} workers: {given}");
    // Of eight bids two thirds win.
    assert!(workers >= 6 && copies <= 1.5, "{copies:.2} copies for {workers} workers");
}
