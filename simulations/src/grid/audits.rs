//! Jobs whose results are audited after delivery, over the real machine of audit windows; tasks are ranges.
//!
//! Of a job only this is modelled: who gets a seat, which results are wrong, who audits what. When a window is closed,
//! what is drawn, when it is final and what a void takes along is up to [`Windows`].

use super::{
    Plant,
    cell::{Attacker, Audits, Cell},
    tally::Tally,
};
use crate::dice::Dice;
use pocketmesh_protocol::verification::{
    sizing::{self, By},
    windows::{WindowId, Windows},
};
use pocketmesh_types::{PeerId, RangeSet};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// Workers of a job.
const WORKERS: u32 = 200;
/// Windows of a job: five for each worker.
const WINDOWS_PER_JOB: u32 = 1_000;
/// Windows that are open at once.
const OPEN: usize = 32;
/// Windows after which a sleeper reckons that it is trusted.
const TRUSTED_AFTER: u32 = 1;

/// Runs jobs until so many windows became final.
pub fn run(cell: &Cell, audits: &Audits, k: u32, windows: u32, plant: Option<Plant>, dice: &mut Dice) -> Tally {
    let mut tally = Tally::default();
    let (cheat, _) = sizing::worst_cheat(audits.n, k, cell.saboteurs, audits.by);
    let plan = Plan {
        attacker: cell.attacker,
        n: audits.n,
        k: if plant == Some(Plant::TenthOfAudits) { k / 10 } else { k },
        cheat,
        by: audits.by,
        plant,
    };
    for _ in 0..windows.div_ceil(WINDOWS_PER_JOB) {
        let count = (u64::from(WORKERS) * u64::from(cell.saboteurs.0)).div_ceil(1_000_000) as u32;
        Job::new(&plan, count, dice, &mut tally).run();
    }
    tally
}

/// What holds for all jobs of a cell.
struct Plan {
    attacker: Attacker,
    n: u32,
    k: u32,
    cheat: u32,
    by: By,
    plant: Option<Plant>,
}

impl Plan {
    fn comes_back(&self) -> bool {
        matches!(self.attacker, Attacker::Whitewasher | Attacker::Faults)
    }
}

/// A saboteur under its present name.
struct Saboteur {
    name: u32,
    finals: u32,
    open: u32,
}

/// A window that is open, as the job sees it.
struct Open {
    owner: u32,
    tasks: Range<u32>,
    /// The wrong results, in order.
    wrong: Vec<u32>,
    audits: Vec<u32>,
}

struct Job<'a> {
    plan: &'a Plan,
    dice: &'a mut Dice,
    tally: &'a mut Tally,
    windows: Windows,
    honest: u32,
    saboteurs: Vec<Saboteur>,
    names: u32,
    todo: Vec<Range<u32>>,
    open: BTreeMap<WindowId, Open>,
    finals: RangeSet,
}

/// Names below the number of workers are honest.
fn peer(name: u32) -> PeerId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&name.to_le_bytes());
    PeerId(bytes)
}

impl<'a> Job<'a> {
    fn new(plan: &'a Plan, count: u32, dice: &'a mut Dice, tally: &'a mut Tally) -> Self {
        let saboteurs = (0..count).map(|at| Saboteur { name: WORKERS + at, finals: 0, open: 0 }).collect();
        Self {
            plan,
            dice,
            tally,
            windows: Windows::default(),
            honest: WORKERS - count,
            saboteurs,
            names: WORKERS + count,
            todo: (0..WINDOWS_PER_JOB).map(|at| at * plan.n..(at + 1) * plan.n).collect(),
            open: BTreeMap::new(),
            finals: RangeSet::default(),
        }
    }

    fn run(mut self) {
        while !self.todo.is_empty() {
            for _ in 0..OPEN {
                let Some(tasks) = self.todo.pop() else { break };
                self.deliver(tasks);
            }
            self.audit();
            let passed: Vec<WindowId> = self.open.keys().copied().collect();
            passed.into_iter().for_each(|id| self.make_final(id));
        }
        assert!(self.windows.iter().next().is_none(), "every window has ended");
        assert_eq!(self.finals.len(), WINDOWS_PER_JOB * self.plan.n, "every result is final, and once");
    }

    /// The share of the seats that saboteurs hold now.
    fn share(&self) -> f64 {
        self.saboteurs.len() as f64 / (self.saboteurs.len() as f64 + f64::from(self.honest))
    }

    /// A worker for the next window: its name, and its place among the saboteurs if it is one.
    fn seat(&mut self) -> (u32, Option<usize>) {
        if !self.dice.chance(self.share()) {
            return (self.dice.below(u64::from(self.honest)) as u32, None);
        }
        let place = self.dice.index(self.saboteurs.len());
        // Names are free: whoever makes new ones does not risk two windows under one.
        if self.plan.comes_back() && self.saboteurs[place].open > 0 {
            self.rename(place);
        }
        (self.saboteurs[place].name, Some(place))
    }

