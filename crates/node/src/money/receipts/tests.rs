//! A file of receipts is accepted as it was written, and not otherwise.

use super::{FILE_BYTES_MAX, File, Payment, Refused, check, gather};
use crate::money::rig::{Books, job, other, spoil};
use pocketmesh_types::Credits;
use pocketmesh_wire::{Signer, cbor};

const GIGAFUEL: u128 = 100_000_000_000;

/// Two workers; job "a" is paid by two payments of the first, with one of another job between them, and one of the second.
fn books() -> Books {
    let mut books = Books::new();
    books.pay(&other(1), &[(job("a"), (0, 10)), (job("b"), (0, 5))], true);
    books.pay(&other(1), &[(job("b"), (5, 9))], true);
    books.pay(&other(2), &[(job("a"), (0, 3))], false);
    books.pay(&other(1), &[(job("a"), (10, 17))], true);
    books.earn(&other(2), &[(job("c"), (0, 4))]);
    books.write();
    books
}

fn file() -> Vec<u8> {
    gather(&books().home, job("a")).expect("gathered")
}

#[test]
fn a_file_says_who_is_paid_what_for_the_job() {
    let books = books();
    let account = check(&gather(&books.home, job("a")).expect("gathered")).expect("accepted");
    assert_eq!((account.job, account.client), (job("a"), books.me()));
    assert_eq!((account.vouchers, account.signatures), (3, 9));
    assert_eq!(account.total, Credits(20 * GIGAFUEL));
    let of = |key: &pocketmesh_wire::Key| account.paid.iter().find(|paid| paid.payee == key.peer()).expect("paid");
    let (first, second) = (of(&other(1)), of(&other(2)));
    assert_eq!((first.receipts, first.tasks, first.amount), (2, 17, Credits(17 * GIGAFUEL)));
    assert_eq!(first.acknowledged, first.amount);
    assert_eq!((second.amount, second.acknowledged), (Credits(3 * GIGAFUEL), Credits(0)));
}

#[test]
fn a_job_of_which_nothing_was_paid_has_a_file_that_says_so() {
    let account = check(&gather(&Books::new().home, job("a")).expect("gathered")).expect("accepted");
    assert_eq!((account.paid.len(), account.total), (0, Credits(0)));
}

#[test]
fn every_changed_byte_and_every_cut_is_refused() {
    let file = file();
    check(&file).expect("accepted");
    for at in 0..file.len() {
        for bit in [0x01, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= bit;
            assert!(check(&changed).is_err(), "byte {at} is {:#04x} and not {:#04x}", changed[at], file[at]);
        }
        assert!(check(&file[..at]).is_err(), "cut to {at} bytes");
    }
    let mut longer = file;
    longer.push(0);
    assert!(matches!(check(&longer), Err(Refused::Form(_))));
    assert!(matches!(check(&vec![0; FILE_BYTES_MAX + 1]), Err(Refused::Form(cbor::DecodeError::TooLong { .. }))));
}

/// Whoever changes a file can make the checksum fit; not the rest.
fn forged(change: impl FnOnce(&mut File)) -> String {
    let mut file: File = cbor::decode(&file(), FILE_BYTES_MAX).expect("decoded");
    change(&mut file);
    file.checksum = file.sum();
    check(&cbor::encode(&file)).expect_err("forged").to_string()
}

#[test]
fn a_forged_file_is_refused_with_the_reason() {
    let swapped = |payments: &mut Vec<Payment>| payments.swap(0, 2);
    let cases: [(String, &str); 10] = [
        (forged(|file| file.v = 2), "it has version 2"),
        (forged(|file| file.client = other(1).peer()), "not of one client"),
        (forged(|file| file.job = job("c")), "it pays nothing for the job"),
        (forged(|file| spoil(&mut file.payments[0].voucher)), "its voucher 0 cannot be relied upon: its signature"),
        (
            forged(|file| spoil(&mut file.payments[2].receipts[0])),
            "payment 2 is bad: its receipt 0 cannot be relied upon",
        ),
        (forged(|file| drop(file.payments[0].receipts.remove(1))), "root is not over these receipts"),
        (forged(|file| file.payments[2].before = 4), "no lane has 4 receipts with these roots"),
        (forged(|file| swapped(&mut file.payments)), "another payment of its lane"),
        (forged(|file| file.payments[0].quittance = file.payments[2].quittance.clone()), "of another voucher"),
        (forged(|file| file.payments.push(file.payments[1].clone())), "another payment of its lane"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{said}\nnot: {expected}");
    }
}
