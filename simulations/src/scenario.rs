//! A scenario as it is written down: who takes part, what they do, what goes wrong, what must hold.
//!
//! Everything about a run stands here or in its seed.

use crate::sealing;
use pocketmesh_ledger::{
    driver::Embedded,
    service::{Rates, Unpaid},
};
use pocketmesh_protocol::settlement::Money;
use pocketmesh_types::Credits;
use serde::{Deserialize, Serialize};

/// A scenario file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub about: String,
    /// Who takes part.
    pub peers: Vec<Group>,
    /// What is to be computed.
    #[serde(default)]
    pub jobs: Vec<Work>,
    /// Latency of direct messages.
    #[serde(default)]
    pub links: Links,
    /// What differs from `overlay.toml`.
    #[serde(default)]
    pub overlay: Mesh,
    /// Whom everybody serves for nothing.
    #[serde(default)]
    pub provide: Provide,
    /// What happens when: phases, one after the other.
    pub phases: Vec<Phase>,
    /// At the end all jobs are waited for, at most so long; faults are off then.
    #[serde(default = "Scenario::settle_default")]
    pub settle_s: u64,
    /// Checkers that are left out, each with its reason.
    #[serde(default)]
    pub without: Vec<Without>,
    /// What figures must be.
    #[serde(default)]
    pub expect: Vec<Expected>,
}

/// What is done for peers without credit.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provide {
    /// For whom it is done.
    #[serde(default)]
    pub unpaid: Service,
    /// How many gigafuel, at 100 nano-credits each, one owner gets for nothing before time refills it; nothing comes back here. With
    /// `idle` it is the debt beyond which a stranger is served when nobody else waits.
    #[serde(default)]
    pub allowance_gigafuel: u32,
}

impl Provide {
    fn allowance(&self) -> Credits {
        Credits(u128::from(self.allowance_gigafuel) * 100 * 1_000_000_000)
    }

    /// The debt that is borne of a stranger, if the scenario says so.
    pub fn borne(&self) -> Option<Credits> {
        (self.unpaid == Service::Idle && self.allowance_gigafuel > 0).then(|| self.allowance())
    }
}

/// `provide.unpaid`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// For all, when nobody else waits.
    #[default]
    Idle,
    /// For all, up to an allowance.
    Allowance,
    /// For nobody.
    None,
}

impl Scenario {
    /// What peers are told about payment.
    pub fn money(&self) -> Money {
        let unpaid = match self.provide.unpaid {
            Service::Idle => Unpaid::Idle,
            Service::Allowance => Unpaid::Allowance,
            Service::None => Unpaid::None,
        };
        let each = self.provide.allowance();
        let rates = Rates {
            owner_max: each,
            owner_per_second: Credits(0),
            total_max: Credits(each.0 * 100),
            total_per_second: Credits(0),
        };
        let money = Money::new(sealing::open);
        let base = self.provide.borne().unwrap_or(money.driver.base);
        Money { unpaid, rates, driver: Embedded { base, ..money.driver }, ..money }
    }
}

/// A checker that does not apply.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Without {
    /// Its name.
    pub checker: String,
    /// Why.
    pub because: String,
}

/// What a figure must be.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The figure's name in the report.
    pub figure: String,
    /// The least.
    pub min: Option<f64>,
    /// The most.
    pub max: Option<f64>,
}

/// Peers that are alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many.
    pub count: u32,
    /// What they do.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// How many tasks each runs at once.
    #[serde(default = "Group::slots_default")]
    pub slots: u16,
    /// How much faster than a peer that takes a task's `task_ms`.
    #[serde(default = "Group::speed_default")]
    pub speed: f64,
    /// How they come and go.
    #[serde(default)]
    pub churn: Churn,
    /// Their processor.
    #[serde(default)]
    pub arch: Arch,
    /// How many of them sit behind one public prefix; 0 if their addresses are private.
    #[serde(default)]
    pub per_prefix: u32,
    /// What they ask for a gigafuel, in nano-credits.
    #[serde(default = "Group::ask_default")]
    pub ask: u64,
    /// Whether a peer comes back under a new name after it was refuted.
    #[serde(default)]
    pub whitewash: bool,
}

