//! Names by content: 32-byte BLAKE3 hashes, one type for each thing that is named.

use alloc::string::String;
use core::{fmt, str::FromStr};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A 32-byte BLAKE3 hash. Bytes in CBOR, lower-case hex for people and in JSON.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// The text was not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: an id has 64 hexadecimal digits")]
pub struct ParseError;

impl Hash {
    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The hash of `parts` under a context string of its own, each part led by its length, so that no two lists of
    /// parts, and no two contexts, collide.
    pub fn of_parts(context: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The first eight bytes as a big-endian number: uniform over all of `u64`.
    pub fn to_u64(self) -> u64 {
        let mut head = [0; 8];
        head.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(head)
    }

    /// The first eight hexadecimal digits, for logs and tables.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..4])
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for Hash {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseError)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            Ok(Self(serde_bytes::ByteArray::deserialize(deserializer)?.into_array()))
        }
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub crate::Hash);

        impl $name {
            /// The raw 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0.0
            }

            /// The first eight hexadecimal digits, for logs and tables.
            pub fn short(&self) -> String {
                self.0.short()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;
            fn from_str(text: &str) -> Result<Self, ParseError> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A blob, by the hash of its bytes; programs and inputs are blobs.
    BlobId
    /// A job, by the hash of its signed bytes.
    JobId
    /// An offer, by the hash of its signed bytes.
    OfferId
    /// A lease, by the hash of its signed bytes.
    LeaseId
    /// A claim, by the hash of its signed bytes.
    ClaimId
    /// A receipt, by the hash of its signed bytes.
    ReceiptId
    /// A voucher, by the hash of its signed bytes.
    VoucherId
    /// An execution profile: engine version and configuration. Only outcomes of equal profiles are compared.
    ProfileId
    /// A network, by the hash of its name.
    NetworkId
}

impl BlobId {
    /// The name of a blob with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Hash::of(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_form_round_trips() {
        let id = BlobId::of(b"pocketmesh");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("xyz".parse::<BlobId>(), Err(ParseError));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Hash::of_parts("c", &[b"ab", b"c"]), Hash::of_parts("c", &[b"a", b"bc"]));
        assert_ne!(Hash::of_parts("c", &[b"a"]), Hash::of_parts("d", &[b"a"]));
    }
}
