//! The first bytes of a journal: what it is, whose it is, and where its chain begins.
//!
//! A header is written in one atomic step with the file itself, so a crash never leaves half of one.

use blake3::Hasher;
use pocketmesh_types::Hash;

const MAGIC: [u8; 8] = *b"pmjournl";
const VERSION: u32 = 1;
const BODY_BYTES: usize = 88;
/// So that counting up from it never overflows.
const FIRST_SEQUENCE_MAX: u64 = u64::MAX / 2;

/// Length of a header: magic, version, zero, context, first sequence, genesis, hash.
pub const HEADER_BYTES: usize = BODY_BYTES + 32;

/// What a journal says of itself before its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the journal belongs to: a hash over the network's name, the owner, or both. Another's is refused.
    pub context: Hash,
    /// The chain value before the first record. Random for a new journal, so that nobody who can have bytes journalled
    /// can make them look like frames.
    pub genesis: Hash,
    /// The number of the first record.
    pub first_sequence: u64,
}

/// Why a journal cannot be read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The first bytes are something else's.
    #[error("not a journal: the file does not begin with a journal header")]
    NotAJournal,
    /// Written by a later release, or by nobody.
    #[error("the journal has format version {0}, and this release reads version 1; use the release that wrote it")]
    Version(u32),
    /// The header's own hash does not match.
    #[error("the journal's header is damaged; restore the journal from a backup")]
    Damaged,
    /// Another network's, or another owner's.
    #[error("the journal belongs to another network or another identity ({found}, not {wanted})")]
    OtherContext {
        /// The context in the file.
        found: Hash,
        /// The context that was asked for.
        wanted: Hash,
    },
}

impl Header {
    /// The header's bytes, its hash last.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..48].copy_from_slice(&self.context.0);
        bytes[48..56].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[56..BODY_BYTES].copy_from_slice(&self.genesis.0);
        let hash = hash_of(&bytes[..BODY_BYTES]);
        bytes[BODY_BYTES..].copy_from_slice(&hash);
        bytes
    }

    /// Reads a header back and checks that it is one of `context`.
    pub fn decode(bytes: &[u8; HEADER_BYTES], context: Hash) -> Result<Self, HeaderError> {
        if bytes[..8] != MAGIC {
            return Err(HeaderError::NotAJournal);
        }
        // Before the hash: a later version may place its hash elsewhere.
        let version = u32::from_le_bytes(array(bytes, 8));
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        if bytes[BODY_BYTES..] != hash_of(&bytes[..BODY_BYTES]) {
            return Err(HeaderError::Damaged);
        }
        let found = Hash(array(bytes, 16));
        if found != context {
            return Err(HeaderError::OtherContext { found, wanted: context });
        }
        let first_sequence = u64::from_le_bytes(array(bytes, 48));
        if first_sequence > FIRST_SEQUENCE_MAX {
            return Err(HeaderError::Damaged);
        }
        Ok(Self { context, first_sequence, genesis: Hash(array(bytes, 56)) })
    }

    /// The key of this file's head checks, and the chain value before its first record.
    pub(super) fn seed(&self) -> ([u8; 32], [u8; 32]) {
        let bytes = self.encode();
        (blake3::derive_key("pocketmesh journal/1 head key", &bytes), array(&bytes, BODY_BYTES))
    }
}

fn hash_of(body: &[u8]) -> [u8; 32] {
    *Hasher::new_derive_key("pocketmesh journal/1 header").update(body).finalize().as_bytes()
}

/// `N` bytes from `at` on.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
