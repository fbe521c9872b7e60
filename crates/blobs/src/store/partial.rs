//! A blob of which parts are here: what has been checked of it, on disk, so that a fetch can go on where it ended.
//!
//! specs/blobs.md §3. Three files: the bytes, the hashes of the tree, and a bit for each group that is here. A bit is
//! written after what it stands for, but nothing is synced, so after a restart no bit is believed before its group has
//! been checked again. Nothing here is readable under the blob's name.

use super::{
    PutError,
    files::{DATA, HAVE, TREE, ended},
};
use crate::{
    buffers::{Buffer, Buffers},
    tree::{self, PAIR_BYTES, Sink, Wrong},
};
use pocketmesh_types::BlobId;
use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice, Read},
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The length of the blob comes before the bits.
const HEADER_BYTES: u64 = 8;

/// Why a piece of a blob was not taken.
#[derive(Debug)]
pub enum AcceptError {
    /// It is wrong: who sent it is to blame. What came before it in the same piece has been taken.
    Wrong(Wrong),
    /// Our disk could not take it, or the blob is not wanted any more.
    Put(PutError),
}

/// See the module.
#[derive(Debug)]
pub struct Partial {
    id: BlobId,
    len: u64,
    data: File,
    outboard: File,
    have: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// A bit for each group, the lowest first.
    bits: Vec<u8>,
    /// Bits that are set.
    count: u32,
    /// All set bits are of groups that were checked since the files were opened.
    checked: bool,
    /// It has been removed.
    gone: bool,
    /// Where the hashes lie that came last: the next part has some of them too, and they are not written twice.
    path: Vec<u64>,
}

impl State {
    fn has(&self, group: u32) -> bool {
        let at = group as usize;
        self.bits.get(at / 8).is_some_and(|byte| byte & (1 << (at % 8)) != 0)
    }

    fn set(&mut self, group: u32, here: bool) {
        if self.has(group) == here {
            return;
        }
        self.bits[group as usize / 8] ^= 1 << (group % 8);
        if here {
            self.count += 1;
        } else {
            self.count -= 1;
            // It may be the hashes that the disk has changed.
            self.path.clear();
        }
    }
}

