//! What others do, against the same attackers, as they describe it: BOINC's adaptive replication, the first two of three
//! that agree, iExec's proof of contribution.
//!
//! Saboteurs say the same where they lie, so that they win wherever two of them meet. A result is paid for whether it is
//! right or not, and so is every other seat of the task. "Windows" are a hundred tasks that follow one another.

use super::{
    cell::{Attacker, Cell, Mechanism},
    tally::Tally,
};
use crate::dice::Dice;

/// Tasks that are counted together.
const BLOCK: u32 = 100;
/// Hosts of a project.
const HOSTS: usize = 200;
/// Tasks that each of them gets, on average, before the project ends.
const TASKS_PER_HOST: usize = 1_000;
/// Valid results after which BOINC trusts a host.
const TRUSTED_FROM: u32 = 10;
/// Seats of a task at most: what has not been decided by then is decided by the requester.
const SEATS_MAX: u32 = 100;
/// What a worker with a score of 300 weighs in a proof of contribution, and one without any.
const VETERAN: f64 = 99.0;
const NEWCOMER: f64 = 2.0;

/// One task: seats, and whether what was accepted is wrong.
struct Task {
    seats: u32,
    is_wrong: bool,
}

/// Runs so many blocks.
pub fn run(cell: &Cell, blocks: u32, dice: &mut Dice) -> Tally {
    let share = f64::from(cell.saboteurs.0) / 1e6;
    let mut tally = Tally::default();
    let mut project = Project::new(share);
    let mut since = 0;
    for _ in 0..blocks {
        let mut wrong = 0;
        for _ in 0..BLOCK {
            let task = match cell.mechanism {
                Mechanism::Boinc => project.task(cell.attacker, dice),
                Mechanism::Poco(trust) => contributions(f64::from(trust), cell.attacker, share, dice),
                _ => vote(cell.attacker, share, dice),
            };
            wrong += u32::from(task.is_wrong);
            tally.paid += u64::from(task.seats);
        }
        tally.windows.push((BLOCK, wrong));
        since += BLOCK as usize;
        if since >= HOSTS * TASKS_PER_HOST {
            (project, since) = (Project::new(share), 0);
        }
    }
    tally.all = tally.paid;
    tally
}

/// Two seats, and others until two agree. A vote has no memory, so whoever means to cheat always does; a clique that
/// knows its seats does so only where it has the first two.
fn vote(attacker: Attacker, share: f64, dice: &mut Dice) -> Task {
    let is_careful = attacker == Attacker::Clique;
    let first = [dice.chance(share), dice.chance(share)];
    if is_careful {
        return Task { seats: 2, is_wrong: first == [true, true] };
    }
    let (mut wrong, mut seats) = (first.iter().filter(|&&lies| lies).count() as u32, 2);
    while wrong < 2 && seats - wrong < 2 {
        wrong += u32::from(dice.chance(share));
        seats += 1;
    }
    Task { seats, is_wrong: wrong >= 2 }
}

/// Seats until the weight of those that agree, multiplied, is the needed part of all. Scores are held: those who are
/// always wrong meet others without any score; the rest behaved well until all had 300; whitewashers are newcomers among these.
fn contributions(trust: f64, attacker: Attacker, share: f64, dice: &mut Dice) -> Task {
    let (honest, lying) = match attacker {
        Attacker::Always => (NEWCOMER, NEWCOMER),
        Attacker::Whitewasher => (VETERAN, NEWCOMER),
        _ => (VETERAN, VETERAN),
    };
    // A clique lies only where it has as many of the first seats as decide.
    let careful = (attacker == Attacker::Clique).then(|| ((trust - 1.0).ln() / VETERAN.ln()).floor() as u32 + 1);
    if let Some(needed) = careful {
        let is_wrong = (0..needed).all(|_| dice.chance(share));
        return Task { seats: needed, is_wrong };
    }
    // The weights of those who are right, and of those who are wrong; nobody yet.
    let mut weights = [0.0_f64, 0.0];
    for seats in 1..=SEATS_MAX {
        let lies = dice.chance(share);
        let (at, weight) = if lies { (1, lying) } else { (0, honest) };
        weights[at] = weights[at].max(1.0) * weight;
        let total = 1.0 + weights[0] + weights[1];
        if weights[at] * trust > total * (trust - 1.0) {
            return Task { seats, is_wrong: lies };
        }
    }
    Task { seats: SEATS_MAX + 1, is_wrong: false }
}

/// BOINC's hosts: how many of the results of each were found valid since one was not.
struct Project {
    valid: Vec<u32>,
    saboteurs: usize,
}

impl Project {
    fn new(share: f64) -> Self {
        Self { valid: vec![0; HOSTS], saboteurs: (HOSTS as f64 * share).round() as usize }
    }