    /// Somebody delivers the results of a window, and the window is drawn from.
    fn deliver(&mut self, tasks: Range<u32>) {
        let (owner, place) = self.seat();
        let id = self.windows.of(peer(owner));
        let middle = tasks.start + self.plan.n / 2;
        for part in [tasks.start..middle, middle..tasks.end] {
            assert!(self.windows.deliver(id, part), "these results are in no other window");
        }
        // The dice of this draw: nobody knows them before, unless that is what was planted.
        let (seed, k) = (self.dice.bits(), self.plan.k);
        let draw = |windows: &mut Windows| {
            let mut dice = Dice::new(seed, "draw");
            windows.draw(id, k, |bound| dice.below(u64::from(bound)) as u32)
        };
        let wrong = match place {
            None => Vec::new(),
            Some(_) if self.plan.plant == Some(Plant::DrawKnown) => {
                let foreseen = draw(&mut self.windows.clone());
                tasks.clone().filter(|task| foreseen.binary_search(task).is_err()).collect()
            }
            Some(place) => self.cheats(place, &tasks),
        };
        let audits = draw(&mut self.windows);
        assert_eq!(audits.len(), k.min(self.plan.n) as usize, "as many as were asked for");
        self.tally.all += u64::from(self.plan.n) + audits.len() as u64;
        if let Some(place) = place {
            self.saboteurs[place].open += 1;
        }
        self.open.insert(id, Open { owner, tasks, wrong, audits });
    }

    /// Which of its results a saboteur makes wrong.
    fn cheats(&mut self, place: usize, tasks: &Range<u32>) -> Vec<u32> {
        let Plan { n, cheat, .. } = *self.plan;
        let count = match self.plan.attacker {
            Attacker::Always => n,
            Attacker::Sleeper if self.saboteurs[place].finals < TRUSTED_AFTER => 0,
            Attacker::Sleeper | Attacker::Clique | Attacker::Whitewasher => cheat,
            Attacker::Faults => {
                let rate = f64::from(cheat) / f64::from(n);
                return tasks.clone().filter(|_| self.dice.chance(rate)).collect();
            }
        };
        if count == n {
            return tasks.clone().collect();
        }
        let mut wrong = BTreeSet::new();
        while (wrong.len() as u32) < count {
            wrong.insert(tasks.start + self.dice.below(u64::from(n)) as u32);
        }
        wrong.into_iter().collect()
    }

    /// Audits come in side by side, one of each window at a time.
    fn audit(&mut self) {
        let ids: Vec<WindowId> = self.open.keys().copied().collect();
        for at in 0..self.plan.k.min(self.plan.n) as usize {
            for id in &ids {
                let Some(open) = self.open.get(id) else { continue };
                let task = open.audits[at];
                let is_wrong = open.wrong.binary_search(&task).is_ok();
                self.hear(*id, task, is_wrong);
            }
        }
    }

    /// One audit is in.
    fn hear(&mut self, id: WindowId, task: u32, is_wrong: bool) {
        let owner = self.open[&id].owner;
        let is_by_saboteur = owner >= WORKERS;
        let by_seat = self.plan.by == By::Seats;
        if is_wrong {
            let hides = by_seat && self.plan.attacker != Attacker::Faults && self.dice.chance(self.share());
            let copies = by_seat && self.plan.plant == Some(Plant::ClaimShown);
            if !hides && !copies {
                // Our own run of this one task tells who is right.
                self.decide();
                return match self.plan.plant {
                    Some(Plant::VoidForgotten) => self.correct(id, task),
                    _ => self.void(owner),
                };
            }
        } else if by_seat {
            self.hear_liar(is_by_saboteur);
        }
        self.windows.agree(id, task);
    }

    /// The auditor of a right result contradicts it, if it is one who does that: our own run decides, and it is void.
    fn hear_liar(&mut self, is_by_saboteur: bool) {
        let lies = match self.plan.attacker {
            Attacker::Always => !is_by_saboteur && self.dice.chance(self.share()),
            Attacker::Faults => {
                let rate = f64::from(self.plan.cheat) / f64::from(self.plan.n);
                self.dice.chance(self.share() * rate)
            }
            _ => false,
        };
        if lies {
            self.decide();
            let place = self.dice.index(self.saboteurs.len());
            self.void(self.saboteurs[place].name);
        }
    }

    fn decide(&mut self) {
        self.tally.decisions += 1;
        self.tally.all += u64::from(self.plan.by == By::Seats);
    }

    /// Planted: the one result is corrected, and nothing else happens.
    fn correct(&mut self, id: WindowId, task: u32) {
        self.windows.agree(id, task);
        let open = self.open.get_mut(&id).expect("the window is open");
        open.wrong.retain(|&wrong| wrong != task);
    }

    /// A worker is found out: its windows are void, and their tasks are done again. It leaves, or takes a new name.
    fn void(&mut self, name: u32) {
        for (id, window) in self.windows.void(&peer(name)) {
            let open = self.open.remove(&id).expect("the window is open");
            assert!(window.results().ranges().eq([(open.tasks.start, open.tasks.end)]), "a void takes all of it");
            self.tally.windows.push((0, 0));
            self.todo.push(open.tasks);
        }
        let Some(place) = self.saboteurs.iter().position(|one| one.name == name) else { return };
        if self.plan.comes_back() {
            self.rename(place);
        } else {
            self.saboteurs.swap_remove(place);
        }
    }

    fn rename(&mut self, place: usize) {
        self.saboteurs[place] = Saboteur { name: self.names, finals: 0, open: 0 };
        self.names += 1;
    }

    fn make_final(&mut self, id: WindowId) {
        let window = self.windows.take_passed(id).expect("all of its audits have agreed");
        let open = self.open.remove(&id).expect("the window is open");
        for (start, end) in window.results().ranges() {
            assert!(self.finals.insert_range(start..end), "no result is final twice");
        }
        let (results, wrong) = (window.results().len(), open.wrong.len() as u32);
        self.tally.windows.push((results, wrong));
        self.tally.paid += u64::from(results) + u64::from(window.audits());
        if let Some(saboteur) = self.saboteurs.iter_mut().find(|one| one.name == open.owner) {
            (saboteur.finals, saboteur.open) = (saboteur.finals + 1, 0);
        }
    }
}
