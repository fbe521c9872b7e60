//! The blob store's notes, in sled: they may be lost, and are written anew as blobs are used.

use pocketmesh_blobs::store::Notes;
use pocketmesh_store::index::{Tree, UseError};
use std::fmt;

/// Their tree.
pub const TREE: &str = "blobs";

/// See the module.
pub struct InIndex(pub Tree);

impl fmt::Debug for InIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InIndex")
    }
}

impl Notes for InIndex {
    fn all(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.scan_prefix(b"").map_while(Result::ok).collect()
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        tell(self.0.put(key, value));
    }

    fn unset(&self, key: &[u8]) {
        tell(self.0.remove(key));
    }
}

fn tell(outcome: Result<(), UseError>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, "a note about a blob was not kept");
    }
}
