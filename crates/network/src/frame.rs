//! Frames of the direct stream: a big-endian `u32` length, then so many bytes. specs/network.md §3.
//!
//! A decoder without IO: it is fed whatever arrives, in pieces of any size. It never reserves memory for bytes that have
//! not arrived, so a length alone costs the receiver nothing.

use pocketmesh_types::limits::MESSAGE_BYTES_MAX;

/// Bytes of a frame before its payload.
pub(crate) const HEAD_BYTES: usize = 4;

/// A frame announced more than [`MESSAGE_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Oversized {
    /// The announced length.
    pub(crate) bytes: usize,
}

/// The head of a frame with so many bytes of payload, at most [`MESSAGE_BYTES_MAX`].
pub(crate) fn head(payload_bytes: usize) -> [u8; HEAD_BYTES] {
    debug_assert!(payload_bytes <= MESSAGE_BYTES_MAX);
    u32::try_from(payload_bytes).expect("senders check against MESSAGE_BYTES_MAX").to_be_bytes()
}

/// One direction of a stream, cut into frames.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    head: [u8; HEAD_BYTES],
    head_filled: usize,
    /// Set while a payload is awaited.
    wanted: Option<usize>,
    payload: Vec<u8>,
}

impl Decoder {
    /// Takes bytes off the front of `input` until a frame is complete or `input` is empty.
    pub(crate) fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, Oversized> {
        let wanted = match self.wanted {
            Some(wanted) => wanted,
            None => match self.feed_head(input)? {
                Some(wanted) => wanted,
                None => return Ok(None),
            },
        };
        let missing = wanted - self.payload.len();
        let taken = take(input, missing);
        if taken.len() == missing {
            self.payload.reserve_exact(missing);
        }
        self.payload.extend_from_slice(taken);
        if self.payload.len() < wanted {
            return Ok(None);
        }
        self.wanted = None;
        Ok(Some(std::mem::take(&mut self.payload)))
    }

    fn feed_head(&mut self, input: &mut &[u8]) -> Result<Option<usize>, Oversized> {
        let taken = take(input, HEAD_BYTES - self.head_filled);
        self.head[self.head_filled..][..taken.len()].copy_from_slice(taken);
        self.head_filled += taken.len();
        if self.head_filled < HEAD_BYTES {
            return Ok(None);
        }
        let bytes = u32::from_be_bytes(self.head) as usize;
        if bytes > MESSAGE_BYTES_MAX {
            return Err(Oversized { bytes });
        }
        self.head_filled = 0;
        self.wanted = Some(bytes);
        Ok(Some(bytes))
    }
}

/// Splits at most `bytes` off the front of `input`.
fn take<'a>(input: &mut &'a [u8], bytes: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(bytes.min(input.len()));
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(mut bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let mut input = take(&mut bytes, piece);
            while !input.is_empty() {
                out.extend(decoder.feed(&mut input).expect("small frames"));
            }
        }
        out
    }

    #[test]
    fn frames_survive_any_cutting() {
        let messages: Vec<Vec<u8>> = [0, 1, 3, 4, 5, 1000].iter().map(|&n| vec![n as u8; n]).collect();
        let wire: Vec<u8> = messages.iter().flat_map(|m| [&head(m.len())[..], m].concat()).collect();
        for piece in [1, 2, 3, 5, 7, 64, wire.len()] {
            assert_eq!(frames(&wire, piece), messages, "in pieces of {piece}");
        }
    }

    #[test]
    fn an_announced_length_reserves_nothing() {
        let mut decoder = Decoder::default();
        let mut input = &head(MESSAGE_BYTES_MAX)[..];
        assert_eq!(decoder.feed(&mut input), Ok(None));
        assert_eq!(decoder.payload.capacity(), 0);
    }

    #[test]
    fn an_oversized_length_is_an_error_before_any_payload() {
        let mut input = &(MESSAGE_BYTES_MAX as u32 + 1).to_be_bytes()[..];
        assert_eq!(Decoder::default().feed(&mut input), Err(Oversized { bytes: MESSAGE_BYTES_MAX + 1 }));
    }

    #[test]
    fn the_largest_frame_passes() {
        let wire = [&head(MESSAGE_BYTES_MAX)[..], &vec![7; MESSAGE_BYTES_MAX]].concat();
        assert_eq!(frames(&wire, 16 << 10), vec![vec![7; MESSAGE_BYTES_MAX]]);
    }
}
