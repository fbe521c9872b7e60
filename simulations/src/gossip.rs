//! Gossip: offers and notices on their way through the mesh.

use crate::{
    overlay,
    seen::Seen,
    world::{Spread, What, World},
};
use pocketmesh_protocol::Input;
use pocketmesh_wire::{Message, Verified, envelope};

/// What an envelope with a seal and GossipSub's frame add to a body.
const FRAME_BYTES: usize = 170;

impl World {
    /// A peer gossips: everybody who listens to its topic hears of it, sooner or later.
    pub(crate) fn publish(&mut self, from: u32, message: Message) {
        self.see(&Seen::Gossiped { from, message: &message });
        if self.nodes[from as usize].links.is_empty() {
            return;
        }
        let shard = from as usize % self.audiences.len();
        let audience = &self.audiences[shard];
        let arrivals = overlay::spread(&self.overlay.gossip, audience, from, &mut self.dice.gossip);
        self.meter.published(message.kind());
        let bytes = (message.encode_body().len() + FRAME_BYTES) as u32;
        let message = Verified {
            signer: self.nodes[from as usize].id,
            id: envelope::id(&message),
            content: message,
            attached: Vec::new(),
        };
        let Some(&(first, _)) = arrivals.first() else { return };
        let spread = Box::new(Spread { message, bytes, began: self.now, arrivals, next: 0 });
        self.later(u64::from(first), What::Gossip(spread));
    }

    /// Gossip reaches the next peer, if it is up and on this side; then it moves on.
    pub(crate) fn gossip_arrives(&mut self, mut spread: Box<Spread>) {
        let (_, to) = spread.arrivals[spread.next];
        spread.next += 1;
        let author = crate::truth::index_of(&spread.message.signer);
        if self.nodes[to as usize].peer.is_some() && !self.are_apart(author, to) {
            self.meter.gossip_heard(spread.message.content.kind(), spread.bytes);
            if self.mesh.dial && matches!(spread.message.content, Message::Offer(_)) {
                self.connect(to, author);
            }
            for _ in 0..1 + u32::from(self.dice.gossip.chance(self.faults.replay)) {
                self.tokens += 1;
                self.tell(to, Input::GossipHeard { token: self.tokens, message: spread.message.clone() });
            }
        }
        if let Some(&(after, _)) = spread.arrivals.get(spread.next) {
            let at = spread.began + u64::from(after);
            self.queue.push(at.max(self.now), What::Gossip(spread));
        }
    }
}
