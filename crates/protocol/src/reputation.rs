//! What this peer has seen of others. It orders bids; it never decides whether a result is right.

use alloc::collections::BTreeMap;
use core::time::Duration;
use pocketmesh_types::PeerId;

/// What was seen of one peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Leases that it served until they ended.
    pub served: u32,
    /// Leases under which it fell silent or withheld what it had committed to.
    pub failed: u32,
    /// Claims of it that were refuted by our own run.
    pub refuted: u32,
    /// Jobs in which it was convicted of one.
    pub convicted: u32,
    /// Claims of ours that it has voided, and for which we stand.
    pub contested: u32,
    /// Executions that it has claimed, or committed to.
    pub claimed: u64,
    /// Those of them that were accepted; they are known after a restart too.
    pub accepted: u64,
    /// Accepted ones that came after the task was final without them.
    pub late: u64,
    /// How long all that it has claimed took, from assignment to claim or commitment.
    pub busy: Duration,
    /// Bytes of programs, inputs and files that this peer itself has sent to it since it started.
    pub sent: u64,
    /// Audit windows of it that became final.
    pub windows_final: u32,
    /// Audit windows of it that were voided.
    pub windows_voided: u32,
}

/// What was seen of all peers.
#[derive(Debug, Default)]
pub struct Reputation {
    peers: BTreeMap<PeerId, Seen>,
    windows: Windows,
    all: Totals,
}

/// What all peers together have claimed and were sent: what is usual.
#[derive(Debug, Default)]
struct Totals {
    claimed: u64,
    sent: u64,
}

/// How audit windows ended, whoever's they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Windows {
    /// All that ended.
    pub ended: u64,
    /// Those that were voided.
    pub voided: u64,
}

/// Peers remembered. Names are free, so this must not grow with them; whoever is forgotten is unknown again.
const PEERS_MAX: usize = 1 << 16;
/// An unknown peer counts as one that has served nine leases out of ten. Guess.
const PRIOR: (u64, u64) = (9, 10);

impl Reputation {
    /// A lease was served to its end.
    pub fn served(&mut self, peer: PeerId) {
        self.change(peer, |seen| seen.served = seen.served.saturating_add(1));
    }

    /// A lease was not served.
    pub fn failed(&mut self, peer: PeerId) {
        self.change(peer, |seen| seen.failed = seen.failed.saturating_add(1));
    }

    /// A claim was refuted.
    pub fn refuted(&mut self, peer: PeerId) {
        self.change(peer, |seen| seen.refuted = seen.refuted.saturating_add(1));
    }

    /// An audit window of a peer has ended.
    pub fn window_over(&mut self, owner: PeerId, voided: bool) {
        self.windows.ended += 1;
        self.windows.voided += u64::from(voided);
        self.change(owner, |seen| {
            let count = if voided { &mut seen.windows_voided } else { &mut seen.windows_final };
            *count = count.saturating_add(1);
        });
    }

    /// It has claimed, or committed to, an execution that took so long.
    pub fn claimed(&mut self, peer: PeerId, took: Duration) {
        self.all.claimed = self.all.claimed.saturating_add(1);
        self.change(peer, |seen| {
            seen.claimed = seen.claimed.saturating_add(1);
            seen.busy = seen.busy.saturating_add(took);
        });
    }

    /// So many bytes in all were sent to it by this peer itself. Of whom nothing else was seen, that is not kept: anybody can ask.
    pub fn sent(&mut self, peer: PeerId, bytes: u64) {
        if let Some(seen) = self.peers.get_mut(&peer) {
            self.all.sent = self.all.sent.saturating_sub(seen.sent).saturating_add(bytes);
            seen.sent = bytes;
        }
    }

    /// So many of its executions were accepted.
    pub fn accepted(&mut self, peer: PeerId, count: u64, late: bool) {
        self.change(peer, |seen| {
            seen.accepted = seen.accepted.saturating_add(count);
            seen.late = seen.late.saturating_add(if late { count } else { 0 });
        });
    }

    /// Everybody of whom something was seen.
    pub fn peers(&self) -> impl Iterator<Item = (&PeerId, &Seen)> {
        self.peers.iter()
    }

    /// How audit windows have ended so far.
    pub fn windows(&self) -> Windows {
        self.windows
    }

