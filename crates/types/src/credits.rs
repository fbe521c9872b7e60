//! Fuel, prices and credits: whole numbers, checked.

use crate::limits;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The deterministic cost of an execution, as the engine counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fuel(pub u64);

/// Nano-credits per gigafuel, which is the same as atto-credits per unit of fuel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub u64);

impl Price {
    /// What an execution costs. No product of two `u64` overflows a `u128`.
    pub fn cost(self, fuel: Fuel) -> Credits {
        Credits(u128::from(self.0) * u128::from(fuel.0))
    }

    /// What fetching and compiling a program of so many bytes costs, once a lease.
    pub fn fee(self, program_bytes: u64) -> Credits {
        self.cost(Fuel(program_bytes.saturating_mul(limits::PROGRAM_FUEL_PER_BYTE)))
    }
}

/// An amount in atto-credits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credits(pub u128);

impl Credits {
    /// The sum, if it can be held.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, if it is not below nothing.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

const ATTO_PER_CREDIT: u128 = 1_000_000_000_000_000_000;

impl fmt::Display for Credits {
    /// Credits with nine decimals, rounded down.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / ATTO_PER_CREDIT, self.0 % ATTO_PER_CREDIT / 1_000_000_000)
    }
}

// CBOR and JSON numbers end at 64 bits: an amount is a decimal string in JSON and 16 big-endian bytes in CBOR.
impl Serialize for Credits {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&self.0)
        } else {
            serializer.serialize_bytes(&self.0.to_be_bytes())
        }
    }
}

impl<'de> Deserialize<'de> for Credits {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if deserializer.is_human_readable() {
            alloc::string::String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
        } else {
            let bytes: serde_bytes::ByteArray<16> = serde_bytes::ByteArray::deserialize(deserializer)?;
            Ok(Self(u128::from_be_bytes(bytes.into_array())))
        }
    }
}
