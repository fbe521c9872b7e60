//! The bidding lottery: who may bid when, so that an offer gets as many bids from ten peers as from ten million.
//! specs/lottery.md.
//!
//! It spares honest peers useless bids and nothing else: whoever mints names wins it at will. Seats are defended by
//! the auction.

use alloc::collections::BTreeSet;
use core::time::Duration;
use pocketmesh_types::{Hash, OfferId, PeerId, limits};

/// After each round, four times as many may bid. A round must outlast the way of an offer, of the bids and of the
/// `closed` notice, or the next round's bids are on their way already; and most bidders have to connect first. Measured with
/// 5 to 75 ms a hop, eleven ways for a bid: 348 bids are sent among 1,000 peers with rounds of 600 ms, 99 with 1 s, 98 with 2 s.
pub const ROUND: Duration = Duration::from_millis(1000);

/// The fraction that stands for everybody.
pub const EVERYBODY: u64 = u64::MAX;

/// Each round's share of the peers is this many times the one before, as a power of 2.
const GROWTH_BITS: u32 = 2;
/// No fraction is so small that it takes more rounds until everybody may bid.
const ROUNDS_MAX: u32 = 64 / GROWTH_BITS;

/// Where `peer` stands in the lottery of this offer: uniform over all of `u64`, low is early.
pub fn ticket(offer: OfferId, peer: PeerId) -> u64 {
    Hash::of_parts("pocketmesh lottery 1", &[offer.as_bytes(), &peer.0]).to_u64()
}

/// The first round in which a ticket may bid: the least r with `ticket < fraction · 4^r`, where `fraction` (in 2⁻⁶⁴) is
/// the offer's; zero counts as the least fraction there is.
pub fn round_of(ticket: u64, fraction: u64) -> u32 {
    let may_bid = |round: &u32| u128::from(ticket) < u128::from(fraction.max(1)) << (round * GROWTH_BITS);
    (0..=ROUNDS_MAX).find(may_bid).expect("in the last round the share is at least 1, so that every ticket may bid")
}

/// How long after hearing an offer a ticket may bid, if no `closed` is heard before.
pub fn wait(ticket: u64, fraction: u64) -> Duration {
    ROUND * round_of(ticket, fraction)
}

/// How long a requester should take bids for an offer with this fraction: until all but one peer in 64 have had a turn and
/// the bids of that round are in, but no more than four rounds.
pub fn window(fraction: u64) -> Duration {
    const ROUNDS_WAITED_MAX: u32 = 4;
    ROUND * (round_of(EVERYBODY / 64 * 63, fraction) + 1).min(ROUNDS_WAITED_MAX)
}

/// How many bids a requester aims at in round 0 when it wants so many: half more, because a second round quadruples the
/// bids. Measured: a second round is needed in 47 of 100 auctions without it, in 7 with a quarter more, in none with this.
fn aim(wanted: u16) -> u64 {
    u64::from(wanted) * 3 / 2
}

/// The share of the mesh that is to bid first, for a requester that has held no auction yet and has heard of so many peers.
pub fn first_share(wanted: u16, peers: usize) -> u64 {
    share(u128::from(EVERYBODY), u64::from(wanted), peers as u64)
}

/// How far an offer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// It is heard by 2^-depth of the mesh.
    pub depth: u8,
    /// Of these, this share may bid in round 0.
    pub fraction: u64,
}

/// So many times the peers that bid first hear an offer: those of the second round are among them, and hardly more.
const HEARD: u64 = 5;

impl Reach {
    /// An offer that this share of the whole mesh is to answer first. `draw`, which is uniform, decides between two depths so that in the
    /// mean exactly [`HEARD`] times that share hear it, whatever the size of the mesh.
    pub fn of(share: u64, draw: u64) -> Self {
        let Some(heard) = share.max(1).checked_mul(HEARD) else { return Self { depth: 0, fraction: share } };
        // 2^-upper ≥ heard > 2^-(upper + 1), and in between the chance of the upper depth grows from 0 to 1.
        let upper = heard.leading_zeros();
        let chance = heard << upper << 1;
        let depth = (upper + u32::from(draw >= chance)).min(u32::from(limits::OFFER_DEPTH_MAX));
        Self { depth: depth as u8, fraction: share.max(1).saturating_mul(1 << depth) }
    }

    /// Whether an offer that goes so far would have to go that far: deeper topics would not do. Others make everybody listen
    /// for the sake of few, and are not passed on.
    pub fn is_thrifty(self) -> bool {
        // `of` yields no less than half of a HEARD-th, but for rounding.
        self.depth == limits::OFFER_DEPTH_MAX || self.fraction >= EVERYBODY / (2 * HEARD + 1)
    }
}

/// The fraction that would have suited an offer with `used` better, when `answered` peers of round 0 answered and `wanted`
/// bids were wanted.
/// It changes by a round's factor at most, so that one odd auction (a partition, a flood) costs one round.
pub fn next_fraction(used: u64, answered: usize, wanted: u16) -> u64 {
    let used = used.max(1);
    let (least, most) = (used >> GROWTH_BITS, used.saturating_mul(1 << GROWTH_BITS));
    share(u128::from(used), aim(wanted), answered as u64).clamp(least.max(1), most)
}

/// `whole · part / of`, at most everybody.
fn share(whole: u128, part: u64, of: u64) -> u64 {
    u64::try_from(whole * u128::from(part) / u128::from(of.max(1))).unwrap_or(EVERYBODY)
}

/// Who answered one offer in its first round, as the requester hears it. Bids that come after the auction has closed
/// must be told too, until the next offer: those that counted are never more than were wanted, and say nothing about how
/// many there were.
///
/// One peer and public prefix counts once, as in the auction: a flood of names from one place must not persuade the
/// requester that the mesh is large and so keep honest peers waiting.
#[derive(Debug, Clone)]
pub struct Turnout {
    offer: OfferId,
    reach: Reach,
    wanted: u16,
    peers: BTreeSet<PeerId>,
    prefixes: BTreeSet<[u8; 6]>,
}

impl Turnout {
    /// Nobody yet.
    pub fn new(offer: OfferId, reach: Reach, wanted: u16) -> Self {
        let wanted = wanted.min(limits::BIDS_PER_OFFER_MAX as u16);
        Self { offer, reach, wanted, peers: BTreeSet::new(), prefixes: BTreeSet::new() }
    }

    /// A bid has come, whatever became of it.
    pub fn on_bid(&mut self, bidder: PeerId, prefix: Option<[u8; 6]>) {
        let is_known = self.peers.contains(&bidder) || prefix.is_some_and(|prefix| self.prefixes.contains(&prefix));
        let is_first_round = round_of(ticket(self.offer, bidder), self.reach.fraction) == 0;
        if is_first_round && !is_known && !self.is_enough() {
            self.peers.insert(bidder);
            self.prefixes.extend(prefix);
        }
    }

    /// More would not change the next fraction.
    fn is_enough(&self) -> bool {
        self.answered() as u64 >= aim(self.wanted) << GROWTH_BITS
    }

    /// How far the offer went.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// How many answered.
    pub fn answered(&self) -> usize {
        self.peers.len()
    }

    /// The share of the mesh that is to answer the next offer first.
    pub fn next_share(&self) -> u64 {
        next_fraction(self.reach.fraction, self.answered(), self.wanted) >> self.reach.depth
    }
}
