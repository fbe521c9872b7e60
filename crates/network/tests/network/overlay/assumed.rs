//! `simulations/overlay.toml`: what the simulator takes for granted, and the comparison with what was measured.

use std::fmt::Write;
use toml::Table;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../simulations/overlay.toml");

/// How a figure may differ from what is assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Reality is at least as good as assumed when it is not below.
    AtLeast,
    /// Reality is at least as good as assumed when it is not above.
    AtMost,
    /// It is a setting.
    Exactly,
    /// Reality says nothing on a machine that talks to itself: shown only.
    Shown,
}

/// Everything measured, beside what is assumed of it.
pub struct Comparison {
    assumed: Table,
    text: String,
    rosy: Vec<String>,
}

impl Comparison {
    pub fn new() -> Self {
        let assumed = std::fs::read_to_string(PATH).expect("simulations/overlay.toml is there");
        let assumed = assumed.parse().expect("simulations/overlay.toml is TOML");
        let text = format!("{:<22} {:<31} {:>8} {:>9}\n", "peers", "key", "assumed", "measured");
        Self { assumed, text, rosy: Vec::new() }
    }

    fn assumed(&self, key: &str) -> f64 {
        let (table, name) = key.split_once('.').expect("table.key");
        let value = self.assumed.get(table).and_then(|table| table.get(name));
        let number = value.and_then(|value| value.as_float().or(value.as_integer().map(|n| n as f64)));
        number.unwrap_or_else(|| panic!("simulations/overlay.toml has no number {key}"))
    }

    /// Holds what was measured in `swarm` to the assumption `key`.
    pub fn add(&mut self, swarm: &str, key: &str, bound: Bound, measured: f64) {
        let assumed = self.assumed(key);
        writeln!(self.text, "{swarm:<22} {key:<31} {assumed:>8} {measured:>9.3}").expect("memory takes it");
        let holds = match bound {
            Bound::AtLeast => measured >= assumed,
            Bound::AtMost => measured <= assumed,
            Bound::Exactly => measured == assumed,
            Bound::Shown => true,
        };
        if !holds {
            self.rosy.push(format!("{swarm}: {key} is assumed to be {assumed} and was {measured:.3}"));
        }
    }

    /// A figure of which nothing is assumed.
    pub fn show(&mut self, swarm: &str, what: &str, measured: f64) {
        writeln!(self.text, "{swarm:<22} {what:<31} {:>8} {measured:>9.3}", "-").expect("memory takes it");
    }

    /// Prints the table; the simulator must not be kinder than real swarms.
    pub fn conclude(self) {
        println!("{}", self.text);
        assert!(self.rosy.is_empty(), "simulations/overlay.toml is too rosy\n{}\n{}", self.rosy.join("\n"), self.text);
    }
}
