//! No nonce is drawn twice, and a closed auction lists only bids that their bidders have made.

use super::{Checker, Found};
use crate::{seen::Seen, truth::Truth};
use pocketmesh_types::{Hash, OfferId, PeerId};
use pocketmesh_wire::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Offers whose bids are remembered.
const OFFERS_MAX: usize = 50_000;

/// What was bid for what.
#[derive(Debug, Default)]
pub struct Auctions {
    nonces: BTreeSet<Hash>,
    bids: BTreeMap<OfferId, BTreeSet<PeerId>>,
    order: VecDeque<OfferId>,
}

impl Checker for Auctions {
    fn name(&self) -> &'static str {
        "auctions"
    }

    fn see(&mut self, _truth: &Truth, seen: &Seen<'_>, found: &mut Found) {
        match seen {
            Seen::Gossiped { from, message: Message::Offer(offer) } if !self.nonces.insert(offer.nonce_hash) => {
                found.add(|| format!("peer {from} draws seats with a nonce that was drawn before"));
            }
            Seen::Said { name, message: Message::Bid(bid), .. } => {
                if !self.bids.contains_key(&bid.offer) {
                    self.order.push_back(bid.offer);
                }
                self.bids.entry(bid.offer).or_default().insert(**name);
                if self.order.len() > OFFERS_MAX
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.bids.remove(&oldest);
                }
            }
            Seen::Said { from, message: Message::Closing(closing), .. } => {
                let Some(bids) = self.bids.get(&closing.offer) else { return };
                for entry in closing.bids.iter().filter(|entry| !bids.contains(&entry.bidder)) {
                    found.add(|| format!("peer {from} lists a bid of {:?}, which has made none", entry.bidder));
                }
            }
            _ => {}
        }
    }
}
