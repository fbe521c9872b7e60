//! What is really so, whatever peers say: who is who, and what each task comes to.
//!
//! Checkers compare what they see with this; peers are never told.

use crate::scenario::{Arch, Behaviour, Checked};
use pocketmesh_protocol::{Executed, RunId, execution::lease::run_of, input::Prefix};
use pocketmesh_types::{
    BlobId, Bytes, Credits, Exit, Fuel, Hash, Job, JobId, Outcome, Output, PeerId, TaskIndex, TaskInput, Work, limits,
};
use std::collections::BTreeMap;

/// Fuel burnt in a millisecond by a peer of speed 1.
pub const FUEL_PER_MS: u64 = 1_000_000;
/// What the planted fault of an engine makes of a task.
pub const ARCH_TWIST: u64 = 0xa6c4;

/// What is so of a peer.
#[derive(Debug, Clone)]
pub struct Who {
    /// Which group of the scenario.
    pub group: u16,
    /// What it does.
    pub behaviour: Behaviour,
    /// Its processor.
    pub arch: Arch,
    /// Its public prefix.
    pub prefix: Option<Prefix>,
    /// Whether it comes back under another name.
    pub whitewash: bool,
}

/// What is so of a job.
#[derive(Debug, Clone)]
pub struct JobFacts {
    /// Its id.
    pub id: JobId,
    /// Whose.
    pub requester: u32,
    /// What was signed.
    pub job: Job,
    /// How results are checked.
    pub policy: Checked,
    /// What each task burns.
    pub fuel: Fuel,
    /// How long a task takes on a peer of speed 1, in microseconds.
    pub task_us: u64,
    /// Bytes of standard output.
    pub output_bytes: u64,
    /// When it was submitted, in microseconds.
    pub at: u64,
}

impl JobFacts {
    /// What a task is paid for: no task of a simulation has an input.
    pub fn work(&self) -> Work {
        Work { fuel: self.fuel, bytes: output_len(self) }
    }
}

/// What is really so.
#[derive(Debug, Default)]
pub struct Truth {
    /// All peers.
    pub peers: Vec<Who>,
    /// All jobs ever submitted.
    pub jobs: Vec<JobFacts>,
    numbers: BTreeMap<JobId, u32>,
    /// Whether an engine has a fault.
    pub arch_fault: f64,
    /// The debt that is borne of anybody, where order is what it decides.
    pub borne: Option<Credits>,
}

/// The name of a peer: where it stands among the peers is in its last four bytes.
pub fn name_of(seed: u64, index: u32, generation: u32) -> PeerId {
    let parts: [&[u8]; 3] = [&seed.to_le_bytes(), &index.to_le_bytes(), &generation.to_le_bytes()];
    let mut bytes = Hash::of_parts("pocketmesh simulated peer", &parts).0;
    bytes[28..].copy_from_slice(&index.to_le_bytes());
    PeerId(bytes)
}

/// Which peer a name is, or was, of.
pub fn index_of(peer: &PeerId) -> u32 {
    u32::from_le_bytes([peer.0[28], peer.0[29], peer.0[30], peer.0[31]])
}

impl Truth {
    /// Takes note of a job; says its number.
    pub fn add_job(&mut self, facts: JobFacts) -> u32 {
        let number = self.jobs.len() as u32;
        self.numbers.insert(facts.id, number);
        self.jobs.push(facts);
        number
    }

    /// A job by its id.
    pub fn job(&self, id: &JobId) -> Option<&JobFacts> {
        self.numbers.get(id).map(|&number| &self.jobs[number as usize])
    }

    /// The number of a job.
    pub fn number_of(&self, id: &JobId) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// Who a name is of.
    pub fn who(&self, peer: &PeerId) -> &Who {
        &self.peers[index_of(peer) as usize]
    }

    /// Whether a peer does what the protocol says, on a processor without a fault.
    pub fn is_honest(&self, index: u32) -> bool {
        self.peers.get(index as usize).is_some_and(|who| !who.behaviour.may_lie() && !self.is_faulty(who.arch))
    }

    /// Whether engines on this processor have the planted fault.
    pub fn is_faulty(&self, arch: Arch) -> bool {
        arch == Arch::B && self.arch_fault > 0.0
    }

    /// What a task comes to.
    pub fn right(&self, facts: &JobFacts, task: TaskIndex) -> Outcome {
        let run = run_of(RunId(0), &facts.job, &facts.id, task, TaskInput::None);
        result(facts, &run.seed, 0).outcome
    }
}

/// What an execution comes to: its first output bytes are those of its seed, twisted if it is wrong.
pub fn result(facts: &JobFacts, seed: &[u8; 32], twist: u64) -> Executed {
    let mut head = [0; 8];
    head.copy_from_slice(&seed[..8]);
    let content = (u64::from_le_bytes(head) ^ twist).to_le_bytes();
    let empty = Output { id: empty_id(), len: 0 };
    let stdout = Output { id: BlobId(Hash::of(&content)), len: output_len(facts) };
    let outcome =
        Outcome { exit: Exit::Code(0), fuel: facts.fuel, stdout, stderr: empty, files: empty, files_bytes: 0 };
    Executed { outcome, inline: if is_large(facts) { Vec::new() } else { vec![Bytes(content.to_vec())] } }
}

fn is_large(facts: &JobFacts) -> bool {
    facts.output_bytes > limits::INLINE_BYTES_MAX as u64
}

/// What is small is eight bytes, whatever the scenario says.
fn output_len(facts: &JobFacts) -> u64 {
    if is_large(facts) { facts.output_bytes } else { 8 }
}

fn empty_id() -> BlobId {
    static EMPTY: std::sync::OnceLock<BlobId> = std::sync::OnceLock::new();
    *EMPTY.get_or_init(|| BlobId::of(b""))
}
