//! Gossip: offers and notices on their way to the part of the mesh that they are for.

use crate::{
    links, overlay,
    seen::Seen,
    world::{Spread, What, World},
};
use pocketmesh_protocol::Input;
use pocketmesh_types::OfferId;
use pocketmesh_wire::{Message, Verified, envelope};

/// What an envelope with a seal and GossipSub's frame add to a body.
const FRAME_BYTES: usize = 170;
/// Requests of a look-up that are under way at once: Kademlia's α.
const ASKED_AT_ONCE: u64 = 3;
/// Bits by which one round comes nearer to a key: each peer knows twenty in every part of the key space, seen from where it is.
const BITS_A_ROUND: u64 = 4;
/// A request of a look-up and its answer, which names twenty peers and where they are. Guess.
const QUESTION_BYTES: u64 = 2_000;
/// Peers of a topic that its publisher connects to, if it is none of them.
const ENTRANCES: u64 = 3;

impl World {
    /// A peer gossips: everybody who listens to the topic hears of it, sooner or later.
    pub(crate) fn publish(&mut self, from: u32, message: Message, near: OfferId, depth: u8) {
        self.see(&Seen::Gossiped { from, message: &message });
        if self.nodes[from as usize].links.is_empty() {
            return;
        }
        let audience = self.places.near(near.0.to_u64(), depth);
        let Some(found) = self.find(from, &audience, depth) else { return };
        let arrivals = overlay::spread(&self.overlay.gossip, &audience, from, &mut self.dice.gossip);
        self.meter.published(message.kind());
        let bytes = (message.encode_body().len() + FRAME_BYTES) as u32;
        let message = Verified {
            signer: self.nodes[from as usize].id,
            id: envelope::id(&message),
            content: message,
            attached: Vec::new(),
        };
        let Some(&(first, _)) = arrivals.first() else { return };
        let began = self.now + found;
        let spread = Box::new(Spread { message, bytes, depth, began, arrivals, next: 0 });
        self.later(found + u64::from(first), What::Gossip(spread));
    }

    /// How long it takes until a publisher knows somebody who listens, if it finds anybody: it may be one, or be connected to
    /// one; else it looks some up and connects to them.
    fn find(&mut self, from: u32, audience: &[u32], depth: u8) -> Option<u64> {
        let knows = |peer: &u32| *peer == from || self.nodes[from as usize].link(*peer).is_some();
        if audience.iter().any(knows) {
            return Some(0);
        }
        let lookup = self.overlay.lookup;
        let dice = &mut self.dice.gossip;
        // Of the topics down to this depth a peer knows listeners by its own table.
        let rounds = (u64::from(depth).saturating_sub(BITS_A_ROUND)).div_ceil(BITS_A_ROUND);
        debug_assert!(rounds <= u64::from(lookup.rounds_max), "the file says how many a look-up takes at most");
        self.meter.on_overhead(rounds * ASKED_AT_ONCE * QUESTION_BYTES + ENTRANCES * links::CONNECT_BYTES);
        let trip = 2 * links::latency(&self.links, dice);
        let found = rounds == 0 || dice.chance(lookup.success_min);
        found.then(|| rounds * trip + links::connecting(&self.links, dice))
    }

    /// Gossip reaches the next peer, if it is up and on this side; then it moves on.
    pub(crate) fn gossip_arrives(&mut self, mut spread: Box<Spread>) {
        let (_, to) = spread.arrivals[spread.next];
        spread.next += 1;
        let author = crate::truth::index_of(&spread.message.signer);
        if self.nodes[to as usize].peer.is_some() && !self.are_apart(author, to) {
            self.meter.gossip_heard(spread.message.content.kind(), spread.bytes);
            for _ in 0..1 + u32::from(self.dice.gossip.chance(self.faults.replay)) {
                self.tokens += 1;
                self.tell(
                    to,
                    Input::GossipHeard { token: self.tokens, depth: spread.depth, message: spread.message.clone() },
                );
            }
        }
        if let Some(&(after, _)) = spread.arrivals.get(spread.next) {
            let at = spread.began + u64::from(after);
            self.queue.push(at.max(self.now), What::Gossip(spread));
        }
    }
}