    /// Whether a host lies that has a seat of a task, as have these.
    fn lies(&self, host: usize, hosts: &[usize], attacker: Attacker) -> bool {
        let is_saboteur = |host: usize| host < self.saboteurs;
        match attacker {
            Attacker::Always => is_saboteur(host),
            // The first two are saboteurs and know it: two that lie agree.
            _ if hosts.len() > 1 && hosts[..2].iter().all(|&host| is_saboteur(host)) => is_saboteur(host),
            // Who is trusted cannot see whether another seat is still to come.
            _ => is_saboteur(host) && host == hosts[0] && self.valid[host] >= TRUSTED_FROM,
        }
    }

    /// A host that has no seat of this task yet.
    fn other(&self, taken: &[usize], dice: &mut Dice) -> usize {
        loop {
            let host = dice.index(HOSTS);
            if !taken.contains(&host) {
                return host;
            }
        }
    }

    /// One task: a trusted host is believed but once in as many times as it had valid results; else two must agree. A new
    /// name is as good as the old one after a burn, as both have to earn trust again; and a clique can do no more than
    /// sleepers that know each other. So these three attackers are one.
    fn task(&mut self, attacker: Attacker, dice: &mut Dice) -> Task {
        let first = dice.index(HOSTS);
        let is_trusted = self.valid[first] >= TRUSTED_FROM;
        if is_trusted && !dice.chance(1.0 / f64::from(self.valid[first])) {
            return Task { seats: 1, is_wrong: self.lies(first, &[first], attacker) };
        }
        let mut hosts = vec![first, self.other(&[first], dice)];
        loop {
            let lies: Vec<bool> = hosts.iter().map(|&host| self.lies(host, &hosts, attacker)).collect();
            let wrong = lies.iter().filter(|&&lies| lies).count();
            let right = lies.len() - wrong;
            if wrong.max(right) >= 2 {
                let is_wrong = wrong >= 2;
                for (host, lies) in hosts.iter().zip(&lies) {
                    self.valid[*host] = if *lies == is_wrong { self.valid[*host] + 1 } else { 0 };
                }
                return Task { seats: hosts.len() as u32, is_wrong };
            }
            hosts.push(self.other(&hosts, dice));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_protocol::verification::sizing::Ppm;

    /// Executions per result, and the share of wrong ones.
    fn found(mechanism: Mechanism, attacker: Attacker, ppm: u32) -> (f64, f64) {
        let cell = Cell { mechanism, attacker, saboteurs: Ppm(ppm) };
        let tally = run(&cell, 4_000, &mut Dice::new(1, "baselines"));
        let accepted = tally.accepted() as f64;
        (tally.paid as f64 / accepted, tally.wrong() as f64 / accepted)
    }

    fn is_near(found: (f64, f64), wanted: (f64, f64), part: f64) -> bool {
        (found.0 - wanted.0).abs() < part * wanted.0 && (found.1 - wanted.1).abs() < part * wanted.1
    }

    #[test]
    fn a_vote_costs_and_errs_as_its_formula_says() {
        for (ppm, cost, error) in [(100_000, 2.18, 0.028), (200_000, 2.32, 0.104), (300_000, 2.42, 0.216)] {
            let found = found(Mechanism::Vote, Attacker::Always, ppm);
            assert!(is_near(found, (cost, error), 0.04), "{ppm}: {found:?}");
        }
        let careful = found(Mechanism::Vote, Attacker::Clique, 200_000);
        assert!(is_near(careful, (2.0, 0.04), 0.04), "{careful:?}");
    }

    #[test]
    fn contributions_cost_and_err_as_was_found_before() {
        let newcomers = found(Mechanism::Poco(100), Attacker::Always, 300_000);
        assert!(is_near(newcomers, (17.6, 2.6e-3), 0.1), "{newcomers:?}");
        let veterans = found(Mechanism::Poco(100), Attacker::Sleeper, 200_000);
        assert!(is_near(veterans, (2.94, 5.8e-2), 0.05), "{veterans:?}");
        let strict = found(Mechanism::Poco(10_000), Attacker::Sleeper, 300_000);
        assert!(is_near(strict, (6.39, 7.3e-2), 0.05), "{strict:?}");
    }

    #[test]
    fn trust_after_ten_good_results_is_worth_ten_good_results() {
        let sleeper = found(Mechanism::Boinc, Attacker::Sleeper, 100_000);
        assert!(is_near(sleeper, (1.08, 5.6e-2), 0.05), "{sleeper:?}");
        let many = found(Mechanism::Boinc, Attacker::Sleeper, 300_000);
        assert!(is_near(many, (1.15, 2.2e-1), 0.05), "{many:?}");
        let naive = found(Mechanism::Boinc, Attacker::Always, 100_000);
        assert!(is_near(naive, (1.29, 1.9e-2), 0.05), "{naive:?}");
    }
}
