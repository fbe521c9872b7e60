//! Frames: how parent and child cut their pipes into messages.
//!
//! A frame is a header (one byte of kind, the length of the head, the length of the bulk: two little-endian `u32`), the
//! head, and the bulk. The head has the fields; the bulk is machine code, a file or output, and is not copied about.
//! Nothing is allocated because a header says so: who reads has a bound of its own for either length.

/// Of a header.
pub(super) const HEADER_BYTES: usize = 9;
/// Of a head: the list of a tree's files has a mebibyte, and arguments have less.
pub(super) const HEAD_BYTES_MAX: usize = 8 << 20;
/// Of a bulk: any blob, and any output with its files.
pub(super) const BULK_BYTES_MAX: usize = 1 << 30;
/// Bulks up to this are copied beside their heads, which is cheaper than a system call of their own.
const SMALL_BULK_BYTES: usize = 64 << 10;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) head: usize,
    pub(super) bulk: usize,
}

/// The other side does not keep to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message that is malformed")]
pub(super) struct Malformed;

impl Header {
    pub(super) fn decode(bytes: [u8; HEADER_BYTES], bulk_max: usize) -> Result<Self, Malformed> {
        let [kind, a, b, c, d, e, f, g, h] = bytes;
        let (head, bulk) = (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize);
        if head > HEAD_BYTES_MAX || bulk > bulk_max {
            return Err(Malformed);
        }
        Ok(Self { kind, head, bulk })
    }
}

/// Frames on their way out, in order.
#[derive(Default)]
pub(super) struct Outgoing(pub(super) Vec<u8>);

/// A frame is larger than the protocol allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has more bytes than can be handed over")]
pub(super) struct TooLarge;

impl Outgoing {
    /// Appends a frame, but for its bulk if that is large: then what is to be written next is returned.
    pub(super) fn push<'a>(&mut self, kind: u8, head: &Head, bulk: &'a [u8]) -> Result<Option<&'a [u8]>, TooLarge> {
        self.push_head(kind, head, bulk.len())?;
        if bulk.len() > SMALL_BULK_BYTES {
            return Ok(Some(bulk));
        }
        self.0.extend_from_slice(bulk);
        Ok(None)
    }

    /// Appends a frame whose bulk is in parts.
    pub(super) fn push_parts<'a>(
        &mut self,
        kind: u8,
        head: &Head,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), TooLarge> {
        self.push_head(kind, head, parts.clone().map(<[u8]>::len).sum())?;
        parts.for_each(|part| self.0.extend_from_slice(part));
        Ok(())
    }

    /// Appends a frame but for its bulk, which has to follow.
    pub(super) fn push_head(&mut self, kind: u8, head: &Head, bulk: usize) -> Result<(), TooLarge> {
        if head.0.len() > HEAD_BYTES_MAX || bulk > BULK_BYTES_MAX {
            return Err(TooLarge);
        }
        self.0.push(kind);
        self.0.extend_from_slice(&(head.0.len() as u32).to_le_bytes());
        self.0.extend_from_slice(&(bulk as u32).to_le_bytes());
        self.0.extend_from_slice(&head.0);
        Ok(())
    }
}

/// The fields of a message, being written.
#[derive(Default)]
pub(super) struct Head(Vec<u8>);

impl Head {
    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Bytes of a fixed number.
    pub(super) fn array(mut self, bytes: &[u8; 32]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        // A head that is too large is refused as a whole, so a length that is cut here is never sent.
        self.0.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }
}

/// The fields of a message, being read.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take::<1>()?[0])
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    pub(super) fn array(&mut self) -> Result<[u8; 32], Malformed> {
        self.take()
    }

    /// A text of at most `max` bytes.
    pub(super) fn text(&mut self, max: usize) -> Result<&'a str, Malformed> {
        let len = self.u32()? as usize;
        if len > max {
            return Err(Malformed);
        }
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        std::str::from_utf8(bytes).map_err(|_| Malformed)
    }

    /// The number of items in a list, of which each takes `item_bytes` at least: so it is no more than could follow.
    pub(super) fn count(&mut self, item_bytes: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        if count > self.0.len() / item_bytes { Err(Malformed) } else { Ok(count) }
    }

    /// The end: nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back() {
        let mut outgoing = Outgoing::default();
        let head = Head::default().u8(7).u32(8).u64(9).array(&[1; 32]).text("ä");
        assert_eq!(outgoing.push(3, &head, b"bulk"), Ok(None));
        let (header, rest) = outgoing.0.split_first_chunk().expect("a header");
        let header = Header::decode(*header, 4).expect("a header");
        assert_eq!((header.kind, HEADER_BYTES + header.head + header.bulk), (3, outgoing.0.len()));
        let (head, bulk) = rest.split_at(header.head);
        assert_eq!(bulk, b"bulk");
        let mut fields = Fields(head);
        assert_eq!((fields.u8(), fields.u32(), fields.u64()), (Ok(7), Ok(8), Ok(9)));
        assert_eq!((fields.array(), fields.text(2)), (Ok([1; 32]), Ok("ä")));
        assert_eq!(fields.end(), Ok(()));
    }

    #[test]
    fn what_is_too_large_is_refused_by_its_header() {
        assert_eq!(Header::decode([1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 9), Err(Malformed));
        assert_eq!(Header::decode([1, 0, 0, 0, 0, 10, 0, 0, 0], 9), Err(Malformed));
        assert!(Header::decode([1, 0, 0, 0, 0, 9, 0, 0, 0], 9).is_ok());
    }

    #[test]
    fn fields_end_where_the_head_ends() {
        assert_eq!(Fields(&[1, 2, 3]).u32(), Err(Malformed));
        assert_eq!(Fields(&[2]).bool(), Err(Malformed));
        assert_eq!(Fields(&[9, 0, 0, 0, b'x']).text(9), Err(Malformed));
        assert_eq!(Fields(&[1, 0, 0, 0, 0xff]).text(9), Err(Malformed));
        assert_eq!(Fields(&[0xff, 0xff, 0xff, 0xff, 0]).count(1), Err(Malformed));
        assert_eq!(Fields(&[0]).end(), Err(Malformed));
    }

    #[test]
    fn a_large_bulk_is_not_copied() {
        let (mut outgoing, bulk) = (Outgoing::default(), vec![0; SMALL_BULK_BYTES + 1]);
        assert_eq!(outgoing.push(1, &Head::default(), &bulk), Ok(Some(bulk.as_slice())));
        assert_eq!(outgoing.0.len(), HEADER_BYTES);
    }
}
