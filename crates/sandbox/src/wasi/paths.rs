//! What a program does by path: opening, making, removing and renaming.

use super::MODULE;
use super::descriptors::{Descriptor, FLAGS, Object, OpenFile, OpenFolder, RIGHT_READ, RIGHT_WRITE};
use super::errno::Errno;
use super::files;
use super::guest::{Answer, BYTE_FUEL, Guest, call};
use super::host::Host;
use super::tree::{Ino, Kind, Place};
use pocketmesh_types::limits;
use wasmtime::{Caller, Linker};

/// Fuel of each name in a path, which is looked up in a directory, and of each file or directory that renaming one
/// looks at.
pub(super) const NAME_FUEL: u64 = 200;
/// Fuel of making a file or directory, which pays for removing it too.
pub(super) const NODE_FUEL: u64 = 1000;
/// A path as a program gives it: what Linux takes, and twice what a path in a tree may have.
pub(super) const PATH_BYTES_MAX: usize = 2 * limits::PATH_BYTES_MAX;

const OPEN_CREATE: u32 = 1;
const OPEN_DIRECTORY: u32 = 2;
const OPEN_EXCLUSIVE: u32 = 4;
const OPEN_TRUNCATE: u32 = 8;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "path_open",
        |caller: Caller<'_, Host>,
         fd: u32,
         _lookup: u32,
         path: u32,
         len: u32,
         how: u32,
         rights: u64,
         _inherited: u64,
         flags: u32,
         opened: u32| {
            call(caller, |guest| {
                let (base, path) = read(guest, fd, path, len)?;
                guest.check(opened, 4)?;
                let fd = Open::new(how, rights, flags)?.open(guest, base, &path)?;
                guest.write_u32(opened, fd)
            })
        },
    )?;
    linker.func_wrap(MODULE, "path_create_directory", |caller: Caller<'_, Host>, fd: u32, path: u32, len: u32| {
        call(caller, |guest| {
            let (base, path) = read(guest, fd, path, len)?;
            create_directory(guest, base, &path)
        })
    })?;
    linker.func_wrap(MODULE, "path_remove_directory", |caller: Caller<'_, Host>, fd: u32, path: u32, len: u32| {
        call(caller, |guest| {
            let (base, path) = read(guest, fd, path, len)?;
            let host = guest.host();
            let nodes = host.files.nodes();
            Ok(nodes.remove_folder(&nodes.resolve(base, &path)?, &mut host.limiter)?)
        })
    })?;
    linker.func_wrap(MODULE, "path_unlink_file", |caller: Caller<'_, Host>, fd: u32, path: u32, len: u32| {
        call(caller, |guest| {
            let (base, path) = read(guest, fd, path, len)?;
            let host = guest.host();
            let nodes = host.files.nodes();
            Ok(nodes.unlink(&nodes.resolve(base, &path)?, &mut host.limiter)?)
        })
    })?;
    linker.func_wrap(
        MODULE,
        "path_rename",
        |caller: Caller<'_, Host>, fd: u32, path: u32, len: u32, new_fd: u32, new_path: u32, new_len: u32| {
            call(caller, |guest| {
                let (base, path) = read(guest, fd, path, len)?;
                let (new_base, new_path) = read(guest, new_fd, new_path, new_len)?;
                rename(guest, (base, &path), (new_base, &new_path))
            })
        },
    )?;
    // Nothing is a symbolic link, which is what `EINVAL` says of something that is there.
    linker.func_wrap(
        MODULE,
        "path_readlink",
        |caller: Caller<'_, Host>, fd: u32, path: u32, len: u32, _target: u32, _target_len: u32, _used: u32| {
            call(caller, |guest| {
                let (base, path) = read(guest, fd, path, len)?;
                guest.host().files.nodes().find(base, &path)?;
                Err(Errno::Inval.into())
            })
        },
    )?;
    Ok(())
}

/// The directory that a path starts from, and the path. Looking it up is paid for here.
pub(super) fn read(guest: &mut Guest<'_>, fd: u32, path: u32, len: u32) -> Answer<(Ino, String)> {
    let base = guest.host().descriptors.folder(fd)?.ino;
    if len as usize > PATH_BYTES_MAX {
        return Err(Errno::Nametoolong.into());
    }
    guest.charge(u64::from(len) * BYTE_FUEL)?;
    let path = String::from_utf8(guest.bytes(path, len)?.to_vec()).map_err(|_| Errno::Ilseq)?;
    let names = path.split('/').filter(|name| !name.is_empty()).count();
    guest.charge(names as u64 * NAME_FUEL)?;
    Ok((base, path))
}

