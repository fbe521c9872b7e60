//! What goes out: how fast, to whom, and how much it has been.
//!
//! A bucket of tokens for all peers and one for each. The streams of one peer take turns before they queue for the
//! common bucket, so however many streams a peer has open, it gets the share of one. Everything here lives in memory.

use pocketmesh_types::PeerId;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Peers that are remembered. Beyond this the one that was sent least is forgotten.
const PEERS_MAX: usize = 4096;
/// What an idle bucket saves up: enough that a late wake-up costs nothing, too little to be felt as a burst.
const SAVED_UP: Duration = Duration::from_millis(50);

/// Bounds on what goes out, in bytes a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// To all peers together; `None` for no bound.
    pub total: Option<u64>,
    /// To each peer; `None` for no bound.
    pub per_peer: Option<u64>,
}

/// The way out to other peers. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Uplink(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rates: Rates,
    total: Option<Bucket>,
    lanes: Mutex<BTreeMap<PeerId, Arc<Lane>>>,
}

/// One peer's way out.
#[derive(Debug)]
pub(super) struct Lane {
    sent: AtomicU64,
    bucket: Option<Bucket>,
    /// Whoever of this peer's streams may queue for the common bucket now.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Bucket {
    bytes_per_second: u64,
    /// When what was taken so far will have been paid for.
    paid_at: Mutex<Instant>,
}

impl Bucket {
    fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), paid_at: Mutex::new(Instant::now()) }
    }

    /// Takes `bytes`, first come first served, and waits until they may go.
    async fn take(&self, bytes: u64) {
        tokio::time::sleep_until(self.book(bytes, Instant::now())).await;
    }

    /// When `bytes` that are taken now may go.
    fn book(&self, bytes: u64, now: Instant) -> Instant {
        let mut paid_at = lock(&self.paid_at);
        let start = (*paid_at).max(now.checked_sub(SAVED_UP).unwrap_or(now));
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        *paid_at = start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        *paid_at
    }
}

impl Default for Uplink {
    fn default() -> Self {
        Self::new(Rates::default())
    }
}

impl Uplink {
    /// A way out that keeps to `rates`.
    pub fn new(rates: Rates) -> Self {
        Self(Arc::new(Inner { rates, total: rates.total.map(Bucket::new), lanes: Mutex::default() }))
    }

    /// Bytes of blobs, with their hashes, that went to a peer since this was made.
    pub fn sent_to(&self, peer: &PeerId) -> u64 {
        lock(&self.0.lanes).get(peer).map_or(0, |lane| lane.sent.load(Ordering::Relaxed))
    }

    /// The same for all peers that are remembered.
    pub fn sent(&self) -> BTreeMap<PeerId, u64> {
        lock(&self.0.lanes).iter().map(|(peer, lane)| (*peer, lane.sent.load(Ordering::Relaxed))).collect()
    }

    pub(super) fn lane(&self, peer: PeerId) -> Arc<Lane> {
        let mut lanes = lock(&self.0.lanes);
        if lanes.len() >= PEERS_MAX && !lanes.contains_key(&peer) {
            let idle = lanes.iter().filter(|(_, lane)| Arc::strong_count(lane) == 1);
            let least = idle.min_by_key(|(_, lane)| lane.sent.load(Ordering::Relaxed)).map(|(peer, _)| *peer);
            least.and_then(|peer| lanes.remove(&peer));
        }
        let bucket = self.0.rates.per_peer.map(Bucket::new);
        let lane = || Arc::new(Lane { sent: AtomicU64::new(0), bucket, turn: tokio::sync::Mutex::default() });
        Arc::clone(lanes.entry(peer).or_insert_with(lane))
    }

    /// Waits until `bytes` may go to the peer of this lane, and counts them.
    pub(super) async fn take(&self, lane: &Lane, bytes: usize) {
        let bytes = bytes as u64;
        if self.0.total.is_some() || lane.bucket.is_some() {
            let _turn = lane.turn.lock().await;
            if let Some(bucket) = &lane.bucket {
                bucket.take(bytes).await;
            }
            if let Some(bucket) = &self.0.total {
                bucket.take(bytes).await;
            }
        }
        lane.sent.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever a panic left is a number or a whole map.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    #[test]
    fn a_bucket_lets_out_its_rate_and_saves_up_little() {
        let (bucket, start) = (Bucket::new(1000), Instant::now());
        let last = (0..100).map(|_| bucket.book(100, start)).last().unwrap();
        let span = last.duration_since(start);
        assert!(span >= Duration::from_secs(10) - SAVED_UP && span < Duration::from_secs(11), "{span:?}");
        let much_later = last + Duration::from_secs(3600);
        assert_eq!(bucket.book(100, much_later), much_later + Duration::from_millis(100) - SAVED_UP);
    }

    #[tokio::test]
    async fn a_peer_with_many_streams_does_not_get_the_share_of_many() {
        let uplink = Uplink::new(Rates { total: Some(100_000), per_peer: None });
        let greedy = |_| {
            let uplink = uplink.clone();
            tokio::spawn(async move {
                let lane = uplink.lane(peer(1));
                loop {
                    uplink.take(&lane, 500).await;
                }
            })
        };
        let streams: Vec<_> = (0..20).map(greedy).collect();
        let lane = uplink.lane(peer(2));
        for _ in 0..50 {
            uplink.take(&lane, 500).await;
        }
        streams.iter().for_each(tokio::task::JoinHandle::abort);
        // Twenty streams against one: in turns with each stream it would be twenty times as much.
        let (one, other) = (uplink.sent_to(&peer(1)), uplink.sent_to(&peer(2)));
        assert!(one <= 4 * other, "{one} bytes over twenty streams, {other} over one");
    }

    #[tokio::test]
    async fn what_was_sent_is_counted_for_each_peer() {
        let uplink = Uplink::new(Rates { total: None, per_peer: Some(1 << 30) });
        for (number, bytes) in [(1, 1000), (2, 10), (1, 500)] {
            uplink.take(&uplink.lane(peer(number)), bytes).await;
        }
        assert_eq!(uplink.sent(), BTreeMap::from([(peer(1), 1500), (peer(2), 10)]));
        assert_eq!(uplink.sent_to(&peer(3)), 0);
    }

    #[test]
    fn no_more_peers_are_remembered_than_the_bound() {
        let uplink = Uplink::default();
        let many = |number: usize| PeerId(std::array::from_fn(|at| number.to_le_bytes().get(at).copied().unwrap_or(0)));
        (0..PEERS_MAX + 50).for_each(|number| drop(uplink.lane(many(number))));
        assert_eq!(uplink.sent().len(), PEERS_MAX);
    }
}
