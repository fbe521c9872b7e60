//! What a simulated peer's driver does about payment: seals, keeps on its disk, and tells.

use crate::{
    plant::Plant,
    sealing::seal,
    seen::Seen,
    world::{MS, What, World},
};
use pocketmesh_ledger::{
    Record,
    record::{Content, Payment},
};
use pocketmesh_protocol::{Effect, Input, Peer, settlement::StoreId};
use pocketmesh_types::{Credits, Statement};
use pocketmesh_wire as wire;

/// How long a record takes to the disk, at the least and the most: that of [`disk`](crate::disk).
const WRITE: (u64, u64) = (MS, 8 * MS);

impl World {
    /// Carries out one effect that is about money.
    pub(crate) fn perform_money(&mut self, at: u32, effect: Effect) {
        match effect {
            Effect::Pay { id, receipts, mut voucher } => {
                if self.plant == Some(Plant::Overpays) {
                    voucher.cumulative = Credits(voucher.cumulative.0 * 2);
                }
                let receipts = receipts.into_iter().map(|receipt| seal(&Statement::Receipt(receipt))).collect();
                let payment = Payment { receipts, voucher: seal(&Statement::Voucher(voucher)) };
                self.keep(at, id, Content::Paid(payment));
            }
            Effect::Keep { id, content } => self.keep(at, id, content),
            Effect::Quit(quittance) => {
                let statements = vec![seal(&Statement::Quittance(quittance))];
                self.send(at, quittance.client, wire::Payment { statements }.into(), Vec::new());
            }
            _ => unreachable!("no other effect is about money"),
        }
    }

    /// A record of money is on its way to the disk, behind all that were given to it before.
    fn keep(&mut self, at: u32, id: StoreId, content: Content) {
        let dice = &mut self.dice.faults;
        let crashes = dice.chance(self.faults.crash_per_record);
        let before = crashes && dice.chance(0.5);
        let took = dice.between(WRITE.0, WRITE.1);
        if before {
            return self.crash(at);
        }
        let node = &mut self.nodes[at as usize];
        let life = node.life;
        let done = (self.now + took).max(node.disk_free);
        node.disk_free = done;
        self.queue.push(done, What::Kept { at, life, id, content: Box::new(content), tell: !crashes });
        if crashes {
            self.queue.push(done, What::Crash { at, life });
        }
    }

    /// A record of money is on the disk, if its writer still lives.
    pub(crate) fn kept(&mut self, at: u32, life: u32, id: StoreId, content: Content, tell: bool) {
        if !self.lives(at, life) {
            return;
        }
        let is_lost = match content {
            Content::Paid(_) => self.plant == Some(Plant::PaymentsLost),
            Content::Received(_) => self.plant == Some(Plant::ReceiptsLost),
            _ => false,
        };
        if !is_lost {
            let record = Record::new(content.clone());
            self.see(&Seen::MoneyOnDisk { at, record: &record });
            self.nodes[at as usize].money.push(record);
        }
        if !tell {
            return;
        }
        match content {
            Content::Paid(payment) => self.tell(at, Input::Paid { id, payment }),
            _ => self.tell(at, Input::Kept { id }),
        }
    }

    /// Tells a peer that starts what its disk has about money. What does not follow stops its payments.
    pub(crate) fn restore_money(&mut self, at: u32, peer: &mut Peer) -> Vec<Effect> {
        let is_forgotten = |record: &&Record| {
            self.plant == Some(Plant::PaymentsForgotten)
                && matches!(record.content, Content::Paid(_) | Content::Acknowledged(_) | Content::Closed(_))
        };
        for record in self.nodes[at as usize].money.iter().filter(|record| !is_forgotten(record)) {
            if let Err(refusal) = peer.restore_money(record) {
                self.meter.journals_refused += 1;
                return peer.handle(Default::default(), Input::MoneyFailed { reason: refusal.to_string() });
            }
        }
        Vec::new()
    }
}
