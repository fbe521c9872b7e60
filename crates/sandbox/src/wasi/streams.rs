//! Standard input, output and error.

use super::MODULE;
use super::errno::Errno;
use super::guest::{Answer, BYTE_FUEL, Guest, ITEM_FUEL, ITEMS_MAX, Stop, call};
use super::host::Host;
use crate::run::Halt;
use std::ops::Range;
use wasmtime::{Caller, Linker};

pub(super) const STDIN: u32 = 0;
pub(super) const STDOUT: u32 = 1;
pub(super) const STDERR: u32 = 2;

/// The size of an entry of a vector list: a pointer and a length.
const VECTOR_BYTES: u32 = 8;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_read",
        |caller: Caller<'_, Host>, fd: u32, vectors: u32, count: u32, moved: u32| {
            call(caller, |guest| read(guest, fd, vectors, count, moved))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |caller: Caller<'_, Host>, fd: u32, vectors: u32, count: u32, moved: u32| {
            call(caller, |guest| write(guest, fd, vectors, count, moved))
        },
    )?;
    linker.func_wrap(MODULE, "fd_close", |caller: Caller<'_, Host>, fd: u32| {
        call(caller, |guest| guest.host().descriptors.close(fd))
    })?;
    Ok(())
}

/// Which of the three streams are open, and the flags that the program gave them.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    closed: [bool; 3],
    flags: [u16; 3],
}

impl Descriptors {
    /// The index of an open descriptor.
    pub(super) fn open(&self, fd: u32) -> Answer<usize> {
        match self.closed.get(fd as usize) {
            Some(false) => Ok(fd as usize),
            _ => Err(Errno::Badf.into()),
        }
    }

    fn close(&mut self, fd: u32) -> Answer {
        let index = self.open(fd)?;
        self.closed[index] = true;
        Ok(())
    }

    pub(super) fn flags(&mut self, fd: u32) -> Answer<&mut u16> {
        let index = self.open(fd)?;
        Ok(&mut self.flags[index])
    }
}

/// Standard input and how much of it has been read.
#[derive(Debug)]
pub(super) struct Input {
    bytes: Vec<u8>,
    at: usize,
}

impl Input {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, into: &mut [u8]) {
        into.copy_from_slice(&self.bytes[self.at..self.at + into.len()]);
        self.at += into.len();
    }
}

/// Standard output and error, which share one limit.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    left: u64,
}

impl Written {
    pub(super) fn new(limit: u64) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), left: limit }
    }

    /// Appends as much as the limit allows, and ends the program if that is not all.
    fn append(&mut self, fd: u32, bytes: &[u8]) -> Answer {
        let fits = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let stream = if fd == STDERR { &mut self.stderr } else { &mut self.stdout };
        stream.extend_from_slice(&bytes[..fits]);
        self.left -= fits as u64;
        if fits < bytes.len() { Err(Stop::End(Halt::OutputLimit.into())) } else { Ok(()) }
    }
}

fn read(guest: &mut Guest<'_>, fd: u32, vectors: u32, count: u32, moved: u32) -> Answer {
    guest.host().descriptors.open(fd)?;
    if fd != STDIN {
        return Err(Errno::Badf.into());
    }
    let ranges = ranges(guest, vectors, count)?;
    guest.range(moved, 4)?;
    let wanted = ranges.iter().map(ExactSizeIterator::len).fold(0, usize::saturating_add);
    // So that the count fits its 32 bits.
    let total = wanted.min(guest.host().stdin.left()).min(u32::MAX as usize);
    guest.charge(total as u64 * BYTE_FUEL)?;
    let (memory, host) = guest.split()?;
    let mut left = total;
    for range in ranges {
        let part = range.len().min(left);
        host.stdin.take(&mut memory[range.start..range.start + part]);
        left -= part;
    }
    guest.write_u32(moved, total as u32)
}

fn write(guest: &mut Guest<'_>, fd: u32, vectors: u32, count: u32, moved: u32) -> Answer {
    guest.host().descriptors.open(fd)?;
    if fd != STDOUT && fd != STDERR {
        return Err(Errno::Badf.into());
    }
    let ranges = ranges(guest, vectors, count)?;
    guest.range(moved, 4)?;
    let total = ranges.iter().map(|range| range.len() as u64).sum::<u64>();
    let total = u32::try_from(total).map_err(|_| Errno::Inval)?;
    guest.charge(u64::from(total) * BYTE_FUEL)?;
    let (memory, host) = guest.split()?;
    for range in ranges {
        host.written.append(fd, &memory[range])?;
    }
    guest.write_u32(moved, total)
}

/// The buffers that a list names. All are checked before anything moves. Of a longer list than [`ITEMS_MAX`] the first
/// are taken: reading and writing less than was asked for is allowed.
fn ranges(guest: &mut Guest<'_>, vectors: u32, count: u32) -> Answer<Vec<Range<usize>>> {
    let count = count.min(ITEMS_MAX);
    guest.charge(u64::from(count) * ITEM_FUEL)?;
    let list = guest.bytes(vectors, count * VECTOR_BYTES)?.to_vec();
    list.as_chunks::<{ VECTOR_BYTES as usize }>()
        .0
        .iter()
        .map(|&[a, b, c, d, e, f, g, h]| {
            guest.range(u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
        })
        .collect()
}
