//! Slices and the hold-back: what is paid when, and what each side has at stake. specs/settlement.md §4.
//!
//! [`Payer`] is the client's half, [`Earner`] the worker's; one of each for a lease. Neither believes the other: the earner stops
//! when one slice and the hold-back are unpaid, the payer pays no window before those before it are final. Nobody talks here.

mod earner;
mod payer;

pub use earner::{Dispute, Earner};
pub use payer::{Payer, Slice, WindowId};

use pocketmesh_types::{Fuel, Hash, Outcome, TaskIndex, Work, limits};

/// What client and worker agree on with a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Results that are paid together at least, 1 to [`limits::SLICE_TASKS_MAX`].
    pub slice_tasks: u32,
    /// A slice is as many results as burn this, if that is more.
    pub slice_fuel: Fuel,
    /// Results at the end of a window that are paid only once it is final.
    pub hold_back_tasks: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self::of(limits::SLICE_TASKS_DEFAULT, limits::HOLD_BACK_TASKS)
    }
}

impl Terms {
    /// Those of a lease that says so many.
    pub fn of(slice_tasks: u32, hold_back_tasks: u32) -> Self {
        Self { slice_tasks, slice_fuel: Fuel(limits::SLICE_FUEL), hold_back_tasks }
    }

    /// Whether they can be kept: the slice fits a receipt, and no more is held back than these rules say.
    pub fn are_fair(&self) -> bool {
        (1..=limits::SLICE_TASKS_MAX).contains(&self.slice_tasks) && self.hold_back_tasks <= limits::HOLD_BACK_TASKS
    }

    /// The most executions, finished or begun, that a worker has unpaid: one slice and the hold-back. Nothing is known of their length
    /// before one of them was `dearest`, with its bytes as the fuel that costs as much.
    pub fn exposure_tasks(&self, dearest: Option<Fuel>) -> usize {
        self.slice(dearest) + self.hold_back_tasks as usize
    }

    fn slice(&self, dearest: Option<Fuel>) -> usize {
        let short = dearest.map_or(0, |dearest| self.slice_fuel.0 / dearest.0.max(1));
        let short = u32::try_from(short).unwrap_or(u32::MAX).min(limits::SLICE_SHORT_TASKS_MAX);
        self.slice_tasks.max(short) as usize
    }
}

/// One result, as far as payment is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Which task.
    pub task: TaskIndex,
    /// What it took.
    pub fuel: Fuel,
    /// What was moved for it, in bytes.
    pub bytes: u64,
    /// The digest of its outcome.
    pub digest: Hash,
}

impl Row {
    /// What a task came to, on an input of so many bytes.
    pub fn of(task: TaskIndex, outcome: &Outcome, input_len: u64) -> Self {
        let bytes = outcome.bytes().saturating_add(input_len);
        Self { task, fuel: outcome.fuel, bytes, digest: outcome.digest() }
    }

    /// What it is paid for.
    pub fn work(&self) -> Work {
        Work { fuel: self.fuel, bytes: self.bytes }
    }

    /// Whether a task can take as much.
    fn is_possible(&self) -> bool {
        self.fuel.0 <= limits::TASK_FUEL_MAX && self.bytes <= limits::TASK_BYTES_MAX
    }
}

/// What neither of two takes more of.
fn most(dearest: Option<Work>, row: &Row) -> Option<Work> {
    let Work { fuel, bytes } = dearest.unwrap_or_default();
    Some(Work { fuel: fuel.max(row.fuel), bytes: bytes.max(row.bytes) })
}
