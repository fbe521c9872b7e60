//! Records of money as a daemon would write them: both ways, with several peers, sealed, each following from those before.

use super::memory::Dice;
use pocketmesh_ledger::{
    Accounts, Entry, Record,
    accounts::Standing,
    lanes::Lane,
    record::{Content, Opened, Payment},
};
use pocketmesh_types::{
    Bytes, Credits, Fuel, Hash, JobId, LeaseId, PeerId, PerGib, Price, Quittance, Receipt, ReceiptId, Signed,
    Statement, Voucher, VoucherId,
};
use pocketmesh_wire::{Signer, Verifier, cbor, statement};

/// Seals with a keyed hash instead of a signature: what is tried here is the disk, thousands of times.
#[derive(Debug, Clone, Copy)]
pub struct Quick(pub PeerId);

impl Signer for Quick {
    fn peer(&self) -> PeerId {
        self.0
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let half = Hash::of_parts("test seal", &[&self.0.0, message]).0;
        std::array::from_fn(|at| half[at % 32])
    }
}

impl Verifier for Quick {
    fn verify(&self, signer: &PeerId, message: &[u8], signature: &[u8; 64]) -> bool {
        Quick(*signer).sign(message) == *signature
    }
}

pub const ME: PeerId = PeerId([0; 32]);
/// With whom we have to do.
const PEERS: u8 = 5;

/// The only lane in use.
const LANE: pocketmesh_types::Lane = pocketmesh_types::Lane(0);

pub fn peer(number: u8) -> PeerId {
    PeerId([number; 32])
}

/// Opens what [`Quick`] has sealed.
pub fn open(sealed: &[u8]) -> Result<Signed, String> {
    statement::open(sealed, &Quick(ME)).map_err(|error| error.to_string())
}

/// The accounts after some more payloads of a journal.
pub fn fold(accounts: &mut Accounts, payload: &[u8]) -> Result<(), String> {
    let record: Record = cbor::decode(payload, 1 << 20).map_err(|error| error.to_string())?;
    let entry = record.open(&open).map_err(|error| error.to_string())?;
    accounts.apply(&entry).map(drop).map_err(|error| error.to_string())
}

/// What can be seen of the accounts with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    standing: Standing,
    given: (Lane, Credits),
    received: Lane,
}

/// What can be seen of all accounts.
pub fn balances(accounts: &Accounts) -> Vec<Balance> {
    let with = |number| {
        let (peer, lane) = (peer(number), LANE);
        let (given, received) = (accounts.given(&peer, lane), accounts.received(&peer, lane));
        Balance { standing: accounts.standing(&peer), given, received }
    };
    (1..=PEERS).map(with).collect()
}

/// Makes one record after another.
pub struct Business {
    pub accounts: Accounts,
    /// The other side's view of what it gives us.
    theirs: Vec<Accounts>,
    next_task: u32,
    dice: Dice,
}

impl Business {
    pub fn new() -> Self {
        let theirs = (1..=PEERS).map(|number| Accounts::new(peer(number))).collect();
        Self { accounts: Accounts::new(ME), theirs, next_task: 0, dice: Dice(7) }
    }

    /// The payload of the next record, which the accounts have taken already.
    pub fn next(&mut self) -> Vec<u8> {
        let other = 1 + self.dice.below(u64::from(PEERS)) as u8;
        let content = match self.dice.below(10) {
            0..=3 => Content::Paid(self.payment(ME, peer(other))),
            4..=7 => Content::Received(self.payment(peer(other), ME)),
            8 => self.acknowledgement(peer(other)).unwrap_or_else(|| self.forfeit(peer(other))),
            _ => self.forfeit(peer(other)),
        };
        let payload = cbor::encode(&Record::new(content));
        fold(&mut self.accounts, &payload).unwrap();
        payload
    }

    fn payment(&mut self, client: PeerId, payee: PeerId) -> Payment {
        let payer = if client == ME { &self.accounts } else { &self.theirs[usize::from(client.0[0]) - 1] };
        let count = 1 + self.dice.below(2);
        let mut receipts = Vec::new();
        for _ in 0..count {
            let start = self.next_task;
            self.next_task += 10;
            let (job, lease) = (JobId(Hash::of(b"job")), LeaseId(Hash::of(&client.0)));
            let (fuel, results) = (Fuel(self.dice.below(1 << 20)), Hash::of(&start.to_le_bytes()));
            let (tasks, price) = (vec![(start, start + 3), (start + 4, start + 5)], Price(900));
            let receipt = Receipt {
                job,
                lease,
                client,
                payee,
                lane: LANE,
                tasks,
                fuel,
                bytes: 0,
                price,
                per_gib: PerGib(0),
                fee: Credits(0),
                results,
            };
            receipts.push((ReceiptId(statement::id(&Statement::Receipt(receipt.clone()))), receipt));
        }
        let totals = receipts.iter().map(|(id, receipt)| (*id, receipt.total().unwrap()));
        let next = payer.given(&payee, LANE).0.with(totals).unwrap();
        let voucher = Voucher { client, payee, lane: LANE, cumulative: next.cumulative(), receipts_root: next.root() };
        let seal = |said: Statement| -> Bytes { statement::seal(&said, &Quick(client)) };
        let sealed = receipts.iter().map(|(_, receipt)| seal(Statement::Receipt(receipt.clone()))).collect();
        if client != ME {
            let entry = Entry::Paid(Opened { receipts, voucher });
            self.theirs[usize::from(client.0[0]) - 1].apply(&entry).unwrap();
        }
        Payment { receipts: sealed, voucher: seal(Statement::Voucher(voucher)) }
    }

    fn acknowledgement(&mut self, payee: PeerId) -> Option<Content> {
        let (given, acknowledged) = self.accounts.given(&payee, LANE);
        let (voucher, cumulative) = (VoucherId(given.root()), given.cumulative());
        let quittance = Quittance { voucher, client: ME, payee, lane: LANE, cumulative };
        let sealed = statement::seal(&Statement::Quittance(quittance), &Quick(payee));
        (cumulative > acknowledged).then_some(Content::Acknowledged(sealed))
    }

    fn forfeit(&mut self, payee: PeerId) -> Content {
        let start = self.next_task;
        self.next_task += 10;
        Content::Forfeited { job: JobId(Hash::of(b"job")), client: ME, payee, tasks: vec![(start, start + 2)] }
    }
}
