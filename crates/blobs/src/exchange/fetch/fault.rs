//! What can go wrong with a provider, and with a fetch.

use crate::store::PutError;
use pocketmesh_types::{BlobId, PeerId};
use std::{collections::BTreeMap, io};

/// How a provider failed us. Its stream has been dropped.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It does not have the blob, or not for us.
    #[error("does not have it")]
    NotHere,
    /// No stream to it could be opened.
    #[error("cannot be reached: {0}")]
    Unreachable(#[source] io::Error),
    /// By its word the blob has another length.
    #[error("says that it has {announced} bytes and not {wanted}")]
    WrongLength {
        /// What it says.
        announced: u64,
        /// What was wanted.
        wanted: u64,
    },
    /// By its word the blob has more bytes than are wanted.
    #[error("says that it has {len} bytes, and at most {max_bytes} are wanted")]
    TooLong {
        /// What it says.
        len: u64,
        /// What may come.
        max_bytes: u64,
    },
    /// It sent other bytes than the blob has.
    #[error("sent wrong bytes at group {group}")]
    WrongBytes {
        /// Which 16 KiB they were to be.
        group: u32,
    },
    /// It sent what is no answer of this protocol.
    #[error("sent what is no answer to a blob request")]
    Malformed,
    /// The stream ended in the middle.
    #[error("closed the stream")]
    CutShort,
    /// It took too long over 64 KiB.
    #[error("stalled")]
    Stalled,
    /// The stream broke.
    #[error("was lost: {0}")]
    Stream(#[source] io::Error),
}

impl Fault {
    /// Whether no honest peer could have done it, whatever its disk and its lines.
    pub fn is_lie(&self) -> bool {
        matches!(self, Self::WrongBytes { .. } | Self::Malformed)
    }

    /// Whether it may be worth asking again.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::NotHere | Self::Unreachable(_) | Self::CutShort | Self::Stalled | Self::Stream(_))
    }
}

/// Why a blob is not here. What has been checked of it is kept, and the next fetch goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody gave it, or the rest of it.
    #[error("blob {id} cannot be had: {}", told(.faults))]
    NotHere {
        /// The blob.
        id: BlobId,
        /// What each provider did.
        faults: BTreeMap<PeerId, Fault>,
    },
    /// It is longer than is wanted.
    #[error("the blob has {len} bytes, and at most {max_bytes} are wanted")]
    TooLong {
        /// Its length.
        len: u64,
        /// What may come.
        max_bytes: u64,
    },
    /// Our store could not take it.
    #[error(transparent)]
    Store(#[from] PutError),
}

impl FetchError {
    /// The peers that sent what no honest one could have.
    pub fn liars(&self) -> Vec<PeerId> {
        match self {
            Self::NotHere { faults, .. } => liars(faults),
            _ => Vec::new(),
        }
    }
}

/// Those whose fault was a lie.
pub(super) fn liars(faults: &BTreeMap<PeerId, Fault>) -> Vec<PeerId> {
    faults.iter().filter(|(_, fault)| fault.is_lie()).map(|(peer, _)| *peer).collect()
}

/// One peer's fault in full, and how many there are besides.
fn told(faults: &BTreeMap<PeerId, Fault>) -> String {
    let lie_first = faults.iter().max_by_key(|(_, fault)| (fault.is_lie(), !matches!(fault, Fault::NotHere)));
    match lie_first {
        None => "no peer is known to have it".into(),
        Some((peer, fault)) if faults.len() == 1 => format!("peer {peer} {fault}"),
        Some((peer, fault)) => format!("of {} peers that were asked, {peer} {fault}", faults.len()),
    }
}
