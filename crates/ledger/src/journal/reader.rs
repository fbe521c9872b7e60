//! The reading end: takes a journal in pieces of any size and says how it ends.

use super::{
    Chain, Header, HeaderError,
    frame::{CHAIN_BYTES, HEAD_BYTES, Head, chain_value},
    header::{HEADER_BYTES, array},
    scan::{Proof, Scan},
};
use alloc::vec::Vec;
use core::fmt;
use pocketmesh_types::Hash;

/// Reads a journal: [`feed`](Reader::feed) bytes, take records by [`next`](Reader::next) until it has none, and at the
/// end of the file [`finish`](Reader::finish). Holds at most one frame and one piece.
#[derive(Debug)]
pub struct Reader {
    context: Hash,
    chain: Option<Chain>,
    buffer: Vec<u8>,
    /// What of `buffer` has been taken.
    taken: usize,
    /// Where in the file `buffer[taken]` is; from the first unreadable frame on, where that frame starts.
    offset: u64,
    unreadable: Option<(Fault, Scan)>,
}

/// One record as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub sequence: u64,
    /// What was appended.
    pub payload: Vec<u8>,
}

enum Frame {
    Seal,
    Data(Record),
}

/// How a journal ends that is whole, or that a crash may have left.
#[derive(Debug)]
pub struct End {
    /// To append with. Everything read counts as synced: the caller sees to that before it relies on a record.
    pub chain: Chain,
    /// Where the last whole frame ends; the file is to be cut here.
    pub good_bytes: u64,
    /// What is behind it: nothing of it was ever acknowledged. Zero at a clean end.
    pub torn_bytes: u64,
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No frame of this journal begins here.
    NoHead,
    /// A frame of this journal, out of order.
    Sequence(u64),
    /// The bytes are not those that were written, or not after what is before them.
    Chain,
    /// The file ends in the middle of the frame.
    CutShort,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHead => f.write_str("no record begins there"),
            Self::Sequence(found) => write!(f, "record {found} stands there"),
            Self::Chain => f.write_str("its hash does not match"),
            Self::CutShort => f.write_str("it is cut short"),
        }
    }
}

/// A record that had been stored cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "journal record {sequence} at byte {offset} is damaged ({fault}), and the {bytes_behind} bytes behind it show that \
     it had been stored; restore the journal from a backup"
)]
pub struct Damage {
    /// The record's number.
    pub sequence: u64,
    /// Where in the file it starts.
    pub offset: u64,
    /// What is wrong with it.
    pub fault: Fault,
    /// How far behind its start the proof is that it had been stored.
    pub bytes_behind: u64,
}

/// Why a journal cannot be relied upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read at all.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Stored records are lost.
    #[error(transparent)]
    Damage(#[from] Damage),
}

impl Reader {
    /// A reader for a journal that must be one of `context`.
    pub fn new(context: Hash) -> Self {
        Self { context, chain: None, buffer: Vec::new(), taken: 0, offset: 0, unreadable: None }
    }

    /// Takes the next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next record, or `None` when more bytes are needed. After an unreadable frame there are no more records, only
    /// `None`, until the bytes behind it show damage.
    ///
    /// Records are handed out before the end of the file is known: what was built from them is void if an error follows.
    #[expect(clippy::should_implement_trait, reason = "None is not the end here: more bytes may be fed")]
    pub fn next(&mut self) -> Result<Option<Record>, ReadError> {
        if self.chain.is_none() && !self.read_header()? {
            return Ok(None);
        }
        loop {
            if self.unreadable.is_some() {
                self.scan()?;
                return Ok(None);
            }
            match self.read_frame() {
                Ok(None) => return Ok(None),
                Ok(Some(Frame::Seal)) => {}
                Ok(Some(Frame::Data(record))) => return Ok(Some(record)),
                Err(fault) => self.give_up(fault),
            }
        }
    }

    /// The file ends here. To be called after [`next`](Reader::next) has returned `None`.
    pub fn finish(mut self) -> Result<End, ReadError> {
        if self.chain.is_none() {
            return Err(HeaderError::NotAJournal.into());
        }
        if self.unreadable.is_none() && self.taken < self.buffer.len() {
            self.give_up(Fault::CutShort);
        }
        self.scan()?;
        let torn_bytes = self.unreadable.as_ref().map_or(0, |(_, scan)| scan.bytes);
        let mut chain = self.chain.expect("checked above");
        chain.mark_synced();
        Ok(End { chain, good_bytes: self.offset, torn_bytes })
    }

    fn read_header(&mut self) -> Result<bool, HeaderError> {
        let Some(bytes) = self.buffer[self.taken..].first_chunk::<HEADER_BYTES>() else { return Ok(false) };
        self.chain = Some(Chain::new(&Header::decode(bytes, self.context)?));
        self.advance(HEADER_BYTES);
        Ok(true)
    }

    fn read_frame(&mut self) -> Result<Option<Frame>, Fault> {
        let chain = self.chain.as_mut().expect("the header is read before any frame");
        let rest = &self.buffer[self.taken..];
        let Some(head_bytes) = rest.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let head = Head::decode(head_bytes, &chain.key).ok_or(Fault::NoHead)?;
        if head.sequence != chain.next {
            return Err(Fault::Sequence(head.sequence));
        }
        let Some(frame) = rest.get(..head.frame_bytes()) else { return Ok(None) };
        let payload = &frame[HEAD_BYTES..frame.len() - CHAIN_BYTES];
        let value = chain_value(&chain.value, head_bytes, payload);
        if value != array(frame, frame.len() - CHAIN_BYTES) {
            return Err(Fault::Chain);
        }
        chain.value = value;
        chain.next += 1;
        let frame = if head.seal {
            Frame::Seal
        } else {
            Frame::Data(Record { sequence: head.sequence, payload: payload.to_vec() })
        };
        self.advance(head.frame_bytes());
        Ok(Some(frame))
    }

    fn advance(&mut self, bytes: usize) {
        self.taken += bytes;
        self.offset += bytes as u64;
    }

    fn give_up(&mut self, fault: Fault) {
        let sequence = self.chain.as_ref().expect("the header is read before any frame").next;
        self.unreadable = Some((fault, Scan::new(sequence)));
    }

    fn scan(&mut self) -> Result<(), Damage> {
        let (Some((fault, scan)), Some(chain)) = (&mut self.unreadable, &self.chain) else { return Ok(()) };
        let proof = scan.feed(&self.buffer[self.taken..], &chain.key);
        self.taken = self.buffer.len();
        let bytes_behind = match proof {
            None => return Ok(()),
            Some(Proof::LaterHead(distance)) => distance,
            Some(Proof::TooLong) => scan.bytes,
        };
        Err(Damage { sequence: chain.next, offset: self.offset, fault: *fault, bytes_behind })
    }
}
