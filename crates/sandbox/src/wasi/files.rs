//! Reading and writing through descriptors, and what else can be done with an open file.
//!
//! What a file would grow by is looked for in the memory limit first, then charged, then taken: a program that lacks
//! the one or the other has changed nothing.

use super::MODULE;
use super::descriptors::{FLAG_APPEND, Object};
use super::errno::Errno;
use super::guest::{Answer, BYTE_FUEL, Guest, Stop, call};
use super::host::Host;
use super::tree::{Content, Ino, Kind};
use super::vectors::Vectors;
use crate::run::Halt;
use std::collections::TryReserveError;
use wasmtime::{Caller, Linker};

/// What one call moves of a file: all that a task that is to be stopped may have to be waited for.
pub(super) const MOVE_BYTES_MAX: u64 = 64 << 20;
/// Advice goes from `normal` to `noreuse`.
const ADVICE_MAX: u32 = 5;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    link_moves(linker)?;
    linker.func_wrap(
        MODULE,
        "fd_seek",
        |caller: Caller<'_, Host>, fd: u32, offset: i64, whence: u32, position: u32| {
            call(caller, |guest| seek(guest, fd, offset, whence, position))
        },
    )?;
    linker.func_wrap(MODULE, "fd_tell", |caller: Caller<'_, Host>, fd: u32, position: u32| {
        call(caller, |guest| {
            let at = guest.host().descriptors.file(fd, Errno::Spipe, Errno::Badf)?.at;
            guest.write_u64(position, at)
        })
    })?;
    linker.func_wrap(MODULE, "fd_filestat_set_size", |caller: Caller<'_, Host>, fd: u32, size: u64| {
        call(caller, |guest| {
            let ino = writable(guest, fd, Errno::Inval)?;
            resize(guest, ino, size)
        })
    })?;
    linker.func_wrap(MODULE, "fd_allocate", |caller: Caller<'_, Host>, fd: u32, offset: u64, len: u64| {
        call(caller, |guest| {
            let ino = writable(guest, fd, Errno::Spipe)?;
            let end = offset.checked_add(len).filter(|_| len > 0).ok_or(Errno::Inval)?;
            let size = guest.host().files.nodes().node(ino).kind.len();
            if end > size { resize(guest, ino, end) } else { Ok(()) }
        })
    })?;
    linker.func_wrap(
        MODULE,
        "fd_advise",
        |caller: Caller<'_, Host>, fd: u32, _offset: u64, _len: u64, advice: u32| {
            call(caller, |guest| {
                guest.host().descriptors.file(fd, Errno::Spipe, Errno::Badf)?;
                if advice > ADVICE_MAX { Err(Errno::Inval.into()) } else { Ok(()) }
            })
        },
    )?;
    for name in ["fd_sync", "fd_datasync"] {
        linker.func_wrap(MODULE, name, |caller: Caller<'_, Host>, fd: u32| {
            call(caller, |guest| match guest.host().descriptors.get(fd)?.object {
                Object::Stream(_) => Err(Errno::Inval.into()),
                Object::File(_) | Object::Folder(_) => Ok(()),
            })
        })?;
    }
    Ok(())
}

fn link_moves(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_read",
        |caller: Caller<'_, Host>, fd: u32, vectors: u32, count: u32, moved: u32| {
            call(caller, |guest| read(guest, fd, (vectors, count), None, moved))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |caller: Caller<'_, Host>, fd: u32, vectors: u32, count: u32, moved: u32| {
            call(caller, |guest| write(guest, fd, (vectors, count), None, moved))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_pread",
        |caller: Caller<'_, Host>, fd: u32, vectors: u32, count: u32, at: u64, moved: u32| {
            call(caller, |guest| read(guest, fd, (vectors, count), Some(at), moved))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_pwrite",
        |caller: Caller<'_, Host>, fd: u32, vectors: u32, count: u32, at: u64, moved: u32| {
            call(caller, |guest| write(guest, fd, (vectors, count), Some(at), moved))
        },
    )?;
    Ok(())
}

/// Reads at the descriptor's position, which moves, or `at` one, and then it does not.
fn read(guest: &mut Guest<'_>, fd: u32, (list, count): (u32, u32), at: Option<u64>, moved: u32) -> Answer {
    let file = match guest.host().descriptors.get(fd)?.object {
        Object::Stream(_) if at.is_some() => return Err(Errno::Spipe.into()),
        Object::Stream(stream) => {
            let vectors = Vectors::read(guest, list, count)?;
            guest.check(moved, 4)?;
            return stream.read(guest, vectors, moved);
        }
        Object::Folder(_) => return Err(Errno::Isdir.into()),
        Object::File(file) => file,
    };
    if !file.reads {
        return Err(Errno::Badf.into());
    }
    let vectors = Vectors::read(guest, list, count)?;
    guest.check(moved, 4)?;
    let start = at.unwrap_or(file.at);
    let left = guest.host().files.nodes().content(file.ino)?.len().saturating_sub(start);
    let total = vectors.len().min(left).min(MOVE_BYTES_MAX);
    guest.charge(total * BYTE_FUEL)?;
    let (memory, host) = guest.split()?;
    let content = host.files.nodes().content(file.ino)?;
    let mut from = start;
    for range in vectors.parts(total as usize) {
        let into = &mut memory[range];
        content.read(from, into);
        from += into.len() as u64;
    }
    if at.is_none() {
        host.descriptors.file(fd, Errno::Spipe, Errno::Badf)?.at = from;
    }
    guest.write_u32(moved, total as u32)
}

