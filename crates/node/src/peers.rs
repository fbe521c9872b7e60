//! Peers of the run before, so that a restart needs no bootstrap address. In sled: the mesh can tell it all again.

use pocketmesh_network::{Handle, Multiaddr};
use pocketmesh_store::{Index, index::Tree};
use pocketmesh_types::PeerId;
use std::sync::Arc;

/// Their tree.
pub const TREE: &str = "peers";
/// As many as a start dials at most.
const SAVED_MAX: usize = 64;

/// The peers that were saved, with the addresses where they were.
pub fn load(tree: &Tree) -> Vec<(PeerId, Vec<Multiaddr>)> {
    let entries = tree.scan_prefix(b"").filter_map(Result::ok);
    entries.take(SAVED_MAX).filter_map(|(key, value)| parse(&key, &value)).collect()
}

fn parse(key: &[u8], value: &[u8]) -> Option<(PeerId, Vec<Multiaddr>)> {
    let peer = PeerId(key.get(1..)?.try_into().ok()?);
    let text = std::str::from_utf8(value).ok()?;
    Some((peer, text.lines().filter_map(|line| line.parse().ok()).collect()))
}

/// Saves the peers that are known now in place of those before, the most useful first.
pub async fn save(network: Handle, index: Arc<Index>) {
    let Ok(known) = network.known_addresses().await else { return };
    if known.is_empty() {
        return;
    }
    let saved = tokio::task::spawn_blocking(move || {
        let tree = index.tree(TREE)?;
        tree.clear()?;
        for (rank, (peer, addresses)) in (0u8..).zip(known.into_iter().take(SAVED_MAX)) {
            let text: Vec<String> = addresses.iter().map(Multiaddr::to_string).collect();
            tree.put(&[&[rank][..], &peer.0].concat(), text.join("\n").as_bytes())?;
        }
        index.flush()
    });
    if let Ok(Err(error)) = saved.await {
        tracing::warn!(%error, "known peers could not be saved");
    }
}
