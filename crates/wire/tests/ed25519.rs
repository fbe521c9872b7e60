//! `Strict` against the vectors of others: Wycheproof's, and the twelve edge cases of ed25519-speccheck.

use pocketmesh_types::PeerId;
use pocketmesh_wire::{Strict, Verifier};

struct Case {
    number: String,
    is_valid: bool,
    key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

fn bytes(field: &str) -> Vec<u8> {
    if field == "-" { Vec::new() } else { hex::decode(field).expect("hex") }
}

fn cases(file: &str) -> Vec<Case> {
    let path = format!("{}/../../specs/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the vectors");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let case = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [number, verdict, key, message, signature] = fields[..] else { panic!("five fields: {line}") };
        assert!(["valid", "invalid"].contains(&verdict), "{line}");
        let number = number.to_owned();
        Case {
            number,
            is_valid: verdict == "valid",
            key: bytes(key),
            message: bytes(message),
            signature: bytes(signature),
        }
    };
    rows.map(case).collect()
}

/// As an envelope does it: what has not the length of a signature is none.
fn verifies(case: &Case) -> bool {
    let key = PeerId(case.key[..].try_into().expect("32 bytes"));
    <&[u8; 64]>::try_from(&case.signature[..]).is_ok_and(|signature| Strict.verify(&key, &case.message, signature))
}

fn disagreeing(cases: &[Case]) -> Vec<&str> {
    cases.iter().filter(|case| verifies(case) != case.is_valid).map(|case| case.number.as_str()).collect()
}

#[test]
fn all_of_wycheproof_passes() {
    let cases = cases("ed25519-wycheproof.txt");
    assert_eq!((cases.len(), cases.iter().filter(|case| case.is_valid).count()), (151, 88));
    assert_eq!(disagreeing(&cases), Vec::<&str>::new());
}

#[test]
fn of_the_twelve_edge_cases_only_the_fourth_verifies() {
    let cases = cases("ed25519-speccheck.txt");
    assert_eq!(
        cases.iter().map(|case| case.is_valid).collect::<Vec<_>>(),
        (0..12).map(|at| at == 3).collect::<Vec<_>>()
    );
    assert_eq!(disagreeing(&cases), Vec::<&str>::new());
}
