//! Offers, bids, and how an auction ended. specs/auction.md.

use super::{BoundError, Check, Ext, bounded};
use alloc::vec::Vec;
use pocketmesh_types::{
    Arch, BlobId, Bytes, Fuel, Hash, JobId, OfferId, PeerId, PerGib, Price, ProfileId, UnixTime, job::TaskLimits,
    limits,
};
use serde::{Deserialize, Serialize};

/// Work is to be had. Gossiped to many, so it carries numbers and names, never data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The job.
    pub job: JobId,
    /// Its program.
    pub program: BlobId,
    /// The program's length in bytes.
    pub program_len: u64,
    /// The profile it must be run under.
    pub profile: ProfileId,
    /// How many tasks are still open.
    pub tasks: u32,
    /// All inputs together, in bytes.
    pub input_bytes: u64,
    /// What a task may use.
    pub limits: TaskLimits,
    /// Bids above this are not considered.
    pub ceiling: Price,
    /// What is paid for each GiB that is moved for a task; left out if nothing is.
    #[serde(default, skip_serializing_if = "PerGib::is_zero")]
    pub per_gib: PerGib,
    /// What a task burns on average, as far as its requester knows; left out if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_fuel: Option<Fuel>,
    /// How many leases are wanted.
    pub seats: u16,
    /// How many bids are waited for.
    pub bids_wanted: u16,
    /// It goes to the 2^-depth of the mesh that is nearest to its id.
    pub depth: u8,
    /// The share of these that may bid in round 0, as a fraction of 2⁶⁴.
    pub fraction: u64,
    /// Where its requester can be reached, in the transport's own form.
    pub contacts: Vec<Bytes>,
    /// The hash of the nonce that will draw the seats.
    pub nonce_hash: Hash,
    /// How long after publication bids are taken, in milliseconds.
    pub closes_ms: u32,
    /// Stale after this.
    pub expires: UnixTime,
    /// Counts the offers of this job.
    pub attempt: u32,
    /// Later versions' fields.
    pub ext: Ext,
}

impl Check for Offer {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of tasks", (1..=limits::TASKS_PER_JOB_MAX).contains(&self.tasks))?;
        bounded("the program's length", (1..=limits::PROGRAM_BYTES_MAX).contains(&self.program_len))?;
        bounded("what is paid for a GiB", self.per_gib.0 <= limits::PER_GIB_MAX)?;
        bounded("the number of seats", (1..=limits::LEASES_PER_JOB_MAX).contains(&usize::from(self.seats)))?;
        bounded("the number of bids", (1..=limits::BIDS_PER_OFFER_MAX).contains(&usize::from(self.bids_wanted)))?;
        bounded("the depth of its topic", self.depth <= limits::OFFER_DEPTH_MAX)?;
        bounded("the number of contacts", self.contacts.len() <= limits::CONTACTS_MAX)?;
        bounded("a contact", self.contacts.iter().all(|contact| contact.len() <= limits::CONTACT_BYTES_MAX))
    }
}

/// The auction is over: who has not bid need not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferClosed {
    /// Which offer.
    pub offer: OfferId,
    /// How deep the offer went: the notice goes to the same peers.
    pub depth: u8,
    /// When the offer would have become stale; the notice is stale then too.
    pub expires: UnixTime,
}

impl Check for OfferClosed {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the depth of its topic", self.depth <= limits::OFFER_DEPTH_MAX)
    }
}

/// A bid, seen by the requester alone until the auction is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bid {
    /// For which offer.
    pub offer: OfferId,
    /// The price asked.
    pub price: Price,
    /// How many tasks the worker runs at once.
    pub slots: u16,
    /// Its architecture.
    pub arch: Arch,
    /// Not binding after this.
    pub expires: UnixTime,
    /// Later versions' fields.
    pub ext: Ext,
}

impl Check for Bid {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of slots", self.slots >= 1)
    }
}

/// How an auction ended. With it a bidder recomputes the draw and its price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// Which offer.
    pub offer: OfferId,
    /// What the offer's `nonce_hash` is the hash of.
    pub nonce: Hash,
    /// All bids that counted, in order of arrival.
    pub bids: Vec<BidEntry>,
    /// What became of the receiver's bid.
    pub standing: Standing,
}

/// One bid as the auction saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BidEntry {
    /// Who bid.
    pub bidder: PeerId,
    /// The id of the bid.
    pub bid: Hash,
    /// The price, divided by the chance that this worker delivers, in nano-credits per gigafuel.
    pub score: u64,
    /// That chance as the requester saw it, in parts per million.
    pub delivery_ppm: u32,
}

/// What became of a bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// A lease follows.
    Won,
    /// Its score was in the dearest third.
    TooDear,
    /// Good enough, but the draw went to others.
    NotDrawn,
    /// Above the offer's ceiling.
    AboveCeiling,
    /// It came after the auction had closed.
    Late,
    /// There was a bid from the same public prefix already.
    SamePrefix,
    /// There was another bid of the same peer already, which is the one that counts.
    SecondBid,
    /// The requester has refuted a claim of this bidder before.
    Distrusted,
}

impl Check for Closing {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of bids", self.bids.len() <= limits::BIDS_PER_OFFER_MAX)
    }
}
