//! The client's half: results come in, slices become due.

use super::{Row, Terms};
use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};
use pocketmesh_types::{Fuel, Hash, RangeSet, TaskIndex, limits, merkle};

/// Numbers the windows of one worker, in order.
pub type WindowId = u32;

/// Windows that wait for the first of them to become final.
const WINDOWS_MAX: usize = 64;

/// What one lease is owed, and when.
#[derive(Debug, Clone)]
pub struct Payer {
    terms: Terms,
    /// Those that are neither final and paid, nor void.
    windows: VecDeque<Window>,
}

#[derive(Debug, Clone)]
struct Window {
    id: WindowId,
    /// Delivered and not paid, in order of delivery.
    unpaid: VecDeque<Row>,
    tasks: RangeSet,
    /// Slices whose own audits have agreed, and that are not paid.
    passed: BTreeSet<u32>,
    slices_paid: u32,
    is_final: bool,
}

/// Results that are to be paid now, in order of their tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Of which window.
    pub window: WindowId,
    /// The tasks, as half-open ranges in order.
    pub tasks: Vec<(TaskIndex, TaskIndex)>,
    /// What they took together.
    pub fuel: Fuel,
    /// The root over them.
    pub results: Hash,
}

impl Payer {
    /// A lease under which nothing was delivered yet.
    pub fn new(terms: Terms) -> Self {
        Self { terms, windows: VecDeque::new() }
    }

    /// A result is here, right or wrong, and goes into this window: the newest one, or the one after it. Says whether it was
    /// taken; a task is taken once, and a window that is final takes none.
    pub fn deliver(&mut self, window: WindowId, row: Row) -> bool {
        if row.fuel.0 > limits::TASK_FUEL_MAX || self.windows.iter().any(|window| window.tasks.contains(row.task)) {
            return false;
        }
        let newest = self.windows.back().map(|window| window.id);
        if newest.is_none_or(|newest| newest < window) {
            if self.windows.len() >= WINDOWS_MAX {
                return false;
            }
            self.windows.push_back(Window::new(window));
        }
        match self.windows.back_mut() {
            Some(last) if last.id == window && !last.is_final && last.tasks.len() < limits::WINDOW_RESULTS_MAX => {
                last.unpaid.push_back(row);
                last.tasks.insert(row.task)
            }
            _ => false,
        }
    }

    /// The audits of a slice have agreed, or none of it was drawn. Slices are counted in each window from 0, in the order of
    /// delivery.
    pub fn on_passed(&mut self, window: WindowId, slice: u32) {
        let slices_max = limits::WINDOW_RESULTS_MAX.div_ceil(self.terms.slice_tasks);
        if let Some(window) = self.find(window)
            && slice < slices_max
            && slice >= window.slices_paid
        {
            window.passed.insert(slice);
        }
    }

    /// A window is final: nothing of it is held back any more.
    pub fn on_final(&mut self, window: WindowId) {
        if let Some(window) = self.find(window) {
            window.is_final = true;
        }
        self.drop_paid();
    }

    /// The job was stopped: what was delivered, and is not void, is paid.
    pub fn on_stopped(&mut self) {
        self.windows.iter_mut().for_each(|window| window.is_final = true);
        self.drop_paid();
    }

    /// One result was wrong: whatever of this worker is not final, and was not paid, is forfeited. Says which tasks.
    pub fn on_void(&mut self) -> Vec<(TaskIndex, TaskIndex)> {
        let (kept, void): (VecDeque<_>, VecDeque<_>) = self.windows.drain(..).partition(|window| window.is_final);
        self.windows = kept;
        let unpaid = void.iter().flat_map(|window| &window.unpaid);
        unpaid.map(|row| row.task).collect::<RangeSet>().ranges().collect()
    }

    /// The next slice that is due; it counts as paid from now on.
    ///
    /// Only the oldest window is paid: so what was paid and may still turn out void is in one window.
    pub fn next_due(&mut self) -> Option<Slice> {
        let (slice_tasks, hold_back) = (self.terms.slice_tasks as usize, self.terms.hold_back_tasks as usize);
        let window = self.windows.front_mut()?;
        let is_due = window.unpaid.len() >= slice_tasks + hold_back && window.passed.contains(&window.slices_paid);
        let count = match (window.is_final, is_due) {
            (true, _) => window.unpaid.len().min(slice_tasks),
            (false, true) => slice_tasks,
            (false, false) => 0,
        };
        if count == 0 {
            return None;
        }
        let rows: Vec<Row> = window.unpaid.drain(..count).collect();
        window.passed.remove(&window.slices_paid);
        window.slices_paid += 1;
        let slice = slice_of(window.id, rows);
        self.drop_paid();
        Some(slice)
    }

    /// Results that are here and not paid.
    pub fn unpaid(&self) -> usize {
        self.windows.iter().map(|window| window.unpaid.len()).sum()
    }

    /// Whether all that is final is paid, and nothing else is open.
    pub fn is_done(&self) -> bool {
        self.windows.is_empty()
    }

    fn find(&mut self, id: WindowId) -> Option<&mut Window> {
        self.windows.iter_mut().find(|window| window.id == id)
    }

    fn drop_paid(&mut self) {
        while self.windows.front().is_some_and(|window| window.is_final && window.unpaid.is_empty()) {
            self.windows.pop_front();
        }
    }
}

impl Window {
    fn new(id: WindowId) -> Self {
        let (unpaid, tasks, passed) = (VecDeque::new(), RangeSet::default(), BTreeSet::new());
        Self { id, unpaid, tasks, passed, slices_paid: 0, is_final: false }
    }
}

fn slice_of(window: WindowId, mut rows: Vec<Row>) -> Slice {
    rows.sort_unstable_by_key(|row| row.task);
    let fuel = Fuel(rows.iter().map(|row| row.fuel.0).sum());
    let tasks = rows.iter().map(|row| row.task).collect::<RangeSet>().ranges().collect();
    let results = merkle::results_root(rows.iter().map(|row| (row.task, row.digest)));
    Slice { window, tasks, fuel, results }
}
