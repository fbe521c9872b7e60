//! Sealed statements: golden bytes, and what is refused. specs/settlement.md §2.

use pocketmesh_types::{
    Bytes, Credits, Fuel, Hash, JobId, Lane, LeaseId, PeerId, PerGib, Price, Quittance, Receipt, Statement, Voucher,
    VoucherId, limits, payment::Invalid,
};
use pocketmesh_wire::{
    Key, Kind, Message, Payment, Signer, Strict,
    cbor::DecodeError,
    statement::{self, OpenError, PAYMENT_BYTES_MAX},
};
use proptest::prelude::*;

fn client() -> Key {
    Key::from_seed(&[42; 32])
}

fn payee() -> Key {
    Key::from_seed(&[43; 32])
}

fn receipt() -> Receipt {
    Receipt {
        job: JobId(Hash::of(b"job")),
        lease: LeaseId(Hash::of(b"lease")),
        client: client().peer(),
        payee: payee().peer(),
        lane: Lane(0),
        tasks: vec![(0, 7), (9, 10)],
        fuel: Fuel(8_000_000),
        bytes: 0,
        price: Price(950),
        per_gib: PerGib(0),
        fee: Credits(1_000),
        results: Hash::of(b"results"),
    }
}

fn voucher() -> Voucher {
    let id = statement::id(&Statement::Receipt(receipt()));
    let receipts_root = [id].into_iter().collect::<pocketmesh_types::merkle::Frontier>().root();
    let cumulative = receipt().total().expect("small");
    Voucher { client: client().peer(), payee: payee().peer(), lane: Lane(0), cumulative, receipts_root }
}

/// One for a slice whose tasks moved something. What is nothing is left out, so that the others read as they did before bytes were paid.
fn receipt_of_bytes() -> Receipt {
    Receipt { bytes: 3 << 20, per_gib: PerGib(25_000), ..receipt() }
}

/// One statement of each kind, and the key that has to seal it.
fn samples() -> Vec<(&'static str, Statement, Key)> {
    let Voucher { client: payer, payee: paid, lane, cumulative, .. } = voucher();
    let id = VoucherId(statement::id(&Statement::Voucher(voucher())));
    let quittance = Quittance { voucher: id, client: payer, payee: paid, lane, cumulative };
    vec![
        ("receipt", Statement::Receipt(receipt()), client()),
        ("voucher", Statement::Voucher(voucher()), client()),
        ("quittance", Statement::Quittance(quittance), payee()),
        ("receipt", Statement::Receipt(receipt_of_bytes()), client()),
    ]
}

#[test]
fn every_statement_round_trips_and_its_bytes_are_golden() {
    let mut text = String::new();
    let mut statements = Vec::new();
    for (name, said, key) in samples() {
        let sealed = statement::seal(&said, &key);
        let opened = statement::open(&sealed, &Strict).expect("opens");
        assert_eq!((opened.id, &opened.statement), (statement::id(&said), &said));
        text += &format!("{name} {} {}\n", opened.id, hex::encode(&sealed[..]));
        statements.push(sealed);
    }
    let payment = Payment { statements };
    let message = Message::from(payment);
    let bytes = message.encode_body();
    assert_eq!(Message::decode_body(Kind::Payment, &bytes), Ok(message));
    text += &format!("payment - {}\n", hex::encode(bytes));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../specs/vectors/statements.txt");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(path, &text).expect("vectors written");
    }
    let golden = std::fs::read_to_string(path).expect("specs/vectors/statements.txt");
    assert_eq!(text, golden, "the format changed: if that is meant, run with UPDATE_VECTORS=1");
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    for (name, said, key) in samples() {
        let sealed = statement::seal(&said, &key);
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.to_vec();
                changed[at] ^= 1 << bit;
                assert!(statement::open(&changed, &Strict).is_err(), "{name}: byte {at}, bit {bit}");
            }
        }
        assert!(statement::open(&sealed[..sealed.len() - 1], &Strict).is_err());
    }
}

#[test]
fn only_who_pays_may_promise_and_only_who_is_paid_may_quit() {
    for (name, said, key) in samples() {
        let other = if key.peer() == client().peer() { payee() } else { client() };
        assert_eq!(statement::open(&statement::seal(&said, &other), &Strict), Err(OpenError::Signer), "{name}");
    }
}