/// Writes at the descriptor's position, which moves, or `at` one, and then it does not. As much as there is room for.
fn write(guest: &mut Guest<'_>, fd: u32, (list, count): (u32, u32), at: Option<u64>, moved: u32) -> Answer {
    let descriptor = guest.host().descriptors.get(fd)?;
    let appends = descriptor.flags & FLAG_APPEND != 0;
    let file = match descriptor.object {
        Object::Stream(_) if at.is_some() => return Err(Errno::Spipe.into()),
        Object::Stream(stream) => {
            let vectors = Vectors::read(guest, list, count)?;
            guest.check(moved, 4)?;
            return stream.write(guest, vectors, moved);
        }
        Object::File(file) if file.writes => file,
        Object::File(_) | Object::Folder(_) => return Err(Errno::Badf.into()),
    };
    let vectors = Vectors::read(guest, list, count)?;
    guest.check(moved, 4)?;
    let size = guest.host().files.nodes().content(file.ino)?.len();
    let start = at.unwrap_or(if appends { size } else { file.at });
    let wanted = vectors.len().min(MOVE_BYTES_MAX);
    let total = make_room(guest, file.ino, start, wanted)?;
    let (memory, host) = guest.split()?;
    let mut to = start;
    if let Kind::File(Content::Written(chunks)) = &mut host.files.nodes().node_mut(file.ino).kind {
        for range in vectors.parts(total as usize) {
            let bytes = &memory[range];
            chunks.write(to, bytes).map_err(no_memory)?;
            to += bytes.len() as u64;
        }
    }
    if at.is_none() {
        host.descriptors.file(fd, Errno::Spipe, Errno::Badf)?.at = to;
    }
    guest.write_u32(moved, total as u32)
}

/// Makes a file long enough for `wanted` bytes at `start`, or for as many of them as there is memory for, and charges
/// for them and for the zeros before them. Returns for how many.
fn make_room(guest: &mut Guest<'_>, ino: Ino, start: u64, wanted: u64) -> Answer<u64> {
    if wanted == 0 {
        return Ok(0);
    }
    let end = start.checked_add(wanted).filter(|&end| i64::try_from(end).is_ok()).ok_or(Errno::Fbig)?;
    let host = guest.host();
    let size = host.files.nodes().content(ino)?.len();
    let end = end.min(size.saturating_add(host.limiter.left()));
    let total = end.checked_sub(start).filter(|&total| total > 0).ok_or(Errno::Nospc)?;
    guest.charge((total + start.saturating_sub(size)) * BYTE_FUEL)?;
    if end > size {
        grow(guest.host(), ino, size, end)?;
    }
    Ok(total)
}

/// Cuts a file off, or lets zeros follow.
pub(super) fn resize(guest: &mut Guest<'_>, ino: Ino, size: u64) -> Answer {
    if i64::try_from(size).is_err() {
        return Err(Errno::Fbig.into());
    }
    let host = guest.host();
    let before = host.files.nodes().content(ino)?.len();
    let growth = size.saturating_sub(before);
    if growth > host.limiter.left() {
        return Err(Errno::Nospc.into());
    }
    guest.charge(growth * BYTE_FUEL)?;
    grow(guest.host(), ino, before, size)
}

/// Sets a file's length, and counts it. There is room for it.
fn grow(host: &mut Host, ino: Ino, before: u64, size: u64) -> Answer {
    if !host.limiter.take(size.saturating_sub(before)) {
        return Err(Errno::Nospc.into());
    }
    host.limiter.give(before.saturating_sub(size));
    match &mut host.files.nodes().node_mut(ino).kind {
        Kind::File(Content::Written(chunks)) => chunks.set_len(size).map_err(no_memory),
        _ => Err(Errno::Rofs.into()),
    }
}

/// The limit allows it and the machine has it not: nobody's outcome.
fn no_memory(error: TryReserveError) -> Stop {
    Stop::End(Halt::Host(format!("not enough memory for files: {error}")).into())
}

/// The file of a descriptor that may write; `stream` is what streams answer.
fn writable(guest: &mut Guest<'_>, fd: u32, stream: Errno) -> Answer<Ino> {
    let file = guest.host().descriptors.file(fd, stream, Errno::Inval)?;
    if file.writes { Ok(file.ino) } else { Err(Errno::Inval.into()) }
}

fn seek(guest: &mut Guest<'_>, fd: u32, offset: i64, whence: u32, position: u32) -> Answer {
    let file = *guest.host().descriptors.file(fd, Errno::Spipe, Errno::Badf)?;
    let from = match whence {
        0 => 0,
        1 => file.at,
        2 => guest.host().files.nodes().content(file.ino)?.len(),
        _ => return Err(Errno::Inval.into()),
    };
    let at = from.checked_add_signed(offset).filter(|&at| i64::try_from(at).is_ok()).ok_or(Errno::Inval)?;
    guest.write_u64(position, at)?;
    guest.host().descriptors.file(fd, Errno::Spipe, Errno::Badf)?.at = at;
    Ok(())
}
