//! Checkers: each looks at all that passes for one thing that must not be, and lives in a file of its own.

pub mod accepted;
pub mod auctions;
pub mod blame;
pub mod books;
pub mod copies;
pub mod durable;
pub mod exposure;
pub mod finality;
pub mod paid_once;
pub mod payment;
pub mod queues;
pub mod seats;
pub mod secrecy;
pub mod service;
pub mod settles;
pub mod vouchers;
pub mod windows;

use crate::{scenario::Scenario, seen::Seen, truth::Truth};
use pocketmesh_types::JobId;
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// Violations kept in full; the rest are counted.
const KEPT_MAX: usize = 20;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Who found it.
    pub checker: &'static str,
    /// When, in microseconds.
    pub at: u64,
    /// What.
    pub what: String,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The first of them.
    pub first: Vec<Violation>,
    /// How many there are.
    pub count: u64,
    /// How many each checker found.
    pub by_checker: BTreeMap<&'static str, u64>,
    now: u64,
    checker: &'static str,
}

impl Found {
    /// Notes something that must not be.
    pub fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        *self.by_checker.entry(self.checker).or_default() += 1;
        if self.first.len() < KEPT_MAX {
            self.first.push(Violation { checker: self.checker, at: self.now, what: what() });
        }
    }
}

/// One thing that must not be.
pub trait Checker: fmt::Debug {
    /// Its name: that of its file.
    fn name(&self) -> &'static str;

    /// Looks at something that happened.
    fn see(&mut self, truth: &Truth, seen: &Seen<'_>, found: &mut Found);

    /// Looks back when all is over.
    fn end(&mut self, _truth: &Truth, _found: &mut Found) {}

    /// What it has counted.
    fn figures(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Jobs that are not settled, if it knows of any.
    fn open(&self) -> Vec<JobId> {
        Vec::new()
    }
}

/// All that look at a run.
#[derive(Debug, Default)]
pub struct Checkers {
    list: Vec<Box<dyn Checker>>,
    /// What they have found.
    pub found: Found,
}

fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(accepted::Accepted::default()),
        Box::new(auctions::Auctions::default()),
        Box::new(blame::Blame::default()),
        Box::new(books::Books::default()),
        Box::new(copies::Copies::default()),
        Box::new(durable::Durable::default()),
        Box::new(exposure::Exposure::default()),
        Box::new(finality::Finality::default()),
        Box::new(paid_once::PaidOnce::default()),
        Box::new(payment::Payment::default()),
        Box::new(queues::Queues::default()),
        Box::new(seats::Seats),
        Box::new(secrecy::Secrecy::default()),
        Box::new(service::Service::default()),
        Box::new(settles::Settles::default()),
        Box::new(vouchers::Vouchers::default()),
        Box::new(windows::Windows::default()),
    ]
}

impl Checkers {
    /// The names of all.
    pub fn names() -> Vec<&'static str> {
        all().iter().map(|checker| checker.name()).collect()
    }

    /// All that apply to a scenario.
    pub fn for_scenario(plan: &Scenario) -> Self {
        let applies = |name: &str| plan.without.iter().all(|without| without.checker != name);
        let list = all().into_iter().filter(|checker| applies(checker.name())).collect();
        Self { list, found: Found::default() }
    }

    /// Shows them something that happened.
    pub fn see(&mut self, truth: &Truth, now: u64, seen: &Seen<'_>) {
        self.found.now = now;
        for checker in &mut self.list {
            self.found.checker = checker.name();
            checker.see(truth, seen, &mut self.found);
        }
    }

    /// Lets them look back.
    pub fn end(&mut self, truth: &Truth, now: u64) {
        self.found.now = now;
        for checker in &mut self.list {
            self.found.checker = checker.name();
            checker.end(truth, &mut self.found);
        }
    }

    /// What they have counted.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        self.list.iter().flat_map(|checker| checker.figures()).collect()
    }

    /// Whether every job is settled.
    pub fn all_settled(&self) -> bool {
        self.list.iter().all(|checker| checker.open().is_empty())
    }

    /// Jobs that are not settled.
    pub fn open(&self) -> Vec<JobId> {
        self.list.iter().flat_map(|checker| checker.open()).collect()
    }
}