    /// It was convicted of a wrong claim.
    pub fn convicted(&mut self, peer: PeerId) {
        self.change(peer, |seen| seen.convicted = seen.convicted.saturating_add(1));
    }

    /// Whether it was ever convicted.
    pub fn is_convicted(&self, peer: &PeerId) -> bool {
        self.of(peer).convicted > 0
    }

    /// What refuted it was our own mistake.
    pub fn acquitted(&mut self, peer: PeerId) {
        self.change(peer, |seen| seen.refuted = seen.refuted.saturating_sub(1));
    }

    /// It has voided a claim of ours for which we stand.
    pub fn contested(&mut self, peer: PeerId) {
        self.change(peer, |seen| seen.contested = seen.contested.saturating_add(1));
    }

    /// Whether it is served: not if it has ever voided what was right.
    pub fn is_served(&self, peer: &PeerId) -> bool {
        self.of(peer).contested == 0
    }

    /// What was seen of `peer`.
    pub fn of(&self, peer: &PeerId) -> Seen {
        self.peers.get(peer).copied().unwrap_or_default()
    }

    /// Whether a claim of `peer` was ever refuted.
    pub fn is_distrusted(&self, peer: &PeerId) -> bool {
        self.of(peer).refuted > 0
    }

    /// The chance that `peer` delivers, in parts per million. It counts in whole tenths: an unknown peer stands beside the
    /// reliable ones, and where all ask the same price it is drawn as often as they. Else those who had work once would have it for
    /// ever, by a thousandth of a point. Who takes more than twice as many of our own bytes for an execution as is usual counts for less
    /// in that proportion: it does not get its data from others, and our line is what limits a large job.
    pub fn delivery_ppm(&self, peer: &PeerId) -> u32 {
        let seen = self.of(peer);
        let good = u64::from(seen.served) + PRIOR.0;
        let all = u64::from(seen.served) + u64::from(seen.failed) + PRIOR.1;
        let tenths = u128::from(good * 10 / all);
        let (usual, taken) = (self.usual_bytes(seen.claimed), u128::from(seen.sent));
        let tenths = if taken > usual { tenths * usual / taken } else { tenths };
        u32::try_from(tenths.clamp(1, 9) * 100_000).expect("a share of a million")
    }

    /// Twice the bytes that are sent for so many executions on average, an unknown peer's first one included.
    fn usual_bytes(&self, claimed: u64) -> u128 {
        let executions = u128::from(claimed.max(1));
        2 * u128::from(self.all.sent) * executions / u128::from(self.all.claimed.max(1))
    }

    fn change(&mut self, peer: PeerId, change: impl FnOnce(&mut Seen)) {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) {
            self.peers.pop_first();
        }
        change(self.peers.entry(peer).or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_far_more_of_our_bytes_than_others_counts_for_less() {
        let (mut reputation, [one, other, greedy]) = (Reputation::default(), [1, 2, 3].map(|name| PeerId([name; 32])));
        for peer in [one, other, greedy] {
            (0..100).for_each(|_| reputation.claimed(peer, Duration::from_secs(1)));
        }
        for (peer, bytes) in [(one, 1_000), (one, 3_000), (other, 1_000), (greedy, 26_000)] {
            reputation.sent(peer, bytes);
        }
        assert_eq!(reputation.of(&one).sent, 3_000, "what is told is the sum");
        assert_eq!([one, other, greedy].map(|peer| reputation.delivery_ppm(&peer)), [900_000, 900_000, 600_000]);
        assert_eq!(reputation.delivery_ppm(&PeerId([4; 32])), 900_000);
    }

    #[test]
    fn a_newcomer_stands_beside_the_reliable_and_before_those_who_fail() {
        let (mut reputation, [old, faulty, new]) = (Reputation::default(), [1, 2, 3].map(|name| PeerId([name; 32])));
        (0..100).for_each(|_| reputation.served(old));
        reputation.failed(faulty);
        assert_eq!(reputation.delivery_ppm(&new), reputation.delivery_ppm(&old));
        assert!(reputation.delivery_ppm(&faulty) < reputation.delivery_ppm(&new));
        (0..1_000).for_each(|_| reputation.failed(faulty));
        assert_eq!(reputation.delivery_ppm(&faulty), 100_000, "never nothing: a price is divided by it");
    }
}
