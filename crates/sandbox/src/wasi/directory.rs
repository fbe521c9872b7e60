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
    guest.host().descriptors.folder(fd)?;
    guest.check(buffer, len)?;
    guest.check(used, 4)?;
    let Host { descriptors, files, limiter, .. } = guest.host();
    let (folder, nodes) = (descriptors.folder(fd)?, files.nodes());
    if cookie == 0 {
        folder.listing.take().into_iter().for_each(|listing| listing.free(limiter));
    }
    let page = Page::fill(folder, nodes, cookie, len as usize)?;
    let mut walked = page.walked;
    if !page.is_full(len) {
        folder.listing.take().into_iter().for_each(|listing| listing.free(limiter));
    } else if folder.listing.is_none() && cookie == 0 {
        folder.listing = Listing::new(nodes, folder.ino, limiter)?;
        walked += folder.listing.as_ref().map_or(0, |listing| listing.entries.len());
    }
    guest.charge(walked as u64 * ITEM_FUEL + page.bytes.len() as u64 * BYTE_FUEL)?;
    guest.write(buffer, &page.bytes)?;
    guest.write_u32(used, page.bytes.len() as u32)
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
        let mut page = Self { bytes: Vec::new(), len_max, walked: 0 };
        match &folder.listing {
            Some(listing) => {
                let entries = listing.entries.iter().map(|(name, ino, kind)| (&**name, *ino, *kind));
                page.extend(dots.into_iter().chain(entries), skipped);
            }
            None => {
                let children = here.children.iter();
                let entries = children.map(|(name, &ino)| (&**name, ino, filetype(&nodes.node(ino).kind)));
                page.extend(dots.into_iter().chain(entries), skipped);
                page.walked += skipped.min(here.children.len());
            }
        }
        Ok(page)
    }

    fn extend<'a>(&mut self, entries: impl Iterator<Item = (&'a str, Ino, u8)>, skipped: usize) {
        for (number, (name, ino, kind)) in entries.enumerate().skip(skipped) {
            if self.bytes.len() == self.len_max {
                break;
            }
            self.walked += 1;
            let mut entry = [0; ENTRY_BYTES];
            entry[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
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

    /// A buffer that is not full says that there is no more.
    fn is_full(&self, len: u32) -> bool {
        self.bytes.len() == len as usize
    }
}
