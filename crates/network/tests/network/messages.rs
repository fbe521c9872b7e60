//! Direct messages and bulk streams between honest peers.

use crate::node::{Node, config, pair};
use futures::{AsyncReadExt, AsyncWriteExt};
use pocketmesh_network::{DisconnectReason, Event, OpenError, SendError};
use pocketmesh_types::{PeerId, limits::MESSAGE_BYTES_MAX};

/// Sizes of messages, from empty but for the number to the largest.
fn size(n: u32) -> usize {
    match n {
        n if n % 1000 == 999 => MESSAGE_BYTES_MAX,
        n if n % 100 == 99 => 100_000,
        n => 4 + n as usize % 300,
    }
}

fn numbered(n: u32) -> Vec<u8> {
    let mut bytes = n.to_be_bytes().to_vec();
    bytes.resize(size(n), n as u8);
    bytes
}

/// Sends `0..count`, at most 64 ahead of what the other has answered, and answers what comes.
async fn converse(node: &mut Node, other: PeerId, count: u32) {
    let (mut sent, mut answered, mut heard) = (0, 0, 0);
    while answered < count || heard < count {
        while sent < count && sent < answered + 64 {
            node.handle.send(other, [&[0], &numbered(sent)[..]].concat()[..size(sent)].to_vec()).expect("queued");
            sent += 1;
        }
        let (from, bytes) = node.message().await;
        assert_eq!(from, other);
        if bytes[0] == 1 {
            assert_eq!(bytes[1..], answered.to_be_bytes(), "answers in order");
            answered += 1;
        } else {
            assert_eq!(bytes.len(), size(heard), "messages in order and whole");
            node.handle.send(other, [&[1], &heard.to_be_bytes()[..]].concat()).expect("queued");
            heard += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_messages_of_all_sizes_arrive_in_order_both_ways() {
    let (mut a, mut b) = pair(config(1), config(2)).await;
    let (id_a, id_b) = (a.id(), b.id());
    tokio::join!(converse(&mut a, id_b, 4000), converse(&mut b, id_a, 4000));
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_at_once() {
    let (a, b) = pair(config(1), config(2)).await;
    let bytes = MESSAGE_BYTES_MAX + 1;
    assert_eq!(a.handle.send(b.id(), vec![0; bytes]), Err(SendError::TooLarge(bytes)));
    assert_eq!(a.handle.send(PeerId([9; 32]), vec![0]), Err(SendError::NotConnected));
}

#[tokio::test]
async fn a_dismissed_peer_is_disconnected_on_both_sides() {
    let (mut a, mut b) = pair(config(1), config(2)).await;
    a.handle.disconnect(b.id(), DisconnectReason::Requested).await.expect("it runs");
    a.until_disconnected(b.id()).await;
    b.until_disconnected(a.id()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_stream_carries_ten_mebibytes() {
    let (mut a, mut b) = pair(config(1), config(2)).await;
    let blob: Vec<u8> = (0..10u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let id_b = b.id();
    let send = async {
        let mut stream = a.handle.open(id_b, "blobs").await.expect("b accepts blobs");
        stream.write_all(&blob).await.expect("written");
        stream.close().await.expect("closed");
        stream
    };
    let receive = async {
        let (peer, protocol, mut stream) = b
            .until(|event| match event {
                Event::Stream { peer, protocol, stream } => Some((peer, protocol, stream)),
                _ => None,
            })
            .await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("read");
        (peer, protocol, bytes)
    };
    let (_stream, (peer, protocol, bytes)) = tokio::join!(send, receive);
    assert_eq!((peer, protocol), (a.id(), "blobs"));
    assert!(bytes == blob, "the bytes are the same");
    a.handle.shutdown().await;
    a.until_gone().await;
}

#[tokio::test]
async fn a_protocol_that_nobody_accepts_is_told() {
    let (a, b) = pair(config(1), config(2)).await;
    assert_eq!(a.handle.open(b.id(), "music").await.map(|_| ()), Err(OpenError::Unsupported));
    assert_eq!(a.handle.open(PeerId([9; 32]), "blobs").await.map(|_| ()), Err(OpenError::NotConnected));
}
