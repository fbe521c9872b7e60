//! A compiled program as bytes: what a process that compiles hands to one that runs, and what the disk keeps.

use std::hash::{Hash as _, Hasher};
use wasmtime::Engine;

/// What a task's limits are checked against before its program is loaded anywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Bytes of memory that the program starts with.
    pub(crate) memory: u64,
}

/// A compiled program. Whoever loads `code` does what it says, so it comes from our own compiler or cache alone.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    pub(crate) needs: Needs,
    pub(crate) code: Vec<u8>,
}

impl std::fmt::Debug for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Artifact({} bytes)", self.code.len())
    }
}

/// Equal for engines that can load each other's code: same version, configuration and features of the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    pub(crate) fn of(engine: &Engine) -> Self {
        let mut hasher = Fed(blake3::Hasher::new_derive_key("pocketmesh compiled program engine 1"));
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(*hasher.0.finalize().as_bytes())
    }
}

/// Feeds what the engine hashes of itself to a hash that is the same in every run.
struct Fed(blake3::Hasher);

impl Hasher for Fed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        pocketmesh_types::Hash(*self.0.finalize().as_bytes()).to_u64()
    }
}
