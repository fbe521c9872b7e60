//! A growing list under one hash: what a voucher commits to, and what a receipt says of its results.
//!
//! The tree is that of RFC 6962 over BLAKE3: leaves and nodes are hashed under contexts of their own, and the left half of a
//! list is the largest power of two below its length. Only its peaks are kept, at most 64 hashes, whatever the length.

use crate::{Hash, TaskIndex};
use alloc::vec::Vec;

const LEAF: &str = "pocketmesh merkle leaf 1";
const NODE: &str = "pocketmesh merkle node 1";

/// A list that only grows, as the roots of its full halves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    len: u64,
    /// One for each bit that is set in `len`, the largest tree first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// How many leaves there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The list of which this is known; nothing if there cannot be such a one.
    pub fn from_peaks(len: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == len.count_ones() as usize).then_some(Self { len, peaks })
    }

    /// The roots of its full halves, the largest first: with [`len`](Self::len), all that is needed to go on.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut tree = Hash::of_parts(LEAF, &[&leaf.0]);
        for _ in 0..self.len.trailing_ones() {
            let left = self.peaks.pop().expect("a peak for each bit of the length");
            tree = node(left, tree);
        }
        self.peaks.push(tree);
        self.len += 1;
    }

    /// The root. That of no leaves is all zeros, which no other list has.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        let smallest = peaks.next().unwrap_or_default();
        peaks.fold(smallest, |right, left| node(left, right))
    }
}

fn node(left: Hash, right: Hash) -> Hash {
    Hash::of_parts(NODE, &[&left.0, &right.0])
}

impl FromIterator<Hash> for Frontier {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut frontier = Self::default();
        leaves.into_iter().for_each(|leaf| frontier.push(leaf));
        frontier
    }
}

/// What a receipt says of its results: the root over each task's number and the digest of its outcome, in order of the tasks.
pub fn results_root(rows: impl IntoIterator<Item = (TaskIndex, Hash)>) -> Hash {
    let leaf = |(task, digest): (TaskIndex, Hash)| {
        Hash::of_parts("pocketmesh result row 1", &[&task.to_le_bytes(), &digest.0])
    };
    rows.into_iter().map(leaf).collect::<Frontier>().root()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 §2.1, word for word.
    fn root_of(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::default(),
            [leaf] => Hash::of_parts(LEAF, &[&leaf.0]),
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(root_of(left), root_of(right))
            }
        }
    }

    #[test]
    fn peaks_come_to_the_root_of_the_whole_tree() {
        let leaves: Vec<Hash> = (0..70_u8).map(|number| Hash::of(&[number])).collect();
        let mut frontier = Frontier::default();
        for (count, leaf) in leaves.iter().enumerate() {
            assert_eq!(frontier.root(), root_of(&leaves[..count]), "{count} leaves");
            assert_eq!(frontier.len(), count as u64);
            frontier.push(*leaf);
        }
    }

    #[test]
    fn order_and_numbers_count() {
        let (a, b) = (Hash::of(b"a"), Hash::of(b"b"));
        assert_ne!(results_root([(1, a), (2, b)]), results_root([(1, b), (2, a)]));
        assert_ne!(results_root([(1, a)]), results_root([(2, a)]));
        assert_ne!([a, b].into_iter().collect::<Frontier>().root(), [b, a].into_iter().collect::<Frontier>().root());
    }
}