/// How something is to be opened.
#[derive(Clone, Copy)]
struct Open {
    create: bool,
    exclusive: bool,
    truncate: bool,
    directory: bool,
    reads: bool,
    writes: bool,
    flags: u16,
}

impl Open {
    /// Of the rights only those to read and to write count.
    fn new(how: u32, rights: u64, flags: u32) -> Result<Self, Errno> {
        let all = OPEN_CREATE | OPEN_DIRECTORY | OPEN_EXCLUSIVE | OPEN_TRUNCATE;
        let directory = how & OPEN_DIRECTORY != 0;
        if how & !all != 0 || flags & !FLAGS != 0 || (directory && how != OPEN_DIRECTORY) {
            return Err(Errno::Inval);
        }
        Ok(Self {
            create: how & OPEN_CREATE != 0,
            exclusive: how & OPEN_EXCLUSIVE != 0,
            truncate: how & OPEN_TRUNCATE != 0,
            directory,
            reads: rights & RIGHT_READ != 0,
            writes: rights & RIGHT_WRITE != 0,
            flags: flags as u16,
        })
    }

    fn open(self, guest: &mut Guest<'_>, base: Ino, path: &str) -> Answer<u32> {
        let host = guest.host();
        let fd = host.descriptors.free()?;
        let nodes = host.files.nodes();
        let place = nodes.resolve(base, path)?;
        let found = nodes.at(&place)?;
        let object = match found {
            Some(_) if self.create && self.exclusive => return Err(Errno::Exist.into()),
            Some(ino) => self.open_found(guest, ino)?,
            None if self.create => Object::File(self.file(create_file(guest, &place)?)),
            None => return Err(Errno::Noent.into()),
        };
        let host = guest.host();
        match &object {
            Object::File(file) => host.files.nodes().open(file.ino),
            Object::Folder(folder) => host.files.nodes().open(folder.ino),
            Object::Stream(_) => {}
        }
        host.descriptors.put(fd, Descriptor { object, flags: self.flags });
        Ok(fd)
    }

    fn open_found(self, guest: &mut Guest<'_>, ino: Ino) -> Answer<Object> {
        match &guest.host().files.nodes().node(ino).kind {
            Kind::Folder(_) if self.writes || self.create || self.truncate => Err(Errno::Isdir.into()),
            Kind::Folder(_) => Ok(Object::Folder(OpenFolder::new(ino))),
            Kind::File(_) if self.directory => Err(Errno::Notdir.into()),
            Kind::File(content) if (self.writes || self.truncate) && !content.may_write() => Err(Errno::Rofs.into()),
            Kind::File(_) => {
                if self.truncate {
                    files::resize(guest, ino, 0)?;
                }
                Ok(Object::File(self.file(ino)))
            }
        }
    }

    fn file(self, ino: Ino) -> OpenFile {
        OpenFile { ino, at: 0, reads: self.reads, writes: self.writes }
    }
}

fn create_file(guest: &mut Guest<'_>, place: &Place<'_>) -> Answer<Ino> {
    let name = place.name.filter(|_| !place.slash).ok_or(Errno::Isdir)?;
    guest.charge(NODE_FUEL)?;
    let host = guest.host();
    Ok(host.files.nodes().create(place.folder, name, Kind::new_file, &mut host.limiter)?)
}

fn create_directory(guest: &mut Guest<'_>, base: Ino, path: &str) -> Answer {
    guest.charge(NODE_FUEL)?;
    let host = guest.host();
    let nodes = host.files.nodes();
    let place = nodes.resolve(base, path)?;
    let name = place.name.ok_or(Errno::Exist)?;
    if nodes.child(place.folder, name)?.is_some() {
        return Err(Errno::Exist.into());
    }
    nodes.create(place.folder, name, Kind::new_folder, &mut host.limiter)?;
    Ok(())
}

fn rename(guest: &mut Guest<'_>, from: (Ino, &str), to: (Ino, &str)) -> Answer {
    let host = guest.host();
    let nodes = host.files.nodes();
    let (from, to) = (nodes.resolve(from.0, from.1)?, nodes.resolve(to.0, to.1)?);
    let renamed = nodes.renamed(&from, &to)?;
    guest.charge(renamed.looked_at * NAME_FUEL)?;
    let host = guest.host();
    Ok(host.files.nodes().rename(&renamed, &from, &to, &mut host.limiter)?)
}