/// What a peer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Behaviour {
    /// What the protocol says.
    #[default]
    Honest,
    /// Every result is wrong, in a way of its own.
    Wrong,
    /// This share of the results is wrong.
    Sometimes(f64),
    /// Executes nothing and claims the same for every task.
    Lazy,
    /// Sees every message on the wire, executes nothing, and says what others said.
    Copier,
    /// Honest for so many results, then always wrong.
    Sleeper(u64),
    /// Knows all other members, and is wrong as they are on this share of the tasks of which they hold every seat.
    Clique(f64),
    /// Takes leases and delivers nothing.
    NoShow,
    /// Commits and never reveals.
    Withholder,
    /// As a requester, voids whatever it gets, without evidence.
    Voider,
    /// As a requester, accepts and never says so.
    NeverPays,
}

impl Behaviour {
    /// Whether results of such a peer may be wrong.
    pub fn may_lie(self) -> bool {
        use Behaviour as B;
        matches!(self, B::Wrong | B::Sometimes(_) | B::Lazy | B::Copier | B::Sleeper(_) | B::Clique(_))
    }

    /// Whether it is a fair requester.
    pub fn is_fair_requester(self) -> bool {
        !matches!(self, Self::Voider | Self::NeverPays)
    }
}

/// A processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// The one whose engine is right.
    #[default]
    A,
    /// The one that a planted fault of the engine is on.
    B,
}

impl From<Arch> for pocketmesh_types::Arch {
    fn from(arch: Arch) -> Self {
        match arch {
            Arch::A => Self::X86_64,
            Arch::B => Self::Aarch64,
        }
    }
}

/// How a peer comes and goes. DESIGN's profiles; sessions and absences are exponential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Churn {
    /// It stays.
    #[default]
    Server,
    /// Median session 12 h.
    Desktop,
    /// Median session 2 h.
    Laptop,
    /// Median session 10 min, and 40 % leave without a word.
    Phone,
}

impl Churn {
    /// Median session and median absence in seconds, and the share that leaves without a word.
    pub fn profile(self) -> Option<(f64, f64, f64)> {
        match self {
            Self::Server => None,
            Self::Desktop => Some((43_200.0, 14_400.0, 0.1)),
            Self::Laptop => Some((7_200.0, 7_200.0, 0.2)),
            Self::Phone => Some((600.0, 600.0, 0.4)),
        }
    }
}

/// Jobs that are alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Whose.
    pub by: String,
    /// How many each peer of the group submits in an hour, at random times while phases last.
    #[serde(default)]
    pub per_hour: f64,
    /// How many the group submits in all, one second apart, beside these.
    #[serde(default)]
    pub count: u32,
    /// When the first of `count` is submitted.
    #[serde(default = "Work::at_default")]
    pub at_s: u64,
    /// Tasks of each.
    pub tasks: u32,
    /// How long a task takes on a peer of speed 1.
    #[serde(default = "Work::task_ms_default")]
    pub task_ms: u64,
    /// The wall-clock limit of a task.
    #[serde(default = "Work::wall_s_default")]
    pub wall_s: u64,
    /// Standard output of a task in bytes; above 4 KiB it is fetched.
    #[serde(default = "Work::output_default")]
    pub output_bytes: u64,
    /// How results are checked.
    pub policy: Checked,
    /// What is paid for a gigafuel at most.
    #[serde(default = "Work::ceiling_default")]
    pub ceiling: u64,
    /// What is paid for a GiB.
    #[serde(default)]
    pub per_gib: u64,
}

/// How results are checked.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Checked {
    /// So many seats a task.
    Replicas(u8),
    /// Audits after delivery.
    Audited {
        /// The most of the accepted results that may be wrong.
        error: f64,
        /// The share of the seats that saboteurs are assumed to hold.
        saboteurs: f64,
        /// Who executes what was drawn.
        #[serde(default)]
        by: Auditors,
    },
}

/// Who executes what was drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auditors {
    /// The requester.
    Own,
    /// Other workers.
    Mesh,
    /// Other workers if there are enough of them.
    #[default]
    Auto,
}

