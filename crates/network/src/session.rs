//! One session: from the moment a peer can be sent to until it no longer can. It runs in a task of its own, so a slow
//! peer or a busy caller holds up nobody else.
//!
//! It alone tells the caller of the peer's coming, messages and going, which is what keeps them in order. A session uses
//! one stream for each direction; when either breaks, messages may be lost, so the session ends and a new one begins.
//! specs/network.md §3.

use crate::{
    address::Prefix,
    event::{self, Event, Misbehaviour},
    frame,
    outbox::Queue,
};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{Multiaddr, Stream};
use pocketmesh_types::PeerId;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    pin, select,
    sync::oneshot,
    time::{timeout, timeout_at},
};

/// Small messages are gathered up to this size before they are written: four frames of the multiplexer.
const WRITE_BYTES: usize = 64 << 10;
/// What is read at once: one frame of the multiplexer.
const READ_BYTES: usize = 16 << 10;
/// Messages taken from the queue at once.
const BATCH_MESSAGES: usize = 128;
/// When only our direction has broken, the peer's last words are read for so long.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Everything that a session needs.
pub(crate) struct Session {
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    pub(crate) prefix: Option<Prefix>,
    /// We write here.
    pub(crate) outbound: Stream,
    /// We read here; it comes when the peer opens it.
    pub(crate) inbound: oneshot::Receiver<Stream>,
    pub(crate) queue: Queue,
    pub(crate) events: event::Sender,
    /// Ends the session at once.
    pub(crate) stop: oneshot::Receiver<()>,
    pub(crate) write_stall: Duration,
    /// Counts messages, both ways.
    pub(crate) messages: Arc<AtomicU64>,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The driver asked for it, or everything was sent and nothing more will be.
    Stopped,
    /// A stream broke or was closed by the peer.
    Broken,
    /// The peer takes its messages too slowly.
    TooSlow,
    /// The peer broke the rules.
    Misbehaved(Misbehaviour),
    /// Nobody listens to events any more.
    Unheard,
}

impl Session {
    /// Runs to the end.
    pub(crate) async fn run(self) -> (PeerId, End) {
        let (peer, events) = (self.peer, self.events.clone());
        let connected = Event::Connected { peer, address: self.address.clone(), prefix: self.prefix };
        if events.direct(connected).await.is_err() {
            return (peer, End::Unheard);
        }
        let end = self.exchange().await;
        match events.direct(Event::Disconnected { peer }).await {
            Ok(()) => (peer, end),
            Err(event::Unheard) => (peer, End::Unheard),
        }
    }

    async fn exchange(self) -> End {
        let gauge = self.queue.gauge.clone();
        let reading = read_all(self.peer, self.inbound, &self.events, &self.messages);
        let writing = write_all(self.outbound, self.queue, self.write_stall, &self.messages);
        pin!(reading, writing);
        select! {
            end = &mut reading => end,
            _ = self.stop => End::Stopped,
            () = gauge.overflowed() => End::TooSlow,
            end = &mut writing => match end {
                // The connection is probably gone: what it still delivered is not.
                End::Broken => timeout(LAST_WORDS, reading).await.unwrap_or(End::Broken),
                end => end,
            },
        }
    }
}

/// Reads messages until the stream ends.
async fn read_all(peer: PeerId, inbound: oneshot::Receiver<Stream>, events: &event::Sender, count: &AtomicU64) -> End {
    match inbound.await {
        Ok(stream) => read_stream(peer, stream, events, count).await,
        // The peer has no connection any more and never opened its stream.
        Err(_) => End::Broken,
    }
}

async fn read_stream(
    peer: PeerId,
    mut stream: impl AsyncRead + Unpin,
    events: &event::Sender,
    count: &AtomicU64,
) -> End {
    let mut decoder = frame::Decoder::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut input = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return End::Broken,
            Ok(bytes) => &buffer[..bytes],
        };
        while !input.is_empty() {
            match decoder.feed(&mut input) {
                Ok(None) => {}
                Ok(Some(message)) => {
                    count.fetch_add(1, Ordering::Relaxed);
                    if events.message(peer, message).await.is_err() {
                        return End::Unheard;
                    }
                }
                Err(frame::Oversized { bytes }) => return End::Misbehaved(Misbehaviour::OversizedFrame { bytes }),
            }
        }
    }
}

/// Writes messages until the queue is closed and empty.
async fn write_all(mut stream: impl AsyncWrite + Unpin, mut queue: Queue, stall: Duration, count: &AtomicU64) -> End {
    let mut batch = Vec::with_capacity(BATCH_MESSAGES);
    let mut buffer = Vec::new();
    while queue.messages.recv_many(&mut batch, BATCH_MESSAGES).await > 0 {
        let deadline = tokio::time::Instant::now() + stall;
        let idle = queue.messages.is_empty();
        count.fetch_add(batch.len() as u64, Ordering::Relaxed);
        match timeout_at(deadline, write_batch(&mut stream, &mut batch, &mut buffer, &queue, idle)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Broken,
            Err(_) => return End::TooSlow,
        }
    }
    // Everything is flushed; closing tells the peer so, and whether it hears is its own affair.
    let _ = timeout(LAST_WORDS, stream.close()).await;
    End::Stopped
}

/// Writes a batch, gathering small messages; flushes if nothing else waits.
async fn write_batch(
    stream: &mut (impl AsyncWrite + Unpin),
    batch: &mut Vec<Vec<u8>>,
    buffer: &mut Vec<u8>,
    queue: &Queue,
    flush: bool,
) -> io::Result<()> {
    for message in batch.drain(..) {
        buffer.extend_from_slice(&frame::head(message.len()));
        if message.len() < WRITE_BYTES / 2 {
            buffer.extend_from_slice(&message);
        } else {
            stream.write_all(buffer).await?;
            buffer.clear();
            stream.write_all(&message).await?;
        }
        if buffer.len() >= WRITE_BYTES {
            stream.write_all(buffer).await?;
            buffer.clear();
        }
        queue.gauge.taken(message.len());
    }
    stream.write_all(buffer).await?;
    buffer.clear();
    if flush { stream.flush().await } else { Ok(()) }
}
