//! The program behind a call: its memory, whose pointers are never trusted, and its fuel.
//!
//! Every call is charged before it does anything, so a loop of calls ends as surely as a loop of instructions.

use super::errno::Errno;
use super::host::Host;
use std::ops::Range;
use wasmtime::{Caller, Extern, Memory, Trap};

/// Fuel of any call: what crossing into the host and back takes, about 50 ns.
pub(super) const CALL_FUEL: u64 = 100;
/// Fuel of each byte that a call moves.
pub(super) const BYTE_FUEL: u64 = 1;
/// Fuel of each entry of a list that a call walks.
pub(super) const ITEM_FUEL: u64 = 10;
/// Entries of a list that a call walks at most, as on other systems (`IOV_MAX`).
pub(super) const ITEMS_MAX: u32 = 1024;

/// Why a call did not succeed.
pub(super) enum Stop {
    /// The program is told and goes on.
    Errno(Errno),
    /// The program ends.
    End(wasmtime::Error),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<wasmtime::Error> for Stop {
    fn from(error: wasmtime::Error) -> Self {
        Self::End(error)
    }
}

/// What a host function comes to.
pub(super) type Answer<T = ()> = Result<T, Stop>;

/// The program that called.
pub(super) struct Guest<'a>(Caller<'a, Host>);

/// Charges for a call, makes it, and puts its answer the way WebAssembly wants it.
pub(super) fn call(caller: Caller<'_, Host>, body: impl FnOnce(&mut Guest<'_>) -> Answer) -> wasmtime::Result<i32> {
    let mut guest = Guest(caller);
    match guest.charge(CALL_FUEL).and_then(|()| body(&mut guest)) {
        Ok(()) => Ok(0),
        Err(Stop::Errno(errno)) => Ok(i32::from(errno as u16)),
        Err(Stop::End(error)) => Err(error),
    }
}

impl Guest<'_> {
    pub(super) fn host(&mut self) -> &mut Host {
        self.0.data_mut()
    }

    /// Takes fuel, or ends the program for want of it.
    pub(super) fn charge(&mut self, fuel: u64) -> Answer {
        let left = self.0.get_fuel()?.checked_sub(fuel);
        self.0.set_fuel(left.unwrap_or(0))?;
        if left.is_none() { Err(Stop::End(Trap::OutOfFuel.into())) } else { Ok(()) }
    }

    /// Fuel used so far.
    pub(super) fn fuel_used(&self) -> Answer<u64> {
        Ok(self.0.data().fuel_limit.0.saturating_sub(self.0.get_fuel()?))
    }

    /// The program's memory, and the host beside it.
    pub(super) fn split(&mut self) -> Answer<(&mut [u8], &mut Host)> {
        let memory = self.memory()?;
        Ok(memory.data_and_store_mut(&mut self.0))
    }

    /// `len` bytes at `at`, if the program has them.
    pub(super) fn range(&mut self, at: u32, len: u32) -> Answer<Range<usize>> {
        let size = self.memory()?.data_size(&self.0);
        let (start, len) = (at as usize, len as usize);
        match start.checked_add(len) {
            Some(end) if end <= size => Ok(start..end),
            _ => Err(Errno::Fault.into()),
        }
    }

    pub(super) fn bytes(&mut self, at: u32, len: u32) -> Answer<&mut [u8]> {
        let range = self.range(at, len)?;
        Ok(&mut self.split()?.0[range])
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Answer {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.bytes(at, len)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Whether the program has `len` bytes at `at` for an answer: asked before anything is done.
    pub(super) fn check(&mut self, at: u32, len: u32) -> Answer {
        self.range(at, len).map(drop)
    }

    pub(super) fn write_u32(&mut self, at: u32, value: u32) -> Answer {
        self.write(at, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, at: u32, value: u64) -> Answer {
        self.write(at, &value.to_le_bytes())
    }

    fn memory(&mut self) -> Answer<Memory> {
        if let Some(memory) = self.0.data().memory {
            return Ok(memory);
        }
        match self.0.get_export("memory") {
            Some(Extern::Memory(memory)) => {
                self.0.data_mut().memory = Some(memory);
                Ok(memory)
            }
            _ => Err(Errno::Fault.into()),
        }
    }
}
