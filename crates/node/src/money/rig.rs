//! A data folder with some history of money in it, for tests.

use super::open_sealed;
use crate::{
    driver::journal_context,
    home::{Home, InitOptions},
    journal::{Appender, Entry, Stored},
};
use pocketmesh_ledger::{
    Accounts, Record,
    record::{Content, Payment},
};
use pocketmesh_protocol::settlement::StoreId;
use pocketmesh_store::{
    FolderLock, Journal,
    journal::{Event, Opened},
};
use pocketmesh_types::{
    Bytes, Fuel, Hash, JobId, Lane, LeaseId, PeerId, Price, Quittance, Receipt, ReceiptId, Statement, UnixTime,
    Voucher, VoucherId,
};
use pocketmesh_wire::{Key, Signer, statement};
use std::collections::BTreeMap;

/// A job's name.
pub fn job(name: &str) -> JobId {
    JobId(Hash::of(name.as_bytes()))
}

/// Another peer.
pub fn other(number: u8) -> Key {
    Key::from_seed(&[number; 32])
}

/// The folder, and the history as it grows.
pub struct Books {
    _root: tempfile::TempDir,
    pub home: Home,
    key: Key,
    /// Ours, and as others see them.
    accounts: BTreeMap<PeerId, Accounts>,
    records: Vec<Content>,
}

impl Books {
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let home = Home::init(root.path().join("peer"), InitOptions::default()).expect("made");
        let key = Key::from_seed(home.seed().expect("a key").bytes());
        Self { _root: root, home, key, accounts: BTreeMap::new(), records: Vec::new() }
    }

    pub fn me(&self) -> PeerId {
        self.key.peer()
    }

    fn add(&mut self, content: Content) {
        let me = self.me();
        let entry = Record::new(content.clone()).open(&open_sealed).expect("good");
        self.accounts.entry(me).or_insert_with(|| Accounts::new(me)).apply(&entry).expect("it follows");
        self.records.push(content);
    }

    /// The next payment of `client` to `payee`: a receipt for each of `slices`.
    fn payment(&self, client: &Key, payee: PeerId, slices: &[(JobId, (u32, u32))]) -> (Payment, Voucher) {
        let receipt = |&(job, tasks): &(JobId, (u32, u32))| Receipt {
            job,
            lease: LeaseId(Hash::of(b"lease")),
            client: client.peer(),
            payee,
            lane: Lane(0),
            tasks: vec![tasks],
            fuel: Fuel(1_000_000_000 * u64::from(tasks.1 - tasks.0)),
            bytes: 0,
            price: Price(100),
            per_gib: pocketmesh_types::PerGib(0),
            fee: pocketmesh_types::Credits(0),
            results: Hash::of(b"results"),
        };
        let receipts: Vec<Receipt> = slices.iter().map(receipt).collect();
        let me = self.me();
        let blank = Accounts::new(me);
        let accounts = self.accounts.get(&me).unwrap_or(&blank);
        let lane = if client.peer() == me {
            accounts.given(&payee, Lane(0)).0
        } else {
            accounts.received(&client.peer(), Lane(0))
        };
        let id = |receipt: &Receipt| ReceiptId(statement::id(&Statement::Receipt(receipt.clone())));
        let next = lane.with(receipts.iter().map(|receipt| (id(receipt), receipt.total().expect("small"))));
        let next = next.expect("it can be counted");
        let voucher = Voucher {
            client: client.peer(),
            payee,
            lane: Lane(0),
            cumulative: next.cumulative(),
            receipts_root: next.root(),
        };
        let receipts = receipts.into_iter().map(|receipt| statement::seal(&Statement::Receipt(receipt), client));
        let sealed = statement::seal(&Statement::Voucher(voucher), client);
        (Payment { receipts: receipts.collect(), voucher: sealed }, voucher)
    }

    /// We pay a worker, which says so.
    pub fn pay(&mut self, worker: &Key, slices: &[(JobId, (u32, u32))], acknowledged: bool) {
        let (payment, voucher) = self.payment(&self.key, worker.peer(), slices);
        self.add(Content::Paid(payment));
        if acknowledged {
            let id = VoucherId(statement::id(&Statement::Voucher(voucher)));
            let Voucher { client, payee, lane, cumulative, .. } = voucher;
            let quittance = Quittance { voucher: id, client, payee, lane, cumulative };
            self.add(Content::Acknowledged(statement::seal(&Statement::Quittance(quittance), worker)));
        }
    }

    /// A client pays us.
    pub fn earn(&mut self, client: &Key, slices: &[(JobId, (u32, u32))]) {
        let (payment, _) = self.payment(client, self.me(), slices);
        self.add(Content::Received(payment));
    }

    /// Changes the last record, as its owner could.
    pub fn tamper(&mut self, change: impl FnOnce(&mut Payment)) {
        match self.records.last_mut() {
            Some(Content::Paid(payment) | Content::Received(payment)) => change(payment),
            other => panic!("no payment: {other:?}"),
        }
    }

    /// Writes all of it into the folder's journal, among records of other kinds.
    pub fn write(&self) {
        let lock = FolderLock::acquire(self.home.dir()).expect("a lock");
        let context = journal_context(&self.home.config().network, &self.me());
        let Opened { journal, mut events, .. } = Journal::open(&lock, context, |_, _| Ok(())).expect("a journal");
        drop(lock);
        let mut appender = Appender::new(journal);
        for (number, content) in (1..).zip(&self.records) {
            appender.append_entry(&Entry::ReduceLevel { job: job("a"), level: job("b") });
            appender.append_money(StoreId(number), UnixTime(number * 1000), content.clone());
            let mut is_stored = false;
            while !is_stored {
                let Some(Event::Stored(tokens)) = events.blocking_recv() else { panic!("the journal failed") };
                is_stored = Appender::stored(&tokens).any(|stored| stored == Stored::Money(StoreId(number)));
            }
        }
        drop(appender);
        while events.blocking_recv().is_some() {}
    }
}

/// A sealed statement with one bit of its signature changed.
pub fn spoil(sealed: &mut Bytes) {
    let last = sealed.0.len() - 1;
    sealed.0[last] ^= 1;
}
