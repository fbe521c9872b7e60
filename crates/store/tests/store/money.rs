//! Money in a real journal: read back, audited, and tampered with.

use pocketmesh_ledger::{
    Accounts, Audit, Entry, Record,
    audit::Report,
    record::{Content, Opened, Payment},
};
use pocketmesh_store::{
    FolderLock, Index, Journal,
    index::CACHE_BYTES_DEFAULT,
    journal::{Event, OpenError},
};
use pocketmesh_types::{
    Bytes, Credits, Fuel, Hash, JobId, Lane, LeaseId, PerGib, Price, Quittance, Receipt, ReceiptId, Signed, Statement,
    Voucher, VoucherId,
};
use pocketmesh_wire::{Key, Signer, Strict, cbor, statement};
use std::path::Path;

fn client() -> Key {
    Key::from_seed(&[1; 32])
}

fn worker() -> Key {
    Key::from_seed(&[2; 32])
}

fn open_sealed(sealed: &[u8]) -> Result<Signed, String> {
    statement::open(sealed, &Strict).map_err(|error| error.to_string())
}

/// The next payment of the client, for the tasks from `start` on.
fn payment(payer: &Accounts, start: u32) -> Payment {
    let (client, payee) = (client().peer(), worker().peer());
    let receipt = Receipt {
        job: JobId(Hash::of(b"job")),
        lease: LeaseId(Hash::of(b"lease")),
        client,
        payee,
        lane: Lane(0),
        tasks: vec![(start, start + 10)],
        fuel: Fuel(1_000),
        bytes: 0,
        price: Price(5),
        per_gib: PerGib(0),
        fee: Credits(0),
        results: Hash::of(b"results"),
    };
    let id = ReceiptId(statement::id(&Statement::Receipt(receipt.clone())));
    let next = payer.given(&payee, Lane(0)).0.with([(id, receipt.total().unwrap())]).unwrap();
    let voucher = Voucher { client, payee, lane: Lane(0), cumulative: next.cumulative(), receipts_root: next.root() };
    sealed(receipt, voucher, &self::client())
}

fn sealed(receipt: Receipt, voucher: Voucher, by: &Key) -> Payment {
    let receipts = vec![statement::seal(&Statement::Receipt(receipt), by)];
    Payment { receipts, voucher: statement::seal(&Statement::Voucher(voucher), by) }
}

fn quittance(cumulative: u128, by: &Key) -> Bytes {
    let (voucher, client, payee) = (VoucherId(Hash::of(b"voucher")), client().peer(), worker().peer());
    statement::seal(
        &Statement::Quittance(Quittance { voucher, client, payee, lane: Lane(0), cumulative: Credits(cumulative) }),
        by,
    )
}

/// Five records of the client: three payments, a quittance, and seats that are forfeited.
fn records() -> Vec<Record> {
    let mut accounts = Accounts::new(client().peer());
    let mut records = Vec::new();
    for start in [0, 10, 20] {
        let record = Record::new(Content::Paid(payment(&accounts, start)));
        accounts.apply(&record.open(&open_sealed).unwrap()).unwrap();
        records.push(record);
    }
    records.push(Record::new(Content::Acknowledged(quittance(15_000, &worker()))));
    let (job, client, payee) = (JobId(Hash::of(b"job")), client().peer(), worker().peer());
    records.push(Record::new(Content::Forfeited { job, client, payee, tasks: vec![(30, 40)] }));
    records
}

fn write(folder: &Path, payloads: impl IntoIterator<Item = Vec<u8>>) {
    let lock = FolderLock::acquire(folder).unwrap();
    let opened = Journal::open(&lock, Hash::of(b"network"), |_, _| Ok(())).unwrap();
    let mut events = opened.events;
    for payload in payloads {
        opened.journal.append(payload, 1).unwrap();
        assert_eq!(events.blocking_recv(), Some(Event::Stored(vec![1])));
    }
    opened.journal.close();
    while events.blocking_recv().is_some() {}
}

/// What a folder's journal comes to, if every record of it is good.
fn audit(folder: &Path) -> Result<Report, OpenError> {
    let mut audit = Audit::new(client().peer());
    let lock = FolderLock::acquire(folder).unwrap();
    let opened = Journal::open(&lock, Hash::of(b"network"), |sequence, payload| {
        let record: Record = cbor::decode(payload, 1 << 20)?;
        Ok(audit.take(sequence, &record, &open_sealed)?)
    })?;
    opened.journal.close();
    let mut events = opened.events;
    while events.blocking_recv().is_some() {}
    Ok(audit.finish())
}

fn complaint_about(records: Vec<Record>) -> String {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), records.iter().map(cbor::encode));
    match audit(home.path()) {
        Err(OpenError::Rejected { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_honest_journal_passes_and_its_balances_are_those_of_the_accounts() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), records().iter().map(cbor::encode));
    let report = audit(home.path()).unwrap();
    let mut accounts = Accounts::new(client().peer());
    for record in records() {
        accounts.apply(&record.open(&open_sealed).unwrap()).unwrap();
    }
    assert_eq!(report, Report { records: 5, standings: vec![(worker().peer(), accounts.standing(&worker().peer()))] });
    assert_eq!(report.standings[0].1.owed_by_us, Credits(15_000));
}

