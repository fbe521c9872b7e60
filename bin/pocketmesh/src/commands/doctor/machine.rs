//! The machine's disk, cores and memory, and who may read the data folder.

use super::finding::Finding;
use crate::quantity;
use pocketmesh_node::Home;
use pocketmesh_node::home::{Provide, Size};
use pocketmesh_types::limits::DEFAULT_TASK_MEMORY_BYTES;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// With less than this the journal cannot go on for long, and a peer not without its journal.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Whether the folder is its owner's alone, and its key usable.
pub fn privacy(home: &Home) -> Finding {
    let (what, shown) = ("data folder", home.dir().display());
    let mode = std::fs::metadata(home.dir()).map(|metadata| metadata.permissions().mode() & 0o777);
    match (mode, home.seed()) {
        (Err(error), _) => Finding::fails(what, format!("cannot look at {shown}: {error}")),
        (_, Err(error)) => Finding::fails(what, error.to_string()),
        (Ok(mode), _) if mode & 0o077 != 0 => {
            Finding::fails(what, format!("{shown} can be entered by others (mode {mode:o})"))
                .remedy(format!("`chmod 700 {shown}`"))
        }
        (Ok(_), Ok(seed)) => Finding::ok(what, format!("{shown}, yours alone; peer {}", seed.peer())),
    }
}

/// The room on the disk that the folder is, or will be, on.
pub fn disk(dir: &Path, quota: Size) -> Finding {
    let what = "disk";
    let existing = dir.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let free = match rustix::fs::statvfs(existing) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => return Finding::lacks(what, format!("cannot tell how much room there is: {error}")),
    };
    let shown = format!("{} free, of which the peer may take {quota}", Size(free));
    match free {
        _ if free < FREE_BYTES_MIN => Finding::fails(what, shown).remedy("free some: the journal needs room to grow"),
        _ if free < quota.0 => Finding::lacks(what, shown).remedy("set `quota` in [storage] to less, or free some"),
        _ => Finding::ok(what, shown),
    }
}

/// What of cores and memory tasks of others get.
pub fn gives(provide: &Provide) -> Vec<Finding> {
    if !provide.enabled {
        return vec![Finding::ok("cores, memory", "none are given: `enabled = false` in [provide]")];
    }
    let (cores, memory) = (provide.cores(), provide.memory());
    let there = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let given =
        Finding::ok("cores", format!("{cores} of {there} given: {} at once", quantity::count(cores.into(), "task")));
    let each = memory / u64::from(cores.max(1));
    let text = format!("{} given: {} for each task", Size(memory), Size(each));
    let enough = each >= DEFAULT_TASK_MEMORY_BYTES;
    let memory = if enough { Finding::ok("memory", text) } else { Finding::lacks("memory", text) };
    let usual = Size(DEFAULT_TASK_MEMORY_BYTES);
    let remedy =
        format!("most jobs ask for {usual} a task, and this peer will not bid for them: give fewer cores, or more");
    vec![given, if enough { memory } else { memory.remedy(remedy) }]
}
