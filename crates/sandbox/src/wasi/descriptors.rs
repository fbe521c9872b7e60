//! The table of descriptors, and what a program can ask about one: three streams and `/` at first, then what it opens.

use super::MODULE;
use super::directory::Listing;
use super::errno::Errno;
use super::guest::{Answer, Guest, call};
use super::host::Host;
use super::stat::{FILETYPE_DIRECTORY, FILETYPE_FILE, FILETYPE_STREAM};
use super::streams::Stream;
use super::tree::{Ino, ROOT};
use wasmtime::{Caller, Linker};

/// Descriptors that a program may have open, the streams among them.
pub(super) const DESCRIPTORS_MAX: usize = 1024;
/// The name of the directory that is open from the start. C libraries begin there, so that absolute and relative paths
/// both lead where they say.
const PREOPENED: &[u8] = b"/";

pub(super) const FLAG_APPEND: u16 = 1;
/// Append, dsync, nonblock, rsync, sync.
pub(super) const FLAGS: u32 = 0b11111;

pub(super) const RIGHT_READ: u64 = 1 << 1;
pub(super) const RIGHT_WRITE: u64 = 1 << 6;
/// Of a stream: to wait for it, to ask about it, to set its flags; and to read or write.
const RIGHTS_STREAM: u64 = (1 << 3) | (1 << 21) | (1 << 27);
/// Of every file: all from `fd_datasync` to `fd_advise` but writing; stat, times, waiting.
const RIGHTS_FILE: u64 = 0b1011_1111 | (1 << 21) | (1 << 23) | (1 << 27);
/// What more it takes to change one: to write, to allocate, to set the size.
const RIGHTS_FILE_WRITE: u64 = RIGHT_WRITE | (1 << 8) | (1 << 22);
/// Of a directory: flags, sync, all that begins with `path_`, `fd_readdir`, stat and times.
const RIGHTS_FOLDER: u64 = (1 << 0) | (1 << 3) | (1 << 4) | (0xfff << 9) | (1 << 21) | (1 << 23) | (0b111 << 24);

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "fd_close", |caller: Caller<'_, Host>, fd: u32| {
        call(caller, |guest| guest.host().close(fd))
    })?;
    linker.func_wrap(MODULE, "fd_renumber", |caller: Caller<'_, Host>, from: u32, to: u32| {
        call(caller, |guest| renumber(guest.host(), from, to))
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_get", |caller: Caller<'_, Host>, fd: u32, stat: u32| {
        call(caller, |guest| fdstat(guest, fd, stat))
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", |caller: Caller<'_, Host>, fd: u32, flags: u32| {
        call(caller, |guest| set_flags(guest, fd, flags))
    })?;
    linker.func_wrap(MODULE, "fd_prestat_get", |caller: Caller<'_, Host>, fd: u32, stat: u32| {
        call(caller, |guest| {
            guest.host().descriptors.preopened(fd)?;
            // A directory, which is kind 0, and the length of its name.
            guest.write_u64(stat, (PREOPENED.len() as u64) << 32)
        })
    })?;
    linker.func_wrap(MODULE, "fd_prestat_dir_name", |caller: Caller<'_, Host>, fd: u32, name: u32, len: u32| {
        call(caller, |guest| {
            guest.host().descriptors.preopened(fd)?;
            if (len as usize) < PREOPENED.len() {
                return Err(Errno::Nametoolong.into());
            }
            guest.write(name, PREOPENED)
        })
    })?;
    Ok(())
}

/// What a descriptor stands for.
#[derive(Debug)]
pub(super) enum Object {
    Stream(Stream),
    File(OpenFile),
    Folder(OpenFolder),
}

/// An open file.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenFile {
    pub(super) ino: Ino,
    /// Where the next read or write begins.
    pub(super) at: u64,
    pub(super) reads: bool,
    pub(super) writes: bool,
}

/// An open directory.
#[derive(Debug)]
pub(super) struct OpenFolder {
    pub(super) ino: Ino,
    preopened: bool,
    /// What it held when the program began to list it, while it does.
    pub(super) listing: Option<Listing>,
}

#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) object: Object,
    pub(super) flags: u16,
}

/// Descriptors by number.
#[derive(Debug)]
pub(super) struct Descriptors(Vec<Option<Descriptor>>);

impl Default for Descriptors {
    /// Standard input, output and error, and `/`.
    fn default() -> Self {
        let mut objects = Vec::with_capacity(8);
        objects.extend([Stream::Input, Stream::Output, Stream::Error].map(Object::Stream));
        objects.push(Object::Folder(OpenFolder { ino: ROOT, preopened: true, listing: None }));
        Self(objects.into_iter().map(|object| Some(Descriptor { object, flags: 0 })).collect())
    }
}

