//! Money as it lies on the disk: looked at, audited, listed and exported, with or without a daemon.
//!
//! Everything here reads the journal and nothing else; it takes no lock and changes nothing. What is due, and who is to be paid, is
//! decided in `pocketmesh-protocol`.

pub mod audit;
pub mod history;
pub mod receipts;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;

use crate::{
    driver::journal_context,
    home::{Home, KeyError},
    journal::Entry,
};
use pocketmesh_ledger::Record;
use pocketmesh_store::journal::{self, OpenError, Scanned};
use pocketmesh_types::{PeerId, Signed, UnixTime};
use pocketmesh_wire::{Strict, statement};
use std::{error::Error, fs};

/// Why the money of a data folder cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The identity cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] OpenError),
}

/// What [`scan`]'s caller says to stop it.
type Stop = Box<dyn Error + Send + Sync>;

/// Opens a sealed statement: its signature is checked.
pub fn open_sealed(sealed: &[u8]) -> Result<Signed, String> {
    statement::open(sealed, &Strict).map_err(|error| error.to_string())
}

/// Whose journal it is.
fn owner(home: &Home) -> Result<PeerId, KeyError> {
    Ok(home.seed()?.peer())
}

/// Hands every record of money to `look`, in order: its number in the journal, when it was written, and the record. Nothing is
/// found in a folder that has no journal yet.
fn scan(
    home: &Home,
    mut look: impl FnMut(u64, UnixTime, &Record) -> Result<(), Stop>,
) -> Result<Option<Scanned>, ReadError> {
    if matches!(fs::exists(home.journal()), Ok(false)) {
        return Ok(None);
    }
    let context = journal_context(&home.config().network, &owner(home)?);
    let scanned = journal::scan(home.dir(), context, |sequence, payload| {
        if !Entry::is_money(payload) {
            return Ok(());
        }
        match Entry::decode(payload)? {
            Entry::Money { at, record } => look(sequence, at, &record),
            _ => Ok(()),
        }
    });
    Ok(Some(scanned?))
}
