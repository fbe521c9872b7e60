//! A set of task indices held as ranges: ten million finished tasks are usually one row.

use alloc::collections::BTreeMap;

/// A set of `u32`, stored as disjoint half-open ranges that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: BTreeMap<u32, u32>,
    len: u32,
}

impl RangeSet {
    /// How many numbers are in the set.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `value` is in the set.
    pub fn contains(&self, value: u32) -> bool {
        self.ranges.range(..=value).next_back().is_some_and(|(_, &end)| value < end)
    }

    /// Adds `value`, below `u32::MAX`; says whether it was new.
    pub fn insert(&mut self, value: u32) -> bool {
        if self.contains(value) {
            return false;
        }
        let start = match self.ranges.range(..value).next_back() {
            Some((&start, &end)) if end == value => start,
            _ => value,
        };
        let end = self.ranges.remove(&(value + 1)).unwrap_or(value + 1);
        self.ranges.insert(start, end);
        self.len += 1;
        true
    }

    /// The ranges in order, as (start, end), half-open.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.ranges.iter().map(|(&start, &end)| (start, end))
    }

    /// The smallest number, at or above `from`, that is not in the set.
    pub fn first_gap(&self, from: u32) -> u32 {
        match self.ranges.range(..=from).next_back() {
            Some((_, &end)) if from < end => end,
            _ => from,
        }
    }
}

impl FromIterator<u32> for RangeSet {
    fn from_iter<I: IntoIterator<Item = u32>>(values: I) -> Self {
        let mut set = Self::default();
        for value in values {
            set.insert(value);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{collections::BTreeSet, vec::Vec};

    #[test]
    fn agrees_with_a_plain_set_in_any_order() {
        let (mut ranges, mut plain) = (RangeSet::default(), BTreeSet::new());
        let mut value: u32 = 1;
        for _ in 0..500 {
            value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            assert_eq!(ranges.insert(value % 300), plain.insert(value % 300));
            assert_eq!(ranges.len() as usize, plain.len());
        }
        for probe in 0..310 {
            assert_eq!(ranges.contains(probe), plain.contains(&probe));
            assert_eq!(ranges.first_gap(probe), (probe..).find(|n| !plain.contains(n)).expect("a gap"));
        }
    }

    #[test]
    fn a_full_run_is_one_row() {
        let set: RangeSet = (0..1000).rev().collect();
        assert_eq!(set.ranges().collect::<Vec<_>>(), [(0, 1000)]);
    }
}
