//! The queues of messages to peers, shared between the handles that fill them and the sessions that empty them.
//!
//! Bounded by number and bytes. A queue that overflows is broken for good and ends its session: what was accepted before
//! reaches the peer in order without a gap, or the connection is gone. No message is silently left out.

use crate::config::Limits;
use pocketmesh_types::{PeerId, limits::MESSAGE_BYTES_MAX};
use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, mpsc};

/// Why a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no connection with that peer.
    #[error("the peer is not connected")]
    NotConnected,
    /// The message is larger than the peer would accept.
    #[error("a message of {0} bytes is larger than {MESSAGE_BYTES_MAX}")]
    TooLarge(usize),
    /// Too much is waiting for this peer already. It is being disconnected.
    #[error("the peer is too slow to take its messages and is being disconnected")]
    TooSlow,
}

/// What both ends of a queue know.
#[derive(Debug)]
pub(crate) struct Gauge {
    queued_bytes: AtomicUsize,
    bytes_max: usize,
    broken: AtomicBool,
    overflow: Notify,
}

impl Gauge {
    /// A message left the queue.
    pub(crate) fn taken(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns when the queue has overflowed.
    pub(crate) async fn overflowed(&self) {
        self.overflow.notified().await;
    }

    fn break_off(&self) -> SendError {
        self.broken.store(true, Ordering::Relaxed);
        self.overflow.notify_one();
        SendError::TooSlow
    }
}

/// The filling end.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Vec<u8>>,
    gauge: Arc<Gauge>,
}

impl Outbox {
    fn push(&self, bytes: Vec<u8>) -> Result<(), SendError> {
        if self.gauge.broken.load(Ordering::Relaxed) {
            return Err(SendError::TooSlow);
        }
        let size = bytes.len();
        let before = self.gauge.queued_bytes.fetch_add(size, Ordering::Relaxed);
        if before + size > self.gauge.bytes_max {
            return Err(self.gauge.break_off());
        }
        self.queue.try_send(bytes).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => self.gauge.break_off(),
            mpsc::error::TrySendError::Closed(_) => SendError::NotConnected,
        })
    }
}

/// The emptying end.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) messages: mpsc::Receiver<Vec<u8>>,
    pub(crate) gauge: Arc<Gauge>,
}

/// A queue for one session.
pub(crate) fn outbox(limits: &Limits) -> (Outbox, Queue) {
    let (queue, messages) = mpsc::channel(limits.send_queue_messages.max(1));
    let gauge = Arc::new(Gauge {
        queued_bytes: AtomicUsize::new(0),
        bytes_max: limits.send_queue_bytes,
        broken: AtomicBool::new(false),
        overflow: Notify::new(),
    });
    (Outbox { queue, gauge: gauge.clone() }, Queue { messages, gauge })
}

/// The queues of all peers that can be sent to.
#[derive(Debug, Default)]
pub(crate) struct Outboxes(RwLock<HashMap<PeerId, Outbox>>);

impl Outboxes {
    /// Queues a message.
    pub(crate) fn send(&self, peer: PeerId, bytes: Vec<u8>) -> Result<(), SendError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(SendError::TooLarge(bytes.len()));
        }
        self.read().get(&peer).ok_or(SendError::NotConnected)?.push(bytes)
    }

    /// From now on messages for `peer` go to `outbox`.
    pub(crate) fn insert(&self, peer: PeerId, outbox: Outbox) {
        self.write().insert(peer, outbox);
    }

    /// No more messages for `peer`; those queued are still sent if its session lives.
    pub(crate) fn remove(&self, peer: &PeerId) {
        self.write().remove(peer);
    }

    /// No more messages for anybody.
    pub(crate) fn clear(&self) {
        self.write().clear();
    }

    /// Bytes that wait for `peer`.
    pub(crate) fn queued_bytes(&self, peer: &PeerId) -> usize {
        self.read().get(peer).map_or(0, |outbox| outbox.gauge.queued_bytes.load(Ordering::Relaxed))
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<PeerId, Outbox>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<PeerId, Outbox>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const PEER: PeerId = PeerId([1; 32]);

    fn limits(messages: usize, bytes: usize) -> Limits {
        Limits { send_queue_messages: messages, send_queue_bytes: bytes, ..Limits::default() }
    }

    #[test]
    fn a_queue_overflows_by_number_and_stays_broken() {
        let (outbox, mut queue) = outbox(&limits(2, 1000));
        assert_eq!(outbox.push(vec![1]), Ok(()));
        assert_eq!(outbox.push(vec![2]), Ok(()));
        assert!(queue.gauge.overflowed().now_or_never().is_none());
        assert_eq!(outbox.push(vec![3]), Err(SendError::TooSlow));
        assert!(queue.messages.try_recv().is_ok());
        assert_eq!(outbox.push(vec![4]), Err(SendError::TooSlow), "message 3 is missing, so 4 must not follow 2");
        assert!(queue.gauge.overflowed().now_or_never().is_some());
    }

    #[test]
    fn a_queue_overflows_by_bytes() {
        let (outbox, queue) = outbox(&limits(100, 10));
        assert_eq!(outbox.push(vec![0; 6]), Ok(()));
        queue.gauge.taken(6);
        assert_eq!(outbox.push(vec![0; 10]), Ok(()));
        assert_eq!(outbox.push(vec![0; 1]), Err(SendError::TooSlow));
    }

    #[test]
    fn what_cannot_be_received_is_not_sent() {
        let outboxes = Outboxes::default();
        assert_eq!(outboxes.send(PEER, vec![]), Err(SendError::NotConnected));
        let bytes = MESSAGE_BYTES_MAX + 1;
        assert_eq!(outboxes.send(PEER, vec![0; bytes]), Err(SendError::TooLarge(bytes)));
    }
}
