//! What a program can ask about its descriptors: it has three streams, no files and no directories.

use super::MODULE;
use super::errno::Errno;
use super::guest::{Answer, Guest, call};
use super::host::Host;
use super::streams::STDIN;
use wasmtime::{Caller, Linker};

/// Neither a terminal nor a file: C libraries then buffer output in blocks.
const FILETYPE_UNKNOWN: u8 = 0;
/// Rights of a stream: to read or write, to wait for it, to ask about it, to set its flags.
const RIGHTS_STREAM: u64 = (1 << 3) | (1 << 21) | (1 << 27);
const RIGHTS_READ: u64 = 1 << 1;
const RIGHTS_WRITE: u64 = 1 << 6;
/// Append, dsync, nonblock, rsync, sync.
const FLAGS: u32 = 0b11111;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "fd_fdstat_get", |caller: Caller<'_, Host>, fd: u32, stat: u32| {
        call(caller, |guest| fdstat(guest, fd, stat))
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", |caller: Caller<'_, Host>, fd: u32, flags: u32| {
        call(caller, |guest| set_flags(guest, fd, flags))
    })?;
    linker.func_wrap(MODULE, "fd_filestat_get", |caller: Caller<'_, Host>, fd: u32, stat: u32| {
        call(caller, |guest| filestat(guest, fd, stat))
    })?;
    Ok(())
}

fn fdstat(guest: &mut Guest<'_>, fd: u32, at: u32) -> Answer {
    let flags = *guest.host().descriptors.flags(fd)?;
    let rights = RIGHTS_STREAM | if fd == STDIN { RIGHTS_READ } else { RIGHTS_WRITE };
    let mut stat = [0; 24];
    stat[0] = FILETYPE_UNKNOWN;
    stat[2..4].copy_from_slice(&flags.to_le_bytes());
    stat[8..16].copy_from_slice(&rights.to_le_bytes());
    guest.write(at, &stat)
}

/// Remembered and shown, and without effect: a stream of ours never blocks.
fn set_flags(guest: &mut Guest<'_>, fd: u32, flags: u32) -> Answer {
    let current = guest.host().descriptors.flags(fd)?;
    if flags & !FLAGS != 0 {
        return Err(Errno::Inval.into());
    }
    *current = flags as u16;
    Ok(())
}

/// Inode by descriptor, one link, no size, no times.
fn filestat(guest: &mut Guest<'_>, fd: u32, at: u32) -> Answer {
    guest.host().descriptors.open(fd)?;
    let mut stat = [0; 64];
    stat[8..12].copy_from_slice(&fd.to_le_bytes());
    stat[16] = FILETYPE_UNKNOWN;
    stat[24] = 1;
    guest.write(at, &stat)
}
