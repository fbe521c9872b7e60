//! From an identified peer to a session, and on to the next one when it breaks.

use super::{Driver, Finished};
use crate::{
    address::{self, Prefix},
    discovery::backoff,
    event::Event,
    identity, outbox,
    peers::{Live, Passing, Phase},
    session::{End, Session},
    streams::{self, OpenError},
};
use libp2p::Stream;
use pocketmesh_types::PeerId;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// A stream that broke while its connection lives is opened again after this, doubled each time.
const REOPEN_FIRST: Duration = Duration::from_millis(100);
const REOPEN_LAST: Duration = Duration::from_secs(5);
/// After so many attempts in a row without a good session the connection is given up: about 20 s.
const REOPENED_MAX: u32 = 8;
/// A session that lasted so long was a good one: waits start from the beginning.
const GOOD_SESSION: Duration = Duration::from_secs(10);
/// A peer that was too slow, or with which no session lasts, is left alone for so long.
const HOPELESS_PAUSE: Duration = Duration::from_secs(60);

impl Driver {
    /// Does what is due for every peer.
    pub(super) fn advance_all(&mut self, now: Instant) {
        let waiting = |phase: &Phase| !matches!(phase, Phase::Opening | Phase::Live(_));
        let due: Vec<_> = self.peers.iter().filter(|(_, entry)| waiting(&entry.phase)).map(|(peer, _)| *peer).collect();
        due.into_iter().for_each(|peer| self.advance(peer, now));
    }

    /// Does what is due for one peer.
    pub(super) fn advance(&mut self, peer: PeerId, now: Instant) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        match entry.phase {
            Phase::Waiting { until } if until <= now => {
                entry.phase = Phase::Opening;
                self.open_direct(peer);
            }
            Phase::Condemned { at: due } | Phase::Unidentified { until: due } if due <= now => {
                self.disconnect(peer, Duration::ZERO);
            }
            _ => {}
        }
    }

    /// Closes connections that were made for a bid or an offer, and over which nothing has passed for a while.
    pub(super) fn close_idle(&mut self, now: Instant) {
        let mut idle = Vec::new();
        for (peer, entry) in &mut self.peers {
            let (Phase::Live(live), Some(passing)) = (&entry.phase, &mut entry.passing) else { continue };
            let messages = live.messages.load(Ordering::Relaxed);
            if messages != passing.messages {
                *passing = Passing { messages, since: now };
            } else if passing.since + self.limits.passing_idle <= now {
                idle.push(*peer);
            }
        }
        for peer in idle {
            tracing::debug!(%peer, "a connection is not needed any more");
            self.disconnect(peer, Duration::ZERO);
        }
    }

    fn open_direct(&mut self, peer: PeerId) {
        let (reply, outcome) = oneshot::channel();
        let protocol = self.names.direct();
        self.swarm.behaviour_mut().streams.open(identity::libp2p_of(peer), protocol, reply);
        self.tasks.spawn(async move {
            let outcome = outcome.await.unwrap_or(Err(OpenError::NotConnected));
            Finished::Opened(peer, outcome)
        });
    }

    pub(super) fn on_direct_opened(&mut self, peer: PeerId, outcome: Result<Stream, OpenError>) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if !matches!(entry.phase, Phase::Opening) {
            return;
        }
        match outcome {
            Ok(stream) => self.begin_session(peer, stream),
            Err(error) => {
                tracing::debug!(%peer, %error, "no stream for messages");
                self.retry_later(peer);
            }
        }
    }

    /// The stream is opened again after a wait; a peer with which that never lasts is let go.
    fn retry_later(&mut self, peer: PeerId) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.phase = Phase::Waiting { until: Instant::now() + backoff(REOPEN_FIRST, entry.broken, REOPEN_LAST) };
        entry.broken += 1;
        if entry.broken > REOPENED_MAX {
            self.disconnect(peer, HOPELESS_PAUSE);
        }
    }

    fn begin_session(&mut self, peer: PeerId, outbound: Stream) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let Some(link) = entry.links.values().next() else { return };
        let (outbox, queue) = outbox::outbox(&self.limits);
        let (inbound_sender, inbound) = oneshot::channel();
        let (stop_sender, stop) = oneshot::channel();
        let messages = Arc::<AtomicU64>::default();
        let session = Session {
            peer,
            address: link.address.clone(),
            prefix: address::ip_of(&link.address).and_then(Prefix::of),
            outbound,
            inbound,
            queue,
            events: self.events.clone(),
            stop,
            write_stall: self.limits.write_stall,
            messages: Arc::clone(&messages),
        };
        let live = Live { inbound: Some(inbound_sender), stop: Some(stop_sender), since: Instant::now(), messages };
        entry.phase = Phase::Live(live);
        entry.answer(&Ok(peer));
        let early = entry.early.take();
        self.shared.outboxes.insert(peer, outbox);
        self.tasks.spawn(async move {
            let (peer, end) = session.run().await;
            Finished::Session(peer, end)
        });
        if let Some(stream) = early {
            self.on_direct_inbound(peer, stream);
        }
    }

    pub(super) fn on_inbound_stream(&mut self, streams::Inbound { peer, protocol, stream }: streams::Inbound) {
        let Some(peer) = identity::ours_of(&peer) else { return };
        if protocol == self.names.direct() {
            return self.on_direct_inbound(peer, stream);
        }
        let name = self.shared.streams.iter().find(|name| self.names.protocol(name) == protocol).copied();
        if let Some(protocol) = name {
            // Dropped, and thereby reset, if the caller is far behind.
            self.news(Event::Stream { peer, protocol, stream });
        }
    }

    /// The peer opened its stream to us. One that comes while another is in use means that the peer began anew.
    fn on_direct_inbound(&mut self, peer: PeerId, stream: Stream) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if let Phase::Live(live) = &mut entry.phase {
            match live.inbound.take() {
                // It comes back if the session has just ended; then it is for the next one.
                Some(session) => entry.early = session.send(stream).err(),
                None => {
                    live.stop = None;
                    entry.early = Some(stream);
                }
            }
        } else {
            entry.early = Some(stream);
        }
    }

    pub(super) fn on_session_ended(&mut self, peer: PeerId, end: &End) {
        self.shared.outboxes.remove(&peer);
        tracing::debug!(%peer, ?end, "a session ended");
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if let Phase::Live(live) = &entry.phase
            && live.since.elapsed() >= GOOD_SESSION
        {
            entry.broken = 0;
        }
        self.retry_later(peer);
        match end {
            End::Misbehaved(reason) => {
                self.punish(peer, "a peer broke the rules of the transport", reason);
                self.news(Event::Misbehaved { peer, reason: *reason });
            }
            End::TooSlow => {
                self.complain(peer, "a peer is too slow and is disconnected", &"its messages pile up");
                self.disconnect(peer, HOPELESS_PAUSE);
            }
            End::Stopped | End::Broken | End::Unheard => {}
        }
        self.remove_if_over(peer);
    }
}
