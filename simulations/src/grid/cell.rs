//! One cell of the grid: which mechanism, against whom, how many of them, and what is to be shown.

use pocketmesh_protocol::verification::sizing::{self, By, Ppb, Ppm, Target};

/// What a saboteur does. All saboteurs of a cell do the same, know each other, and say the same where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attacker {
    /// Every result is wrong, and as auditor it contradicts whoever is honest.
    Always,
    /// Honest until trusted, then at the rate that serves it best.
    Sleeper,
    /// Knows the mechanism, and which seats belong to its members; cheats at the rate that serves it best.
    Clique,
    /// As the clique, and comes back under a new name after each burn, so that its share of the seats never falls.
    Whitewasher,
    /// No saboteur: a broken machine. Its wrong results are like nobody else's, also as auditor.
    Faults,
}

impl Attacker {
    /// Those who mean it.
    pub const SABOTEURS: [Self; 4] = [Self::Always, Self::Sleeper, Self::Clique, Self::Whitewasher];

    /// As a table says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always wrong",
            Self::Sleeper => "sleeper",
            Self::Clique => "clique",
            Self::Whitewasher => "whitewasher",
            Self::Faults => "independent faults",
        }
    }
}

/// How results are checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mechanism {
    /// Audits after delivery, in windows.
    Audits(Audits),
    /// BOINC's adaptive replication: trusted after ten valid results, then checked once in N.
    Boinc,
    /// The first two of three that agree.
    Vote,
    /// iExec's proof of contribution with this trust, 1 ÷ (1 − confidence).
    Poco(u32),
}

/// What audits are to achieve, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Audits {
    /// Results in a window.
    pub n: u32,
    /// The most of the accepted results that may be wrong.
    pub error: Ppb,
    /// Who audits.
    pub by: By,
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// How results are checked.
    pub mechanism: Mechanism,
    /// Against whom.
    pub attacker: Attacker,
    /// Their share of the seats, at the beginning.
    pub saboteurs: Ppm,
}

impl Cell {
    /// Results in a window, or in what stands for one.
    pub fn n(&self) -> u32 {
        match self.mechanism {
            Mechanism::Audits(audits) => audits.n,
            _ => 100,
        }
    }

    /// What is promised.
    pub fn target(&self) -> Option<Target> {
        match self.mechanism {
            Mechanism::Audits(Audits { error, .. }) => Some(Target { error, saboteurs: self.saboteurs }),
            _ => None,
        }
    }

    /// Audits a window, if this is a mechanism with audits and they reach the target.
    pub fn audits(&self) -> Option<u32> {
        match self.mechanism {
            Mechanism::Audits(Audits { n, by, .. }) => sizing::audits(n, self.target()?, by),
            _ => None,
        }
    }

    /// As a table says it.
    pub fn mechanism_name(&self) -> String {
        match self.mechanism {
            Mechanism::Audits(Audits { by: By::Own, .. }) => "own audits".into(),
            Mechanism::Audits(Audits { by: By::Seats, .. }) => "late seats".into(),
            Mechanism::Boinc => "BOINC adaptive".into(),
            Mechanism::Vote => "2 of 3".into(),
            Mechanism::Poco(trust) => format!("PoCo, trust {trust}"),
        }
    }
}

/// The shares of saboteurs.
pub const SHARES: [Ppm; 5] = [Ppm(10_000), Ppm(50_000), Ppm(100_000), Ppm(200_000), Ppm(300_000)];

/// The targets.
pub const TARGETS: [Ppb; 2] = [Ppb(1_000_000), Ppb(100_000)];

/// The whole grid, for these shares of saboteurs.
pub fn all(shares: &[Ppm]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for by in [By::Seats, By::Own] {
        for n in [100, 1_000, 10_000] {
            let attackers: &[Attacker] = if n == 100 { &[Attacker::Faults] } else { &Attacker::SABOTEURS };
            for (error, attacker) in TARGETS.iter().flat_map(|&error| attackers.iter().map(move |&who| (error, who))) {
                let mechanism = Mechanism::Audits(Audits { n, error, by });
                cells.extend(shares.iter().map(|&saboteurs| Cell { mechanism, attacker, saboteurs }));
            }
        }
    }
    for mechanism in [Mechanism::Boinc, Mechanism::Vote, Mechanism::Poco(100), Mechanism::Poco(10_000)] {
        for attacker in Attacker::SABOTEURS {
            cells.extend(shares.iter().map(|&saboteurs| Cell { mechanism, attacker, saboteurs }));
        }
    }
    cells
}
