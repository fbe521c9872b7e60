//! The client's half: results come in, slices become due.

use super::{Row, Terms, most};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use pocketmesh_types::{Credits, Fuel, Hash, RangeSet, Tariff, TaskIndex, Work, limits, merkle};

/// Numbers the windows of one worker, in order.
pub type WindowId = u32;

/// Windows that wait for the first of them to become final.
const WINDOWS_MAX: usize = 64;

/// What one lease is owed, and when.
#[derive(Debug, Clone)]
pub struct Payer {
    terms: Terms,
    tariff: Tariff,
    /// Results that were final when they came, and are not paid.
    accepted: BTreeMap<TaskIndex, Row>,
    ripe: Ripe,
    /// Those that are neither final and paid, nor void.
    windows: VecDeque<Window>,
    /// What is here and not paid.
    owed: Credits,
    /// The most that a result has taken.
    dearest: Option<Work>,
    /// Whether what is due is paid now, though it is less than a slice.
    hurries: bool,
}

/// How many results have become due and are not paid yet: they are more than one receipt takes.
#[derive(Debug, Clone, Copy, Default)]
struct Ripe(usize);

impl Ripe {
    /// How many of the results that may be paid go into the next receipt; all of them are due if that is so now.
    fn take(&mut self, free: usize, is_due: bool, terms: Terms) -> usize {
        if is_due {
            self.0 = free;
        }
        let count = self.0.min(free).min(terms.slice_tasks as usize);
        self.0 -= count;
        count
    }
}

#[derive(Debug, Clone)]
struct Window {
    id: WindowId,
    /// Delivered and not paid, in order of delivery.
    unpaid: VecDeque<Row>,
    ripe: Ripe,
    tasks: RangeSet,
    /// Whether it takes no more; then also less than a slice is due.
    is_drawn: bool,
    /// Results that are audited, and not found right yet.
    open: BTreeSet<TaskIndex>,
    is_final: bool,
}

/// Results that are to be paid now, in order of their tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Of which window; none if they were final when they came.
    pub window: Option<WindowId>,
    /// The tasks, as half-open ranges in order.
    pub tasks: Vec<(TaskIndex, TaskIndex)>,
    /// What they took together.
    pub fuel: Fuel,
    /// What was moved for them together, in bytes.
    pub bytes: u64,
    /// The root over them.
    pub results: Hash,
}

impl Payer {
    /// A lease under which nothing was delivered yet.
    pub fn new(terms: Terms, tariff: Tariff) -> Self {
        let (accepted, windows, owed) = (BTreeMap::new(), VecDeque::new(), Credits::default());
        Self { terms, tariff, accepted, ripe: Ripe::default(), windows, owed, dearest: None, hurries: false }
    }

    /// A result is final. Says whether it was taken; a task is taken once.
    pub fn accept(&mut self, row: Row) -> bool {
        let is_new = row.is_possible() && !self.has(row.task);
        if is_new {
            self.take(&row);
            self.accepted.insert(row.task, row);
        }
        is_new
    }

    /// A result is here, right or wrong, and goes into this window: the newest one, or the one after it. Says whether it was
    /// taken; a task is taken once, and a window that is drawn or final takes none.
    pub fn deliver(&mut self, window: WindowId, row: Row) -> bool {
        if !row.is_possible() || self.has(row.task) {
            return false;
        }
        let newest = self.windows.back().map(|window| window.id);
        if newest.is_none_or(|newest| newest < window) {
            if self.windows.len() >= WINDOWS_MAX {
                return false;
            }
            self.windows.push_back(Window::new(window));
        }
        let is_taken = match self.windows.back_mut() {
            Some(last) if last.takes(window) => {
                last.unpaid.push_back(row);
                last.tasks.insert(row.task)
            }
            _ => false,
        };
        if is_taken {
            self.take(&row);
        }
        is_taken
    }

    fn take(&mut self, row: &Row) {
        self.dearest = most(self.dearest, row);
        self.owed = Credits(self.owed.0.saturating_add(self.tariff.cost(row.work()).0));
    }

    /// These are paid, or will not be.
    fn let_go(&mut self, rows: &[Row]) {
        for row in rows {
            self.owed = Credits(self.owed.0.saturating_sub(self.tariff.cost(row.work()).0));
        }
    }

    /// A window takes no more, and these of its results are audited: what was delivered before the first of them is due, but for the hold-back.
    pub fn on_drawn(&mut self, window: WindowId, audits: impl IntoIterator<Item = TaskIndex>) {
        if let Some(window) = self.find(window) {
            window.is_drawn = true;
            let tasks = &window.tasks;
            window.open = audits.into_iter().filter(|&task| tasks.contains(task)).collect();
        }
    }

