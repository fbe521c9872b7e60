//! Statements about payment, each with its own signature. specs/settlement.md §2.
//!
//! A message's envelope belongs to its sender and ends with it. What is said about money is kept for years, by both sides, and
//! shown to third parties: so each statement is sealed for itself, and a [`Payment`] carries some of them as bytes.

use crate::{Signer, Verifier, cbor};
use alloc::{format, string::String, vec::Vec};
use pocketmesh_types::{Bytes, Hash, PeerId, Quittance, Receipt, Signed, Statement, Voucher, limits, payment::Invalid};
use serde::{Deserialize, Serialize};

/// The version of a sealed statement.
pub const VERSION: u8 = 1;
/// What a [`Payment`] needs beside its statements: the map, the text, and a head for each.
const FRAMING_BYTES: usize = 32 + 4 * STATEMENTS_MAX;
/// The receipts that a voucher pays, and the voucher.
pub const STATEMENTS_MAX: usize = limits::RECEIPTS_PER_VOUCHER_MAX + 1;
/// The longest [`Payment`].
pub const PAYMENT_BYTES_MAX: usize = STATEMENTS_MAX * limits::STATEMENT_BYTES_MAX + FRAMING_BYTES;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "receipt")]
    Receipt,
    #[serde(rename = "voucher")]
    Voucher,
    #[serde(rename = "quittance")]
    Quittance,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    v: u8,
    kind: Kind,
    body: Bytes,
    signer: PeerId,
    sig: Bytes,
}

/// Statements on their way between two peers: receipts and the voucher that pays them, or a quittance, or a voucher that its
/// payer has forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Sealed statements.
    pub statements: Vec<Bytes>,
}

/// Why a statement was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The bytes are no statement, or the body is not of its kind.
    #[error("it cannot be decoded: {0}")]
    Decode(#[from] cbor::DecodeError),
    /// Another version.
    #[error("it has version {0}, and this release reads version 1")]
    Version(u8),
    /// The signature does not fit.
    #[error("its signature is wrong")]
    Signature,
    /// Signed by somebody who has no say in it.
    #[error("it is signed by a peer that cannot make it")]
    Signer,
    /// Something in it is out of bounds.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Voucher => "voucher",
            Self::Quittance => "quittance",
        }
    }
}

fn body_of(statement: &Statement) -> (Kind, Vec<u8>) {
    match statement {
        Statement::Receipt(receipt) => (Kind::Receipt, cbor::encode(receipt)),
        Statement::Voucher(voucher) => (Kind::Voucher, cbor::encode(voucher)),
        Statement::Quittance(quittance) => (Kind::Quittance, cbor::encode(quittance)),
    }
}

/// What is signed, and what the id is the hash of: the kind stands before the body, so none passes for another.
fn signed_bytes(kind: Kind, body: &[u8]) -> Vec<u8> {
    let context: String = format!("pocketmesh/{}/1", kind.name());
    [context.as_bytes(), body].concat()
}

/// The id of a statement: what everybody computes from its bytes.
pub fn id(statement: &Statement) -> Hash {
    let (kind, body) = body_of(statement);
    Hash::of(&signed_bytes(kind, &body))
}

/// A statement of ours, sealed.
pub fn seal(statement: &Statement, signer: &impl Signer) -> Bytes {
    let (kind, body) = body_of(statement);
    let sig = signer.sign(&signed_bytes(kind, &body)).to_vec().into();
    Bytes(cbor::encode(&Sealed { v: VERSION, kind, body: body.into(), signer: signer.peer(), sig }))
}

/// Opens a statement: form, version and signature first, then what is in it, then whether its signer may say it.
pub fn open(bytes: &[u8], verifier: &impl Verifier) -> Result<Signed, OpenError> {
    let sealed: Sealed = cbor::decode(bytes, limits::STATEMENT_BYTES_MAX)?;
    if sealed.v != VERSION {
        return Err(OpenError::Version(sealed.v));
    }
    let signed = signed_bytes(sealed.kind, &sealed.body);
    let sig = <&[u8; 64]>::try_from(&sealed.sig[..]).map_err(|_| OpenError::Signature)?;
    if !verifier.verify(&sealed.signer, &signed, sig) {
        return Err(OpenError::Signature);
    }
    let max = limits::STATEMENT_BYTES_MAX;
    let statement = match sealed.kind {
        Kind::Receipt => Statement::Receipt(cbor::decode::<Receipt>(&sealed.body, max)?),
        Kind::Voucher => Statement::Voucher(cbor::decode::<Voucher>(&sealed.body, max)?),
        Kind::Quittance => Statement::Quittance(cbor::decode::<Quittance>(&sealed.body, max)?),
    };
    if statement.signer() != sealed.signer {
        return Err(OpenError::Signer);
    }
    statement.check()?;
    Ok(Signed { id: Hash::of(&signed), statement })
}
