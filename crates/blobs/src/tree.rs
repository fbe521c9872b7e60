//! The hash tree over a blob: what lets any range of it be checked alone.
//!
//! BLAKE3 is a tree already; `bao-tree` knows its shape and how a range travels with the hashes that tie it to the
//! root. The leaves here are groups of 16 KiB, the smallest range that can be checked; sixteen groups are a part, the
//! unit in which fetches are planned. Nothing here touches a disk.

mod builder;

use bao_tree::{
    BaoTree, BlockSize, ChunkNum, ChunkRanges, TreeNode,
    blake3::{
        self, Hash as Blake3, Hasher,
        hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
    },
    io::sync::ReadAt,
    iter::BaoChunk,
};
pub use builder::Builder;
use pocketmesh_types::BlobId;
use std::{io, ops::Range};

/// The smallest range that is checked by itself.
pub const GROUP_BYTES: u64 = 16 << 10;
/// Groups of a part.
pub const PART_GROUPS: u32 = 16;
/// What is planned, asked for and stored at a time.
pub const PART_BYTES: u64 = GROUP_BYTES * PART_GROUPS as u64;
/// Two hashes of a node.
pub const PAIR_BYTES: usize = 64;

/// A group is so many of BLAKE3's chunks of 1 KiB, as a power of two.
const GROUP_CHUNKS_LOG: u8 = 4;
const GROUP_CHUNKS: u64 = 1 << GROUP_CHUNKS_LOG;

/// Received bytes that are not those of the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong {
    /// The group that they were to be, or the first one below the hashes that they were to be.
    pub group: u32,
}

/// Why groups could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Data and outboard do not match the name.
    #[error("the bytes and hashes from group {} on are not those of the blob", .0.group)]
    Wrong(Wrong),
    /// They could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where checked bytes go. They live in what was received.
pub trait Sink<'a> {
    /// The hashes of the node at this place of the outboard.
    fn pair(&mut self, at: u64, pair: &'a [u8; PAIR_BYTES]);
    /// Bytes of the blob from this offset, where those of the call before end.
    fn leaf(&mut self, at: u64, bytes: &'a [u8]);
}

/// How many groups a blob of `len` bytes has; an empty one has an empty group.
pub fn groups_of(len: u64) -> u32 {
    u32::try_from(len.div_ceil(GROUP_BYTES).max(1)).unwrap_or(u32::MAX)
}

/// How many parts a blob of `len` bytes has.
pub fn parts_of(len: u64) -> u32 {
    groups_of(len).div_ceil(PART_GROUPS)
}

/// The groups of a part.
pub fn groups_of_part(len: u64, part: u32) -> Range<u32> {
    let start = part.saturating_mul(PART_GROUPS);
    start..start.saturating_add(PART_GROUPS).min(groups_of(len))
}

/// Bytes of the outboard of a blob: the hashes of all its inner nodes.
pub fn outboard_bytes(len: u64) -> u64 {
    shape(len).outboard_size()
}

/// Bytes that a range of groups takes with its hashes.
pub fn encoded_bytes(len: u64, groups: &Range<u32>) -> usize {
    let size = |item: BaoChunk<_>| match item {
        BaoChunk::Parent { .. } => PAIR_BYTES,
        BaoChunk::Leaf { size, .. } => size,
    };
    let ranges = ranges_of(len, groups);
    shape(len).ranges_pre_order_chunks_iter_ref(&ranges, GROUP_CHUNKS_LOG).map(|item| size(item.without_ranges())).sum()
}

/// A range of groups with the hashes that tie it to the root, checked on the way. Every byte is read to where it is to
/// be in `encoded`, which must have [`encoded_bytes`] and is filled whole, or is not to be used.
pub fn encode(
    id: BlobId,
    len: u64,
    groups: &Range<u32>,
    data: impl ReadAt,
    outboard: impl ReadAt,
    mut encoded: &mut [u8],
) -> Result<(), EncodeError> {
    let (tree, ranges) = (shape(len), ranges_of(len, groups));
    let mut expected = vec![hash_of(id)];
    for item in tree.ranges_pre_order_chunks_iter_ref(&ranges, GROUP_CHUNKS_LOG) {
        let wanted = expected.pop().expect("a parent pushes what its children are checked against");
        match item {
            BaoChunk::Parent { node, is_root, left, right, .. } => {
                let (pair, rest) = encoded.split_first_chunk_mut::<PAIR_BYTES>().expect("there is room for all");
                encoded = rest;
                outboard.read_exact_at(place(&tree, node), pair)?;
                let (one, other) = children(pair);
                if merge(&one, &other, is_root) != wanted {
                    return Err(EncodeError::Wrong(Wrong { group: first_group(node).max(groups.start) }));
                }
                expected.extend(right.then_some(other).into_iter().chain(left.then_some(one)));
            }
            BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                let (bytes, rest) = encoded.split_at_mut(size);
                encoded = rest;
                data.read_exact_at(start_chunk.to_bytes(), bytes)?;
                if hash_group(start_chunk, bytes, is_root) != wanted {
                    return Err(EncodeError::Wrong(Wrong { group: group_at(start_chunk) }));
                }
            }
        }
    }
    assert!(encoded.is_empty(), "what is sent has been written");
    Ok(())
}

