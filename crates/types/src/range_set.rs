//! A set of task indices held as ranges: ten million finished tasks are usually one row.

use alloc::{collections::BTreeMap, vec::Vec};
use core::ops::Range;

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

    /// Adds every number of a half-open range that touches none in the set but by its ends; says whether that held.
    pub fn insert_range(&mut self, range: Range<u32>) -> bool {
        if range.is_empty() || !self.is_disjoint(range.clone()) {
            return range.is_empty();
        }
        let Range { start, end } = range;
        let first = match self.ranges.range(..start).next_back() {
            Some((&first, &before)) if before == start => first,
            _ => start,
        };
        let last = self.ranges.remove(&end).unwrap_or(end);
        self.ranges.insert(first, last);
        self.len += end - start;
        true
    }

    /// Whether no number of a half-open range is in the set.
    pub fn is_disjoint(&self, range: Range<u32>) -> bool {
        let Range { start, end } = range;
        start >= end || self.ranges.range(..end).next_back().is_none_or(|(_, &before)| before <= start)
    }

    /// Takes `value` out; says whether it was in.
    pub fn remove(&mut self, value: u32) -> bool {
        let Some((&start, &end)) = self.ranges.range(..=value).next_back().filter(|(_, end)| value < **end) else {
            return false;
        };
        self.ranges.remove(&start);
        for (start, end) in [(start, value), (value + 1, end)] {
            if start < end {
                self.ranges.insert(start, end);
            }
        }
        self.len -= 1;
        true
    }

    /// All numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges().flat_map(|(start, end)| start..end)
    }

    /// The numbers at these places of the order, which are given in order themselves. Places past the end are left out.
    pub fn at(&self, places: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut ranges = self.ranges().scan(0, |before, (start, end)| {
            let first = *before;
            *before += end - start;
            Some((first..*before, start))
        });
        let mut current = ranges.next();
        let mut found = Vec::new();
        for place in places {
            while current.as_ref().is_some_and(|(places, _)| places.end <= place) {
                current = ranges.next();
            }
            let Some((places, start)) = &current else { break };
            found.push(start + (place - places.start));
        }
        found
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
    use alloc::collections::BTreeSet;

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
    fn ranges_go_in_whole_and_numbers_come_out_alone() {
        let (mut ranges, mut plain) = (RangeSet::default(), BTreeSet::new());
        let mut value: u32 = 7;
        for _ in 0..2_000 {
            value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (start, len) = ((value >> 8) % 300, (value >> 20) % 9);
            if value & 1 == 0 {
                let free = (start..start + len).all(|n| !plain.contains(&n));
                assert_eq!(ranges.insert_range(start..start + len), free);
                plain.extend((start..start + len).filter(|_| free));
            } else {
                assert_eq!(ranges.remove(start), plain.remove(&start));
            }
            assert_eq!(ranges.len() as usize, plain.len());
            assert!(ranges.iter().eq(plain.iter().copied()));
            let places: Vec<u32> = (0..310).filter(|place| place % 7 == value % 7).collect();
            let expected = places.iter().filter_map(|&place| plain.iter().nth(place as usize).copied());
            assert_eq!(ranges.at(places.iter().copied()), expected.collect::<Vec<_>>());
        }
        assert_eq!(ranges.ranges().zip(ranges.ranges().skip(1)).find(|(one, next)| one.1 >= next.0), None);
    }

    #[test]
    fn a_full_run_is_one_row() {
        let set: RangeSet = (0..1000).rev().collect();
        assert_eq!(set.ranges().collect::<Vec<_>>(), [(0, 1000)]);
    }
}
