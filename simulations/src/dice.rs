//! Dice: one seed, one stream for each purpose, so that a change to one model does not reshuffle the others.
//!
//! Nothing here reads the machine's randomness.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// The 99th percentile of the normal distribution.
const Z99: f64 = 2.326_347_9;

/// A stream of random numbers.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream for this purpose under this seed.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("pocketmesh simulation dice 1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(purpose.as_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Sixty-four bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// An index into something with so many elements.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number of at least 0 and below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something with this chance happens.
    pub fn chance(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.unit() < chance
    }

    /// A number between the two.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A waiting time with this mean, of events that know nothing of one another.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// A positive number with this median and this 99th percentile, its logarithm being normal.
    pub fn spread(&mut self, median: f64, p99: f64) -> f64 {
        let sigma = (p99 / median).ln() / Z99;
        median * (sigma * self.normal()).exp()
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = ((-2.0 * (1.0 - self.unit()).ln()).sqrt(), std::f64::consts::TAU * self.unit());
        radius * angle.cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_percentiles_that_were_asked_for() {
        let mut dice = Dice::new(1, "test");
        let mut numbers: Vec<f64> = (0..20_000).map(|_| dice.spread(20.0, 100.0)).collect();
        numbers.sort_by(f64::total_cmp);
        assert!((numbers[10_000] - 20.0).abs() < 1.0 && (numbers[19_800] - 100.0).abs() < 12.0);
    }

    #[test]
    fn streams_of_different_purposes_differ_and_the_same_repeats() {
        assert_ne!(Dice::new(1, "a").bits(), Dice::new(1, "b").bits());
        assert_eq!(Dice::new(1, "a").bits(), Dice::new(1, "a").bits());
    }
}
