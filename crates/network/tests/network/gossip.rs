//! Gossip: to everybody, judged before it is forwarded.

use crate::node::{Node, config};
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use pocketmesh_network::{DhtRole, Event, PublishError, Verdict, deepest};
use pocketmesh_types::{PeerId, limits::OFFER_BYTES_MAX};
use std::time::Duration;

/// What is gossiped here is about this.
const KEY: [u8; 32] = [9; 32];

/// Waits for a gossiped message, judges it, and returns it.
async fn judge(node: &mut Node, verdict: Verdict) -> (PeerId, u8, Vec<u8>) {
    let (token, source, depth, bytes) = node
        .until(|event| match event {
            Event::Gossip { token, source, depth, bytes } => Some((token, source, depth, bytes)),
            _ => None,
        })
        .await;
    node.handle.report(token, verdict).await.expect("it runs");
    (source, depth, bytes)
}

/// A peer that nobody is told of, so that it stays with those it dials.
fn quiet(seed: u8) -> pocketmesh_network::Config {
    let mut config = config(seed);
    config.dht = DhtRole::Client;
    config.limits.outbound_target = 0;
    config
}

/// `a — b — c`, with no other connection.
async fn line() -> (Node, Node, Node) {
    let (mut a, mut b, mut c) = (Node::start(quiet(1)).await, Node::start(quiet(2)).await, Node::start(quiet(3)).await);
    for end in [&mut a, &mut c] {
        assert_eq!(end.handle.dial(b.address()).await, Ok(b.id()));
        end.until_connected(b.id()).await;
    }
    b.until_met(2).await;
    (a, b, c)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_reaches_everybody() {
    let mut first = Node::start(config(1)).await;
    let address = first.bare_address();
    let mut others = join_all((2..=6).map(|seed| Node::join(config(seed), address.clone()))).await;
    first.until_met(5).await;
    let offer = vec![7; OFFER_BYTES_MAX];
    first.handle.publish(KEY, 0, offer.clone()).await.expect("published");
    let heard = join_all(others.iter_mut().map(|node| judge(node, Verdict::Accept))).await;
    assert!(heard.iter().all(|(_, depth, bytes)| *depth == 0 && *bytes == offer));
}

#[tokio::test]
async fn an_offer_made_alone_goes_out_with_the_first_neighbour() {
    let (a, mut b) = (Node::start(config(1)).await, Node::start(config(2)).await);
    a.handle.publish(KEY, 0, b"early".to_vec()).await.expect("kept");
    a.handle.dial(b.address()).await.expect("connected");
    assert_eq!(judge(&mut b, Verdict::Accept).await, (a.id(), 0, b"early".to_vec()));
}

#[tokio::test]
async fn only_what_is_accepted_is_forwarded_and_what_is_rejected_lowers_the_score() {
    let (a, mut b, mut c) = line().await;
    let score = async |node: &Node, peer: PeerId| {
        let infos = node.handle.peers().await.expect("it runs");
        infos.iter().find(|info| info.peer == peer).expect("connected").score
    };
    for (message, verdict) in [("good", Verdict::Accept), ("late", Verdict::Ignore)] {
        a.handle.publish(KEY, 0, message.into()).await.expect("published");
        assert_eq!(judge(&mut b, verdict).await, (a.id(), 0, message.into()));
    }
    assert!(score(&b, a.id()).await >= 0.0, "nobody is to blame for a late message");
    a.handle.publish(KEY, 0, b"bad".to_vec()).await.expect("published");
    judge(&mut b, Verdict::Reject).await;
    assert!(score(&b, a.id()).await < 0.0);
    a.handle.publish(KEY, 0, b"last".to_vec()).await.expect("published");
    judge(&mut b, Verdict::Accept).await;

    let heard = [judge(&mut c, Verdict::Accept).await, judge(&mut c, Verdict::Accept).await];
    assert_eq!(heard, [(b.id(), 0, b"good".to_vec()), (b.id(), 0, b"last".to_vec())]);
}

#[tokio::test]
async fn what_cannot_be_gossiped_is_told() {
    let a = Node::start(config(1)).await;
    let bytes = OFFER_BYTES_MAX + 1;
    assert_eq!(a.handle.publish(KEY, 0, vec![0; bytes]).await, Err(PublishError::TooLarge(bytes)));
    assert_eq!(a.handle.publish(KEY, 17, vec![0]).await, Err(PublishError::TooDeep(17)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_the_part_of_the_mesh_that_it_is_for_and_nobody_else() {
    let first = Node::start(config(1)).await;
    let address = first.bare_address();
    let mut nodes = join_all((2..=16).map(|seed| Node::join(config(seed), address.clone()))).await;
    nodes.insert(0, first);
    for node in &mut nodes {
        node.until_met(15).await;
    }
    // A part that the publisher does not belong to, with at least two peers in it.
    let is_for = |key: &[u8; 32], node: &Node| deepest(key, node.id()) >= 2;
    let fits = |key: &[u8; 32]| !is_for(key, &nodes[0]) && nodes.iter().filter(|node| is_for(key, node)).count() >= 2;
    let key = (0..=255).map(|n| [n; 32]).find(fits).expect("four parts of sixteen peers");
    nodes[0].handle.publish(key, 2, b"for few".to_vec()).await.expect("published");
    for node in nodes.iter_mut().filter(|node| is_for(&key, node)) {
        assert_eq!(judge(node, Verdict::Accept).await.1, 2);
    }
    // Whatever the others were to hear of it they have heard before what comes after it.
    nodes[0].handle.publish(key, 0, b"for all".to_vec()).await.expect("published");
    for node in nodes.iter_mut().skip(1) {
        assert_eq!(judge(node, Verdict::Accept).await.1, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_that_a_publisher_does_not_know_are_looked_up_and_connected_to() {
    // Everybody is connected to the first only, and can be found by it.
    let sparse = |seed| {
        let mut config = config(seed);
        config.limits.outbound_target = 1;
        config
    };
    let mut first = Node::start(config(1)).await;
    let address = first.bare_address();
    let mut nodes = join_all((2..=14).map(|seed| Node::join(sparse(seed), address.clone()))).await;
    first.until_met(13).await;
    nodes[0].until_connected(first.id()).await;
    let (publisher, others) = nodes.split_first_mut().expect("thirteen");
    let key = (0..=255).map(|n| [n; 32]).find(|key| {
        let apart = [publisher.id(), first.id()].iter().all(|peer| deepest(key, *peer) == 0);
        apart && others.iter().filter(|node| deepest(key, node.id()) >= 1).count() >= 3
    });
    let key = key.expect("two parts");
    publisher.handle.publish(key, 1, b"who is there?".to_vec()).await.expect("published");
    // Three are enough to pass it on, and here nobody else is connected to them.
    let listeners = others.iter_mut().filter(|node| deepest(&key, node.id()) >= 1);
    let heard: FuturesUnordered<_> = listeners.map(|node| judge(node, Verdict::Accept)).collect();
    assert!(heard.take(3).all(|(_, depth, _)| async move { depth == 1 }).await);
}

#[tokio::test]
async fn a_connection_made_for_a_bid_is_closed_when_it_is_not_used() {
    let (mut a, mut b) = (quiet(1), quiet(2));
    (a.limits.passing_idle, b.limits.passing_idle) = (Duration::ZERO, Duration::ZERO);
    let (mut a, b) = (Node::start(a).await, Node::start(b).await);
    a.handle.reach(b.id(), b.handle.contacts()).await.expect("it runs");
    a.until_connected(b.id()).await;
    a.until_disconnected(b.id()).await;
}

#[tokio::test]
async fn a_peer_that_was_chosen_stays_connected_though_a_bid_went_there_too() {
    let mut a = quiet(1);
    a.limits.passing_idle = Duration::ZERO;
    let (mut a, b, c) = (Node::start(a).await, Node::start(quiet(2)).await, Node::start(quiet(3)).await);
    a.handle.dial(b.address()).await.expect("connected");
    for other in [&b, &c] {
        a.handle.reach(other.id(), other.handle.contacts()).await.expect("it runs");
        a.until_connected(other.id()).await;
    }
    a.until_disconnected(c.id()).await;
    assert!(a.connected.contains(&b.id()));
}

#[tokio::test]
async fn a_few_peers_are_counted_exactly() {
    let first = Node::start(config(1)).await;
    let address = first.bare_address();
    let mut others = join_all((2..=5).map(|seed| Node::join(config(seed), address.clone()))).await;
    for node in &mut others {
        node.until_met(4).await;
        assert_eq!(node.handle.mesh_size().await, Ok(4));
    }
}
