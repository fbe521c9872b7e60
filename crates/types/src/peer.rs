//! A peer's name: its ed25519 public key, shown as libp2p shows it.

use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The 32 bytes of an ed25519 public key. A libp2p PeerId of such a key *is* the key in an identity multihash, so a
/// signature can be checked from the name alone. Text form: `12D3KooW…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 32]);

/// Identity multihash (0x00, 36 bytes) of a protobuf public key of type ed25519.
/// Source: libp2p specs, peer-ids.md.
const MULTIHASH_HEAD: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The text was not the PeerId of an ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a peer id: the id of an ed25519 peer starts with 12D3KooW")]
pub struct ParseError;

impl PeerId {
    /// libp2p's bytes for this peer: a 38-byte identity multihash.
    pub fn to_multihash(self) -> Vec<u8> {
        [&MULTIHASH_HEAD[..], &self.0].concat()
    }

    /// The peer behind libp2p's bytes, if its key is ed25519.
    pub fn from_multihash(bytes: &[u8]) -> Option<Self> {
        bytes.strip_prefix(&MULTIHASH_HEAD)?.try_into().ok().map(Self)
    }

    /// The last eight characters, which differ between peers (the first eight do not).
    pub fn short(&self) -> String {
        let text = bs58::encode(self.to_multihash()).into_string();
        text[text.len() - 8..].into()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.to_multihash()).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…{}", self.short())
    }
}

impl FromStr for PeerId {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > 64 {
            return Err(ParseError);
        }
        let bytes = bs58::decode(text).into_vec().map_err(|_| ParseError)?;
        Self::from_multihash(&bytes).ok_or(ParseError)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            Ok(Self(serde_bytes::ByteArray::deserialize(deserializer)?.into_array()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_form_is_libp2ps() {
        let peer = PeerId([7; 32]);
        let text = peer.to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(text.parse(), Ok(peer));
        assert_eq!("QmFoo".parse::<PeerId>(), Err(ParseError));
    }
}
