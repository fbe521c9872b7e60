//! Starting, stopping, and starting again.

use crate::node::{Node, config, pair};
use pocketmesh_network::{DialError, StartError, start};

#[tokio::test]
async fn a_port_in_use_is_told() {
    let first = Node::start(config(1)).await;
    let mut second = config(2);
    second.listen = vec![first.bare_address()];
    let error = start(second).await.map(|_| ()).expect_err("the port is taken");
    assert!(matches!(error, StartError::AddressInUse(_)), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_listened_on_is_told() {
    for (address, wanted) in [
        ("/ip4/127.0.0.1/udp/0", "give /ip4/ADDRESS/tcp/PORT"),
        ("/dns4/localhost/tcp/0", "give /ip4/ADDRESS/tcp/PORT"),
        ("/ip4/8.8.8.8/tcp/4001", "does not have that address"),
    ] {
        let mut config = config(1);
        config.listen = vec![address.parse().expect("a multiaddr")];
        let error = start(config).await.map(|_| ()).expect_err(address);
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[tokio::test]
async fn a_bad_name_and_a_bad_bootstrap_address_are_told() {
    let mut named = config(1);
    named.network = "no spaces".into();
    assert!(matches!(start(named).await.map(|_| ()), Err(StartError::BadNetworkName(_))));
    let mut led = config(1);
    led.bootstrap = vec!["/ip4/127.0.0.1/udp/1".parse().expect("a multiaddr")];
    assert!(matches!(start(led).await.map(|_| ()), Err(StartError::BadBootstrapAddress(_))));
}

#[tokio::test]
async fn listen_addresses_carry_the_bound_port_and_the_name() {
    let node = Node::start(config(1)).await;
    let text = node.address().to_string();
    assert!(text.starts_with("/ip4/127.0.0.1/tcp/") && !text.contains("/tcp/0/"), "{text}");
    assert!(text.ends_with(&format!("/p2p/{}", node.id())), "{text}");
}

#[tokio::test]
async fn a_peer_that_is_gone_is_told() {
    let (mut a, b) = pair(config(1), config(2)).await;
    let id = b.id();
    drop(b);
    a.until_disconnected(id).await;
    assert!(a.handle.peers().await.expect("it runs").is_empty());
}

#[tokio::test]
async fn a_shutdown_sends_what_was_queued() {
    let (mut a, b) = pair(config(1), config(2)).await;
    for n in 0..1000u32 {
        b.handle.send(a.id(), n.to_be_bytes().to_vec()).expect("queued");
    }
    let ((), received) = tokio::join!(b.handle.shutdown(), async {
        let mut received = Vec::new();
        while received.len() < 1000 {
            received.push(a.message().await.1);
        }
        received
    });
    assert!(received.iter().enumerate().all(|(n, bytes)| **bytes == (n as u32).to_be_bytes()));
    a.until_disconnected(b.id()).await;
    assert_eq!(b.handle.dial(a.address()).await, Err(DialError::Stopped));
}

#[tokio::test]
async fn saved_peers_replace_the_bootstrap_address() {
    let (a, mut b) = pair(config(1), config(2)).await;
    let known = b.handle.known_addresses().await.expect("it runs");
    assert_eq!(known, vec![(a.id(), vec![a.bare_address()])]);
    b.handle.shutdown().await;
    b.until_gone().await;

    let mut again = config(2);
    again.known = known;
    let mut b = Node::start(again).await;
    b.until_connected(a.id()).await;
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again() {
    let (mut a, mut b) = pair(config(1), config(2)).await;
    let address = a.bare_address();
    a.handle.shutdown().await;
    a.until_gone().await;
    b.until_disconnected(a.id()).await;

    let mut again = config(1);
    again.listen = vec![address];
    let mut a = Node::start(again).await;
    b.until_connected(a.id()).await;
    a.until_connected(b.id()).await;
}
