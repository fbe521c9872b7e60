//! Counts the copies of gossiped messages that reach the swarms of this thread, the first of each peer and the further ones
//! apart. GossipSub tells nobody of a copy that it drops, except its log: so its log is what is read.

use std::{
    fmt::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};

/// How GossipSub's line begins on a message that it had not seen before.
const FIRST: &str = "Put message in duplicate_cache";
/// And on one that it had.
const AGAIN: &str = "Message already received";
/// And at each heartbeat of each peer.
const BEAT: &str = "Mesh message deliveries";
/// No more of a line is looked at: some hold whole messages.
const HEAD_BYTES: usize = 32;

#[derive(Debug, Default)]
struct Counts {
    first: AtomicU64,
    again: AtomicU64,
    beats: AtomicU64,
}

/// See the module. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Copies(Arc<Counts>);

impl Copies {
    /// Listens on this thread until the guard is dropped.
    pub fn listen(&self) -> DefaultGuard {
        tracing::subscriber::set_default(self.clone())
    }

    /// First copies and further ones since the beginning, summed over all peers.
    pub fn seen(&self) -> (u64, u64) {
        (self.0.first.load(Relaxed), self.0.again.load(Relaxed))
    }

    /// Heartbeats since the beginning, summed over all peers.
    pub fn beats(&self) -> u64 {
        self.0.beats.load(Relaxed)
    }
}

impl Subscriber for Copies {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("libp2p_gossipsub::behaviour")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Line(&self.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Reads one line of the log.
struct Line<'a>(&'a Counts);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            return;
        }
        let mut head = Head::default();
        // An error means that the line is longer.
        let _ = write!(head, "{value:?}");
        let counters = [(FIRST, &self.0.first), (AGAIN, &self.0.again), (BEAT, &self.0.beats)];
        let said = counters.iter().find(|(begins, _)| head.0.starts_with(begins.as_bytes()));
        said.map(|(_, counter)| counter.fetch_add(1, Relaxed));
    }
}

/// The first bytes of what is written.
#[derive(Default)]
struct Head(Vec<u8>);

impl fmt::Write for Head {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(text.bytes().take(HEAD_BYTES - self.0.len()));
        if self.0.len() < HEAD_BYTES { Ok(()) } else { Err(fmt::Error) }
    }
}
