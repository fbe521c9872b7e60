//! Audit windows: results of one worker that become final together, or void together. specs/verification.md §4.
//!
//! A window fills with results as they are delivered. Once it is closed, some of them are drawn, by dice that nobody
//! knew before, and executed once more by somebody else. If all of these agree, the window is final; one miss voids it.
//! Results are ranges here: what they say is compared by whoever holds the outcomes. Nothing here talks to anybody.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::ops::Range;
use pocketmesh_types::{PeerId, RangeSet, TaskIndex};
use serde::{Deserialize, Serialize};

/// Numbers the windows of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WindowId(pub u32);

/// How far a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Results come in.
    Filling,
    /// It takes no more; what is to be audited is drawn.
    Drawn,
}

/// Results of one worker that share their fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    owner: PeerId,
    stage: Stage,
    results: RangeSet,
    /// Audits that have not agreed yet.
    open: BTreeSet<TaskIndex>,
    audits: u32,
}

impl Window {
    fn new(owner: PeerId) -> Self {
        Self { owner, stage: Stage::Filling, results: RangeSet::default(), open: BTreeSet::new(), audits: 0 }
    }

    /// Whose results these are.
    pub fn owner(&self) -> PeerId {
        self.owner
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The results in it.
    pub fn results(&self) -> &RangeSet {
        &self.results
    }

    /// How many of them were drawn.
    pub fn audits(&self) -> u32 {
        self.audits
    }

    /// The drawn ones that have not agreed yet.
    pub fn open_audits(&self) -> impl Iterator<Item = TaskIndex> + '_ {
        self.open.iter().copied()
    }

    /// Whether everything that was drawn has agreed.
    pub fn has_passed(&self) -> bool {
        self.stage == Stage::Drawn && self.open.is_empty()
    }
}

/// The windows of a job that are neither final nor void.
#[derive(Debug, Clone, Default)]
pub struct Windows {
    windows: BTreeMap<WindowId, Window>,
    filling: BTreeMap<PeerId, WindowId>,
    next: u32,
}

impl Windows {
    /// The window that a worker's next results go into.
    pub fn of(&mut self, worker: PeerId) -> WindowId {
        if let Some(&id) = self.filling.get(&worker) {
            return id;
        }
        let id = WindowId(self.next);
        self.add(id, worker);
        id
    }

    fn add(&mut self, id: WindowId, owner: PeerId) {
        self.next = self.next.max(id.0 + 1);
        self.windows.insert(id, Window::new(owner));
        self.filling.insert(owner, id);
    }

    /// A window with this number and owner was there before the restart.
    pub fn restore(&mut self, id: WindowId, owner: PeerId) {
        if !self.windows.contains_key(&id) {
            self.add(id, owner);
        }
    }

    /// One window.
    pub fn get(&self, id: WindowId) -> Option<&Window> {
        self.windows.get(&id)
    }

    /// All windows.
    pub fn iter(&self) -> impl Iterator<Item = (WindowId, &Window)> {
        self.windows.iter().map(|(&id, window)| (id, window))
    }

    /// Those that still fill.
    pub fn filling(&self) -> impl Iterator<Item = (WindowId, &Window)> {
        self.filling.values().filter_map(|id| Some((*id, self.windows.get(id)?)))
    }

    /// Results are delivered: here, and on disk. A closed window takes none, and none is taken twice.
    pub fn deliver(&mut self, id: WindowId, tasks: Range<TaskIndex>) -> bool {
        match self.windows.get_mut(&id) {
            Some(window) if window.stage == Stage::Filling => window.results.insert_range(tasks),
            _ => false,
        }
    }

    /// A result was decided by other means: it shares the fate of the window no more.
    pub fn take_out(&mut self, id: WindowId, task: TaskIndex) {
        if let Some(window) = self.windows.get_mut(&id) {
            window.results.remove(task);
            window.open.remove(&task);
        }
    }

    /// Closes a window and draws so many of its results, all if there are fewer; `below(m)` is a number below m that
    /// nobody could know before.
    pub fn draw(&mut self, id: WindowId, count: u32, below: impl FnMut(u32) -> u32) -> Vec<TaskIndex> {
        let Some(window) = self.windows.get(&id).filter(|window| window.stage == Stage::Filling) else {
            return Vec::new();
        };
        let audits = window.results.at(sample(window.results.len(), count, below));
        self.restore_drawn(id, &audits);
        audits
    }

    /// A window was closed, and these of its results drawn.
    pub fn restore_drawn(&mut self, id: WindowId, audits: &[TaskIndex]) {
        if let Some(window) = self.windows.get_mut(&id) {
            window.stage = Stage::Drawn;
            window.open = audits.iter().copied().filter(|&task| window.results.contains(task)).collect();
            window.audits = u32::try_from(window.open.len()).expect("no more than results");
            if self.filling.get(&window.owner) == Some(&id) {
                self.filling.remove(&window.owner);
            }
        }
    }

