//! Standard input, output and error.

use super::errno::Errno;
use super::guest::{Answer, BYTE_FUEL, Guest, Stop};
use super::vectors::Vectors;
use crate::run::Halt;
use std::sync::Arc;

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Input = 0,
    Output = 1,
    Error = 2,
}

/// Standard input and how much of it has been read.
#[derive(Debug)]
pub(super) struct Input {
    bytes: Arc<Vec<u8>>,
    at: usize,
}

impl Input {
    pub(super) fn new(bytes: Arc<Vec<u8>>) -> Self {
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
    /// What else may be written, files included.
    pub(super) left: u64,
}

impl Written {
    pub(super) fn new(limit: u64) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), left: limit }
    }

    /// Appends as much as the limit allows, and ends the program if that is not all.
    fn append(&mut self, stream: Stream, bytes: &[u8]) -> Answer {
        let fits = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let written = if stream == Stream::Error { &mut self.stderr } else { &mut self.stdout };
        written.extend_from_slice(&bytes[..fits]);
        self.left -= fits as u64;
        if fits < bytes.len() { Err(Stop::End(Halt::OutputLimit.into())) } else { Ok(()) }
    }
}

impl Stream {
    pub(super) fn read(self, guest: &mut Guest<'_>, vectors: Vectors, moved: u32) -> Answer {
        if self != Self::Input {
            return Err(Errno::Badf.into());
        }
        // So that the count fits its 32 bits.
        let wanted = vectors.len().min(u64::from(u32::MAX)) as usize;
        let total = wanted.min(guest.host().stdin.left());
        guest.charge(total as u64 * BYTE_FUEL)?;
        let (memory, host) = guest.split()?;
        for range in vectors.parts(total) {
            host.stdin.take(&mut memory[range]);
        }
        guest.write_u32(moved, total as u32)
    }

    pub(super) fn write(self, guest: &mut Guest<'_>, vectors: Vectors, moved: u32) -> Answer {
        if self == Self::Input {
            return Err(Errno::Badf.into());
        }
        let total = vectors.len_u32()?;
        guest.charge(u64::from(total) * BYTE_FUEL)?;
        let (memory, host) = guest.split()?;
        for range in vectors.parts(total as usize) {
            host.written.append(self, &memory[range])?;
        }
        guest.write_u32(moved, total)
    }
}
