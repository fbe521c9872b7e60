//! The envelope round every message. specs/wire.md §3.
//!
//! Statements that may be shown to others later are sealed: signed over `"pocketmesh/<kind>/1" ‖ body`, exactly as the
//! bytes were sent. The rest needs no seal, because it is said over an authenticated connection and binds nobody.

use crate::{
    Kind, Message, Signer, Verifier,
    cbor::{self, DecodeError},
    message::BoundError,
};
use alloc::{string::String, vec::Vec};
use pocketmesh_types::{Bytes, Hash, PeerId, limits};
use serde::{Deserialize, Serialize};

/// The version of the wire format.
pub const VERSION: u8 = 1;

/// A message's bytes, who sealed them, and small blobs sent along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    v: u8,
    kind: Kind,
    body: Bytes,
    seal: Option<Seal>,
    /// Outputs small enough to travel with the message that names them by hash. Not signed: the hash is.
    attached: Vec<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seal {
    signer: PeerId,
    sig: Bytes,
}

/// A message whose seal was checked, or that needed none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    /// Who says so.
    pub signer: PeerId,
    /// The hash of the body as received.
    pub id: Hash,
    /// What is said.
    pub content: T,
    /// Small blobs sent along, as yet unchecked: take the one whose hash is named.
    pub attached: Vec<Bytes>,
}

/// Why an envelope was not opened. Each of these is the sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The bytes are not an envelope, or the body is not a message of its kind.
    #[error("cannot be decoded: {0}")]
    Decode(#[from] DecodeError),
    /// Another version.
    #[error("version {0} is not spoken here")]
    Version(u8),
    /// A kind that must be sealed is not, or the other way round.
    #[error("a message of this kind must {} a seal", if *.0 { "have" } else { "not have" })]
    Seal(bool),
    /// The signature does not fit.
    #[error("the signature is wrong")]
    Signature,
    /// A direct message sealed by somebody else.
    #[error("sealed by a peer that did not send it")]
    Signer,
    /// A list or a number in it is out of bounds.
    #[error(transparent)]
    Bounds(#[from] BoundError),
}

/// What is signed, and what the id is the hash of.
fn signed_bytes(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut bytes = context(kind).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn context(kind: Kind) -> String {
    alloc::format!("pocketmesh/{}/1", kind.name())
}

/// The id of a message: what every receiver computes from its bytes.
pub fn id(message: &Message) -> Hash {
    Hash::of(&signed_bytes(message.kind(), &message.encode_body()))
}

impl Envelope {
    /// Puts a message of ours into an envelope, sealed if its kind asks for it.
    pub fn seal(message: &Message, attached: Vec<Bytes>, signer: &impl Signer) -> Self {
        let (kind, body) = (message.kind(), message.encode_body());
        let seal = kind
            .is_sealed()
            .then(|| Seal { signer: signer.peer(), sig: signer.sign(&signed_bytes(kind, &body)).to_vec().into() });
        Self { v: VERSION, kind, body: body.into(), seal, attached }
    }

    /// The same statement without what was sent along, which the seal does not cover.
    pub fn bare(self) -> Self {
        Self { attached: Vec::new(), ..self }
    }

    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads an envelope; nothing in it is believed yet.
    pub fn decode(bytes: &[u8]) -> Result<Self, OpenError> {
        let envelope: Self = cbor::decode(bytes, limits::MESSAGE_BYTES_MAX)?;
        if envelope.v != VERSION {
            return Err(OpenError::Version(envelope.v));
        }
        let max = envelope.kind.bytes_max();
        if envelope.body.len() > max {
            return Err(DecodeError::TooLong { len: envelope.body.len(), max }.into());
        }
        Ok(envelope)
    }

    /// What kind of message it claims to hold.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Opens an envelope that came straight from `from`: a seal must be `from`'s own.
    pub fn open_direct(self, from: PeerId, verifier: &impl Verifier) -> Result<Verified<Message>, OpenError> {
        if self.seal.as_ref().is_some_and(|seal| seal.signer != from) {
            return Err(OpenError::Signer);
        }
        self.open(from, verifier)
    }

    /// Opens an envelope that others passed on: it must be sealed.
    pub fn open_sealed(self, verifier: &impl Verifier) -> Result<Verified<Message>, OpenError> {
        let signer = self.seal.as_ref().ok_or(OpenError::Seal(true))?.signer;
        self.open(signer, verifier)
    }

    /// Signature first, then the body's form, then its bounds.
    fn open(self, signer: PeerId, verifier: &impl Verifier) -> Result<Verified<Message>, OpenError> {
        let signed = signed_bytes(self.kind, &self.body);
        match (&self.seal, self.kind.is_sealed()) {
            (Some(seal), true) => {
                let sig = <&[u8; 64]>::try_from(&seal.sig[..]).map_err(|_| OpenError::Signature)?;
                if !verifier.verify(&seal.signer, &signed, sig) {
                    return Err(OpenError::Signature);
                }
            }
            (None, false) => {}
            (_, wanted) => return Err(OpenError::Seal(wanted)),
        }
        let content = Message::decode_body(self.kind, &self.body)?;
        content.check()?;
        Ok(Verified { signer, id: Hash::of(&signed), content, attached: self.attached })
    }
}
