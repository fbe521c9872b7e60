//! Places in Kademlia's key space: which part of the mesh a message is for, and how large the mesh is.
//!
//! A message at depth d is for the peers whose place agrees with that of its key in the first d bits: 2^-d of the mesh,
//! and those whom a look-up of the key finds. Every peer listens at every depth, on the topic that its own place names; so
//! who publishes decides how many hear it, and nobody has to agree on how many topics there are.

use libp2p::kad::KBucketKey;
use pocketmesh_types::{PeerId, limits::OFFER_DEPTH_MAX};

use crate::identity;

/// The prefix that stands for the whole mesh.
const EVERYBODY: &str = "all";

/// A place in the key space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place([u8; 32]);

impl Place {
    /// Where a key is.
    pub(crate) fn of_key(key: &[u8; 32]) -> Self {
        Self::of(&KBucketKey::new(key.to_vec()))
    }

    /// Where a peer is.
    pub(crate) fn of_peer(peer: libp2p::PeerId) -> Self {
        Self::of(&KBucketKey::from(peer))
    }

    /// Where what Kademlia has hashed already is.
    pub(crate) fn of<T>(key: &KBucketKey<T>) -> Self {
        let mut place = [0; 32];
        place.copy_from_slice(key.hashed_bytes());
        Self(place)
    }

    /// In how many bits, from the first on, two places agree; as deep as topics go.
    pub(crate) fn agreement(&self, other: &Self) -> u8 {
        let differ = self.head() ^ other.head();
        (differ.leading_zeros() as u8).min(OFFER_DEPTH_MAX)
    }

    /// The first `depth` bits, as they stand in a topic's name.
    pub(crate) fn prefix(&self, depth: u8) -> String {
        if depth == 0 {
            return EVERYBODY.into();
        }
        let head = format!("{:064b}", self.head());
        head[..usize::from(depth.min(OFFER_DEPTH_MAX))].to_owned()
    }

    fn head(&self) -> u64 {
        u64::from_be_bytes(self.0[..8].try_into().expect("eight bytes of thirty-two"))
    }

    /// How many peers there are, about, if `nearest` are all that are at most as far as the farthest of them. The error is some
    /// 1/√n for n places. Whoever mints names near us can make it as large as it likes.
    pub(crate) fn population(&self, nearest: &[Self]) -> usize {
        let farthest = nearest.iter().map(|place| place.head() ^ self.head()).max().unwrap_or(u64::MAX);
        let share = (farthest as f64 + 1.0) / 2.0_f64.powi(64);
        (nearest.len() as f64 / share) as usize
    }
}

/// Whether `text` is what [`Place::prefix`] gives for some place.
pub(crate) fn is_prefix(text: &str) -> bool {
    let bits =
        (1..=usize::from(OFFER_DEPTH_MAX)).contains(&text.len()) && text.bytes().all(|bit| matches!(bit, b'0' | b'1'));
    bits || text == EVERYBODY
}

/// How deep a message about `key` may go and still be for `peer`.
pub fn deepest(key: &[u8; 32], peer: PeerId) -> u8 {
    Place::of_key(key).agreement(&Place::of_peer(identity::libp2p_of(peer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u32) -> Place {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_le_bytes());
        Place::of_key(&key)
    }

    #[test]
    fn places_on_one_topic_agree_so_far_and_no_further() {
        let one = place(1);
        for number in 2..2_000 {
            let other = place(number);
            let depth = one.agreement(&other);
            assert_eq!(one.prefix(depth), other.prefix(depth));
            assert!(depth == OFFER_DEPTH_MAX || one.prefix(depth + 1) != other.prefix(depth + 1));
        }
    }

    #[test]
    fn only_prefixes_are_prefixes() {
        assert!((0..=OFFER_DEPTH_MAX).all(|depth| is_prefix(&place(1).prefix(depth))));
        for bad in ["", "2", "01a", "00000000000000000", "ALL"] {
            assert!(!is_prefix(bad), "{bad}");
        }
    }

    #[test]
    fn twenty_neighbours_tell_the_size_of_the_mesh() {
        for peers in [100, 1_000, 30_000_u32] {
            let mut ratios: Vec<f64> = (0..40)
                .map(|me| {
                    let me = place(1_000_000 + me);
                    let mut places: Vec<Place> = (0..peers).map(place).collect();
                    places.sort_by_key(|place| place.head() ^ me.head());
                    me.population(&places[..20]) as f64 / f64::from(peers)
                })
                .collect();
            ratios.sort_by(f64::total_cmp);
            assert!((0.85..1.25).contains(&ratios[20]), "{peers} peers: {}", ratios[20]);
            assert!(ratios[0] > 0.5 && ratios[39] < 2.2, "{peers} peers: {} to {}", ratios[0], ratios[39]);
        }
    }
}
