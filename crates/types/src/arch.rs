//! What kind of processor a peer has, as it says itself.

use serde::{Deserialize, Serialize};

/// A processor architecture. It decides no outcome; that an engine may have a fault on one of them is why a peer is
/// convicted only on the word of a witness of its own kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
    /// Something else: programs are interpreted there.
    #[default]
    Other,
}

impl Arch {
    /// The architecture of this name, as Rust and `uname` have it.
    pub fn of_name(name: &str) -> Self {
        match name {
            "x86_64" => Self::X86_64,
            "aarch64" => Self::Aarch64,
            "riscv64" => Self::Riscv64,
            _ => Self::Other,
        }
    }
}
