//! Links: connections between peers, and what happens to messages on their way.
//!
//! Between daemons every direct message travels on an ordered, reliable stream. So a lost transmission is sent again and
//! holds up what is behind it; when a connection is given up, all that is under way on it is lost, both ends notice, and
//! connect again. Messages may come again, and overtake others, also across connections: the protocol promises to bear it.

use crate::{
    dice::Dice,
    node::Link,
    plant::Plant,
    seen::Seen,
    truth,
    world::{MS, SECOND, What, World},
};
use pocketmesh_protocol::Input;
use pocketmesh_types::{Bytes, Hash, PeerId};
use pocketmesh_wire::{
    Kind, Message, Verified,
    message::{Bid, Reveal, Verdicts},
};

/// Transmissions of one message before its connection is given up.
const SENT_MAX: u32 = 6;
/// When a transmission is taken for lost; doubled each time.
const RESEND_AFTER: u64 = 200 * MS;
/// When the ends of a broken connection try again, at the least and the most.
const RECONNECT: (u64, u64) = (300 * MS, 3 * SECOND);
/// How much later a message may come again.
const REPLAYED_WITHIN: u64 = 10 * SECOND;
/// How much later than its turn a message may come.
const LATE_BY: u64 = 500 * MS;
/// How long a peer that broke the rules is refused: the daemon's default.
const REFUSED_FOR: u64 = 600 * SECOND;
/// A connection that was made for a bid is closed when nothing has passed for so long: the daemon's default.
const IDLE: u64 = 60 * SECOND;
/// What it takes to set up a connection: handshakes, and what both say of themselves. Guess.
pub(crate) const CONNECT_BYTES: u64 = 6_000;
/// The epoch of messages that come again: any connection will do.
const ANY_EPOCH: u32 = 0;
/// What an envelope and a seal add to a body. Measured: the test of `sized` below.
const ENVELOPE_BYTES: usize = 34;
const SEAL_BYTES: usize = 116;

/// What a message takes on the wire, and its id, if its receiver looks at that.
fn sized(message: &Message, attached: &[Bytes]) -> (usize, Hash) {
    let (kind, body) = (message.kind(), message.encode_body());
    let id = if matches!(kind, Kind::Bid | Kind::Lease | Kind::Claim | Kind::Offer | Kind::OfferClosed) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"pocketmesh/").update(kind.name().as_bytes()).update(b"/1").update(&body);
        Hash(*hasher.finalize().as_bytes())
    } else {
        Hash::default()
    };
    let seal = if kind.is_sealed() { SEAL_BYTES } else { 0 };
    let attached: usize = attached.iter().map(|blob| blob.len() + 3).sum();
    (body.len() + ENVELOPE_BYTES + seal + attached, id)
}

impl World {
    /// A peer's protocol says something to another.
    pub(crate) fn send(&mut self, from: u32, to: PeerId, message: Message, attached: Vec<Bytes>) {
        let name = self.nodes[from as usize].id;
        self.see(&Seen::Said { from, name: &name, to: &to, message: &message });
        let Some((message, attached)) = self.tamper(from, message, attached) else { return };
        self.eavesdrop(from, &message);
        let receiver = truth::index_of(&to);
        if self.nodes[receiver as usize].id != to {
            return;
        }
        if let Some((message, receiver)) = self.plant_on_wire(from, receiver, message) {
            self.transmit(from, receiver, message, attached);
        }
    }

    /// What the planted bugs of the wire do to a message.
    fn plant_on_wire(&mut self, from: u32, to: u32, message: Message) -> Option<(Message, u32)> {
        match (self.plant, message) {
            (Some(Plant::VerdictTwice), Message::Verdicts(verdicts)) => {
                let mut again: Verdicts = verdicts.clone();
                again.owed.0 += again.owed.0 / 2 + 1;
                self.transmit(from, to, verdicts.into(), Vec::new());
                Some((again.into(), to))
            }
            (Some(Plant::PriceSwapped), Message::Lease(mut lease)) => {
                lease.price.0 += 1;
                Some((lease.into(), to))
            }
            (Some(Plant::VoidAstray), Message::Void(void)) => {
                let honest = |link: &&Link| link.peer != to && self.truth.is_honest(link.peer);
                let other = self.nodes[from as usize].links.iter().find(honest).map_or(to, |link| link.peer);
                Some((void.into(), other))
            }
            (Some(Plant::BidsDoubled), Message::Bid(bid)) => {
                let again = Bid { price: bid.price, ..bid.clone() };
                self.phantom_bid(to, from, again);
                Some((bid.into(), to))
            }
            (Some(Plant::RevealEarly), Message::Commit(commit)) => {
                let tasks = commit.commits.iter().map(|row| row.task).collect();
                let reveal = Reveal { lease: commit.lease, tasks, bare: false };
                self.transmit(to, from, reveal.into(), Vec::new());
                Some((commit.into(), to))
            }
            (_, message) => Some((message, to)),
        }
    }

