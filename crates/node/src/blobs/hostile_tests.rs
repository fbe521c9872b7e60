//! Lists of files that a peer should not have made, fetched from it over a real connection into a real store.

use super::{Exchange, Holders, PROTOCOL, TreeFault};
use pocketmesh_blobs::{Store, Uplink};
use pocketmesh_network::{Config, Event, Handle, start};
use pocketmesh_types::tree::{File, Tree};
use pocketmesh_types::{BlobId, Hash, Output, limits};
use std::{collections::BTreeSet, path::Path};
use tempfile::TempDir;

/// More than any file here has.
const FILES_MAX: u64 = 1 << 20;

struct Peer {
    exchange: Exchange,
    store: Store,
    handle: Handle,
    home: TempDir,
}

async fn peer(seed: u8) -> Peer {
    let home = tempfile::tempdir().expect("a folder");
    let store = Store::open(home.path().join("blobs"), 1 << 30).expect("a store");
    let mut config = Config::new([seed; 32], "test");
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    config.streams = vec![PROTOCOL];
    let (handle, mut events) = start(config).await.expect("started");
    let (exchange, _) = Exchange::new(store.clone(), handle.clone(), Uplink::default());
    let serving = exchange.clone();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let Event::Stream { peer, stream, .. } = event {
                serving.serve(peer, stream);
            }
        }
    });
    Peer { exchange, store, handle, home }
}

/// One that makes lists, and one that fetches them.
async fn pair() -> (Peer, Peer, Holders) {
    let (hostile, victim) = (peer(1).await, peer(2).await);
    let address = hostile.handle.listen_addrs().first().cloned().expect("it listens");
    let from = victim.handle.dial(address).await.expect("connected");
    (hostile, victim, vec![from].into())
}

fn line(content: Output, path: &str) -> String {
    format!("{} {} {path}\n", content.id, content.len)
}

/// All files below a folder but those of the store, which has names of its own.
fn strays(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    entries.map(|name| name.to_string_lossy().into_owned()).filter(|name| name != "blobs").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_no_tree_has_is_refused_with_a_reason_and_does_no_harm() {
    let (hostile, victim, from) = pair().await;
    let file = Output::of(b"the file");
    hostile.store.put(b"the file").expect("stored");
    let kept = victim.store.put(b"here before").expect("stored");
    let escaped = victim.home.path().join("escaped").display().to_string();
    let many = |count: usize| (0..count).map(|n| line(file, &format!("{n:07}"))).collect::<String>();
    let huge = Output { id: file.id, len: u64::MAX };
    let cases = [
        (line(file, "../escaped"), "is no path"),
        (line(file, "a/../../escaped"), "is no path"),
        (line(file, &escaped), "is no path"),
        (line(file, "a\\b"), "is no path"),
        (line(file, "a") + &line(file, "a"), "line 2"),
        (line(file, "a") + &line(file, "a/b"), "both a file and a folder"),
        (line(file, "b") + &line(file, "a"), "line 2"),
        (line(huge, "a") + &line(huge, "b"), "too many bytes"),
        (line(Output { id: file.id, len: FILES_MAX + 1 }, "a"), "more than the 1048576"),
        (many(limits::TREE_FILES_MAX + 1), "more than 4096 files"),
        (many(1_000_000), "more than the 1048576 that one may have"),
        ("\u{0}".to_owned(), "line 1"),
    ];
    for (text, reason) in &cases {
        let list = Output::of(text.as_bytes());
        hostile.store.put(text.as_bytes()).expect("stored");
        let before = hostile.exchange.sent().values().sum::<u64>();
        let fault = victim.exchange.bring_tree(list, FILES_MAX, &from).await.expect_err(reason);
        assert!(fault.to_string().contains(reason), "{fault} is not: {reason}");
        let sent = hostile.exchange.sent().values().sum::<u64>() - before;
        assert!(sent <= limits::TREE_BYTES_MAX + (64 << 10), "{sent} bytes were taken: {reason}");
        assert!(!victim.store.contains(file.id), "a file was fetched: {reason}");
        assert!(!victim.store.contains(list.id), "the list has stayed: {reason}");
        assert!(victim.store.contains(kept), "{reason}");
        assert_eq!(strays(victim.home.path()), BTreeSet::new(), "{reason}");
    }
    let good = Tree::new(vec![File { path: "a/b".into(), content: file }]).expect("a tree").to_text();
    hostile.store.put(good.as_bytes()).expect("stored");
    victim.exchange.bring_tree(Output::of(good.as_bytes()), FILES_MAX, &from).await.expect("a good tree");
    assert_eq!(victim.store.get(file.id, 100).expect("here"), b"the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_list_whose_bytes_somebody_needs_for_something_else_stays() {
    let (hostile, victim, from) = pair().await;
    let (here, pinned) = (line(Output::of(b"x"), "../here"), line(Output::of(b"x"), "../pinned"));
    victim.store.put(here.as_bytes()).expect("stored");
    victim.store.pin(BlobId::of(pinned.as_bytes()), Hash::of(b"a job"));
    for text in [here, pinned] {
        let list = Output::of(text.as_bytes());
        hostile.store.put(text.as_bytes()).expect("stored");
        let fault = victim.exchange.bring_tree(list, FILES_MAX, &from).await.expect_err("no list");
        assert!(matches!(fault, TreeFault::List(_)) && victim.store.contains(list.id), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_among_the_files_of_a_list_is_a_file_and_nothing_in_it_is_followed() {
    let (hostile, victim, from) = pair().await;
    let secret = Output::of(b"what the inner list names");
    hostile.store.put(b"what the inner list names").expect("stored");
    let inner = line(secret, "../escaped");
    let outer = line(Output::of(inner.as_bytes()), "inner");
    for text in [&inner, &outer] {
        hostile.store.put(text.as_bytes()).expect("stored");
    }
    victim.exchange.bring_tree(Output::of(outer.as_bytes()), FILES_MAX, &from).await.expect("brought");
    assert!(victim.store.contains(BlobId::of(inner.as_bytes())) && !victim.store.contains(secret.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_another_length_than_was_said_is_not_taken() {
    let (hostile, victim, from) = pair().await;
    let text: String = (0..4_000).map(|n| line(Output::of(b"x"), &format!("{n:07}"))).collect();
    let id = hostile.store.put(text.as_bytes()).expect("stored");
    for len in [0, 100, text.len() as u64 + 1] {
        let fault = victim.exchange.bring_tree(Output { id, len }, FILES_MAX, &from).await.expect_err("a lie");
        assert!(matches!(fault, TreeFault::Missing), "{len}: {fault}");
    }
    assert!(!victim.store.contains(id));
}
