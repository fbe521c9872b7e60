//! Who has what: told to the mesh, found by whoever asks.

use crate::node::{NET, Node, config};
use futures::future::join_all;
use pocketmesh_network::Provider;
use tokio::time::timeout;

const KEY: [u8; 32] = [42; 32];

/// All that a search finds.
async fn search(node: &Node, key: [u8; 32]) -> Vec<Provider> {
    let mut found = node.handle.providers(key).await.expect("it runs");
    let mut all = Vec::new();
    while let Some(provider) = timeout(NET, found.recv()).await.expect("the search ends") {
        all.push(provider);
    }
    all
}

/// Searches until somebody is found: a record needs a moment to be told.
async fn search_until_found(node: &Node, key: [u8; 32]) -> Vec<Provider> {
    timeout(NET, async {
        loop {
            let found = search(node, key).await;
            if !found.is_empty() {
                return found;
            }
        }
    })
    .await
    .expect("it is told")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_provides_is_found_with_its_address_and_nobody_else_is() {
    let first = Node::start(config(1)).await;
    let address = first.bare_address();
    let others = join_all((2..=6).map(|seed| Node::join(config(seed), address.clone()))).await;
    let mut nodes: Vec<Node> = std::iter::once(first).chain(others).collect();
    join_all(nodes.iter_mut().map(|node| node.until_met(5))).await;

    assert_eq!(search(&nodes[1], KEY).await, []);
    nodes[3].handle.provide(KEY).await.expect("it runs");
    let provider = nodes[3].id();
    for node in [&nodes[1], &nodes[5]] {
        let found = search_until_found(node, KEY).await;
        assert_eq!(found.iter().map(|found| found.peer).collect::<Vec<_>>(), [provider]);
    }
    assert_eq!(search(&nodes[1], [7; 32]).await, []);

    // A newcomer that knows one address only can call whom it finds.
    let mut newcomer = Node::join(config(9), nodes[0].bare_address()).await;
    newcomer.until_connected(nodes[0].id()).await;
    let found = search_until_found(&newcomer, KEY).await;
    assert_eq!(found[0].peer, provider);
    let at = nodes[3].bare_address();
    assert!(found[0].addresses.iter().any(|address| address.to_string().starts_with(&at.to_string())), "{found:?}");
}
