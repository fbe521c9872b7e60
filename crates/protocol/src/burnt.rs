//! What tasks of a job have burnt, on average: what a requester's offers say, and what a worker holds against them.

use pocketmesh_types::Fuel;

/// A worker puts up with tasks that burn so many times what their offer said, on average. Guess.
const PUT_UP_WITH: u128 = 8;
/// So many tasks of a lease are seen before they are held against the offer. Guess.
const SEEN_MIN: u64 = 3;

/// The fuel of so many tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Burnt {
    tasks: u64,
    fuel: u128,
}

impl Burnt {
    /// One task more. No sum of as many tasks as can be counted overflows.
    pub fn add(&mut self, fuel: Fuel) {
        self.tasks += 1;
        self.fuel += u128::from(fuel.0);
    }

    /// What a task burns on average, if one is known.
    pub fn mean(&self) -> Option<Fuel> {
        let mean = self.fuel.checked_div(u128::from(self.tasks))?;
        Some(Fuel(u64::try_from(mean).unwrap_or(u64::MAX)))
    }

    /// Whether this is far more than an offer said.
    pub fn is_far_beyond(&self, expected: Fuel) -> bool {
        let borne = u128::from(expected.0) * PUT_UP_WITH;
        self.tasks >= SEEN_MIN && self.fuel > borne.saturating_mul(u128::from(self.tasks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(each: &[u64]) -> Burnt {
        let mut burnt = Burnt::default();
        each.iter().for_each(|&fuel| burnt.add(Fuel(fuel)));
        burnt
    }

    #[test]
    fn the_mean_counts_and_not_one_dear_task() {
        assert_eq!((of(&[]).mean(), of(&[1, 2, 6]).mean()), (None, Some(Fuel(3))));
        assert!(!of(&[1_000, 1_000]).is_far_beyond(Fuel(10)), "two are too few");
        assert!(!of(&[80, 80, 80]).is_far_beyond(Fuel(10)) && of(&[80, 80, 81]).is_far_beyond(Fuel(10)));
        assert!(!of(&[1, 1, 200]).is_far_beyond(Fuel(10)) && !of(&[u64::MAX; 3]).is_far_beyond(Fuel(u64::MAX)));
        assert_eq!(of(&[u64::MAX; 3]).mean(), Some(Fuel(u64::MAX)));
    }
}