fn paid(record: &mut Record) -> &mut Payment {
    let Content::Paid(payment) = &mut record.content else { panic!("no payment") };
    payment
}

/// The owner of a journal can give it a chain that fits; not a history that does.
#[test]
fn the_first_bad_record_is_named_with_what_is_wrong_with_it() {
    let complaint = |change: &dyn Fn(&mut Vec<Record>)| {
        let mut records = records();
        change(&mut records);
        complaint_about(records)
    };
    let expect =
        |complaint: String, expected: &str| assert!(complaint.contains(expected), "{complaint}\nnot: {expected}");
    let flipped = complaint(&|records| {
        let voucher = &mut paid(&mut records[1]).voucher;
        let last = voucher.len() - 1;
        voucher.0[last] ^= 1;
    });
    expect(flipped, "record 1 of the journal is bad: its voucher 0 cannot be relied upon: its signature is wrong");
    expect(
        complaint(&|records| drop(records.remove(1))),
        "record 1 of the journal is bad: the voucher does not follow: its sum is 15000 atto-credits, and its receipts come to 10000 with what was before",
    );
    expect(
        complaint(&|records| records[1] = records[0].clone()),
        "record 1 of the journal is bad: it repeats an earlier one",
    );
    expect(complaint(&|records| records.swap(0, 1)), "record 0 of the journal is bad: the voucher does not follow");
    expect(
        complaint(&|records| records[2].v = 2),
        "record 2 of the journal is bad: it has version 2, and this release reads version 1",
    );
    let by_worker = complaint(&|records| records[3].content = Content::Acknowledged(quittance(15_000, &client())));
    expect(
        by_worker,
        "record 3 of the journal is bad: its quittance 0 cannot be relied upon: it is signed by a peer that cannot make it",
    );
    let too_much = complaint(&|records| records[3].content = Content::Acknowledged(quittance(15_001, &worker())));
    expect(too_much, "record 3 of the journal is bad: it acknowledges");
    let receipt =
        complaint(&|records| paid(&mut records[0]).receipts[0] = paid(&mut records[1].clone()).receipts[0].clone());
    expect(
        receipt,
        "record 0 of the journal is bad: the voucher does not follow: its root is not over the receipts of its lane",
    );
    let kind = complaint(&|records| paid(&mut records[0]).voucher = quittance(1, &worker()));
    expect(
        kind,
        "record 0 of the journal is bad: its voucher 0 cannot be relied upon: it is a statement of another kind",
    );
}

#[test]
fn a_seat_that_is_paid_twice_is_named_though_every_signature_is_good() {
    let mut accounts = Accounts::new(client().peer());
    let first = Record::new(Content::Paid(payment(&accounts, 0)));
    accounts.apply(&first.open(&open_sealed).unwrap()).unwrap();
    let second = Record::new(Content::Paid(payment(&accounts, 5)));
    let complaint = complaint_about(vec![first, second]);
    assert!(
        complaint.contains("record 1 of the journal is bad: receipt 0 cannot be paid: tasks 5 to 15 of job"),
        "{complaint}"
    );
}

#[test]
fn both_sides_come_to_the_same_from_what_passes_between_them() {
    let (mut payer, mut payee) = (Accounts::new(client().peer()), Accounts::new(worker().peer()));
    let sent: Opened = payment(&payer, 0).open(&open_sealed).unwrap();
    payer.apply(&Entry::Paid(sent.clone())).unwrap();
    payee.apply(&Entry::Received(sent)).unwrap();
    let (gives, gets) = (payer.standing(&worker().peer()), payee.standing(&client().peer()));
    assert_eq!((gives.owed_by_us, gets.owes_us), (Credits(5_000), Credits(5_000)));
}

fn tree_of(report: &Report, index: &Index) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tree = index.tree("balances").unwrap();
    tree.clear().unwrap();
    for (peer, standing) in &report.standings {
        let row: (Credits, Credits) = (standing.owes_us, standing.owed_by_us);
        tree.put(&peer.0, &cbor::encode(&row)).unwrap();
    }
    index.flush().unwrap();
    tree.scan_prefix(b"").map(Result::unwrap).collect()
}

#[test]
fn an_index_of_balances_that_is_lost_is_made_again_from_the_journal() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), records().iter().map(cbor::encode));
    let index = || Index::open(&FolderLock::acquire(home.path()).unwrap(), CACHE_BYTES_DEFAULT).unwrap().0;
    let report = audit(home.path()).unwrap();
    let before = tree_of(&report, &index());
    std::fs::write(home.path().join("index/db"), b"junk").unwrap();
    std::fs::write(home.path().join("index/conf"), b"junk").unwrap();
    let fresh = index();
    assert_eq!(fresh.tree("balances").unwrap().scan_prefix(b"").count(), 0);
    drop(fresh);
    let report = audit(home.path()).unwrap();
    let again = tree_of(&report, &index());
    assert_eq!(again, before);
    assert_eq!(before[0].0, worker().peer().0);
}
