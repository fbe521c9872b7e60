//! One blob, several fetchers, one peer that has it: who asks that peer for which part.
//!
//! Each part has one of the fetchers as its *home*, the same for all of them: they ask the source for their own parts only,
//! and one another for the rest; and not even for those that somebody else gives. So the source sends each part once, however fast it
//! is. When nothing comes any more, the source is asked for whatever is missing.

use super::plan::mix;
use pocketmesh_types::PeerId;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// The least time without a part after which the fellows are given up.
const QUIET_MIN: Duration = Duration::from_secs(2);
/// They may take so many times as long over a part as the source took over one of ours.
const QUIET_FACTOR: u32 = 3;

/// Who fetches a blob at the same time, and from whom.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// This peer.
    pub me: PeerId,
    /// Who has all of it.
    pub source: PeerId,
    /// The other fetchers.
    pub fellows: Vec<PeerId>,
}

/// See the module.
#[derive(Debug)]
pub struct Share {
    source: PeerId,
    /// Parts whose home we are.
    mine: BTreeSet<u32>,
    /// Of these, how many have come, and when the last one did.
    arrived: u32,
    latest: Instant,
    began: Instant,
    /// When a part came last, whosever.
    last: Instant,
    given_up: bool,
}

impl Share {
    /// The share of `sharing.me` in these parts.
    pub fn of(sharing: &Sharing, parts: impl Iterator<Item = u32>, now: Instant) -> Self {
        let mine = parts.filter(|&part| home(sharing, part) == sharing.me).collect();
        Self { source: sharing.source, mine, arrived: 0, latest: now, began: now, last: now, given_up: false }
    }

    /// A part is here.
    pub fn done(&mut self, part: u32, now: Instant) {
        self.last = now;
        if self.mine.contains(&part) {
            (self.arrived, self.latest) = (self.arrived + 1, now);
        }
    }

    /// Looks whether the fellows are given up: nothing has come for longer than it should take.
    pub fn look(&mut self, now: Instant) {
        let usual = self.latest.duration_since(self.began) / self.arrived.max(1);
        self.given_up |= now.duration_since(self.last) >= QUIET_MIN.max(usual * QUIET_FACTOR);
    }

    /// Whether `peer` is asked for no more than it must: however fast it is, nothing is left to it.
    pub fn spares(&self, peer: PeerId) -> bool {
        peer == self.source && !self.given_up
    }

    /// Whether `peer` may be asked for `part`, which somebody else is known to have or not.
    pub fn allows(&self, peer: PeerId, part: u32, elsewhere: bool) -> bool {
        !self.spares(peer) || (self.mine.contains(&part) && !elsewhere)
    }
}

/// The fetcher with the highest draw for a part.
fn home(sharing: &Sharing, part: u32) -> PeerId {
    let draw = |peer: &PeerId| mix(u64::from_be_bytes(std::array::from_fn(|at| peer.0[at])), part);
    let fetchers = sharing.fellows.iter().chain([&sharing.me]);
    fetchers.copied().max_by_key(|peer| (draw(peer), *peer)).unwrap_or(sharing.me)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: PeerId = PeerId([9; 32]);

    fn peer(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    fn share(me: u8, parts: u32, now: Instant) -> Share {
        let fellows = (1..=4).filter(|&number| number != me).map(peer).collect();
        Share::of(&Sharing { me: peer(me), source: SOURCE, fellows }, 0..parts, now)
    }

    #[test]
    fn every_part_has_one_home_whoever_asks() {
        let now = Instant::now();
        let shares: Vec<Share> = (1..=4).map(|me| share(me, 400, now)).collect();
        assert!((0..400).all(|part| shares.iter().filter(|share| share.allows(SOURCE, part, false)).count() == 1));
        assert!(shares.iter().all(|share| (60..140).contains(&share.mine.len())), "{shares:?}");
        assert!((0..400).all(|part| shares[0].allows(peer(2), part, false)), "fellows may be asked for all");
        assert!(
            (0..400).all(|part| !shares[0].allows(SOURCE, part, true)),
            "who has it all is spared what others have"
        );
    }

    #[test]
    fn the_source_is_asked_for_everything_when_nothing_comes_any_more() {
        let now = Instant::now();
        let mut share = share(1, 8, now);
        let (mine, others): (Vec<u32>, Vec<u32>) = (0..8).partition(|&part| share.allows(SOURCE, part, false));
        let arrived = now + Duration::from_secs(2) * mine.len() as u32;
        mine.iter().for_each(|&part| share.done(part, arrived));
        share.look(arrived + Duration::from_secs(5));
        assert!(!share.allows(SOURCE, others[0], false), "a slow source has slow fellows");
        share.look(arrived + Duration::from_secs(6));
        assert!(share.allows(SOURCE, others[0], true));
        share.done(others[0], arrived + Duration::from_secs(6));
        assert!(share.allows(SOURCE, others[1], true), "who was given up once is not waited for again");
    }
}
