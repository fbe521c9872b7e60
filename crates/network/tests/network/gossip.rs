//! Gossip: to everybody, judged before it is forwarded.

use crate::node::{Node, config};
use futures::future::join_all;
use pocketmesh_network::{DhtRole, Event, PublishError, Verdict};
use pocketmesh_types::{PeerId, limits::OFFER_BYTES_MAX};

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