impl Partial {
    /// Makes the files of a blob of which nothing is here, in place of any that there are.
    pub fn create(path: &Path, id: BlobId, len: u64) -> io::Result<Self> {
        let make = |ending| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true).open(ended(path, ending))
        };
        let partial = Self {
            id,
            len,
            data: make(DATA)?,
            outboard: make(TREE)?,
            have: make(HAVE)?,
            state: Mutex::new(State { bits: no_bits(len), count: 0, checked: true, gone: false, path: Vec::new() }),
        };
        partial.data.set_len(len)?;
        partial.outboard.set_len(tree::outboard_bytes(len))?;
        partial.have.write_all_at(&[&len.to_le_bytes()[..], &no_bits(len)].concat(), 0)?;
        Ok(partial)
    }

    /// Opens the files that an earlier run left; `None` if they do not fit together.
    pub fn open(path: &Path, id: BlobId, len_max: u64) -> io::Result<Option<Self>> {
        let open = |ending| OpenOptions::new().read(true).write(true).open(ended(path, ending));
        let (data, outboard, mut have) = (open(DATA)?, open(TREE)?, open(HAVE)?);
        let mut len = [0; HEADER_BYTES as usize];
        have.read_exact(&mut len)?;
        let len = u64::from_le_bytes(len);
        if len > len_max || data.metadata()?.len() != len || outboard.metadata()?.len() != tree::outboard_bytes(len) {
            return Ok(None);
        }
        let mut bits = no_bits(len);
        have.read_exact(&mut bits)?;
        let beyond = bits.len() as u32 * 8 - tree::groups_of(len);
        if let Some(last) = bits.last_mut() {
            *last &= 0xff >> beyond;
        }
        let count = bits.iter().map(|byte| byte.count_ones()).sum();
        let state = Mutex::new(State { bits, count, checked: false, gone: false, path: Vec::new() });
        Ok(Some(Self { id, len, data, outboard, have, state }))
    }

    pub fn id(&self) -> BlobId {
        self.id
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether all of it is here.
    pub fn is_whole(&self) -> bool {
        self.state().count == tree::groups_of(self.len)
    }

    /// Bytes that are here.
    pub fn held_bytes(&self) -> u64 {
        let state = self.state();
        let last = tree::groups_of(self.len) - 1;
        let gap = if state.has(last) { u64::from(last + 1) * tree::GROUP_BYTES - self.len } else { 0 };
        (u64::from(state.count) * tree::GROUP_BYTES).saturating_sub(gap)
    }

    /// The smallest range that has all groups of a part that are not here; `None` if all are.
    pub fn missing(&self, part: u32) -> Option<Range<u32>> {
        let state = self.state();
        let mut groups = tree::groups_of_part(self.len, part);
        let start = groups.find(|&group| !state.has(group))?;
        let last = groups.rev().find(|&group| !state.has(group)).unwrap_or(start);
        Some(start..last + 1)
    }

    /// A bit for each part that is here, the lowest first.
    pub fn held_parts(&self) -> io::Result<Vec<u8>> {
        self.recheck()?;
        let state = self.state();
        let parts = tree::parts_of(self.len);
        let mut bits = vec![0; parts.div_ceil(8) as usize];
        for part in 0..parts {
            if tree::groups_of_part(self.len, part).all(|group| state.has(group)) {
                bits[part as usize / 8] |= 1 << (part % 8);
            }
        }
        Ok(bits)
    }

    /// Groups that are here, with their hashes; `None` if one of them is not.
    pub fn encode(&self, groups: &Range<u32>, buffers: &Buffers) -> io::Result<Option<Buffer>> {
        self.recheck()?;
        if !groups.clone().all(|group| self.state().has(group)) {
            return Ok(None);
        }
        let mut encoded = buffers.take(tree::encoded_bytes(self.len, groups));
        match tree::encode(self.id, self.len, groups, &self.data, &self.outboard, &mut encoded) {
            Ok(()) => Ok(Some(encoded)),
            Err(error) => {
                // The disk has changed them: they are fetched again.
                tracing::warn!(id = %self.id, ?groups, %error, "a part of a blob was damaged on disk");
                self.mark(groups.clone(), false)?;
                Ok(None)
            }
        }
    }

    /// Takes groups that another peer sent with their hashes.
    pub fn accept(&self, groups: &Range<u32>, encoded: &[u8]) -> Result<(), AcceptError> {
        if self.state().gone {
            return Err(AcceptError::Put(PutError::Removed(self.id)));
        }
        let mut taken = Taken::default();
        let outcome = tree::check(self.id, self.len, groups, encoded, &mut taken);
        self.keep(groups.start, taken).map_err(|error| AcceptError::Put(error.into()))?;
        outcome.map_err(AcceptError::Wrong)
    }

    /// Writes down what was checked. When the disk takes only some of it, that much is here.
    fn keep(&self, first: u32, taken: Taken<'_>) -> io::Result<()> {
        let known = std::mem::take(&mut self.state().path);
        self.state().path = taken.write_pairs(&self.outboard, &known)?;
        let (end, written) = taken.write_bytes(&self.data);
        if end >= self.len {
            self.mark(first..tree::groups_of(self.len), true)?;
        } else {
            self.mark(first..group_of(end), true)?;
        }
        written
    }

    /// Reads bytes, all of which must be in groups that are here.
    pub fn read(&self, bytes: Range<u64>) -> io::Result<Option<Vec<u8>>> {
        self.recheck()?;
        let groups = group_of(bytes.start)..group_of(bytes.end.saturating_sub(1)) + 1;
        if bytes.end > self.len || !groups.clone().all(|group| self.state().has(group)) {
            return Ok(None);
        }
        let mut read = vec![0; usize::try_from(bytes.end - bytes.start).map_err(io::Error::other)?];
        self.data.read_exact_at(&mut read, bytes.start)?;
        Ok(Some(read))
    }

    /// Makes the bytes durable.
    pub fn sync(&self) -> io::Result<()> {
        self.data.sync_all()
    }

    /// Nothing is taken any more.
    pub fn set_gone(&self) {
        self.state().gone = true;
    }

    /// Checks what an earlier run left, once.
    fn recheck(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.checked {
            return Ok(());
        }
        let mut group = 0;
        while group < tree::groups_of(self.len) {
            let part_end = tree::groups_of_part(self.len, group / tree::PART_GROUPS).end;
            let here = state.has(group);
            let end = (group..part_end).find(|&other| state.has(other) != here).unwrap_or(part_end);
            let groups = group..end;
            let mut encoded = vec![0; tree::encoded_bytes(self.len, &groups)];
            if here && tree::encode(self.id, self.len, &groups, &self.data, &self.outboard, &mut encoded).is_err() {
                groups.for_each(|group| state.set(group, false));
            }
            group = end;
        }
        state.checked = true;
        self.have.write_all_at(&state.bits, HEADER_BYTES)
    }

    fn mark(&self, groups: Range<u32>, here: bool) -> io::Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        let bytes = groups.start as usize / 8..groups.end.div_ceil(8) as usize;
        groups.for_each(|group| state.set(group, here));
        self.have.write_all_at(&state.bits[bytes.clone()], HEADER_BYTES + bytes.start as u64)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checked bytes and hashes, to be written together.
#[derive(Default)]
struct Taken<'a> {
    pairs: Vec<(u64, &'a [u8; PAIR_BYTES])>,
    /// Of the blob's bytes, where they begin, and the bytes, each where the one before ends.
    start: u64,
    bytes: Vec<IoSlice<'a>>,
}

impl<'a> Sink<'a> for Taken<'a> {
    fn pair(&mut self, at: u64, pair: &'a [u8; PAIR_BYTES]) {
        self.pairs.push((at, pair));
    }

    fn leaf(&mut self, at: u64, bytes: &'a [u8]) {
        if self.bytes.is_empty() {
            self.start = at;
        }
        self.bytes.push(IoSlice::new(bytes));
    }
}

