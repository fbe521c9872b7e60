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

/// Nano-credits for each GiB that an execution moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerGib(pub u64);

const ATTO_PER_NANO: u128 = 1_000_000_000;
const GIB_BITS: u32 = 30;

impl PerGib {
    /// What so many bytes cost, rounded down. The whole GiB and the rest are counted apart, so that nothing overflows: 2⁶⁴ × 10⁹ × 2³⁴ is
    /// below 2¹²⁸ by more than the rest can come to.
    pub fn cost(self, bytes: u64) -> Credits {
        let rate = u128::from(self.0) * ATTO_PER_NANO;
        let rest = u128::from(bytes & ((1 << GIB_BITS) - 1));
        Credits(rate * u128::from(bytes >> GIB_BITS) + ((rate * rest) >> GIB_BITS))
    }

    /// Whether nothing is paid for bytes.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

/// What an execution took, as far as it is paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// The fuel that it burnt.
    pub fuel: Fuel,
    /// The bytes that were moved for it: its input, its streams, and the list of its files.
    pub bytes: u64,
}

/// What work under a lease is paid by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tariff {
    /// For fuel: what the auction made it.
    pub price: Price,
    /// For bytes: what the offer said.
    pub per_gib: PerGib,
}

impl Tariff {
    /// What some work costs, rounded down, if that can be counted.
    pub fn checked_cost(self, work: Work) -> Option<Credits> {
        self.price.cost(work.fuel).checked_add(self.per_gib.cost(work.bytes))
    }

    /// The same; the most there is if it cannot be counted.
    pub fn cost(self, work: Work) -> Credits {
        self.checked_cost(work).unwrap_or(Credits(u128::MAX))
    }

    /// No receipt that pays for this work among other pays more for it: what is set aside for it.
    pub fn bound(self, work: Work) -> Credits {
        let rounded = u128::from(!self.per_gib.is_zero());
        Credits(self.cost(work).0.saturating_add(rounded))
    }

    /// The fuel that costs as much as this work.
    pub fn in_fuel(self, work: Work) -> Fuel {
        let bytes = self.per_gib.cost(work.bytes).0 / u128::from(self.price.0.max(1));
        Fuel(work.fuel.0.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cost_what_the_rate_says_and_no_product_overflows() {
        let cost = |rate, bytes| PerGib(rate).cost(bytes).0;
        assert_eq!(cost(25_000, 1 << 30), 25_000 * ATTO_PER_NANO);
        assert_eq!(cost(25_000, 3 << 29), 37_500 * ATTO_PER_NANO);
        assert_eq!((cost(1, 1), cost(1, 2), cost(0, u64::MAX)), (0, 1, 0), "10⁹ ÷ 2³⁰ is a little less than one");
        let most = u128::from(u64::MAX) * ATTO_PER_NANO;
        let (whole, rest) = (u128::from(u64::MAX >> 30), u128::from((1u32 << 30) - 1));
        assert_eq!(cost(u64::MAX, u64::MAX), most * whole + most * rest / (1 << 30));
    }

    #[test]
    fn a_bound_is_never_below_what_a_receipt_over_many_comes_to() {
        let tariff = Tariff { price: Price(3), per_gib: PerGib(7) };
        let each = Work { fuel: Fuel(5), bytes: 100_003 };
        let all = Work { fuel: Fuel(5 * 256), bytes: 100_003 * 256 };
        assert!(tariff.cost(all).0 > 256 * tariff.cost(each).0, "what was rounded away adds up");
        assert!(tariff.cost(all).0 <= 256 * tariff.bound(each).0);
        let free = Tariff { per_gib: PerGib(0), ..tariff };
        assert_eq!((free.bound(each), free.cost(all)), (Credits(15), Credits(15 * 256)));
    }

    #[test]
    fn dear_bytes_count_as_the_fuel_that_costs_as_much() {
        let tariff = Tariff { price: Price(100), per_gib: PerGib(25_000) };
        assert_eq!(tariff.in_fuel(Work { fuel: Fuel(9), bytes: 1 << 30 }), Fuel(250_000_000_009));
        let unpriced = Tariff { price: Price(0), per_gib: PerGib(u64::MAX) };
        assert_eq!(unpriced.in_fuel(Work { fuel: Fuel(9), bytes: u64::MAX }), Fuel(u64::MAX));
    }
}
