//! The two frames of specs/blobs.md §4. Integers are little-endian.

use pocketmesh_types::{BlobId, Hash};

/// Length of a request.
pub const REQUEST_BYTES: usize = 48;
/// Length of what precedes a blob's bytes.
pub const ANSWER_BYTES: usize = 9;
/// Name and version, then four zero bytes.
const MAGIC: [u8; 8] = *b"pmb1\0\0\0\0";
const HERE: u8 = 0;
const NOT_HERE: u8 = 1;
const TOO_LONG: u8 = 2;

/// "Send me this blob if it is not longer than that."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub id: BlobId,
    pub max_bytes: u64,
}

/// What comes before the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// So many bytes follow.
    Here(u64),
    /// Nothing follows: it is not here, or not for you.
    NotHere,
    /// Nothing follows: it has so many bytes, which is more than was asked for.
    TooLong(u64),
}

impl Request {
    pub fn encode(&self) -> [u8; REQUEST_BYTES] {
        let mut bytes = [0; REQUEST_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..40].copy_from_slice(self.id.as_bytes());
        bytes[40..].copy_from_slice(&self.max_bytes.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; REQUEST_BYTES]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (id, rest) = rest.split_first_chunk::<32>()?;
        let max_bytes = u64::from_le_bytes(*rest.first_chunk()?);
        (*magic == MAGIC).then_some(Self { id: BlobId(Hash(*id)), max_bytes })
    }
}

impl Answer {
    pub fn encode(&self) -> [u8; ANSWER_BYTES] {
        let (status, len) = match *self {
            Self::Here(len) => (HERE, len),
            Self::NotHere => (NOT_HERE, 0),
            Self::TooLong(len) => (TOO_LONG, len),
        };
        let mut bytes = [status; ANSWER_BYTES];
        bytes[1..].copy_from_slice(&len.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; ANSWER_BYTES]) -> Option<Self> {
        let (status, len) = bytes.split_first()?;
        let len = u64::from_le_bytes(*len.first_chunk()?);
        match *status {
            HERE => Some(Self::Here(len)),
            NOT_HERE if len == 0 => Some(Self::NotHere),
            TOO_LONG => Some(Self::TooLong(len)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_laid_out_as_in_the_spec() {
        let request = Request { id: BlobId::of(b"blob"), max_bytes: 0x0102 };
        let bytes = request.encode();
        assert_eq!(&bytes[..8], b"pmb1\0\0\0\0");
        assert_eq!(bytes[8..40], *request.id.as_bytes());
        assert_eq!(bytes[40..], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Request::decode(&bytes), Some(request));
        for at in 0..8 {
            let mut other = bytes;
            other[at] ^= 1;
            assert_eq!(Request::decode(&other), None);
        }
    }

    #[test]
    fn answers_round_trip_and_others_are_refused() {
        for answer in [Answer::Here(0), Answer::Here(u64::MAX), Answer::NotHere, Answer::TooLong(7)] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
        assert_eq!(Answer::Here(258).encode(), [0, 2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Answer::decode(&[3, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Answer::decode(&[1, 9, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
