//! `blob`: files that go from peer to peer by their names alone.

use crate::rig::Testnet;
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
