//! The two frames of specs/blobs.md §4. Integers are little-endian.

use crate::{store::portion::Ask, tree::PART_GROUPS};
use pocketmesh_types::{BlobId, Hash};

/// Length of a request.
pub const REQUEST_BYTES: usize = 53;
/// Length of what precedes an answer's body.
pub const ANSWER_BYTES: usize = 9;
/// Name and version.
const MAGIC: [u8; 4] = *b"pmb2";

const PARTS: u8 = 0;
const GROUPS: u8 = 1;
const LAST: u8 = 2;

const GIVEN: u8 = 0;
const NOT_HERE: u8 = 1;
const TOO_LONG: u8 = 2;
const HELD: u8 = 3;

/// "Send me this of that blob, if it is not longer than so."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub id: BlobId,
    pub max_bytes: u64,
    pub ask: Ask,
}

/// What comes before the body. All but the second name the blob's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The groups follow, with their hashes; how many bytes that is follows from length and request.
    Given(u64),
    /// Nothing follows: it is not here, or not for you.
    NotHere,
    /// Nothing follows: it is longer than was asked for.
    TooLong(u64),
    /// A bit for each part that is here follows: not all groups are, or none were asked for.
    Held(u64),
}

impl Request {
    pub fn encode(&self) -> [u8; REQUEST_BYTES] {
        let (kind, first, count) = match self.ask {
            Ask::Parts => (PARTS, 0, 0),
            Ask::Groups { first, count } => (GROUPS, first, count),
            Ask::Last => (LAST, 0, 0),
        };
        let mut bytes = [0; REQUEST_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = kind;
        bytes[5..37].copy_from_slice(self.id.as_bytes());
        bytes[37..45].copy_from_slice(&self.max_bytes.to_le_bytes());
        bytes[45..49].copy_from_slice(&first.to_le_bytes());
        bytes[49..].copy_from_slice(&count.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; REQUEST_BYTES]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (&kind, rest) = rest.split_first()?;
        let (id, rest) = rest.split_first_chunk::<32>()?;
        let (max_bytes, rest) = rest.split_first_chunk()?;
        let (first, count) = rest.split_first_chunk()?;
        let ask = match (kind, u32::from_le_bytes(*first), u32::from_le_bytes(*count.first_chunk()?)) {
            (PARTS, 0, 0) => Ask::Parts,
            (GROUPS, first, count @ 1..=PART_GROUPS) => Ask::Groups { first, count },
            (LAST, 0, 0) => Ask::Last,
            _ => return None,
        };
        let request = Self { id: BlobId(Hash(*id)), max_bytes: u64::from_le_bytes(*max_bytes), ask };
        (*magic == MAGIC).then_some(request)
    }
}

impl Answer {
    pub fn encode(&self) -> [u8; ANSWER_BYTES] {
        let (status, len) = match *self {
            Self::Given(len) => (GIVEN, len),
            Self::NotHere => (NOT_HERE, 0),
            Self::TooLong(len) => (TOO_LONG, len),
            Self::Held(len) => (HELD, len),
        };
        let mut bytes = [status; ANSWER_BYTES];
        bytes[1..].copy_from_slice(&len.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; ANSWER_BYTES]) -> Option<Self> {
        let (status, len) = bytes.split_first()?;
        let len = u64::from_le_bytes(*len.first_chunk()?);
        match *status {
            GIVEN => Some(Self::Given(len)),
            NOT_HERE if len == 0 => Some(Self::NotHere),
            TOO_LONG => Some(Self::TooLong(len)),
            HELD => Some(Self::Held(len)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames of specs/vectors/blobs.txt: a name, what it means, its bytes.
    fn vectors() -> impl Iterator<Item = (&'static str, &'static str, Vec<u8>)> {
        include_str!("../../../../specs/vectors/blobs.txt").lines().filter(|line| !line.starts_with('#')).map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().expect("three words a line");
            let (kind, meaning, hex) = (word(), word(), word());
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
            (kind, meaning, (0..hex.len()).step_by(2).map(byte).collect())
        })
    }

    fn id() -> BlobId {
        BlobId(Hash(std::array::from_fn(|at| at as u8)))
    }

    fn request_of(meaning: &str) -> Request {
        let ask = match meaning {
            "parts" => Ask::Parts,
            "groups-258-16" => Ask::Groups { first: 258, count: 16 },
            "last" => Ask::Last,
            other => panic!("no such request: {other}"),
        };
        Request { id: id(), max_bytes: 0x0102_0304, ask }
    }

    fn answer_of(meaning: &str) -> Answer {
        match meaning {
            "given-66051" => Answer::Given(66_051),
            "not-here" => Answer::NotHere,
            "too-long-66051" => Answer::TooLong(66_051),
            "held-66051" => Answer::Held(66_051),
            other => panic!("no such answer: {other}"),
        }
    }

    #[test]
    fn frames_are_laid_out_as_in_the_vectors() {
        let mut seen = 0;
        for (kind, meaning, bytes) in vectors() {
            seen += 1;
            match kind {
                "request" => {
                    let bytes: [u8; REQUEST_BYTES] = bytes.try_into().unwrap();
                    assert_eq!(request_of(meaning).encode(), bytes, "{meaning}");
                    assert_eq!(Request::decode(&bytes), Some(request_of(meaning)));
                }
                "answer" => {
                    let bytes: [u8; ANSWER_BYTES] = bytes.try_into().unwrap();
                    assert_eq!(answer_of(meaning).encode(), bytes, "{meaning}");
                    assert_eq!(Answer::decode(&bytes), Some(answer_of(meaning)));
                }
                "no-request" => assert_eq!(Request::decode(&bytes.try_into().unwrap()), None, "{meaning}"),
                "no-answer" => assert_eq!(Answer::decode(&bytes.try_into().unwrap()), None, "{meaning}"),
                other => panic!("no such kind: {other}"),
            }
        }
        assert_eq!(seen, 14);
    }
}