    /// Gives the message to the link.
    pub(crate) fn transmit(&mut self, from: u32, to: u32, message: Message, attached: Vec<Bytes>) {
        let kind = message.kind();
        let (bytes, id) = sized(&message, &attached);
        self.meter.on_sent(kind, bytes);
        let Some(&Link { epoch, last, .. }) = self.nodes[from as usize].link(to) else { return };
        let faults = self.faults;
        let dice = &mut self.dice.links;
        let mut arrival = self.now + latency(&self.links, dice);
        let mut sent = 1;
        while dice.chance(faults.loss) {
            arrival += RESEND_AFTER << sent;
            sent += 1;
            if sent > SENT_MAX {
                break;
            }
        }
        if sent > SENT_MAX || dice.chance(faults.cut) {
            self.meter.lost += 1;
            return self.queue.push(arrival, What::Break { a: from, b: to, epoch });
        }
        let replays = dice.chance(faults.replay).then(|| arrival + dice.below(REPLAYED_WITHIN));
        if dice.chance(faults.reorder) {
            arrival += dice.below(LATE_BY);
        } else {
            arrival = arrival.max(last);
            if let Some(link) = self.nodes[from as usize].link_mut(to) {
                link.last = arrival;
            }
        }
        let signer = self.nodes[from as usize].id;
        let message = Box::new(Verified { signer, id, content: message, attached });
        if let Some(again) = replays {
            self.meter.replayed += 1;
            self.queue.push(again, What::Say { to, from, epoch: ANY_EPOCH, message: message.clone() });
        }
        self.queue.push(arrival, What::Say { to, from, epoch, message });
    }

    /// A message arrives, if its connection is still there.
    pub(crate) fn arrive(&mut self, to: u32, from: u32, epoch: u32, message: Box<Verified<Message>>) {
        let link = self.nodes[to as usize].link(from).copied();
        let there = link.is_some_and(|link| epoch == ANY_EPOCH || link.epoch == epoch);
        if let Some(link) = link
            && self.are_apart(to, from)
        {
            return self.break_link(to, from, link.epoch);
        }
        if !there || self.nodes[to as usize].peer.is_none() || self.nodes[from as usize].id != message.signer {
            return;
        }
        self.see(&Seen::Heard { to, from, name: &message.signer, message: &message.content });
        self.overhear(to, &message);
        self.tell(to, Input::MessageReceived { from: message.signer, message: *message });
    }

    /// Whether a partition is between the two.
    pub(crate) fn are_apart(&self, a: u32, b: u32) -> bool {
        self.sides.as_ref().is_some_and(|sides| sides[a as usize] != sides[b as usize])
    }

    /// Two peers connect, if both are up and nothing is between them.
    pub(crate) fn connect(&mut self, a: u32, b: u32) {
        let up = |at: u32| self.nodes[at as usize].peer.is_some();
        if a == b || !up(a) || !up(b) || self.are_apart(a, b) || self.is_refused(a, b) {
            return;
        }
        let known = |one: u32, other: u32| self.nodes[one as usize].link(other).map(|link| link.epoch);
        match (known(a, b), known(b, a)) {
            (Some(one), Some(other)) if one == other => return,
            (one, other) => {
                // A peer that was restarted is back before the other has noticed that it was gone.
                one.into_iter().for_each(|epoch| self.notice_gone(a, b, epoch));
                other.into_iter().for_each(|epoch| self.notice_gone(b, a, epoch));
            }
        }
        self.epochs += 1;
        let epoch = self.epochs;
        for (one, other) in [(a, b), (b, a)] {
            self.nodes[one as usize].put_link(Link { peer: other, epoch, last: self.now });
        }
        for (one, other) in [(a, b), (b, a)] {
            let prefix = self.truth.peers[other as usize].prefix.filter(|_| self.plant != Some(Plant::PrefixHidden));
            let peer = self.nodes[other as usize].id;
            if self.nodes[one as usize].link(other).is_some_and(|link| link.epoch == epoch) {
                self.tell(one, Input::PeerConnected { peer, prefix });
            }
        }
    }

