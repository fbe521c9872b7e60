//! What a test peer's driver does about payment: seals, keeps, and tells, as late as a disk is.

use super::{Crash, DISK, What, World, sealing::seal};
use pocketmesh_ledger::{
    Record,
    record::{Content, Payment},
};
use pocketmesh_protocol::{Effect, Input, settlement::StoreId};
use pocketmesh_types::{PeerId, Statement};
use pocketmesh_wire as wire;

impl World {
    /// Carries out one effect that is about money.
    pub fn perform_money(&mut self, id: PeerId, effect: Effect) {
        match effect {
            Effect::Pay { id: store, receipts, voucher } => {
                let receipts = receipts.into_iter().map(|receipt| seal(&Statement::Receipt(receipt))).collect();
                let payment = Payment { receipts, voucher: seal(&Statement::Voucher(voucher)) };
                self.keep(id, store, Content::Paid(payment));
            }
            Effect::Keep { id: store, content } => self.keep(id, store, content),
            Effect::Quit(quittance) => {
                let statements = vec![seal(&Statement::Quittance(quittance))];
                self.send(id, quittance.client, wire::Payment { statements }.into(), Vec::new());
            }
            _ => unreachable!("no other effect is about money"),
        }
    }

    fn keep(&mut self, id: PeerId, store: StoreId, content: Content) {
        if self.dies_before(id) {
            return;
        }
        let life = self.nodes[&id].life;
        self.later(DISK, What::Kept { at: id, life, id: store, content: Box::new(content) });
    }

    /// Whether a peer was to die before this record.
    pub fn dies_before(&mut self, id: PeerId) -> bool {
        let node = self.node_mut(id);
        node.stores += 1;
        let dies = node.crash == Some(Crash::Before(node.stores));
        if dies {
            node.crash = None;
            self.kill(id);
        }
        dies
    }

    /// Whether a peer was to die after this record.
    pub fn dies_after(&mut self, id: PeerId) -> bool {
        let node = self.node_mut(id);
        let dies = node.crash == Some(Crash::After(node.disk.len() + node.money.len()));
        if dies {
            node.crash = None;
            self.kill(id);
        }
        dies
    }

    /// A record of money is on the disk.
    pub fn kept(&mut self, at: PeerId, id: StoreId, content: Content) {
        self.node_mut(at).money.push(Record::new(content.clone()));
        if self.dies_after(at) {
            return;
        }
        match content {
            Content::Paid(payment) => self.tell(at, Input::Paid { id, payment }),
            _ => self.tell(at, Input::Kept { id }),
        }
    }

    /// What one peer has promised another, and what of it that one has: in atto-credits.
    pub fn paid(&self, client: PeerId, worker: PeerId) -> (u128, u128) {
        let standing = |at: PeerId, of: PeerId| self.peer(at).settlement().accounts().standing(&of);
        (standing(client, worker).given.0, standing(worker, client).received.0)
    }
}