/// Checks what [`encode`] made at another peer, and hands on what has been checked, up to the first wrong group.
/// `encoded` must have [`encoded_bytes`].
pub fn check<'a>(
    id: BlobId,
    len: u64,
    groups: &Range<u32>,
    mut encoded: &'a [u8],
    sink: &mut impl Sink<'a>,
) -> Result<(), Wrong> {
    let (tree, ranges) = (shape(len), ranges_of(len, groups));
    let mut expected = vec![hash_of(id)];
    for item in tree.ranges_pre_order_chunks_iter_ref(&ranges, GROUP_CHUNKS_LOG) {
        let wanted = expected.pop().expect("a parent pushes what its children are checked against");
        match item {
            BaoChunk::Parent { node, is_root, left, right, .. } => {
                let (pair, rest) = encoded.split_first_chunk::<PAIR_BYTES>().ok_or(short(groups))?;
                encoded = rest;
                let (one, other) = children(pair);
                if merge(&one, &other, is_root) != wanted {
                    return Err(Wrong { group: first_group(node).max(groups.start) });
                }
                expected.extend(right.then_some(other).into_iter().chain(left.then_some(one)));
                sink.pair(place(&tree, node), pair);
            }
            BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                let (bytes, rest) = encoded.split_at_checked(size).ok_or(short(groups))?;
                encoded = rest;
                if hash_group(start_chunk, bytes, is_root) != wanted {
                    return Err(Wrong { group: group_at(start_chunk) });
                }
                sink.leaf(start_chunk.to_bytes(), bytes);
            }
        }
    }
    Ok(())
}

/// The size of a group, as `bao-tree` wants it.
pub fn group_size() -> BlockSize {
    BlockSize::from_chunk_log(GROUP_CHUNKS_LOG)
}

fn shape(len: u64) -> BaoTree {
    BaoTree::new(len, group_size())
}

/// A range that reaches the end is left open: so `bao-tree` writes it down itself.
fn ranges_of(len: u64, groups: &Range<u32>) -> ChunkRanges {
    let chunk = |group: u32| ChunkNum(u64::from(group) * GROUP_CHUNKS);
    if groups.end >= groups_of(len) {
        ChunkRanges::from(chunk(groups.start)..)
    } else {
        ChunkRanges::from(chunk(groups.start)..chunk(groups.end))
    }
}

fn hash_of(id: BlobId) -> Blake3 {
    Blake3::from_bytes(*id.as_bytes())
}

fn hash_group(start: ChunkNum, bytes: &[u8], is_root: bool) -> Blake3 {
    if is_root {
        return blake3::hash(bytes);
    }
    let mut hasher = Hasher::new();
    hasher.set_input_offset(start.to_bytes()).update(bytes);
    Blake3::from_bytes(hasher.finalize_non_root())
}

fn merge(left: &Blake3, right: &Blake3, is_root: bool) -> Blake3 {
    if is_root {
        merge_subtrees_root(left.as_bytes(), right.as_bytes(), Mode::Hash)
    } else {
        Blake3::from_bytes(merge_subtrees_non_root(left.as_bytes(), right.as_bytes(), Mode::Hash))
    }
}

fn children(pair: &[u8; PAIR_BYTES]) -> (Blake3, Blake3) {
    let half = |at: usize| std::array::from_fn(|byte| pair[at + byte]);
    (Blake3::from_bytes(half(0)), Blake3::from_bytes(half(32)))
}

/// Where the outboard has this node's hashes.
fn place(tree: &BaoTree, node: TreeNode) -> u64 {
    let offset = tree.post_order_offset(node).expect("a node above groups is in the outboard");
    offset.value() * PAIR_BYTES as u64
}

fn first_group(node: TreeNode) -> u32 {
    group_at(node.chunk_range().start)
}

fn group_at(chunk: ChunkNum) -> u32 {
    u32::try_from(chunk.0 / GROUP_CHUNKS).unwrap_or(u32::MAX)
}

