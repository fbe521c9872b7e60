//! The one way in and out of CBOR. serde_cbor is not named anywhere else.

use crate::scan::{ScanError, scan};
use alloc::vec::Vec;
use serde::{Serialize, de::DeserializeOwned};

/// Why bytes could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than this kind of thing may be.
    #[error("{len} bytes, but at most {max} are allowed")]
    TooLong {
        /// Length given.
        len: usize,
        /// Length allowed.
        max: usize,
    },
    /// Not the CBOR that we speak.
    #[error(transparent)]
    Form(#[from] ScanError),
    /// Well-formed, but not this type.
    #[error("well-formed, but not what was expected here")]
    Type,
    /// It decodes, but this is not how we would write it.
    #[error("not the one encoding of its value")]
    NotCanonical,
}

/// Encodes a value of ours.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_cbor::to_vec(value).expect("our types hold nothing that CBOR cannot, and a Vec does not refuse bytes")
}

/// Decodes foreign bytes: bounded, scanned, typed, and byte for byte what [`encode`] would have written.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLong { len: bytes.len(), max });
    }
    scan(bytes)?;
    let value: T = serde_cbor::from_slice(bytes).map_err(|_| DecodeError::Type)?;
    if encode(&value) == bytes { Ok(value) } else { Err(DecodeError::NotCanonical) }
}
