//! Between bytes and messages: sealing what goes out, opening what comes in.

use pocketmesh_network::{GossipToken, Verdict};
use pocketmesh_protocol::Judgement;
use pocketmesh_types::PeerId;
use pocketmesh_wire::{Envelope, Message, OpenError, Strict, Verified};

/// Opens a direct message.
pub fn open_direct(from: PeerId, bytes: &[u8]) -> Result<Verified<Message>, OpenError> {
    Envelope::decode(bytes)?.open_direct(from, &Strict)
}

/// Opens something gossiped.
pub fn open_gossip(bytes: &[u8]) -> Result<Verified<Message>, OpenError> {
    Envelope::decode(bytes)?.open_sealed(&Strict)
}

/// Whether gossip that came on our topic of that depth is meant for it: else somebody repeats it where its author did not want it.
pub fn is_for(me: PeerId, depth: u8, message: &Verified<Message>) -> bool {
    let offer = match &message.content {
        Message::OfferClosed(closed) => closed.offer.0,
        _ => message.id,
    };
    pocketmesh_network::deepest(&offer.0, me) >= depth
}

/// What the network is to do with gossip.
pub fn verdict_of(judgement: Judgement) -> Verdict {
    match judgement {
        Judgement::PassOn => Verdict::Accept,
        Judgement::Drop => Verdict::Ignore,
        Judgement::Reject => Verdict::Reject,
    }
}

/// The gossip that is being judged: the protocol answers within the same step, so one is enough.
#[derive(Debug, Default)]
pub struct Pending(Option<(u64, GossipToken)>, u64);

impl Pending {
    /// A number for this gossip.
    pub fn put(&mut self, token: GossipToken) -> u64 {
        self.1 += 1;
        self.0 = Some((self.1, token));
        self.1
    }

    /// The network's token of a number.
    pub fn take(&mut self, number: u64) -> Option<GossipToken> {
        self.0.take_if(|(held, _)| *held == number).map(|(_, token)| token)
    }
}