impl Taken<'_> {
    /// Writes the hashes that are not `known` to be there. Returns where all of them are.
    fn write_pairs(&self, outboard: &File, known: &[u64]) -> io::Result<Vec<u64>> {
        let mut pairs = self.pairs.clone();
        // They come in another order than they lie.
        pairs.sort_unstable_by_key(|&(at, _)| at);
        let places = pairs.iter().map(|&(at, _)| at).collect();
        pairs.retain(|(at, _)| known.binary_search(at).is_err());
        for run in pairs.chunk_by(|one, next| one.0 + PAIR_BYTES as u64 == next.0) {
            let bytes: Vec<u8> = run.iter().flat_map(|(_, pair)| **pair).collect();
            outboard.write_all_at(&bytes, run[0].0)?;
        }
        Ok(places)
    }

    /// Writes the bytes, and returns where those end that were written.
    fn write_bytes(mut self, data: &File) -> (u64, io::Result<()>) {
        let (mut at, mut left) = (self.start, &mut self.bytes[..]);
        while left.iter().any(|bytes| !bytes.is_empty()) {
            match rustix::io::pwritev(data, left, at) {
                Ok(0) => return (at, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    at += count as u64;
                    IoSlice::advance_slices(&mut left, count);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return (at, Err(error.into())),
            }
        }
        (at, Ok(()))
    }
}

fn group_of(byte: u64) -> u32 {
    u32::try_from(byte / tree::GROUP_BYTES).unwrap_or(u32::MAX)
}

fn no_bits(len: u64) -> Vec<u8> {
    vec![0; tree::groups_of(len).div_ceil(8) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tree::{PART_BYTES, groups_of_part};

    #[test]
    fn hashes_that_the_disk_changed_are_written_again_though_the_last_part_had_them_too() {
        let bytes: Vec<u8> = (0..3 * PART_BYTES + 5).map(|at| (at / 7) as u8).collect();
        let (id, len, mut builder) = (BlobId::of(&bytes), bytes.len() as u64, tree::Builder::new());
        builder.update(&bytes);
        builder.finish();
        let outboard = builder.take_pairs();
        let folder = tempfile::tempdir().expect("a folder");
        let partial = Partial::create(&folder.path().join("blob"), id, len).expect("created");
        let take = |part| {
            let groups = groups_of_part(len, part);
            let mut encoded = vec![0; tree::encoded_bytes(len, &groups)];
            tree::encode(id, len, &groups, &bytes[..], &outboard[..], &mut encoded).expect("encoded");
            partial.accept(&groups, &encoded).expect("taken");
        };
        let is_given = |part| {
            let given = partial.encode(&groups_of_part(len, part), &Buffers::default());
            given.expect("read").is_some()
        };
        (0..4).for_each(take);
        assert!((0..4).all(is_given) && partial.is_whole());
        let written = |file: &File| {
            let mut read = Vec::new();
            let mut file = file;
            io::Seek::rewind(&mut file).and_then(|()| file.read_to_end(&mut read)).expect("read");
            read
        };
        assert!(written(&partial.data) == bytes && written(&partial.outboard) == outboard);
        partial.outboard.write_all_at(&vec![0; outboard.len()], 0).expect("damaged");
        assert!(!(0..4).any(is_given) && partial.held_bytes() == 0);
        (0..4).for_each(take);
        assert!((0..4).all(is_given) && partial.is_whole());
    }
}
