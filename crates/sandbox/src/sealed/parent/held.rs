//! What a runner holds: the daemon's list of it. The runner holds what it is sent and forgets what it is told to.

use crate::cache::Needs;
use pocketmesh_types::{BlobId, Tree};
use std::sync::Arc;
use std::time::Duration;

/// Programs, and their bytes: the newest is held in any case.
const PROGRAMS_MAX: usize = 64;
const PROGRAM_BYTES_MAX: u64 = 256 << 20;
/// Trees: those of the jobs that run now.
const TREES_MAX: usize = 16;
/// How long a batch may take: short enough to share, long enough that handing it over costs little.
const BATCH_TIME: Duration = Duration::from_millis(2);
const BATCH_MAX: usize = 64;

/// A list of things, the most recently used last.
struct List<K> {
    items: Vec<Item<K>>,
    count_max: usize,
    bytes_max: u64,
}

struct Item<K> {
    key: K,
    number: u64,
    bytes: u64,
}

impl<K> List<K> {
    fn new(count_max: usize, bytes_max: u64) -> Self {
        Self { items: Vec::new(), count_max, bytes_max }
    }

    fn find(&self, is: impl Fn(&K) -> bool) -> Option<&Item<K>> {
        self.items.iter().rev().find(|item| is(&item.key))
    }

    /// The number of a thing, which from now on is the most recently used.
    fn touch(&mut self, is: impl Fn(&K) -> bool) -> Option<u64> {
        let index = self.items.iter().rposition(|item| is(&item.key))?;
        self.items[index..].rotate_left(1);
        self.items.last().map(|item| item.number)
    }

    /// Adds a thing and returns the numbers of those that have to go for it.
    fn add(&mut self, item: Item<K>) -> Vec<u64> {
        self.items.push(item);
        let mut bytes: u64 = self.items.iter().map(|item| item.bytes).sum();
        let mut gone = Vec::new();
        while self.items.len() > 1 && (self.items.len() > self.count_max || bytes > self.bytes_max) {
            let item = self.items.remove(0);
            bytes -= item.bytes;
            gone.push(item.number);
        }
        gone
    }

    fn remove(&mut self, number: u64) {
        self.items.retain(|item| item.number != number);
    }
}

struct Program {
    id: BlobId,
    needs: Needs,
    /// How many of its tasks may go into one batch: found out by trial.
    pace: usize,
}

/// The numbers of a task's program and tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) program: u64,
    pub(super) tree: u64,
    /// How many tasks may go into one batch with it.
    pub(super) pace: usize,
}

/// The list.
pub(super) struct Held {
    programs: List<Program>,
    trees: List<Arc<Tree>>,
    next: u64,
}

impl Held {
    pub(super) fn new(tree_bytes: u64) -> Self {
        let (programs, trees) = (List::new(PROGRAMS_MAX, PROGRAM_BYTES_MAX), List::new(TREES_MAX, tree_bytes));
        Self { programs, trees, next: 0 }
    }

    /// What a program that is held needs.
    pub(super) fn needs(&mut self, id: BlobId) -> Option<Needs> {
        self.programs.touch(|program| program.id == id)?;
        self.programs.items.last().map(|item| item.key.needs)
    }

    pub(super) fn has_tree(&mut self, tree: &Arc<Tree>) -> bool {
        self.trees.touch(|held| is_same(held, tree)).is_some()
    }

    /// Adds a program: its number, and those to forget.
    pub(super) fn add_program(&mut self, id: BlobId, needs: Needs, bytes: u64) -> (u64, Vec<u64>) {
        self.next += 1;
        (self.next, self.programs.add(Item { key: Program { id, needs, pace: 1 }, number: self.next, bytes }))
    }

    /// Adds a tree: its number, and those to forget.
    pub(super) fn add_tree(&mut self, tree: Arc<Tree>) -> (u64, Vec<u64>) {
        self.next += 1;
        let bytes = tree.bytes();
        (self.next, self.trees.add(Item { key: tree, number: self.next, bytes }))
    }

    /// What did not get there.
    pub(super) fn remove(&mut self, number: u64) {
        self.programs.remove(number);
        self.trees.remove(number);
    }

    /// Where a task's program and tree are, if both are here.
    pub(super) fn place(&self, program: BlobId, tree: &Arc<Tree>) -> Option<Place> {
        let program = self.programs.find(|held| held.id == program)?;
        let tree = self.trees.find(|held| is_same(held, tree))?.number;
        Some(Place { program: program.number, tree, pace: program.key.pace })
    }

    /// Learns from a batch how many tasks of this program the next one may have.
    pub(super) fn learn(&mut self, program: u64, task_time: Duration) {
        let fitting = BATCH_TIME.as_nanos() / task_time.as_nanos().max(1);
        if let Some(item) = self.programs.items.iter_mut().find(|item| item.number == program) {
            let most = (item.key.pace * 2).min(BATCH_MAX);
            item.key.pace = usize::try_from(fitting).unwrap_or(BATCH_MAX).clamp(1, most);
        }
    }
}

/// Tasks of one job share the tree itself; those of another job may have an equal one.
fn is_same(held: &Arc<Tree>, tree: &Arc<Tree>) -> bool {
    Arc::ptr_eq(held, tree) || held == tree
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_types::Output;
    use pocketmesh_types::tree::File;

    fn tree(path: &str, len: u64) -> Arc<Tree> {
        let content = Output { id: BlobId::of(path.as_bytes()), len };
        Arc::new(Tree::new(vec![File { path: path.into(), content }]).expect("a tree"))
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut held = Held::new(100);
        let (a, b, c) = (tree("a", 40), tree("b", 40), tree("c", 40));
        assert_eq!(held.add_tree(Arc::clone(&a)), (1, vec![]));
        assert_eq!(held.add_tree(Arc::clone(&b)), (2, vec![]));
        assert!(held.has_tree(&a));
        assert_eq!(held.add_tree(c), (3, vec![2]));
        assert!(held.has_tree(&tree("a", 40)), "an equal tree is the same");
        assert!(!held.has_tree(&b));
        assert_eq!(held.add_tree(tree("d", 400)), (4, vec![3, 1]), "the newest is held in any case");
    }

    #[test]
    fn a_task_has_a_place_where_program_and_tree_are() {
        let (mut held, id, files) = (Held::new(1), BlobId::of(b"p"), Arc::default());
        let (program, _) = held.add_program(id, Needs { memory: 7 }, 9);
        assert_eq!(held.place(id, &files), None);
        let (number, _) = held.add_tree(Arc::clone(&files));
        assert_eq!(held.place(id, &files), Some(Place { program, tree: number, pace: 1 }));
        assert_eq!(held.needs(id), Some(Needs { memory: 7 }));
        held.remove(program);
        assert_eq!(held.place(id, &files), None);
    }

    #[test]
    fn batches_grow_while_tasks_are_short_and_shrink_at_once() {
        let (mut held, id, files) = (Held::new(1), BlobId::of(b"p"), Arc::default());
        let (program, _) = held.add_program(id, Needs::default(), 9);
        held.add_tree(Arc::clone(&files));
        let mut pace_after = |micros| {
            held.learn(program, Duration::from_micros(micros));
            held.place(id, &files).map(|place| place.pace)
        };
        let paces: Vec<_> = (0..8).map(|_| pace_after(6)).collect();
        assert_eq!(paces, [2, 4, 8, 16, 32, 64, 64, 64].map(Some));
        assert_eq!(pace_after(400), Some(5));
        assert_eq!(pace_after(50_000), Some(1));
    }
}
