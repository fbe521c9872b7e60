//! Keys and signatures behind two small traits, so that a simulator can sign a hundred thousand peers cheaply.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use pocketmesh_types::PeerId;

/// Who can sign.
pub trait Signer {
    /// The name under which it signs.
    fn peer(&self) -> PeerId;
    /// The signature of `message`.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// Who can check a signature.
pub trait Verifier {
    /// Whether `signature` is `signer`'s, of `message`.
    fn verify(&self, signer: &PeerId, message: &[u8], signature: &[u8; 64]) -> bool;
}

/// An ed25519 key: the peer's identity. Its memory is wiped when it is dropped.
pub struct Key(SigningKey);

impl Key {
    /// The key of this 32-byte seed; the same seed gives libp2p the same identity.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Key({:?})", self.peer())
    }
}

impl Signer for Key {
    fn peer(&self) -> PeerId {
        PeerId(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// Strict ed25519: no weak keys, no malleable signatures.
#[derive(Debug, Clone, Copy)]
pub struct Strict;

impl Verifier for Strict {
    fn verify(&self, signer: &PeerId, message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&signer.0)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    }
}
