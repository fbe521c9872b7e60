//! The queue of what is to happen: earliest first, and first come first served within a microsecond.

use std::{cmp::Ordering, collections::BinaryHeap};

#[derive(Debug)]
struct Entry<T> {
    at: u64,
    turn: u64,
    what: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.turn) == (other.at, other.turn)
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    /// The heap gives its greatest, which is to be the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.turn).cmp(&(self.at, self.turn))
    }
}

/// What is to happen, by virtual time in microseconds.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Entry<T>>,
    turn: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), turn: 0 }
    }
}

impl<T> Queue<T> {
    /// Puts something in.
    pub fn push(&mut self, at: u64, what: T) {
        self.turn += 1;
        self.heap.push(Entry { at, turn: self.turn, what });
    }

    /// Takes out the next one, if it is not after `end`.
    pub fn pop_until(&mut self, end: u64) -> Option<(u64, T)> {
        if self.heap.peek()?.at > end {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }

    /// How much is to happen.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_ties_come_in_order() {
        let mut queue = Queue::default();
        [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b'), (9, 'e')].into_iter().for_each(|(at, what)| queue.push(at, what));
        let order: String = std::iter::from_fn(|| queue.pop_until(8)).map(|(_, what)| what).collect();
        assert_eq!((order.as_str(), queue.len()), ("abcd", 1));
    }
}
