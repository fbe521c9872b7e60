//! `ledger audit`: everything once more, from the journal alone. specs/ledger.md §6.

use super::{ReadError, open_sealed, owner};
use crate::{driver::journal_context, home::Home, journal::Entry};
use pocketmesh_ledger::{
    Audit, Record,
    accounts::Standing,
    audit::{BadRecord, Reason},
    record::Content,
};
use pocketmesh_store::journal::{self, OpenError};
use pocketmesh_types::{Hash, PeerId};
use std::fs;

/// What was checked, and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whose journal it is.
    pub peer: PeerId,
    /// Records in it, of every kind: the hash of each was checked.
    pub records: u64,
    /// Of those, about money.
    pub money: u64,
    /// Signatures that were checked.
    pub signatures: u64,
    /// The chain value after the last record: equal values mean equal histories.
    pub chain: Hash,
    /// Bytes behind the last whole record: torn by a crash, or being written just now.
    pub torn_bytes: u64,
    /// Every counterparty, and how things stand with it.
    pub standings: Vec<(PeerId, Standing)>,
}

/// Why a journal does not pass.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A record is bad: the first one.
    #[error(transparent)]
    Bad(#[from] BadRecord),
    /// The journal, or the identity, cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Audits the journal of a data folder; a folder without one has nothing to be found fault with.
pub fn audit(home: &Home) -> Result<Report, AuditError> {
    let peer = owner(home).map_err(ReadError::from)?;
    let (mut audit, mut signatures) = (Audit::new(peer), 0);
    let mut report =
        Report { peer, records: 0, money: 0, signatures, chain: Hash::default(), torn_bytes: 0, standings: Vec::new() };
    if matches!(fs::exists(home.journal()), Ok(false)) {
        return Ok(report);
    }
    let context = journal_context(&home.config().network, &peer);
    let scanned = journal::scan(home.dir(), context, |sequence, payload| {
        // Also what is not about money must be readable: it stands in the same chain.
        let form =
            |error: pocketmesh_wire::cbor::DecodeError| BadRecord { sequence, reason: Reason::Form(error.to_string()) };
        if let Entry::Money { record, .. } = Entry::decode(payload).map_err(form)? {
            audit.take(sequence, &record, &open_sealed)?;
            signatures += count_statements(&record);
        }
        Ok(())
    });
    let scanned = scanned.map_err(blame)?;
    let found = audit.finish();
    report.signatures = signatures;
    (report.records, report.money, report.standings) = (scanned.records, found.records, found.standings);
    (report.chain, report.torn_bytes) = (scanned.chain, scanned.torn_bytes);
    Ok(report)
}

/// A record that was rejected says itself which it is.
fn blame(error: OpenError) -> AuditError {
    match error {
        OpenError::Rejected { path, sequence, source } => match source.downcast::<BadRecord>() {
            Ok(bad) => AuditError::Bad(*bad),
            Err(source) => ReadError::Journal(OpenError::Rejected { path, sequence, source }).into(),
        },
        other => ReadError::Journal(other).into(),
    }
}

fn count_statements(record: &Record) -> u64 {
    match &record.content {
        Content::Paid(payment) | Content::Received(payment) => payment.receipts.len() as u64 + 1,
        Content::Acknowledged(_) => 1,
        Content::WrittenOff { .. } | Content::Settled { .. } | Content::Forfeited { .. } | Content::Closed(_) => 0,
    }
}
