//! Taking a job's receipts out of the journal.

use super::{File, Payment};
use crate::{
    home::Home,
    money::{ReadError, open_sealed, owner, scan},
};
use pocketmesh_ledger::record::{self, Content};
use pocketmesh_types::{JobId, Lane, PeerId, Statement, merkle::Frontier};
use pocketmesh_wire::cbor;
use std::collections::BTreeMap;

/// Why the receipts of a job cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There are too many.
    #[error("the receipts of this job take {0} bytes, which is more than a file of them may have")]
    TooLong(usize),
}

/// How far the lanes are, and what was found.
#[derive(Default)]
struct Gathered {
    lanes: BTreeMap<(PeerId, Lane), Frontier>,
    payments: Vec<Payment>,
    /// Which of them waits for a quittance, by payee and lane: the newest one.
    open: BTreeMap<(PeerId, Lane), usize>,
}

/// The bytes of a file with all that was paid for a job, as far as the journal knows. A job of which nothing was paid has a file that
/// says so.
pub fn gather(home: &Home, job: JobId) -> Result<Vec<u8>, GatherError> {
    let mut gathered = Gathered::default();
    scan(home, |_, _, record| {
        match &record.content {
            Content::Paid(payment) => gathered.take_payment(job, payment)?,
            Content::Acknowledged(sealed) => gathered.take_quittance(sealed)?,
            _ => {}
        }
        Ok(())
    })?;
    let client = owner(home).map_err(ReadError::from)?;
    let bytes = cbor::encode(&File::new(job, client, gathered.payments));
    if bytes.len() <= super::FILE_BYTES_MAX { Ok(bytes) } else { Err(GatherError::TooLong(bytes.len())) }
}

impl Gathered {
    fn take_payment(&mut self, job: JobId, payment: &record::Payment) -> Result<(), record::Unreadable> {
        let opened = payment.open(&open_sealed)?;
        let lane = (opened.voucher.payee, opened.voucher.lane);
        let frontier = self.lanes.entry(lane).or_default();
        let (before, peaks) = (frontier.len(), frontier.peaks().to_vec());
        opened.receipts.iter().for_each(|(id, _)| frontier.push(id.0));
        self.open.remove(&lane);
        if opened.receipts.iter().any(|(_, receipt)| receipt.job == job) {
            self.open.insert(lane, self.payments.len());
            let record::Payment { receipts, voucher } = payment.clone();
            self.payments.push(Payment { before, peaks, receipts, voucher, quittance: None });
        }
        Ok(())
    }

    /// A quittance is of the newest voucher of its lane: the next one is not given before it is here.
    fn take_quittance(&mut self, sealed: &pocketmesh_types::Bytes) -> Result<(), String> {
        let Statement::Quittance(quittance) = open_sealed(sealed)?.statement else { return Ok(()) };
        if let Some(at) = self.open.remove(&(quittance.payee, quittance.lane))
            && super::check::is_quittance_of(&quittance, &self.payments[at].voucher)
        {
            self.payments[at].quittance = Some(sealed.clone());
        }
        Ok(())
    }
}
