//! Messages and their bytes: versioned, bounded, strict; and the signed envelope.
//!
//! Everything a peer says is a [`Message`] in an [`Envelope`]. Bytes are verified first, then checked, then decoded,
//! and never encoded again in order to check them. A value has one encoding; any other is refused.
//! This crate never sends anything and never decides what a message means.
#![no_std]
extern crate alloc;

pub mod cbor;
pub mod envelope;
pub mod message;
pub mod scan;
pub mod sign;
pub mod statement;

pub use envelope::{Envelope, OpenError, Verified};
pub use message::{Kind, Message};
pub use sign::{Key, Signer, Strict, Verifier};
pub use statement::Payment;
