//! Carrying out what the protocol says about money: sealing, journalling, and telling it what is on the disk; and what is done when
//! the journal fails. specs/settlement.md §7.

use super::Driver;
use crate::clock::wall;
use pocketmesh_ledger::record::{Content, Payment};
use pocketmesh_protocol::{
    Input, Reply,
    settlement::{Event, StoreId},
};
use pocketmesh_types::{Bytes, Credits, JobId, PeerId, Quittance, Receipt, Statement, UnixTime, Voucher};
use pocketmesh_wire::{self as wire, Envelope, Verifier, statement};
use std::collections::{BTreeMap, VecDeque};

/// Remarks on payments that are kept.
const REMARKS_MAX: usize = 64;
/// Of what one peer does wrong, one thing is remarked on in this time, in milliseconds: who sends rubbish fills neither the log nor the list.
const QUIET_MS: u64 = 60_000;

/// What the daemon keeps about money beside the protocol.
#[derive(Debug, Default)]
pub struct Till {
    /// Payments on their way to the disk, as they were sealed. The protocol has one of each payee at most.
    sealed: BTreeMap<StoreId, Payment>,
    /// Jobs whose end in the accounts is on its way to the disk.
    closing: BTreeMap<StoreId, JobId>,
    /// What we have paid for each job of ours, and whether nothing more will be.
    jobs: BTreeMap<JobId, (Credits, bool)>,
    /// What people may want to know, oldest first.
    pub remarks: VecDeque<Remark>,
}

/// Something that people may want to know about payments.
#[derive(Debug)]
pub struct Remark {
    /// When.
    pub time: UnixTime,
    /// Who did it, if it is another peer.
    about: Option<PeerId>,
    /// What.
    pub text: String,
}

impl Till {
    /// Takes note of a record of money that is on the disk.
    pub fn note(&mut self, content: &Content) {
        match content {
            Content::Paid(payment) => payment.receipts.iter().for_each(|receipt| self.note_receipt(receipt)),
            &Content::Closed(job) => self.jobs.entry(job).or_default().1 = true,
            _ => {}
        }
    }

    /// It was opened with its signature before, or sealed by us.
    fn note_receipt(&mut self, sealed: &Bytes) {
        if let Ok(Statement::Receipt(receipt)) = statement::open(sealed, &Unchecked).map(|signed| signed.statement) {
            let (paid, _) = self.jobs.entry(receipt.job).or_default();
            *paid = receipt.total().and_then(|total| paid.checked_add(total)).unwrap_or(*paid);
        }
    }

    /// What we have paid for a job.
    pub fn paid_for(&self, job: &JobId) -> Credits {
        self.jobs.get(job).map(|(paid, _)| *paid).unwrap_or_default()
    }

    /// Whether all that is due for a job is paid.
    pub fn is_settled(&self, job: &JobId) -> bool {
        self.jobs.get(job).is_some_and(|(_, settled)| *settled)
    }

    fn remark(&mut self, time: UnixTime, about: Option<PeerId>, text: String) {
        let is_recent = |other: &Remark| other.about == about && time.0.saturating_sub(other.time.0) < QUIET_MS;
        if about.is_some() && self.remarks.iter().any(is_recent) {
            return;
        }
        tracing::warn!("{text}");
        if self.remarks.len() == REMARKS_MAX {
            self.remarks.pop_front();
        }
        self.remarks.push_back(Remark { time, about, text });
    }
}

/// Takes every signature for good.
struct Unchecked;

impl Verifier for Unchecked {
    fn verify(&self, _: &PeerId, _: &[u8], _: &[u8; 64]) -> bool {
        true
    }
}

impl Driver {
    /// Seals a payment, and puts it on its way to the disk. At most 65 signatures of 20 µs: less than the way to another thread and back
    /// costs where there are few.
    pub(super) fn pay(&mut self, id: StoreId, receipts: Vec<Receipt>, voucher: Voucher) {
        let key = &self.key;
        let receipts = receipts.into_iter().map(|receipt| statement::seal(&Statement::Receipt(receipt), key)).collect();
        let payment = Payment { receipts, voucher: statement::seal(&Statement::Voucher(voucher), key) };
        self.till.sealed.insert(id, payment.clone());
        self.keep(id, Content::Paid(payment));
    }