impl OpenFolder {
    pub(super) fn new(ino: Ino) -> Self {
        Self { ino, preopened: false, listing: None }
    }
}

impl Descriptors {
    pub(super) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.0.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    pub(super) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.0.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    /// The file that a descriptor stands for; `stream` and `folder` say what else it answers.
    pub(super) fn file(&mut self, fd: u32, stream: Errno, folder: Errno) -> Result<&mut OpenFile, Errno> {
        match &mut self.get_mut(fd)?.object {
            Object::File(file) => Ok(file),
            Object::Stream(_) => Err(stream),
            Object::Folder(_) => Err(folder),
        }
    }

    /// The directory that a descriptor stands for.
    pub(super) fn folder(&mut self, fd: u32) -> Result<&mut OpenFolder, Errno> {
        match &mut self.get_mut(fd)?.object {
            Object::Folder(folder) => Ok(folder),
            Object::File(_) | Object::Stream(_) => Err(Errno::Notdir),
        }
    }

    /// The lowest number that is free.
    pub(super) fn free(&self) -> Result<u32, Errno> {
        let free = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        if free < DESCRIPTORS_MAX { Ok(free as u32) } else { Err(Errno::Mfile) }
    }

    /// Puts a descriptor where nothing is.
    pub(super) fn put(&mut self, fd: u32, descriptor: Descriptor) {
        let index = fd as usize;
        if index == self.0.len() {
            self.0.push(None);
        }
        self.0[index] = Some(descriptor);
    }

    fn take(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        self.0.get_mut(fd as usize).and_then(Option::take).ok_or(Errno::Badf)
    }

    fn preopened(&mut self, fd: u32) -> Answer {
        match self.get(fd)?.object {
            Object::Folder(OpenFolder { preopened: true, .. }) => Ok(()),
            _ => Err(Errno::Badf.into()),
        }
    }
}

impl Host {
    fn close(&mut self, fd: u32) -> Answer {
        let descriptor = self.descriptors.take(fd)?;
        let memory = &mut self.limiter;
        match descriptor.object {
            Object::Stream(_) => {}
            Object::File(file) => self.files.nodes().close(file.ino, memory),
            Object::Folder(folder) => {
                folder.listing.into_iter().for_each(|listing| listing.free(memory));
                self.files.nodes().close(folder.ino, memory);
            }
        }
        Ok(())
    }
}

/// Gives a descriptor the number of another one, which is closed.
fn renumber(host: &mut Host, from: u32, to: u32) -> Answer {
    host.descriptors.get(from)?;
    host.descriptors.get(to)?;
    if from != to {
        host.close(to)?;
        let moved = host.descriptors.take(from)?;
        host.descriptors.put(to, moved);
    }
    Ok(())
}

/// What kind of thing it is, its flags, and what can be done with it and with what is opened through it.
fn fdstat(guest: &mut Guest<'_>, fd: u32, at: u32) -> Answer {
    let Descriptor { object, flags } = guest.host().descriptors.get(fd)?;
    let (filetype, rights, inherited) = match object {
        Object::Stream(Stream::Input) => (FILETYPE_STREAM, RIGHTS_STREAM | RIGHT_READ, 0),
        Object::Stream(_) => (FILETYPE_STREAM, RIGHTS_STREAM | RIGHT_WRITE, 0),
        Object::File(file) => (FILETYPE_FILE, file.rights(), 0),
        Object::Folder(_) => (FILETYPE_DIRECTORY, RIGHTS_FOLDER, RIGHTS_FOLDER | RIGHTS_FILE | RIGHTS_FILE_WRITE),
    };
    let mut stat = [0; 24];
    stat[0] = filetype;
    stat[2..4].copy_from_slice(&flags.to_le_bytes());
    stat[8..16].copy_from_slice(&rights.to_le_bytes());
    stat[16..24].copy_from_slice(&inherited.to_le_bytes());
    guest.write(at, &stat)
}

impl OpenFile {
    fn rights(self) -> u64 {
        let unread = if self.reads { 0 } else { RIGHT_READ };
        let written = if self.writes { RIGHTS_FILE_WRITE } else { 0 };
        (RIGHTS_FILE & !unread) | written
    }
}

/// Remembered and shown. Appending is done; the others have no effect: nothing of ours blocks or is lost.
fn set_flags(guest: &mut Guest<'_>, fd: u32, flags: u32) -> Answer {
    let descriptor = guest.host().descriptors.get_mut(fd)?;
    if flags & !FLAGS != 0 {
        return Err(Errno::Inval.into());
    }
    descriptor.flags = flags as u16;
    Ok(())
}
