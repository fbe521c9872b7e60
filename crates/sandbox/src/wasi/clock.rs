//! Time, as a program sees it: a nanosecond passes for each unit of fuel, and sleeping is free.

use super::MODULE;
use super::errno::Errno;
use super::guest::{Answer, Guest, call};
use super::host::Host;
use wasmtime::{Caller, Linker};

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "clock_res_get", |caller: Caller<'_, Host>, clock: u32, resolution: u32| {
        call(caller, |guest| {
            Clock::from_id(clock)?;
            guest.write_u64(resolution, 1)
        })
    })?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |caller: Caller<'_, Host>, clock: u32, _precision: u64, time: u32| {
            call(caller, |guest| {
                let now = Clock::from_id(clock)?.now(guest)?;
                guest.write_u64(time, now)
            })
        },
    )?;
    Ok(())
}

/// A clock that a program can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Starts at the job's epoch.
    Real,
    /// Starts at 0: monotonic time, and the CPU time of process and thread.
    Elapsed,
}

impl Clock {
    pub(super) fn from_id(id: u32) -> Answer<Self> {
        match id {
            0 => Ok(Self::Real),
            1..=3 => Ok(Self::Elapsed),
            _ => Err(Errno::Inval.into()),
        }
    }

    /// What it shows, in nanoseconds.
    pub(super) fn now(self, guest: &mut Guest<'_>) -> Answer<u64> {
        let used = guest.fuel_used()?;
        let host = guest.host();
        let start = if self == Self::Real { host.epoch_ns } else { 0 };
        Ok(start.saturating_add(host.slept_ns).saturating_add(used))
    }
}
