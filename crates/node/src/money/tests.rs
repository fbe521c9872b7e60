//! The journal of a data folder, audited and listed.

use super::{
    audit::{AuditError, audit},
    history::{Row, What, visit},
    rig::{Books, job, other, spoil},
};
use pocketmesh_types::Credits;
use pocketmesh_wire::Signer;
use std::fs;

const GIGAFUEL: u128 = 100_000_000_000;

#[test]
fn a_folder_without_a_journal_has_no_faults() {
    let books = Books::new();
    let report = audit(&books.home).expect("good");
    assert_eq!((report.records, report.signatures, report.standings.len()), (0, 0, 0));
}

#[test]
fn an_audit_counts_what_it_has_checked_and_says_what_is_owed() {
    let mut books = Books::new();
    books.pay(&other(1), &[(job("a"), (0, 10)), (job("b"), (0, 5))], true);
    books.earn(&other(1), &[(job("c"), (0, 4))]);
    books.earn(&other(2), &[(job("d"), (0, 1))]);
    books.write();
    let report = audit(&books.home).expect("good");
    assert_eq!((report.records, report.money, report.signatures), (8, 4, 8));
    let of = |peer: &pocketmesh_wire::Key| {
        let found = report.standings.iter().find(|(of, _)| *of == peer.peer());
        found.map(|(_, standing)| (standing.owes_us, standing.owed_by_us))
    };
    assert_eq!(of(&other(1)), Some((Credits(0), Credits(11 * GIGAFUEL))));
    assert_eq!(of(&other(2)), Some((Credits(GIGAFUEL), Credits(0))));
}

#[test]
fn the_first_bad_record_is_named_by_its_number_in_the_journal() {
    let mut books = Books::new();
    books.pay(&other(1), &[(job("a"), (0, 10))], true);
    books.pay(&other(1), &[(job("a"), (10, 20))], false);
    books.tamper(|payment| spoil(&mut payment.receipts[0]));
    books.write();
    let error = audit(&books.home).expect_err("bad");
    assert!(matches!(&error, AuditError::Bad(bad) if bad.sequence == 5), "{error}");
    assert_eq!(
        error.to_string(),
        "record 5 of the journal is bad: its receipt 0 cannot be relied upon: its signature is wrong"
    );
}

#[test]
fn a_changed_byte_anywhere_in_the_journal_is_found() {
    let mut books = Books::new();
    books.pay(&other(1), &[(job("a"), (0, 10))], true);
    books.write();
    let path = books.home.journal();
    let bytes = fs::read(&path).expect("read");
    let before = audit(&books.home).expect("good");
    let mut torn = 0;
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        fs::write(&path, changed).expect("written");
        match audit(&books.home) {
            Err(AuditError::Read(_)) => {}
            // The closing seal holds nothing; whatever else is changed is found.
            Ok(report) => {
                torn += 1;
                assert!(report.torn_bytes > 0, "byte {at}");
                assert_eq!((report.records, report.money), (before.records, before.money), "byte {at}");
            }
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert_eq!(torn, pocketmesh_ledger::journal::FRAME_OVERHEAD_BYTES);
}

#[test]
fn history_has_a_row_for_each_receipt_and_the_balance_after_it() {
    let mut books = Books::new();
    books.pay(&other(1), &[(job("a"), (0, 10)), (job("b"), (0, 5))], true);
    books.earn(&other(1), &[(job("c"), (0, 20))]);
    books.write();
    let mut rows: Vec<Row> = Vec::new();
    visit(&books.home, |row| rows.push(row)).expect("read");
    let shown: Vec<_> = rows.iter().map(|row| (row.record, row.what, row.job, row.amount.0 / GIGAFUEL)).collect();
    let expected = [
        (1, What::Paid, Some(job("a")), 10),
        (1, What::Paid, Some(job("b")), 5),
        (3, What::Acknowledged, None, 15),
        (5, What::Received, Some(job("c")), 20),
    ];
    assert_eq!(shown, expected);
    assert_eq!((rows[1].owes_us, rows[1].owed_by_us), (Credits(0), Credits(15 * GIGAFUEL)));
    assert_eq!((rows[3].owes_us, rows[3].owed_by_us), (Credits(5 * GIGAFUEL), Credits(0)));
    assert_eq!((rows[3].at.0, rows[3].tasks), (3000, Some(20)));
}