    /// A peer wants to be connected to another, in order to bid: where that is stood in its offer.
    pub(crate) fn reach(&mut self, at: u32, peer: &PeerId) {
        let other = truth::index_of(peer);
        if self.nodes[other as usize].id != *peer {
            return;
        }
        self.meter.on_overhead(CONNECT_BYTES);
        let wait = connecting(&self.links, &mut self.dice.links);
        self.later(wait, What::Connect { a: at, b: other });
        self.later(wait + IDLE, What::Idle { a: at, b: other, epoch: ANY_EPOCH });
    }

    /// Closes a connection that was made for a bid, once nothing has passed for a while.
    pub(crate) fn close_if_idle(&mut self, a: u32, b: u32, epoch: u32) {
        let ends = (self.nodes[a as usize].link(b).copied(), self.nodes[b as usize].link(a).copied());
        let (Some(one), Some(other)) = ends else { return };
        if self.edges[a as usize].contains(&b) || (epoch != ANY_EPOCH && one.epoch != epoch) {
            return;
        }
        let quiet_from = one.last.max(other.last);
        if quiet_from + IDLE <= self.now {
            self.notice_gone(a, b, one.epoch);
            self.notice_gone(b, a, other.epoch);
        } else {
            self.queue.push(quiet_from + IDLE, What::Idle { a, b, epoch: one.epoch });
        }
    }

    /// One end notices that a connection is gone.
    pub(crate) fn notice_gone(&mut self, at: u32, gone: u32, epoch: u32) {
        if self.nodes[at as usize].cut_link(gone, Some(epoch)) {
            let peer = self.nodes[gone as usize].id;
            self.tell(at, Input::PeerDisconnected { peer });
        }
    }

    /// A connection breaks: both ends notice, and try again if they want to be connected.
    pub(crate) fn break_link(&mut self, a: u32, b: u32, epoch: u32) {
        let there = self.nodes[a as usize].link(b).is_some_and(|link| link.epoch == epoch);
        self.notice_gone(a, b, epoch);
        self.notice_gone(b, a, epoch);
        if there && self.edges[a as usize].contains(&b) {
            let wait = self.dice.links.between(RECONNECT.0, RECONNECT.1);
            self.later(wait, What::Connect { a, b });
        }
    }

    /// A peer wants nothing to do with another for a while: their connection ends, and none is set up meanwhile.
    pub(crate) fn shun(&mut self, at: u32, peer: &PeerId) {
        let other = truth::index_of(peer);
        self.meter.shunned += 1;
        if self.nodes[other as usize].id == *peer
            && let Some(epoch) = self.nodes[at as usize].link(other).map(|link| link.epoch)
        {
            self.refused.insert((at, *peer), self.now + REFUSED_FOR);
            self.later(0, What::Break { a: at, b: other, epoch });
            self.later(REFUSED_FOR, What::Connect { a: at, b: other });
        }
    }

    /// Whether one of the two refuses the other now.
    fn is_refused(&self, a: u32, b: u32) -> bool {
        [(a, b), (b, a)].into_iter().any(|(one, other)| {
            let until = self.refused.get(&(one, self.nodes[other as usize].id));
            until.is_some_and(|&until| self.now < until)
        })
    }
}

/// How long setting up a connection takes, in microseconds: TCP, encryption, multiplexing, introduction, a stream.
pub(crate) fn connecting(links: &crate::scenario::Links, dice: &mut Dice) -> u64 {
    const ROUND_TRIPS: u64 = 5;
    2 * ROUND_TRIPS * latency(links, dice)
}

/// One way, in microseconds.
pub(crate) fn latency(links: &crate::scenario::Links, dice: &mut Dice) -> u64 {
    (dice.spread(links.ms_p50, links.ms_p99) * 1e3) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_types::{LeaseId, OfferId, UnixTime};
    use pocketmesh_wire::{
        Envelope, Signer, envelope,
        message::{Decline, DeclineReason, OfferClosed},
    };

    struct Nobody;
    impl Signer for Nobody {
        fn peer(&self) -> PeerId {
            PeerId([9; 32])
        }
        fn sign(&self, _: &[u8]) -> [u8; 64] {
            [7; 64]
        }
    }

    #[test]
    fn sizes_and_ids_are_those_of_the_wire() {
        let closed: Message = OfferClosed { offer: OfferId::default(), depth: 0, expires: UnixTime(1 << 40) }.into();
        let decline: Message = Decline { lease: LeaseId::default(), reason: DeclineReason::Busy }.into();
        for message in [closed, decline] {
            let attached = vec![Bytes(vec![1; 40])];
            let real = Envelope::seal(&message, attached.clone(), &Nobody).encode().len();
            let (bytes, id) = sized(&message, &attached);
            assert!(real.abs_diff(bytes) <= 8, "{real} and {bytes}");
            assert!(id == Hash::default() || id == envelope::id(&message));
        }
    }
}
