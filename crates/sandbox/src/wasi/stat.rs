//! What a program can ask about a file or directory, and what it cannot change: times are the job's epoch.

use super::MODULE;
use super::descriptors::Object;
use super::errno::Errno;
use super::guest::{Answer, Guest, call};
use super::host::Host;
use super::paths;
use super::tree::{Ino, Kind};
use wasmtime::{Caller, Linker};

/// Neither a terminal nor a file: C libraries then buffer output in blocks.
pub(super) const FILETYPE_STREAM: u8 = 0;
pub(super) const FILETYPE_DIRECTORY: u8 = 3;
pub(super) const FILETYPE_FILE: u8 = 4;

/// The device that files are on. Streams are on device 0.
const DEVICE: u64 = 1;
const STAT_BYTES: u32 = 64;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "fd_filestat_get", |caller: Caller<'_, Host>, fd: u32, stat: u32| {
        call(caller, |guest| of_descriptor(guest, fd, stat))
    })?;
    linker.func_wrap(
        MODULE,
        "path_filestat_get",
        |caller: Caller<'_, Host>, fd: u32, _lookup: u32, path: u32, len: u32, stat: u32| {
            call(caller, |guest| {
                let (base, path) = paths::read(guest, fd, path, len)?;
                guest.check(stat, STAT_BYTES)?;
                let ino = guest.host().files.nodes().find(base, &path)?;
                write(guest, ino, stat)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_set_times",
        |caller: Caller<'_, Host>, fd: u32, _accessed: u64, _modified: u64, which: u32| {
            call(caller, |guest| {
                let ino = match &guest.host().descriptors.get(fd)?.object {
                    Object::Stream(_) => return Err(Errno::Notsup.into()),
                    Object::File(file) => file.ino,
                    Object::Folder(folder) => folder.ino,
                };
                set_times(guest, ino, which)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_filestat_set_times",
        |caller: Caller<'_, Host>,
         fd: u32,
         _lookup: u32,
         path: u32,
         len: u32,
         _accessed: u64,
         _modified: u64,
         which: u32| {
            call(caller, |guest| {
                let (base, path) = paths::read(guest, fd, path, len)?;
                let ino = guest.host().files.nodes().find(base, &path)?;
                set_times(guest, ino, which)
            })
        },
    )?;
    Ok(())
}

fn of_descriptor(guest: &mut Guest<'_>, fd: u32, at: u32) -> Answer {
    let ino = match &guest.host().descriptors.get(fd)?.object {
        // Its number as inode, one link, no size, no times.
        &Object::Stream(stream) => {
            return guest.write(at, &stat(0, stream as u64, FILETYPE_STREAM, 0, 0));
        }
        Object::File(file) => file.ino,
        Object::Folder(folder) => folder.ino,
    };
    write(guest, ino, at)
}

fn write(guest: &mut Guest<'_>, ino: Ino, at: u32) -> Answer {
    let host = guest.host();
    let kind = &host.files.nodes().node(ino).kind;
    let bytes = stat(DEVICE, ino, filetype(kind), kind.len(), host.epoch_ns);
    guest.write(at, &bytes)
}

pub(super) fn filetype(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => FILETYPE_FILE,
        Kind::Folder(_) => FILETYPE_DIRECTORY,
    }
}

fn stat(device: u64, ino: u64, filetype: u8, size: u64, time: u64) -> [u8; STAT_BYTES as usize] {
    let mut bytes = [0; STAT_BYTES as usize];
    let links = 1;
    for (field, value) in [device, ino, filetype.into(), links, size, time, time, time].into_iter().enumerate() {
        bytes[field * 8..][..8].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// Succeeds where something could be changed, and changes nothing. Accessed, accessed now, modified, modified now.
fn set_times(guest: &mut Guest<'_>, ino: Ino, which: u32) -> Answer {
    if which > 0b1111 || which & 0b11 == 0b11 || which & 0b1100 == 0b1100 {
        return Err(Errno::Inval.into());
    }
    let may_write = match &guest.host().files.nodes().node(ino).kind {
        Kind::File(content) => content.may_write(),
        Kind::Folder(folder) => folder.may_write,
    };
    if may_write { Ok(()) } else { Err(Errno::Rofs.into()) }
}
