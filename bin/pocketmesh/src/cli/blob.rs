//! `blob`: the words of its commands.

use clap::Subcommand;
use pocketmesh_types::{BlobId, PeerId};
use std::path::PathBuf;

/// `blob`
#[derive(Debug, Subcommand)]
pub enum Blob {
    /// Store files under the hash of their bytes, keep them, and tell the mesh of them
    Add {
        /// The files; `-` is standard input
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Do not keep them: they may go when room is needed, and the mesh is not told
        #[arg(long)]
        no_keep: bool,
    },
    /// Bring a blob here from any peers that have it, and write it out
    Get {
        /// Its hash
        #[arg(value_name = "HASH")]
        id: BlobId,
        /// Write it to this file and not to standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Ask this peer too; may be repeated
        #[arg(long, value_name = "PEER")]
        from: Vec<PeerId>,
    },
    /// Show all blobs
    Ls,
    /// Show one blob
    Stat {
        /// Its hash
        #[arg(value_name = "HASH")]
        id: BlobId,
    },
    /// Keep a blob, whatever room is needed, and tell the mesh of it
    Pin {
        /// Its hash
        #[arg(value_name = "HASH")]
        id: BlobId,
    },
    /// Keep a blob no longer
    Unpin {
        /// Its hash
        #[arg(value_name = "HASH")]
        id: BlobId,
    },
    /// Remove all blobs that nobody keeps and no job needs
    Gc {
        /// Read the others, and put aside those that do not match their hash
        #[arg(long)]
        check: bool,
    },
}