    /// An audit agreed with the result.
    pub fn agree(&mut self, id: WindowId, task: TaskIndex) {
        if let Some(window) = self.windows.get_mut(&id) {
            window.open.remove(&task);
        }
    }

    /// Takes out a window that has passed, to be made final.
    pub fn take_passed(&mut self, id: WindowId) -> Option<Window> {
        if self.windows.get(&id)?.has_passed() { self.remove(id) } else { None }
    }

    /// Takes out all windows of a worker: one of its claims was refuted.
    pub fn void(&mut self, owner: &PeerId) -> Vec<(WindowId, Window)> {
        let ids: Vec<WindowId> =
            self.windows.iter().filter(|(_, window)| window.owner == *owner).map(|(&id, _)| id).collect();
        ids.into_iter().filter_map(|id| Some((id, self.remove(id)?))).collect()
    }

    /// Takes out a window.
    pub fn remove(&mut self, id: WindowId) -> Option<Window> {
        let window = self.windows.remove(&id)?;
        if self.filling.get(&window.owner) == Some(&id) {
            self.filling.remove(&window.owner);
        }
        Some(window)
    }
}

/// So many different places below `len`, every choice of them equally likely (R. W. Floyd's algorithm), in order.
fn sample(len: u32, count: u32, mut below: impl FnMut(u32) -> u32) -> BTreeSet<u32> {
    let mut chosen = BTreeSet::new();
    for last in len.saturating_sub(count)..len {
        let place = below(last + 1);
        if !chosen.insert(place) {
            chosen.insert(last);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    fn dice(seed: u64) -> impl FnMut(u32) -> u32 {
        let mut state = seed;
        move |bound| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((state >> 33) % u64::from(bound)).expect("below a u32")
        }
    }

    #[test]
    fn every_result_is_drawn_equally_often() {
        let mut hits = [0_u32; 10];
        let mut roll = dice(1);
        for _ in 0..20_000 {
            let chosen = sample(10, 3, &mut roll);
            assert_eq!(chosen.len(), 3);
            chosen.iter().for_each(|&place| hits[place as usize] += 1);
        }
        assert!(hits.iter().all(|&hits| (5_700..6_300).contains(&hits)), "{hits:?}");
    }

    #[test]
    fn a_window_is_final_only_after_all_that_was_drawn_agreed() {
        let mut windows = Windows::default();
        let id = windows.of(peer(1));
        assert!(windows.deliver(id, 10..30) && !windows.deliver(id, 29..31));
        let audits = windows.draw(id, 5, dice(2));
        assert_eq!((audits.len(), windows.get(id).map(Window::audits)), (5, Some(5)));
        assert!(!windows.deliver(id, 40..41), "closed");
        for &task in &audits {
            assert_eq!(windows.take_passed(id), None);
            windows.agree(id, task);
        }
        assert_eq!(windows.take_passed(id).map(|window| window.results.len()), Some(20));
        assert_eq!(windows.take_passed(id), None, "once");
    }

    #[test]
    fn a_refuted_worker_loses_all_its_windows_and_nobody_elses() {
        let mut windows = Windows::default();
        let (first, other) = (windows.of(peer(1)), windows.of(peer(2)));
        windows.deliver(first, 0..5);
        windows.draw(first, 1, dice(3));
        let second = windows.of(peer(1));
        assert_ne!(first, second);
        windows.deliver(second, 5..7);
        let voided: Vec<WindowId> = windows.void(&peer(1)).into_iter().map(|(id, _)| id).collect();
        assert_eq!(voided, [first, second]);
        assert_eq!(windows.iter().map(|(id, _)| id).collect::<Vec<_>>(), [other]);
        assert!(windows.of(peer(1)) > second, "a number is never used again");
    }

    #[test]
    fn a_result_that_is_taken_out_is_audited_no_more_and_shares_no_fate() {
        let mut windows = Windows::default();
        let id = windows.of(peer(1));
        windows.deliver(id, 0..3);
        windows.draw(id, 3, dice(5));
        windows.agree(id, 0);
        windows.take_out(id, 2);
        let open: Vec<TaskIndex> = windows.get(id).expect("not final yet").open_audits().collect();
        assert_eq!(open, [1]);
        windows.agree(id, 1);
        let passed = windows.take_passed(id).expect("all that is left has agreed");
        assert_eq!(passed.results().iter().collect::<Vec<TaskIndex>>(), [0, 1]);
    }

    #[test]
    fn short_windows_are_drawn_whole() {
        let mut windows = Windows::default();
        let id = windows.of(peer(1));
        windows.deliver(id, 3..6);
        windows.deliver(id, 9..10);
        assert_eq!(windows.draw(id, 100, dice(4)), [3, 4, 5, 9]);
    }
}