fn short(groups: &Range<u32>) -> Wrong {
    Wrong { group: groups.start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bao_tree::io::{outboard::PostOrderOutboard, sync::encode_ranges_validated};

    /// A blob's bytes and outboard, as a sink has got them.
    #[derive(Default)]
    struct Copy {
        bytes: Vec<u8>,
        outboard: Vec<u8>,
    }

    fn put(into: &mut Vec<u8>, at: u64, bytes: &[u8]) {
        let (at, end) = (at as usize, at as usize + bytes.len());
        into.resize(into.len().max(end), 0);
        into[at..end].copy_from_slice(bytes);
    }

    impl Sink<'_> for Copy {
        fn pair(&mut self, at: u64, pair: &[u8; PAIR_BYTES]) {
            put(&mut self.outboard, at, pair);
        }

        fn leaf(&mut self, at: u64, bytes: &[u8]) {
            put(&mut self.bytes, at, bytes);
        }
    }

    fn encoded(id: BlobId, groups: &Range<u32>, (bytes, outboard): (&[u8], &[u8])) -> Result<Vec<u8>, EncodeError> {
        let len = bytes.len() as u64;
        let mut encoded = vec![0xee; encoded_bytes(len, groups)];
        encode(id, len, groups, bytes, outboard, &mut encoded).map(|()| encoded)
    }

    fn blob(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at / 3 % 251) as u8).collect()
    }

    fn built(bytes: &[u8], step: usize) -> (BlobId, Vec<u8>) {
        let (mut builder, mut outboard) = (Builder::new(), Vec::new());
        for piece in bytes.chunks(step.max(1)) {
            builder.update(piece);
            outboard.append(&mut builder.take_pairs());
        }
        let id = builder.finish();
        outboard.append(&mut builder.take_pairs());
        (id, outboard)
    }

    /// Around each place where the tree changes its shape.
    fn lengths() -> impl Iterator<Item = usize> {
        let group = GROUP_BYTES as usize;
        [0, 1, 1024, group, 2 * group, 3 * group, 5 * group, 8 * group, 16 * group, 17 * group, 33 * group, 50 * group]
            .into_iter()
            .flat_map(|len| [len.saturating_sub(1), len, len + 1])
    }

    #[test]
    fn a_tree_built_in_any_steps_has_the_blobs_name_and_bao_trees_outboard() {
        for len in lengths() {
            let bytes = blob(len);
            let theirs = bao_tree::io::outboard::PostOrderMemOutboard::create(&bytes, BlockSize::from_chunk_log(4));
            for step in [1000, GROUP_BYTES as usize, 100_000] {
                let (id, outboard) = built(&bytes, step);
                assert_eq!(id, BlobId::of(&bytes), "{len} bytes in steps of {step}");
                assert_eq!(outboard, theirs.data, "{len} bytes in steps of {step}");
            }
            assert_eq!(outboard_bytes(len as u64), theirs.data.len() as u64);
        }
    }

    #[test]
    fn parts_are_encoded_as_bao_tree_does_and_put_together_are_the_blob_and_its_outboard() {
        for len in lengths() {
            let bytes = blob(len);
            let (id, outboard) = built(&bytes, 1 << 16);
            let (len, mut copy) = (len as u64, Copy::default());
            for part in (0..parts_of(len)).rev() {
                let groups = groups_of_part(len, part);
                let encoded = encoded(id, &groups, (&bytes, &outboard)).unwrap();
                let tree = PostOrderOutboard { root: hash_of(id), tree: shape(len), data: &outboard[..] };
                let mut theirs = Vec::new();
                encode_ranges_validated(&bytes[..], &tree, &ranges_of(len, &groups), &mut theirs).unwrap();
                assert_eq!(encoded, theirs, "part {part} of {len} bytes");
                check(id, len, &groups, &encoded, &mut copy).unwrap();
            }
            assert_eq!(copy.bytes, bytes);
            assert_eq!(copy.outboard, outboard);
        }
    }

    #[test]
    fn any_wrong_byte_is_found_in_its_group_and_nothing_behind_it_is_handed_on() {
        let bytes = blob(20 * GROUP_BYTES as usize + 5);
        let (id, outboard) = built(&bytes, 1 << 16);
        let len = bytes.len() as u64;
        for groups in [0..21, 3..7, 20..21, 16..21] {
            let good = encoded(id, &groups, (&bytes, &outboard)).unwrap();
            for at in (0..good.len()).step_by(997).chain([good.len() - 1]) {
                let (mut bad, mut copy) = (good.clone(), Copy::default());
                bad[at] ^= 1;
                let Err(wrong) = check(id, len, &groups, &bad, &mut copy) else {
                    panic!("byte {at} of {groups:?} was not missed")
                };
                assert!(groups.contains(&wrong.group));
                let end = (u64::from(wrong.group) * GROUP_BYTES) as usize;
                let start = u64::from(groups.start) * GROUP_BYTES;
                assert!(copy.bytes.len() <= end);
                assert_eq!(
                    copy.bytes.get(start as usize..).unwrap_or(&[]),
                    &bytes[start as usize..copy.bytes.len().max(start as usize)]
                );
            }
            check(id, len, &groups, &good[..good.len() - 1], &mut Copy::default()).unwrap_err();
        }
    }

    #[test]
    fn damaged_data_is_not_encoded() {
        let mut bytes = blob(300_000);
        let (id, outboard) = built(&bytes, 1 << 16);
        bytes[100_000] ^= 1;
        let wrong = encoded(id, &(5..8), (&bytes, &outboard)).unwrap_err();
        assert!(matches!(wrong, EncodeError::Wrong(Wrong { group: 6 })), "{wrong}");
        encoded(id, &(7..9), (&bytes, &outboard)).unwrap();
        let wrong = encoded(id, &(7..9), (&bytes, &outboard[..64])).unwrap_err();
        assert!(matches!(wrong, EncodeError::Io(_)), "{wrong}");
    }
}