    /// Puts a record of money on its way to the disk.
    pub(super) fn keep(&mut self, id: StoreId, content: Content) {
        if let Content::Closed(job) = content {
            self.till.closing.insert(id, job);
        }
        self.journal.append_money(id, wall(), content);
    }

    /// Tells a client that we have its voucher.
    pub(super) fn quit(&mut self, quittance: Quittance) {
        let statements = vec![statement::seal(&Statement::Quittance(quittance), &self.key)];
        let message = wire::Message::Payment(wire::Payment { statements });
        let bytes = Envelope::seal(&message, Vec::new(), &self.key).encode();
        if let Err(error) = self.network.send(quittance.client, bytes) {
            // It is said again when the client shows its voucher once more.
            tracing::debug!(peer = %quittance.client, %error, "a quittance was not sent");
        }
    }

    /// A record of money is on the disk: what the protocol is told.
    pub(super) fn on_money_stored(&mut self, id: StoreId) -> Input {
        if let Some(job) = self.till.closing.remove(&id) {
            self.till.note(&Content::Closed(job));
        }
        match self.till.sealed.remove(&id) {
            Some(payment) => {
                payment.receipts.iter().for_each(|receipt| self.till.note_receipt(receipt));
                Input::Paid { id, payment }
            }
            None => Input::Kept { id },
        }
    }

    /// Takes note of something that people may want to know about payments.
    pub(super) fn on_money_event(&mut self, event: Event) {
        let (about, text) = match event {
            Event::Disputed { client, lease, why } => {
                (Some(client), format!("a receipt of {client} under lease {} was not taken: {why}", lease.short()))
            }
            Event::Refused { peer, why } => (Some(peer), format!("a payment of {peer} was not taken: {why}")),
            Event::Behind { payee, lane, ours, theirs } => {
                let text = format!(
                    "{payee} holds a voucher of ours for {theirs} credits on lane {}, and our journal knows of {ours}: it is an older \
                     copy. What is owed beyond it is owed all the same; restore the newest copy if there is one",
                    lane.0
                );
                (None, text)
            }
        };
        self.till.remark(wall(), about, text);
    }

    /// The journal has failed, if it has: nobody waits for what it was to hold, and what the protocol is told.
    pub(super) fn on_journal_failure(&mut self) -> Option<Input> {
        let reason = self.journal.take_failure()?.to_string();
        self.till.sealed.clear();
        self.till.closing.clear();
        for (_, waiting) in std::mem::take(&mut self.replies) {
            // Whoever asked may have gone meanwhile.
            let _ = waiting.send(Reply::Refused(reason.clone()));
        }
        self.till.remark(wall(), None, format!("PAYMENTS ARE STOPPED, and no job goes on: {reason}"));
        Some(Input::MoneyFailed { reason })
    }

    /// Why money is stopped, if it is.
    pub fn money_stopped(&self) -> Option<String> {
        self.peer.settlement().accounts().halted().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_rubbish_hides_nothing_that_others_did() {
        let (liar, other) = (PeerId([1; 32]), PeerId([2; 32]));
        let mut till = Till::default();
        till.remark(UnixTime(0), Some(other), "something".into());
        for time in 0..2 * QUIET_MS {
            till.remark(UnixTime(time), Some(liar), format!("rubbish {time}"));
        }
        till.remark(UnixTime(QUIET_MS), Some(other), "something else".into());
        let said: Vec<&str> = till.remarks.iter().map(|remark| remark.text.as_str()).collect();
        assert_eq!(said, ["something", "rubbish 0", "rubbish 60000", "something else"]);
        (0..2 * REMARKS_MAX).for_each(|_| till.remark(UnixTime(0), None, "ours".into()));
        assert_eq!(till.remarks.len(), REMARKS_MAX);
    }
}