fn refused(change: impl FnOnce(&mut Receipt)) -> Option<OpenError> {
    let mut receipt = receipt();
    change(&mut receipt);
    statement::open(&statement::seal(&Statement::Receipt(receipt), &client()), &Strict).err()
}

#[test]
fn receipts_out_of_bounds_are_refused() {
    let tasks = Some(OpenError::Invalid(Invalid::Tasks));
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|receipt| receipt.tasks.clear()), tasks);
    assert_eq!(refused(|receipt| receipt.tasks = vec![(3, 3)]), tasks);
    assert_eq!(refused(|receipt| receipt.tasks = vec![(5, 6), (1, 2)]), tasks);
    assert_eq!(refused(|receipt| receipt.tasks = vec![(1, 2), (2, 3)]), tasks, "one range has one form");
    assert_eq!(refused(|receipt| receipt.tasks = vec![(0, limits::SLICE_TASKS_MAX + 1)]), tasks);
    assert_eq!(
        refused(|receipt| receipt.tasks = vec![(limits::TASKS_PER_JOB_MAX, limits::TASKS_PER_JOB_MAX + 1)]),
        tasks
    );
    assert_eq!(refused(|receipt| receipt.fee = Credits(u128::MAX)), Some(OpenError::Invalid(Invalid::TooMuch)));
    let dear = |receipt: &mut Receipt| (receipt.bytes, receipt.per_gib) = (u64::MAX, PerGib(u64::MAX));
    assert_eq!(refused(dear), Some(OpenError::Invalid(Invalid::TooMuch)));
    assert_eq!(refused(|receipt| receipt.payee = client().peer()), Some(OpenError::Invalid(Invalid::Oneself)));
}

#[test]
fn the_longest_receipt_fits_and_a_longer_list_does_not() {
    let last = limits::TASKS_PER_JOB_MAX;
    let ranges = |count: u32| (0..count).map(|at| (last - 3 * (count - at), last - 3 * (count - at) + 1)).collect();
    let max = limits::SLICE_TASKS_MAX;
    let longest = |receipt: &mut Receipt| (receipt.bytes, receipt.per_gib) = (1 << 40, PerGib(1 << 40));
    assert_eq!(refused(|receipt| receipt.tasks = ranges(max)), None);
    assert_eq!(
        refused(|receipt| {
            longest(receipt);
            receipt.tasks = ranges(max);
        }),
        None
    );
    assert_eq!(refused(|receipt| receipt.tasks = ranges(max + 1)), Some(OpenError::Invalid(Invalid::Tasks)));
}

#[test]
fn a_payment_is_bounded_in_number_and_length() {
    let of = |count: usize, len: usize| Message::from(Payment { statements: vec![Bytes(vec![7; len]); count] });
    let full = of(limits::RECEIPTS_PER_VOUCHER_MAX + 1, limits::STATEMENT_BYTES_MAX);
    assert!(full.encode_body().len() <= PAYMENT_BYTES_MAX && full.check().is_ok());
    assert!(of(limits::RECEIPTS_PER_VOUCHER_MAX + 2, 1).check().is_err());
    assert!(of(1, limits::STATEMENT_BYTES_MAX + 1).check().is_err());
    let longer = of(limits::RECEIPTS_PER_VOUCHER_MAX + 2, limits::STATEMENT_BYTES_MAX).encode_body();
    assert!(matches!(Message::decode_body(Kind::Payment, &longer), Err(DecodeError::TooLong { .. })));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(statement::open(&bytes, &Strict).is_err());
        let _ = Message::decode_body(Kind::Payment, &bytes);
    }

    /// Behind a verifier that believes all, form and bounds alone decide; what passes has one encoding.
    #[test]
    fn what_a_credulous_verifier_opens_is_in_bounds(cuts in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
        struct Credulous;
        impl pocketmesh_wire::Verifier for Credulous {
            fn verify(&self, _: &PeerId, _: &[u8], _: &[u8; 64]) -> bool {
                true
            }
        }
        let mut bytes = statement::seal(&Statement::Receipt(receipt()), &client()).to_vec();
        for (at, value) in cuts {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        if let Ok(opened) = statement::open(&bytes, &Credulous) {
            prop_assert_eq!(opened.statement.check(), Ok(()));
        }
    }
}
