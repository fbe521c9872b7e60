//! The grid: what a mechanism that checks results costs, and what it lets pass, against every attacker.
//!
//! This is a simulation of audit windows by the real state machine, with tasks as ranges and without a network; whole peers
//! are simulated elsewhere. One seed decides everything, however many threads there are.

pub mod audits;
pub mod baselines;
pub mod cell;
pub mod picture;
pub mod row;
pub mod table;
pub mod tally;

use crate::dice::Dice;
use cell::{Cell, Mechanism};
use pocketmesh_protocol::verification::sizing;
use row::Row;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tally::Tally;

/// A mistake that somebody could make, planted to show that the gate finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A tenth of the audits.
    TenthOfAudits,
    /// The audits are drawn before delivery, or by dice that workers know.
    DrawKnown,
    /// Auditors are told what they audit, and save themselves the work.
    ClaimShown,
    /// An audit that misses corrects one result, and the window goes on.
    VoidForgotten,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TenthOfAudits, Self::DrawKnown, Self::ClaimShown, Self::VoidForgotten];
}

/// How much is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Windows that become final, at least, in each cell.
    pub windows: u32,
    /// Resamples of each cell's bootstrap.
    pub resamples: usize,
}

impl Size {
    /// What is published.
    pub const FULL: Self = Self { windows: 20_000, resamples: 2_000 };
    /// For every change.
    pub const QUICK: Self = Self { windows: 2_000, resamples: 300 };
}

/// Runs these cells, on so many threads.
pub fn run(cells: &[Cell], size: Size, seed: u64, threads: usize, plant: Option<Plant>) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let rows: Mutex<Vec<(usize, Row)>> = Mutex::new(Vec::new());
    let work = || {
        while let Some((at, cell)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, cells.get(at)?)))
        {
            let row = run_cell(cell, size, seed, plant);
            rows.lock().expect("no thread panics while it holds this").push((at, row));
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut rows = rows.into_inner().expect("no thread panics while it holds this");
    rows.sort_by_key(|(at, _)| *at);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// How much more is simulated of a cell where the first run came out above the target.
const AGAIN: u32 = 10;

/// Runs a cell; where all of its interval is a little above the target, ten times as much of it with other dice.
///
/// Whitewashers are at the target itself, so of forty such cells one is expected to have its interval above by chance. By
/// chance it will not be there twice; and what counts is the longer run.
fn run_cell(cell: &Cell, size: Size, seed: u64, plant: Option<Plant>) -> Row {
    let first = run_once(cell, size, &mut Dice::new(seed, &format!("{cell:?}")), plant);
    if !first.is_just_above() {
        return first;
    }
    let longer = Size { windows: size.windows * AGAIN, ..size };
    let again = run_once(cell, longer, &mut Dice::new(seed, &format!("{cell:?} again")), plant);
    Row { first: first.found, ..again }
}

fn run_once(cell: &Cell, size: Size, dice: &mut Dice, plant: Option<Plant>) -> Row {
    let (tally, cheat): (Tally, u32) = match (cell.mechanism, cell.audits()) {
        (Mechanism::Audits(audits), Some(k)) => {
            let cheat = sizing::worst_cheat(audits.n, k, cell.saboteurs, audits.by).0;
            (audits::run(cell, &audits, k, size.windows, plant, dice), cheat)
        }
        (Mechanism::Audits(_), None) => return Row::unreachable(cell),
        _ => (baselines::run(cell, size.windows, dice), 1),
    };
    let error = tally.error(size.resamples, cheat, dice);
    Row::of(cell, &tally, &error)
}
