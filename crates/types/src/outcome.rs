//! What a task came to: the part of an execution that every honest peer gets alike.

use crate::{BlobId, Fuel, Hash, bytes};
use core::fmt;
use serde::{Deserialize, Serialize};

/// How an execution ended. Each of these is deterministic, so each can be claimed and cross-checked. Stack exhaustion,
/// wall-clock kills and host failures are not here: they are no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Exit {
    /// The program ended by itself with this code; 0 is success.
    Code(i32),
    /// The program did something forbidden: unreachable code, a bad memory access, a division by zero.
    Trap,
    /// The fuel limit was reached.
    OutOfFuel,
    /// The program wrote more than the output limit.
    OutputLimit,
}

impl Exit {
    /// A fixed encoding for the digest: a tag and the code.
    fn to_bytes(self) -> [u8; 5] {
        let (tag, code) = match self {
            Self::Code(code) => (0, code),
            Self::Trap => (1, 0),
            Self::OutOfFuel => (2, 0),
            Self::OutputLimit => (3, 0),
        };
        let mut bytes = [tag, 0, 0, 0, 0];
        bytes[1..].copy_from_slice(&code.to_le_bytes());
        bytes
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Trap => f.write_str("trapped"),
            Self::OutOfFuel => f.write_str("out of fuel"),
            Self::OutputLimit => f.write_str("wrote more than the output limit"),
        }
    }
}

/// One output stream or file: its name by content, and its length in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Output {
    /// BLAKE3 of the bytes.
    pub id: BlobId,
    /// Length in bytes.
    pub len: u64,
}

impl Output {
    /// Names these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { id: BlobId::of(bytes), len: bytes.len() as u64 }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The outcome of one task. Its [`digest`](Self::digest) is what replicas are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// Fuel used: part of the outcome, so the bill is cross-checked with the result.
    pub fuel: Fuel,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// The list of the files under `/out`, a [`Tree`](crate::Tree); empty if there are none.
    pub files: Output,
    /// How many bytes those files have, all together.
    #[serde(default, skip_serializing_if = "bytes::is_zero")]
    pub files_bytes: u64,
}

impl Outcome {
    /// What the digest is over. Outcomes without files had it before files were counted; others are never compared with
    /// those of that time, because this is part of the profile's name.
    pub const LAYOUT: &str = "2, bytes of files";

    /// The hash of all of it, in a fixed layout.
    pub fn digest(&self) -> Hash {
        let mut hasher = blake3::Hasher::new_derive_key("pocketmesh outcome 2");
        hasher.update(&self.exit.to_bytes());
        hasher.update(&self.fuel.0.to_le_bytes());
        for output in [self.stdout, self.stderr, self.files] {
            hasher.update(output.id.as_bytes());
            hasher.update(&output.len.to_le_bytes());
        }
        if self.files_bytes > 0 {
            hasher.update(&self.files_bytes.to_le_bytes());
        }
        Hash(*hasher.finalize().as_bytes())
    }

    /// The bytes of both streams, of the files, and of their list: what its worker sends.
    pub fn bytes(&self) -> u64 {
        let outputs = [self.stdout.len, self.stderr.len, self.files.len, self.files_bytes];
        outputs.into_iter().fold(0, u64::saturating_add)
    }

    /// Whether the program ended well.
    pub fn is_success(&self) -> bool {
        self.exit == Exit::Code(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_in_the_digest() {
        let (stdout, empty) = (Output::of(b"a"), Output::of(b""));
        let outcome =
            Outcome { exit: Exit::Code(0), fuel: Fuel(7), stdout, stderr: empty, files: empty, files_bytes: 0 };
        let others = [
            Outcome { exit: Exit::Code(1), ..outcome },
            Outcome { exit: Exit::Trap, ..outcome },
            Outcome { fuel: Fuel(8), ..outcome },
            Outcome { stdout: Output::of(b"b"), ..outcome },
            Outcome { stderr: Output::of(b"b"), ..outcome },
            Outcome { files: Output::of(b"b"), ..outcome },
            Outcome { files_bytes: 1, ..outcome },
        ];
        for other in others {
            assert_ne!(other.digest(), outcome.digest(), "{other:?}");
        }
    }
}
