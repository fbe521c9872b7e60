//! In which order the tasks of an audited job are handed out: shuffled, block by block. specs/verification.md §5.
//!
//! If tasks were handed out by number, a worker would know a number that comes late for an audit. So neighbours in time are
//! far apart in number, and any number below the block's end may come at any time.

use alloc::vec::Vec;
use pocketmesh_types::{RangeSet, TaskIndex};

/// Tasks that are shuffled together: more than the windows of most jobs hold, and no more than a quarter of a MiB.
const BLOCK: u32 = 1 << 16;

/// An order of the tasks of a job.
#[derive(Debug, Default)]
pub struct Order {
    /// Which block is shuffled below, from 1; none yet if 0.
    number: u32,
    shuffled: Vec<TaskIndex>,
}

impl Order {
    /// Which task comes at this position. Positions are asked for in order, block by block.
    pub fn at(&mut self, position: u32, tasks: u32, mut below: impl FnMut(usize) -> usize) -> TaskIndex {
        let number = position / BLOCK + 1;
        if self.number != number {
            let first = position - position % BLOCK;
            self.number = number;
            self.shuffled = (first..tasks.min(first.saturating_add(BLOCK))).collect();
            // R. A. Fisher and F. Yates' shuffle.
            for last in (1..self.shuffled.len()).rev() {
                self.shuffled.swap(last, below(last + 1));
            }
        }
        self.shuffled[(position % BLOCK) as usize]
    }

    /// The position after this one, or that of the next block if all of this one is final.
    pub fn next(position: u32, tasks: u32, finals: &RangeSet) -> u32 {
        let first = position - position % BLOCK;
        let end = tasks.min(first.saturating_add(BLOCK));
        if finals.contains(first) && finals.first_gap(first) >= end { end } else { position + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_task_has_one_place_and_neighbours_are_far_apart() {
        let tasks = 3 * BLOCK / 2;
        let (mut order, mut state) = (Order::default(), 1_u64);
        let mut roll = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % bound
        };
        let places: Vec<TaskIndex> = (0..tasks).map(|position| order.at(position, tasks, &mut roll)).collect();
        assert_eq!(places.iter().copied().collect::<BTreeSet<_>>().len(), tasks as usize);
        assert!(places[..BLOCK as usize].iter().all(|&task| task < BLOCK));
        let near = places.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 100).count();
        assert!(near < tasks as usize / 100, "{near}");
    }

    #[test]
    fn what_is_final_is_skipped_block_by_block() {
        let mut finals = RangeSet::default();
        assert!(finals.insert_range(0..BLOCK));
        assert_eq!(Order::next(5, 2 * BLOCK, &finals), BLOCK);
        assert_eq!(Order::next(BLOCK, 2 * BLOCK, &finals), BLOCK + 1);
    }
}
