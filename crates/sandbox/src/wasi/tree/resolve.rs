//! From a path to what it leads to.
//!
//! A path starts at a directory that the program has open and never leads out of it: one that begins with `/`, or goes
//! up too far, is refused.

use super::Nodes;
use super::node::Ino;
use crate::wasi::errno::Errno;
use pocketmesh_types::limits;

/// Where a path leads: a name in a directory, whether something has the name or not.
#[derive(Debug, Clone, Copy)]
pub(in crate::wasi) struct Place<'a> {
    pub(in crate::wasi) folder: Ino,
    /// `None` where the path ends with `.` or `..`: it leads to the directory itself.
    pub(in crate::wasi) name: Option<&'a str>,
    /// Whether the path ends with `/`: it leads to a directory or nowhere.
    pub(in crate::wasi) slash: bool,
}

impl Nodes {
    /// Where `path` leads from `base`.
    pub(in crate::wasi) fn resolve<'a>(&self, base: Ino, path: &'a str) -> Result<Place<'a>, Errno> {
        if path.is_empty() {
            return Err(Errno::Noent);
        }
        if path.starts_with('/') {
            return Err(Errno::Perm);
        }
        let slash = path.ends_with('/');
        let trimmed = path.trim_end_matches('/');
        let (folders, last) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
        let (mut folder, mut depth) = (base, 0);
        for name in folders.split('/') {
            folder = self.step(folder, name, &mut depth)?;
        }
        if last == "." || last == ".." {
            folder = self.step(folder, last, &mut depth)?;
            return Ok(Place { folder, name: None, slash });
        }
        Ok(Place { folder, name: Some(last), slash })
    }

    /// One name further, or up; `depth` tells how far below the start this is.
    fn step(&self, folder: Ino, name: &str, depth: &mut usize) -> Result<Ino, Errno> {
        let here = self.folder(folder)?;
        match name {
            "" | "." => Ok(folder),
            ".." => {
                *depth = depth.checked_sub(1).ok_or(Errno::Perm)?;
                Ok(here.parent)
            }
            _ => {
                *depth += 1;
                let next = self.child(folder, name)?.ok_or(Errno::Noent)?;
                self.folder(next).map(|_| next)
            }
        }
    }

    /// What has this name in a directory.
    pub(in crate::wasi) fn child(&self, folder: Ino, name: &str) -> Result<Option<Ino>, Errno> {
        if name.len() > limits::NAME_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        Ok(self.folder(folder)?.children.get(name).copied())
    }

    /// What is at a place.
    pub(in crate::wasi) fn at(&self, place: &Place<'_>) -> Result<Option<Ino>, Errno> {
        let Some(name) = place.name else { return Ok(Some(place.folder)) };
        let found = self.child(place.folder, name)?;
        if let Some(ino) = found.filter(|_| place.slash) {
            self.folder(ino)?;
        }
        Ok(found)
    }

    /// What `path` leads to from `base`.
    pub(in crate::wasi) fn find(&self, base: Ino, path: &str) -> Result<Ino, Errno> {
        self.at(&self.resolve(base, path)?)?.ok_or(Errno::Noent)
    }
}
