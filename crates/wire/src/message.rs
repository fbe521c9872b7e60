//! Every message of a job's life. specs/wire.md §4 has them as a table.

pub mod auction;
pub mod lease;
pub mod verdict;

pub use auction::{Bid, BidEntry, Closing, Offer, OfferClosed, Standing};
pub use lease::{
    Assign, Assigned, Decline, DeclineReason, EndReason, HandBack, HandBackReason, Heartbeat, Lease, LeaseEnd,
};
pub use verdict::{Claim, ClaimAck, Claimed, Commit, Committed, Reveal, Verdicts, Void};

use crate::{
    cbor::{self, DecodeError},
    statement::{PAYMENT_BYTES_MAX, Payment, STATEMENTS_MAX},
};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use pocketmesh_types::{Bytes, Job, limits};
use serde::{Deserialize, Serialize};

/// Fields of later versions, kept and ignored.
pub type Ext = BTreeMap<String, Bytes>;

/// A list or number is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is out of bounds")]
pub struct BoundError {
    /// Which field.
    pub what: &'static str,
}

pub(crate) fn bounded(what: &'static str, holds: bool) -> Result<(), BoundError> {
    if holds { Ok(()) } else { Err(BoundError { what }) }
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident, $text:literal, sealed: $sealed:literal, max: $max:expr;)*) => {
        /// The kind of a message; its text is part of what is signed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether messages of this kind are signed.
            pub fn is_sealed(self) -> bool {
                match self { $(Self::$name => $sealed,)* }
            }

            /// The largest body.
            pub fn bytes_max(self) -> usize {
                match self { $(Self::$name => $max,)* }
            }
        }

        /// Anything a peer can say.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Message {
            $($(#[$doc])* $name($name),)*
        }

        impl Message {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name,)* }
            }

            /// The bytes of its body.
            pub fn encode_body(&self) -> Vec<u8> {
                match self { $(Self::$name(content) => cbor::encode(content),)* }
            }

            /// Reads a body of this kind.
            pub fn decode_body(kind: Kind, body: &[u8]) -> Result<Self, DecodeError> {
                match kind { $(Kind::$name => cbor::decode(body, kind.bytes_max()).map(Self::$name),)* }
            }

            /// Checks the bounds that bytes alone do not show.
            pub fn check(&self) -> Result<(), BoundError> {
                match self { $(Self::$name(content) => Check::check(content),)* }
            }
        }

        $(impl From<$name> for Message {
            fn from(content: $name) -> Self {
                Self::$name(content)
            }
        })*
    };
}

messages! {
    /// What is to be computed, on what terms.
    Job, "job", sealed: true, max: limits::OFFER_BYTES_MAX;
    /// Gossiped: work is to be had.
    Offer, "offer", sealed: true, max: limits::OFFER_BYTES_MAX;
    /// Gossiped: no more bids, please.
    OfferClosed, "offer-closed", sealed: true, max: limits::BID_BYTES_MAX;
    /// A worker's sealed bid.
    Bid, "bid", sealed: true, max: limits::BID_BYTES_MAX;
    /// How the auction ended, for each bidder to check.
    Closing, "closing", sealed: true, max: limits::MESSAGE_BYTES_TARGET;
    /// Seats granted at a price.
    Lease, "lease", sealed: true, max: limits::MESSAGE_BYTES_TARGET;
    /// A lease turned down.
    Decline, "decline", sealed: false, max: limits::BID_BYTES_MAX;
    /// Tasks streamed into a lease.
    Assign, "assign", sealed: false, max: limits::MESSAGE_BYTES_MAX;
    /// Tasks given back undone.
    HandBack, "hand-back", sealed: false, max: limits::MESSAGE_BYTES_TARGET;
    /// The worker is alive and holds these leases.
    Heartbeat, "heartbeat", sealed: false, max: limits::MESSAGE_BYTES_TARGET;
    /// Digests, hidden until everybody's are in.
    Commit, "commit", sealed: true, max: limits::MESSAGE_BYTES_TARGET;
    /// The requester asks for what was committed.
    Reveal, "reveal", sealed: false, max: limits::MESSAGE_BYTES_TARGET;
    /// Outcomes, stated for good.
    Claim, "claim", sealed: true, max: 2 * limits::MESSAGE_BYTES_TARGET;
    /// The requester has a claim.
    ClaimAck, "claim-ack", sealed: false, max: limits::BID_BYTES_MAX;
    /// Accepted work, and what is owed for it.
    Verdicts, "verdicts", sealed: true, max: limits::MESSAGE_BYTES_TARGET;
    /// A refuted claim, with the evidence.
    Void, "void", sealed: true, max: 2 * limits::BID_BYTES_MAX;
    /// The requester ends a lease.
    LeaseEnd, "lease-end", sealed: false, max: limits::BID_BYTES_MAX;
    /// Statements about payment, each sealed for itself.
    Payment, "payment", sealed: false, max: PAYMENT_BYTES_MAX;
}

trait Check {
    fn check(&self) -> Result<(), BoundError>;
}

impl Check for Payment {
    fn check(&self) -> Result<(), BoundError> {
        bounded("the number of statements", self.statements.len() <= STATEMENTS_MAX)?;
        let fits = |statement: &Bytes| statement.len() <= limits::STATEMENT_BYTES_MAX;
        bounded("the length of a statement", self.statements.iter().all(fits))
    }
}

impl Check for Job {
    fn check(&self) -> Result<(), BoundError> {
        Self::check(self).map_err(|_| BoundError { what: "the job" })
    }
}