impl Checked {
    /// Seats that must agree before anything is believed.
    pub fn seats(self) -> usize {
        match self {
            Self::Replicas(seats) => usize::from(seats),
            Self::Audited { .. } => 1,
        }
    }

    /// The same in the protocol's words.
    pub fn policy(self) -> pocketmesh_types::Policy {
        use pocketmesh_types::{Auditors as By, Policy, Target};
        match self {
            Self::Replicas(seats) => Policy::Replicas(seats),
            Self::Audited { error, saboteurs, by } => Policy::Audited(Target {
                error_ppb: (error * 1e9) as u32,
                saboteurs_ppm: (saboteurs * 1e6) as u32,
                by: match by {
                    Auditors::Own => By::Own,
                    Auditors::Mesh => By::Mesh,
                    Auditors::Auto => By::Auto,
                },
            }),
        }
    }
}

/// Latency of direct messages, one way.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// The median, in milliseconds.
    pub ms_p50: f64,
    /// The 99th percentile.
    pub ms_p99: f64,
    /// Bytes a second of one fetch.
    pub bytes_per_s: u64,
}

impl Default for Links {
    fn default() -> Self {
        // Guess: home connections on one continent.
        Self { ms_p50: 25.0, ms_p99: 150.0, bytes_per_s: 4 << 20 }
    }
}

/// Who is connected to whom.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mesh {
    /// Connections of a peer, at least.
    pub degree: u32,
    /// Connect all peers of this group to everybody.
    pub hub: Option<u32>,
}

impl Default for Mesh {
    fn default() -> Self {
        // Guess: the daemon dials 32 where so many are to be had; most peers are behind a NAT.
        Self { degree: 12, hub: None }
    }
}

/// A stretch of time with its faults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How long.
    pub seconds: u64,
    /// What goes wrong.
    pub faults: Faults,
}

/// What goes wrong while a phase lasts.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// The share of transmissions lost; what is lost is sent again, and after six losses the connection is given up,
    /// with everything that is under way on it.
    pub loss: f64,
    /// The share of messages that are lost together with their connection at once.
    pub cut: f64,
    /// The share of messages that come again, up to ten seconds later, over whatever connection there is then.
    pub replay: f64,
    /// The share of messages that overtake or fall behind others.
    pub reorder: f64,
    /// How often an hour the mesh falls into two halves, and for how long.
    pub partitions_per_hour: f64,
    /// See above.
    pub partition_s: u64,
    /// The chance of a crash at each record: half of them before it is on disk, half after, and before it is told.
    pub crash_per_record: f64,
    /// How often an hour a peer crashes at any other time.
    pub crashes_per_hour: f64,
    /// How long a crashed peer is down, at most.
    pub down_s: u64,
    /// How often an hour a peer's wall clock jumps, and how far at most, either way.
    pub clock_jumps_per_hour: f64,
    /// See above.
    pub clock_jump_s: u64,
    /// Whether peers stay whatever their churn says.
    pub no_churn: bool,
    /// On the processor with the planted fault: the share of tasks that come to something else.
    pub arch_fault: f64,
}

impl Scenario {
    /// Reads a scenario.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        for work in &scenario.jobs {
            anyhow::ensure!(
                scenario.peers.iter().any(|group| group.name == work.by),
                "the jobs are by `{}`, and there is no such group of peers",
                work.by
            );
        }
        anyhow::ensure!(!scenario.phases.is_empty(), "a scenario needs a phase");
        Ok(scenario)
    }

    /// All peers.
    pub fn peers_in_all(&self) -> u32 {
        self.peers.iter().map(|group| group.count).sum()
    }

    fn settle_default() -> u64 {
        3_600
    }
}

impl Group {
    fn slots_default() -> u16 {
        2
    }

    fn speed_default() -> f64 {
        1.0
    }

    fn ask_default() -> u64 {
        100
    }
}

impl Work {
    fn at_default() -> u64 {
        5
    }

    fn task_ms_default() -> u64 {
        500
    }

    fn wall_s_default() -> u64 {
        30
    }

    fn output_default() -> u64 {
        16
    }

    fn ceiling_default() -> u64 {
        1_000
    }
}
