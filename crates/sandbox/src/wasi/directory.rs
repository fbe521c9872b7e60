//! Listing a directory: `.` and `..` first, then by name, byte for byte.
//!
//! A program asks for as many entries as its buffer holds, and for more from where it was. So that it neither misses nor
//! sees twice what stays while it removes and renames the rest, a directory that does not fit one buffer is listed as it
//! was at the first call.

use super::MODULE;
use super::descriptors::OpenFolder;
use super::errno::Errno;
use super::guest::{Answer, BYTE_FUEL, Guest, ITEM_FUEL, call};
use super::host::Host;
use super::stat::{FILETYPE_DIRECTORY, filetype};
use super::tree::{Ino, Nodes};
use crate::limiter::Limiter;
use wasmtime::{Caller, Linker};

/// What an entry has before its name.
const ENTRY_BYTES: usize = 24;
/// What a remembered entry takes of the memory limit besides its name.
pub(super) const LISTED_BYTES: u64 = 64;
/// Fuel of each entry that is remembered.
pub(super) const LISTED_FUEL: u64 = 100;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_readdir",
        |caller: Caller<'_, Host>, fd: u32, buffer: u32, len: u32, cookie: u64, used: u32| {
            call(caller, |guest| readdir(guest, fd, (buffer, len), cookie, used))
        },
    )?;
    Ok(())
}

/// The entries of a directory at one time, without `.` and `..`.
#[derive(Debug)]
pub(super) struct Listing {
    entries: Vec<(Box<str>, Ino, u8)>,
    charged: u64,
}

impl Listing {
    /// Remembers a directory's entries, if there is memory for that.
    fn new(nodes: &Nodes, folder: Ino, memory: &mut Limiter) -> Result<Option<Self>, Errno> {
        let children = &nodes.folder(folder)?.children;
        let charged = children.keys().map(|name| LISTED_BYTES + name.len() as u64).sum();
        Ok(memory.take(charged).then(|| {
            let kind = |ino| filetype(&nodes.node(ino).kind);
            let entries = children.iter().map(|(name, &ino)| (name.clone(), ino, kind(ino))).collect();
            Self { entries, charged }
        }))
    }

    /// Gives back what it takes.
    pub(super) fn free(self, memory: &mut Limiter) {
        memory.give(self.charged);
    }
}

fn readdir(guest: &mut Guest<'_>, fd: u32, (buffer, len): (u32, u32), cookie: u64, used: u32) -> Answer {
    let ino = guest.host().descriptors.folder(fd)?.ino;
    guest.check(buffer, len)?;
    guest.check(used, 4)?;
    if cookie == 0 {
        forget(guest, fd)?;
    }
    let host = guest.host();
    let page = Page::fill(host.descriptors.folder(fd)?, host.files.nodes(), cookie, len as usize)?;
    guest.charge(page.walked as u64 * ITEM_FUEL + page.bytes.len() as u64 * BYTE_FUEL)?;
    // A buffer that is not full says that there is no more.
    if page.bytes.len() < len as usize {
        forget(guest, fd)?;
    } else if cookie == 0 {
        let entries = guest.host().files.nodes().folder(ino)?.children.len();
        guest.charge(entries as u64 * LISTED_FUEL)?;
        let Host { descriptors, files, limiter, .. } = guest.host();
        descriptors.folder(fd)?.listing = Listing::new(files.nodes(), ino, limiter)?;
    }
    guest.write(buffer, &page.bytes)?;
    guest.write_u32(used, page.bytes.len() as u32)
}

/// The listing has come to its end, or begins anew.
fn forget(guest: &mut Guest<'_>, fd: u32) -> Answer {
    let host = guest.host();
    if let Some(listing) = host.descriptors.folder(fd)?.listing.take() {
        listing.free(&mut host.limiter);
    }
    Ok(())
}

/// As many entries as one buffer holds, the last of them perhaps cut off.
struct Page {
    bytes: Vec<u8>,
    len_max: usize,
    /// How many entries were looked at.
    walked: usize,
}

impl Page {
    /// The entries from number `cookie` on.
    fn fill(folder: &OpenFolder, nodes: &Nodes, cookie: u64, len_max: usize) -> Result<Self, Errno> {
        let here = nodes.folder(folder.ino)?;
        let dots = [(".", folder.ino, FILETYPE_DIRECTORY), ("..", here.parent, FILETYPE_DIRECTORY)];
        let skipped = usize::try_from(cookie).unwrap_or(usize::MAX);
        let (dots, beyond) = (dots.into_iter().skip(skipped), skipped.saturating_sub(dots.len()));
        let mut page = Self { bytes: Vec::new(), len_max, walked: 0 };
        match &folder.listing {
            Some(listing) => {
                let entries = listing.entries.iter().skip(beyond).map(|(name, ino, kind)| (&**name, *ino, *kind));
                page.extend(dots.chain(entries), cookie);
            }
            None => {
                let kind = |ino| filetype(&nodes.node(ino).kind);
                let entries = here.children.iter().skip(beyond).map(|(name, &ino)| (&**name, ino, kind(ino)));
                page.extend(dots.chain(entries), cookie);
                page.walked += beyond.min(here.children.len());
            }
        }
        Ok(page)
    }

    fn extend<'a>(&mut self, entries: impl Iterator<Item = (&'a str, Ino, u8)>, mut number: u64) {
        for (name, ino, kind) in entries {
            if self.bytes.len() == self.len_max {
                break;
            }
            self.walked += 1;
            number += 1;
            let mut entry = [0; ENTRY_BYTES];
            entry[..8].copy_from_slice(&number.to_le_bytes());
            entry[8..16].copy_from_slice(&ino.to_le_bytes());
            entry[16..20].copy_from_slice(&(name.len() as u32).to_le_bytes());
            entry[20] = kind;
            self.push(&entry);
            self.push(name.as_bytes());
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.len_max - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..fits]);
    }
}
