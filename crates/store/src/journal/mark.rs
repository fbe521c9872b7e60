//! How far a journal is known to have come: kept apart from it, to notice that it was cut or put back. specs/journal.md §4.

use super::Recovered;
use pocketmesh_types::Hash;

/// What was seen of a journal when its records were acknowledged. It belongs into the index; an old mark, or none, notices less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The number that the next record was to get.
    pub next_sequence: u64,
    /// The chain value then, if it is known.
    pub chain: Option<Hash>,
}

/// A journal that is behind its mark, or another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BehindMark {
    /// Records that were acknowledged are not there.
    #[error(
        "the journal ends before record {found}, and records up to {marked} had been stored; it was cut, or an older copy was \
         put back: restore the newest one"
    )]
    Short {
        /// The number that its next record would get.
        found: u64,
        /// The number that it should at least be.
        marked: u64,
    },
    /// It has as many records, and they are others.
    #[error("the journal has as many records as before, and they are others; restore the one that belongs here")]
    Other,
}

impl Mark {
    /// A mark in 41 bytes.
    pub fn encode(&self) -> [u8; 41] {
        let mut bytes = [0; 41];
        bytes[..8].copy_from_slice(&self.next_sequence.to_le_bytes());
        bytes[8] = u8::from(self.chain.is_some());
        bytes[9..].copy_from_slice(&self.chain.unwrap_or_default().0);
        bytes
    }

    /// The mark in these bytes; nothing if they are none, for an index may be damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (&[is_known], chain) = rest.split_first_chunk()?;
        let chain = Hash(chain.try_into().ok()?);
        Some(Self { next_sequence: u64::from_le_bytes(*number), chain: (is_known == 1).then_some(chain) })
    }

    /// Whether what was found at opening is at least what was marked.
    pub fn check(&self, recovered: &Recovered) -> Result<(), BehindMark> {
        let (found, marked) = (recovered.next_sequence, self.next_sequence);
        if found < marked {
            return Err(BehindMark::Short { found, marked });
        }
        if found == marked && self.chain.is_some_and(|chain| chain != recovered.chain) {
            return Err(BehindMark::Other);
        }
        Ok(())
    }
}
