//! A blob's tree, made while its bytes go by.

use super::{GROUP_BYTES, merge};
use bao_tree::blake3::{Hash as Blake3, Hasher, hazmat::HasherExt};
use pocketmesh_types::{BlobId, Hash};

/// Hashes bytes as they come. Its pairs come out in the order of the outboard, so that they can be appended to a file.
#[derive(Debug)]
pub struct Builder {
    /// Of the group that is being filled.
    hasher: Hasher,
    in_group: u64,
    /// Groups that are full and have bytes behind them.
    closed: u64,
    /// The subtrees that stand side by side so far, the largest first.
    subtrees: Vec<Blake3>,
    pairs: Vec<u8>,
}

impl Builder {
    pub fn new() -> Self {
        Self { hasher: Hasher::new(), in_group: 0, closed: 0, subtrees: Vec::new(), pairs: Vec::new() }
    }

    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.in_group == GROUP_BYTES {
                self.close_group();
            }
            let room = usize::try_from(GROUP_BYTES - self.in_group).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.hasher.update(now);
            self.in_group += now.len() as u64;
            bytes = later;
        }
    }

    /// The pairs that have become known since they were last taken.
    pub fn take_pairs(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pairs)
    }

    /// Bytes of pairs that wait to be taken.
    pub fn pairs_bytes(&self) -> usize {
        self.pairs.len()
    }

    /// The blob's name. The last pairs can be taken now; nothing may be added any more.
    pub fn finish(&mut self) -> BlobId {
        let Some(mut left) = self.subtrees.pop() else { return name(self.hasher.finalize()) };
        let mut right = Blake3::from_bytes(self.hasher.finalize_non_root());
        loop {
            let is_root = self.subtrees.is_empty();
            right = self.join(left, right, is_root);
            match self.subtrees.pop() {
                Some(next) => left = next,
                None => return name(right),
            }
        }
    }

    /// A group is full and more bytes follow, so neither it nor what it completes is the root.
    fn close_group(&mut self) {
        let mut subtree = Blake3::from_bytes(self.hasher.finalize_non_root());
        self.closed += 1;
        for _ in 0..self.closed.trailing_zeros() {
            let left = self.subtrees.pop().expect("as many subtrees stand as the count has ones");
            subtree = self.join(left, subtree, false);
        }
        self.subtrees.push(subtree);
        self.hasher = Hasher::new();
        self.hasher.set_input_offset(self.closed * GROUP_BYTES);
        self.in_group = 0;
    }

    fn join(&mut self, left: Blake3, right: Blake3, is_root: bool) -> Blake3 {
        self.pairs.extend_from_slice(left.as_bytes());
        self.pairs.extend_from_slice(right.as_bytes());
        merge(&left, &right, is_root)
    }
}

fn name(root: Blake3) -> BlobId {
    BlobId(Hash(*root.as_bytes()))
}
