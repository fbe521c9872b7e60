//! The buffers that reading and writing name by a list.

use super::errno::Errno;
use super::guest::{Answer, Guest, ITEM_FUEL, ITEMS_MAX};
use std::ops::Range;

/// The size of an entry of the list: a pointer and a length.
const VECTOR_BYTES: u32 = 8;

/// Buffers in the program's memory.
pub(super) struct Vectors(Vec<Range<usize>>);

impl Vectors {
    /// The buffers that a list names. All are checked before anything moves. Of a longer list than [`ITEMS_MAX`] the
    /// first are taken: reading and writing less than was asked for is allowed.
    pub(super) fn read(guest: &mut Guest<'_>, list: u32, count: u32) -> Answer<Self> {
        let count = count.min(ITEMS_MAX);
        guest.charge(u64::from(count) * ITEM_FUEL)?;
        let list = guest.bytes(list, count * VECTOR_BYTES)?.to_vec();
        let range = |&[a, b, c, d, e, f, g, h]: &[u8; VECTOR_BYTES as usize]| {
            guest.range(u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
        };
        Ok(Self(list.as_chunks().0.iter().map(range).collect::<Answer<_>>()?))
    }

    /// All buffers together, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|range| range.len() as u64).sum()
    }

    /// The same as the 32 bits that an answer has.
    pub(super) fn len_u32(&self) -> Answer<u32> {
        Ok(u32::try_from(self.len()).map_err(|_| Errno::Inval)?)
    }

    /// The buffers that `total` bytes fill, the last of them in part.
    pub(super) fn parts(self, total: usize) -> impl Iterator<Item = Range<usize>> {
        let mut left = total;
        self.0.into_iter().map_while(move |range| {
            let part = range.len().min(left);
            let done = left == 0;
            left -= part;
            (!done).then(|| range.start..range.start + part)
        })
    }
}
