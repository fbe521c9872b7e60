//! Peers find one another from one address.

use crate::node::{Node, config};
use futures::future::join_all;
use pocketmesh_network::{DialError, Event, Multiaddr, Via};
use pocketmesh_types::PeerId;
use std::{collections::BTreeMap, time::Instant};

/// Takes events until `peers` are connected; returns from where each was heard of.
async fn learn(node: &mut Node, peers: usize) -> BTreeMap<PeerId, Via> {
    let mut learned = BTreeMap::new();
    while node.connected.len() < peers {
        if let Event::Learned { peer, via } = node.next().await {
            assert_eq!(learned.insert(peer, via), None, "learned of once");
        }
    }
    learned
}

#[tokio::test]
async fn three_peers_find_each_other_from_one_address_without_a_name() {
    let mut a = Node::start(config(1)).await;
    let mut b = Node::join(config(2), a.bare_address()).await;
    let mut of_b = learn(&mut b, 1).await;
    let mut c = Node::join(config(3), a.bare_address()).await;
    let (of_a, more, of_c) = tokio::join!(learn(&mut a, 2), learn(&mut b, 2), learn(&mut c, 2));
    of_b.extend(more);

    assert_eq!(of_a, BTreeMap::from([(b.id(), Via::Inbound), (c.id(), Via::Inbound)]));
    assert_eq!((of_b[&a.id()], of_c[&a.id()]), (Via::Bootstrap, Via::Bootstrap));
    let told = Via::Kademlia { from: Some(a.id()) };
    let between = [of_b[&c.id()], of_c[&b.id()]];
    assert!(between.contains(&told), "only a could tell: {between:?}");
    assert!(between.iter().all(|via| [told, Via::Inbound].contains(via)), "{between:?}");
}

async fn mesh(peers: u8) -> Vec<Node> {
    let first = Node::start(config(1)).await;
    let address = first.bare_address();
    let others = join_all((2..=peers).map(|seed| Node::join(config(seed), address.clone()))).await;
    std::iter::once(first).chain(others).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_peers_that_start_together_are_all_connected_to_all() {
    let begin = Instant::now();
    let mut nodes = mesh(8).await;
    join_all(nodes.iter_mut().map(|node| node.until_met(7))).await;
    println!("8 peers all to all: {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_peers_that_start_together_each_meet_eight() {
    let begin = Instant::now();
    let mut nodes = mesh(20).await;
    join_all(nodes.iter_mut().map(|node| node.until_met(8))).await;
    println!("20 peers with 8 each: {:?}", begin.elapsed());
}

#[tokio::test]
async fn an_address_works_with_and_without_the_name_and_by_dns() {
    let a = Node::start(config(1)).await;
    let by_name = a.address().to_string().replace("/ip4/127.0.0.1/", "/dns4/localhost/");
    for (seed, address) in [(2, a.address()), (3, a.bare_address()), (4, by_name.parse().expect("an address"))] {
        let b = Node::start(config(seed)).await;
        assert_eq!(b.handle.dial(address.clone()).await, Ok(a.id()), "{address}");
        assert_eq!(b.handle.dial(address.clone()).await, Ok(a.id()), "{address} a second time");
        let via = b.handle.peers().await.expect("it runs").iter().find(|info| info.peer == a.id()).map(|info| info.via);
        assert_eq!(via, Some(Via::Manual));
    }
}

#[tokio::test]
async fn what_cannot_be_dialled_is_told() {
    let a = Node::start(config(1)).await;
    let gone = {
        let b = Node::start(config(2)).await;
        b.handle.shutdown().await;
        b.bare_address()
    };
    let refused = a.handle.dial(gone.clone()).await.expect_err("nobody is there");
    assert!(refused.to_string().contains("refused"), "{refused}");
    assert!(matches!(a.handle.dial(a.bare_address()).await, Err(DialError::Own(_))));
    assert!(matches!(a.handle.dial(a.address()).await, Err(DialError::Own(_))));
    let no_port: Multiaddr = "/ip4/127.0.0.1".parse().expect("a multiaddr");
    assert!(matches!(a.handle.dial(no_port).await, Err(DialError::BadAddress(_))));
    let nowhere: Multiaddr = "/dns4/no-such-host.invalid/tcp/1".parse().expect("a multiaddr");
    assert!(matches!(a.handle.dial(nowhere).await, Err(DialError::Unresolved { .. })));
}

#[tokio::test]
async fn a_name_that_does_not_live_there_is_told() {
    let (a, b, c) = (Node::start(config(1)).await, Node::start(config(2)).await, Node::start(config(3)).await);
    let claimed: Multiaddr = format!("{}/p2p/{}", a.bare_address(), b.id()).parse().expect("an address");
    assert!(matches!(c.handle.dial(claimed).await, Err(DialError::WrongPeer { .. })));
}

#[tokio::test]
async fn another_networks_peer_is_refused_and_both_sides_can_say_why() {
    let mut beta = config(2);
    beta.network = "beta".into();
    let (mut a, b) = (Node::start(config(1)).await, Node::start(beta).await);
    let other = |theirs: &str, ours: &str| Err(DialError::OtherNetwork { theirs: theirs.into(), ours: ours.into() });
    assert_eq!(b.handle.dial(a.bare_address()).await, other("test", "beta"));
    assert_eq!(a.handle.dial(b.address()).await, other("beta", "test"));
    assert!(a.handle.peers().await.expect("it runs").is_empty());
    a.handle.shutdown().await;
    while let Some(event) = a.events.recv().await {
        assert!(!matches!(event, Event::Connected { .. }), "it was never connected");
    }
}