    /// A result that is audited was found right.
    pub fn on_agreed(&mut self, window: WindowId, task: TaskIndex) {
        if let Some(window) = self.find(window) {
            window.open.remove(&task);
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
        self.hurry();
        self.drop_paid();
    }

    /// What is due is paid now, though it is less than a slice: nothing more comes for now.
    pub fn hurry(&mut self) {
        self.hurries = true;
    }

    /// One result was wrong: whatever of this worker is not final, and was not paid, is forfeited. Says what.
    pub fn on_void(&mut self) -> Vec<Row> {
        let (kept, void): (VecDeque<_>, VecDeque<_>) = self.windows.drain(..).partition(|window| window.is_final);
        self.windows = kept;
        let void: Vec<Row> = void.into_iter().flat_map(|window| window.unpaid).collect();
        self.let_go(&void);
        void
    }

    /// These seats were paid or forfeited, as the journal says. Says which of them were known here.
    pub fn on_taken(&mut self, tasks: &[(TaskIndex, TaskIndex)]) -> Vec<Row> {
        let mut taken = Vec::new();
        let mut is_left = |row: &Row| {
            let is_taken = tasks.iter().any(|&(start, end)| (start..end).contains(&row.task));
            taken.extend(is_taken.then_some(*row));
            !is_taken
        };
        self.accepted.retain(|_, row| is_left(row));
        self.windows.iter_mut().for_each(|window| window.unpaid.retain(&mut is_left));
        self.let_go(&taken);
        self.drop_paid();
        taken
    }

    /// The next part of what is due, no more than a receipt takes; it counts as paid from now on.
    ///
    /// Only the oldest window is paid: so what was paid and may still turn out void is in one window.
    pub fn next_due(&mut self) -> Option<Slice> {
        self.next_due_until(WindowId::MAX)
    }

    /// The same, but of no window after this one that is not final: what another lease of this worker has under way is older.
    pub fn next_due_until(&mut self, last: WindowId) -> Option<Slice> {
        let is_due = self.hurries || self.accepted.len() >= self.batch();
        let count = self.ripe.take(self.accepted.len(), is_due, self.terms);
        if count > 0 {
            let rows = core::iter::from_fn(|| self.accepted.pop_first()).take(count);
            let rows: Vec<Row> = rows.map(|(_, row)| row).collect();
            self.let_go(&rows);
            return Some(slice_of(None, rows));
        }
        let slice = self.next_of_window(last);
        self.hurries &= slice.is_some();
        slice
    }

    /// The oldest window that is not final.
    pub fn oldest_open(&self) -> Option<WindowId> {
        self.windows.iter().find(|window| !window.is_final).map(|window| window.id)
    }

    fn next_of_window(&mut self, last: WindowId) -> Option<Slice> {
        let batch = self.batch();
        let window = self.windows.front_mut().filter(|window| window.is_final || window.id <= last)?;
        let free = window.due(self.terms.hold_back_tasks as usize);
        let is_due = self.hurries || window.is_final || window.is_drawn || free >= batch;
        let count = window.ripe.take(free, is_due, self.terms);
        if count == 0 {
            return None;
        }
        let (window, rows): (_, Vec<Row>) = (window.id, window.unpaid.drain(..count).collect());
        self.let_go(&rows);
        self.drop_paid();
        Some(slice_of(Some(window), rows))
    }

    /// What is paid together: half a slice, so that a worker need not wait for a payment's way.
    fn batch(&self) -> usize {
        self.terms.slice(self.dearest()).div_ceil(2)
    }

    /// Results that are here and not paid.
    pub fn unpaid(&self) -> usize {
        self.accepted.len() + self.windows.iter().map(|window| window.unpaid.len()).sum::<usize>()
    }

    /// What these come to.
    pub fn owed(&self) -> Credits {
        self.owed
    }

    /// The most that a result has taken, if there is one.
    pub fn dearest(&self) -> Option<Fuel> {
        self.dearest.map(|work| self.tariff.in_fuel(work))
    }

    /// Whether this task is here, and not paid; or paid, in a window that is not final.
    pub fn has(&self, task: TaskIndex) -> bool {
        self.windows.iter().any(|window| window.tasks.contains(task)) || self.accepted.contains_key(&task)
    }

    /// Whether all that is final is paid, and nothing else is open.
    pub fn is_done(&self) -> bool {
        self.windows.is_empty() && self.accepted.is_empty()
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
        let (unpaid, tasks, open) = (VecDeque::new(), RangeSet::default(), BTreeSet::new());
        Self { id, unpaid, ripe: Ripe::default(), tasks, is_drawn: false, open, is_final: false }
    }

    fn takes(&self, id: WindowId) -> bool {
        self.id == id && !self.is_drawn && !self.is_final && self.tasks.len() < limits::WINDOW_RESULTS_MAX
    }

    /// How many of the first unpaid results are due.
    fn due(&self, hold_back: usize) -> usize {
        if self.is_final {
            return self.unpaid.len();
        }
        let free = self.unpaid.len().saturating_sub(hold_back);
        let audited = self.unpaid.iter().position(|row| self.open.contains(&row.task));
        audited.map_or(free, |audited| audited.min(free))
    }
}

fn slice_of(window: Option<WindowId>, mut rows: Vec<Row>) -> Slice {
    rows.sort_unstable_by_key(|row| row.task);
    let fuel = Fuel(rows.iter().map(|row| row.fuel.0).sum());
    let bytes = rows.iter().map(|row| row.bytes).sum();
    let tasks = rows.iter().map(|row| row.task).collect::<RangeSet>().ranges().collect();
    let results = merkle::results_root(rows.iter().map(|row| (row.task, row.digest)));
    Slice { window, tasks, fuel, bytes, results }
}
