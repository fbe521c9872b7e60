//! How a job's results are checked: what is asked for, what is promised, what it cost.

use pocketmesh_types::{PeerId, Policy, Target};
use serde::{Deserialize, Serialize};

/// How the results of a job are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verification {
    /// Some of the results are executed once more after they were delivered.
    Audits(Audits),
    /// So many unrelated peers run each task, and must agree.
    Replicas(u8),
}

/// What audits are to achieve; what is absent has the default of `pocketmesh_types::Target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audits {
    /// The most of the accepted results that may be wrong, in parts per billion: one minus the confidence.
    pub error_ppb: u32,
    /// The share of the seats that saboteurs are assumed to hold, in parts per million.
    pub saboteurs_ppm: u32,
    /// Who executes what was drawn.
    pub by: Auditors,
}

/// Who executes once more what was drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auditors {
    /// The requester.
    Own,
    /// Other workers of the job.
    Mesh,
    /// Other workers if there are enough of them, else the requester.
    #[default]
    Auto,
}

impl Auditors {
    /// The name as in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Mesh => "mesh",
            Self::Auto => "auto",
        }
    }
}

impl Default for Audits {
    fn default() -> Self {
        let Target { error_ppb, saboteurs_ppm, by } = Target::default();
        Self { error_ppb, saboteurs_ppm, by: by.into() }
    }
}

impl Default for Verification {
    fn default() -> Self {
        Self::Audits(Audits::default())
    }
}

impl From<pocketmesh_types::Auditors> for Auditors {
    fn from(by: pocketmesh_types::Auditors) -> Self {
        match by {
            pocketmesh_types::Auditors::Own => Self::Own,
            pocketmesh_types::Auditors::Mesh => Self::Mesh,
            pocketmesh_types::Auditors::Auto => Self::Auto,
        }
    }
}

impl From<Auditors> for pocketmesh_types::Auditors {
    fn from(by: Auditors) -> Self {
        match by {
            Auditors::Own => Self::Own,
            Auditors::Mesh => Self::Mesh,
            Auditors::Auto => Self::Auto,
        }
    }
}

impl From<Verification> for Policy {
    fn from(verification: Verification) -> Self {
        match verification {
            Verification::Replicas(count) => Self::Replicas(count),
            Verification::Audits(Audits { error_ppb, saboteurs_ppm, by }) => {
                Self::Audited(Target { error_ppb, saboteurs_ppm, by: by.into() })
            }
        }
    }
}

/// By what means a job's results are checked. specs/verification.md §1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regime {
    /// Audited; how is known once the first auction has brought workers.
    #[default]
    Unknown,
    /// Every result is confirmed by the requester's own run.
    Small,
    /// Two peers run each task, and the requester a few of each window.
    Middle,
    /// One peer runs each task, and as many results of a window are audited as the target needs.
    Big,
    /// A fixed number of peers run each task.
    Replicas,
}

/// What a job's owner may rely on, against whom, and what that is expected to cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// By what means.
    pub regime: Regime,
    /// The share of the accepted results that may be wrong, at most and on average, where nothing worse than the
    /// assumed saboteurs is at work; absent where nothing is promised against a clique.
    pub error: Option<f64>,
    /// Where faults that do not agree are caught, but a clique may agree: the share that a clique of the assumed size
    /// could get accepted.
    pub clique_error: Option<f64>,
    /// The share of the seats that saboteurs are assumed to hold, one clique.
    pub saboteurs: f64,
    /// Who audits: `own` or `mesh`, or `auto` while it is not known; absent if nobody does.
    pub auditors: Option<Auditors>,
    /// Results of a window, as expected; none if there are no windows.
    pub window: u32,
    /// Audits of a window, as expected.
    pub audits: u32,
    /// Executions for each result, as expected: seats and the requester's own runs, without voids and hedges.
    pub executions: f64,
    /// The same in one or two sentences.
    pub text: String,
}

/// What it took so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Executions by workers, voided ones included.
    pub executions: u64,
    /// Executions by the requester.
    pub own_runs: u64,
    /// Executions by workers that were accepted, and are owed for.
    pub paid: u64,
    /// Accepted executions and own runs for each final result.
    pub paid_per_result: f64,
    /// All executions and own runs for each final result.
    pub all_per_result: f64,
    /// Results drawn for audits.
    pub audits: u64,
    /// Audit windows that became final.
    pub windows_final: u32,
    /// Audit windows that were voided.
    pub windows_voided: u32,
    /// Claims that the requester's own run refuted.
    pub refuted: u32,
    /// Workers that delivered something.
    pub workers: u32,
    /// Those of them of which a claim was refuted, as a share.
    pub saboteurs_seen: f64,
    /// Whether the daemon was restarted meanwhile: then what came before is not in these numbers.
    pub since_restart: bool,
    /// The refuted claims, by name; the first hundred.
    pub claims: Vec<RefutedClaim>,
}

/// A claim that the requester's own run refuted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefutedClaim {
    /// Whose.
    pub peer: PeerId,
    /// On which task, from 0.
    pub task: u32,
    /// The file that proves it to others, if there is one: `pocketmesh receipts verify-fraud FILE`.
    pub proof: Option<String>,
}
