//! What has come about with whom, row by row: for `wallet history`, `wallet export` and `receipts list`.

use super::{ReadError, open_sealed, scan};
use crate::home::Home;
use pocketmesh_ledger::{
    Accounts, Entry,
    accounts::Standing,
    record::{Debtor, Opened},
};
use pocketmesh_types::{Credits, Fuel, JobId, Lane, PeerId, PerGib, Price, ReceiptId, UnixTime};
use serde::Serialize;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// We paid a slice.
    Paid,
    /// We were paid for one.
    Received,
    /// A payee has our voucher.
    Acknowledged,
    /// A debt was given up.
    WrittenOff,
    /// A debt was settled outside.
    Settled,
    /// Results are void, and never paid.
    Forfeited,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The number of its record in the journal.
    pub record: u64,
    /// When that was written, by the wall clock.
    pub at: UnixTime,
    /// What happened.
    pub what: What,
    /// With whom.
    pub peer: PeerId,
    /// How much it is, in atto-credits; of an acknowledgement, what the lane comes to.
    pub amount: Credits,
    /// In which job.
    pub job: Option<JobId>,
    /// By which receipt.
    pub receipt: Option<ReceiptId>,
    /// On which lane.
    pub lane: Option<Lane>,
    /// How many results.
    pub tasks: Option<u64>,
    /// The fuel that they took.
    pub fuel: Option<Fuel>,
    /// What was moved for them, in bytes.
    pub bytes: Option<u64>,
    /// At which price of the fuel.
    pub price: Option<Price>,
    /// And of the bytes.
    pub per_gib: Option<PerGib>,
    /// What the peer owes us after the record.
    pub owes_us: Credits,
    /// What we owe it after the record.
    pub owed_by_us: Credits,
}

/// Hands the whole history of a data folder to `show`, oldest first. Each record is checked as at the daemon's start.
pub fn visit(home: &Home, mut show: impl FnMut(Row)) -> Result<(), ReadError> {
    let mut accounts = Accounts::unforgetting(super::owner(home)?);
    scan(home, |record, at, content| {
        let entry = content.open(&open_sealed)?;
        accounts.apply(&entry)?;
        rows(record, at, &entry, &accounts).into_iter().for_each(&mut show);
        Ok(())
    })?;
    Ok(())
}

fn rows(record: u64, at: UnixTime, entry: &Entry, accounts: &Accounts) -> Vec<Row> {
    let row = |what, peer, amount| {
        let Standing { owes_us, owed_by_us, .. } = accounts.standing(&peer);
        Row {
            record,
            at,
            what,
            peer,
            amount,
            job: None,
            receipt: None,
            lane: None,
            tasks: None,
            fuel: None,
            bytes: None,
            price: None,
            per_gib: None,
            owes_us,
            owed_by_us,
        }
    };
    let of_payment = |what, peer, payment: &Opened| {
        let slice = |(id, receipt): &(ReceiptId, pocketmesh_types::Receipt)| Row {
            job: Some(receipt.job),
            receipt: Some(*id),
            lane: Some(receipt.lane),
            tasks: Some(receipt.count()),
            fuel: Some(receipt.fuel),
            bytes: Some(receipt.bytes),
            price: Some(receipt.price),
            per_gib: Some(receipt.per_gib),
            ..row(what, peer, receipt.total().unwrap_or_default())
        };
        payment.receipts.iter().map(slice).collect()
    };
    match entry {
        Entry::Paid(payment) => of_payment(What::Paid, payment.voucher.payee, payment),
        Entry::Received(payment) => of_payment(What::Received, payment.voucher.client, payment),
        Entry::Acknowledged(quittance) => {
            let lane = Some(quittance.lane);
            vec![Row { lane, ..row(What::Acknowledged, quittance.payee, quittance.cumulative) }]
        }
        &Entry::WrittenOff(peer, amount) => vec![row(What::WrittenOff, peer, amount)],
        // Whose debt it was shows in what is left of it.
        &Entry::Settled(peer, Debtor::Us | Debtor::Them, amount) => vec![row(What::Settled, peer, amount)],
        Entry::Forfeited { job, client, payee, tasks } => {
            let peer = if *client == accounts.me() { *payee } else { *client };
            let count = tasks.iter().map(|&(start, end)| u64::from(end.saturating_sub(start))).sum();
            vec![Row { job: Some(*job), tasks: Some(count), ..row(What::Forfeited, peer, Credits::default()) }]
        }
        Entry::Closed(_) => Vec::new(),
    }
}
