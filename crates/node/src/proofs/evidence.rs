//! What a proof holds, whether it hangs together, and what it comes to when its task is run here.

use super::{PROOF_BYTES_MAX, READ_BYTES_MAX};
use crate::{
    executor::task_of,
    home::Sandbox,
    local::{self, Blobs, LocalError},
    trees,
};
use pocketmesh_blobs::Store;
use pocketmesh_protocol::{RunId, execution::lease::run_of};
use pocketmesh_types::{BlobId, Bytes, ClaimId, Job, JobId, Outcome, PeerId, TaskIndex, TaskInput, Tree, limits};
use pocketmesh_wire::{
    Envelope, Kind, Message, OpenError, Strict, Verified, cbor, envelope,
    message::{Claim, Claimed, Void},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The version of the format.
const VERSION: u8 = 1;

/// A proof as it is in a file, in canonical CBOR. specs/proofs.md §1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    v: u8,
    /// The job, as its id was computed from it.
    job: Bytes,
    /// The envelope of the claim, as received, without what was sent along.
    claim: Bytes,
    /// The envelope of the void.
    void: Bytes,
    /// The program.
    program: Option<Bytes>,
    /// The task's input, if it is a blob; a smaller one is in the void.
    input: Option<Bytes>,
    /// The list of the files that the task found.
    list: Option<Bytes>,
    /// Their bytes, in the list's order.
    files: Vec<Bytes>,
}

/// What a proof is made of.
pub(crate) struct Parts {
    /// The job.
    pub job: Job,
    /// The envelope of the claim.
    pub claim: Vec<u8>,
    /// The envelope of the void.
    pub void: Vec<u8>,
    /// The task's input.
    pub input: TaskInput,
}

/// Why a proof is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Its bytes.
    #[error("this is no fraud proof, or its bytes were changed: {0}")]
    Form(#[from] cbor::DecodeError),
    /// Another version.
    #[error("this is a fraud proof of version {0}, which is not understood here")]
    Version(u8),
    /// A statement in it.
    #[error("the {0} in it cannot be relied on: {1}")]
    Statement(&'static str, OpenError),
    /// Something else in the place of a statement.
    #[error("what should be the {0} in it is something else")]
    Kind(&'static str),
    /// The job.
    #[error("the job in it is none")]
    Job,
    /// A statement about something else.
    #[error("the {0} in it is about another job than the one in it")]
    OtherJob(&'static str),
    /// The void is about another claim.
    #[error("the void in it is about another claim than the one in it")]
    OtherClaim,
    /// The claim says nothing of the task.
    #[error("the claim in it says nothing about task {0}")]
    NoRow(TaskIndex),
    /// Claim and void are about different inputs.
    #[error("claim and void are about different inputs of task {0}")]
    OtherInput(TaskIndex),
    /// There is no disagreement.
    #[error("claim and void say the same about task {0}")]
    NoDispute(TaskIndex),
    /// Bytes that are not those which are named.
    #[error("{0} in it is not what the job or the claim names")]
    Bytes(&'static str),
}

/// What a proof says, its parts checked against one another; nothing has been run yet.
#[derive(Debug)]
pub struct Account {
    /// The job's id.
    pub job: JobId,
    /// The job's name.
    pub name: String,
    /// The task.
    pub task: TaskIndex,
    /// Who claimed.
    pub worker: PeerId,
    /// Who refuted.
    pub requester: PeerId,
    /// The claim.
    pub claim: ClaimId,
    /// What was claimed.
    pub claimed: Outcome,
    /// What the requester says that its own run came to.
    pub outcome: Outcome,
    /// What was left out because it is bulky.
    pub left_out: Vec<&'static str>,
    terms: Job,
    input: TaskInput,
    proof: Proof,
}

/// What a proof comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The claim is wrong. The requester's own outcome may be right or wrong, too.
    Fraud {
        /// What the task came to here.
        outcome: Outcome,
        /// Whether the requester says the same.
        requester_agrees: bool,
    },
    /// The claim is right, and the requester wrong.
    Right,
    /// It cannot be told here.
    Undecided(String),
}

impl Proof {
    /// Gathers what is needed to replay a claim; what is bulky, or not here any more, is left out.
    pub(crate) fn gather(store: &Store, parts: Parts) -> Self {
        let Parts { job, claim, void, input } = parts;
        let blob = |id: BlobId, max: u64| store.get(id, max).ok().map(Bytes::from);
        let mut left = READ_BYTES_MAX;
        let input = match input {
            TaskInput::Blob(id, len) if len <= left => {
                left -= len;
                blob(id, len)
            }
            _ => None,
        };
        let tree = trees::read(store, job.files).unwrap_or_default();
        let is_small = tree.files().iter().map(|file| file.content.len).sum::<u64>() <= left;
        let files: Option<Vec<Bytes>> =
            tree.files().iter().map(|file| blob(file.content.id, file.content.len).filter(|_| is_small)).collect();
        Self {
            v: VERSION,
            program: blob(job.program, limits::PROGRAM_BYTES_MAX),
            list: if job.files.len > 0 { blob(job.files.id, limits::TREE_BYTES_MAX) } else { None },
            job: Message::from(job).encode_body().into(),
            claim: claim.into(),
            void: void.into(),
            input,
            files: files.unwrap_or_default(),
        }
    }

    /// The bytes of its file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

/// Reads a proof and checks that its parts belong together.
pub fn read(bytes: &[u8]) -> Result<Account, Rejected> {
    let proof: Proof = cbor::decode(bytes, PROOF_BYTES_MAX)?;
    if proof.v != VERSION {
        return Err(Rejected::Version(proof.v));
    }
    let claim = open("claim", &proof.claim)?;
    let void = open("void", &proof.void)?;
    let (Message::Claim(stated), Message::Void(said)) = (&claim.content, &void.content) else {
        let wrong = if matches!(claim.content, Message::Claim(_)) { "void" } else { "claim" };
        return Err(Rejected::Kind(wrong));
    };
    let terms = match Message::decode_body(Kind::Job, &proof.job) {
        Ok(Message::Job(job)) if job.check().is_ok() => job,
        _ => return Err(Rejected::Job),
    };
    let id = JobId(envelope::id(&terms.clone().into()));
    let row = row_of(id, stated, ClaimId(claim.id), said)?;
    if said.task >= terms.tasks || stated.profile != terms.profile {
        return Err(Rejected::Job);
    }
    check_bytes(&proof, &terms, &row)?;
    Ok(Account {
        job: id,
        name: terms.name.clone(),
        task: said.task,
        worker: claim.signer,
        requester: void.signer,
        claim: ClaimId(claim.id),
        claimed: row.outcome,
        outcome: said.outcome,
        left_out: left_out(&proof, &terms, &said.input),
        input: said.input.clone(),
        terms,
        proof,
    })
}

fn open(what: &'static str, bytes: &[u8]) -> Result<Verified<Message>, Rejected> {
    let statement = Envelope::decode(bytes).and_then(|envelope| envelope.open_sealed(&Strict));
    let statement = statement.map_err(|error| Rejected::Statement(what, error))?;
    if statement.attached.is_empty() { Ok(statement) } else { Err(Rejected::Kind(what)) }
}

/// The claim's row about the task, if claim, void and job are about one another.
fn row_of(id: JobId, claim: &Claim, claim_id: ClaimId, void: &Void) -> Result<Claimed, Rejected> {
    if claim.job != id {
        return Err(Rejected::OtherJob("claim"));
    }
    if void.job != id {
        return Err(Rejected::OtherJob("void"));
    }
    if void.claim != claim_id {
        return Err(Rejected::OtherClaim);
    }
    let row = claim.results.iter().find(|row| row.task == void.task).ok_or(Rejected::NoRow(void.task))?;
    if row.input != void.input.id() {
        return Err(Rejected::OtherInput(void.task));
    }
    if row.outcome == void.outcome {
        return Err(Rejected::NoDispute(void.task));
    }
    Ok(*row)
}

/// Whether the bytes in a proof are those that are named.
fn check_bytes(proof: &Proof, job: &Job, row: &Claimed) -> Result<(), Rejected> {
    let fits = |bytes: &Option<Bytes>, named: Option<BlobId>| {
        bytes.as_ref().is_none_or(|bytes| named == Some(BlobId::of(bytes)))
    };
    if !fits(&proof.program, Some(job.program)) {
        return Err(Rejected::Bytes("the program"));
    }
    if !fits(&proof.input, row.input) {
        return Err(Rejected::Bytes("the input"));
    }
    if !fits(&proof.list, Some(job.files.id).filter(|_| job.files.len > 0)) {
        return Err(Rejected::Bytes("the list of files"));
    }
    let tree = tree_of(proof)?;
    let named = tree.files().iter().map(|file| file.content.id);
    if !proof.files.is_empty() && !named.eq(proof.files.iter().map(|bytes| BlobId::of(bytes))) {
        return Err(Rejected::Bytes("a file"));
    }
    Ok(())
}

fn tree_of(proof: &Proof) -> Result<Tree, Rejected> {
    let Some(list) = &proof.list else { return Ok(Tree::default()) };
    let text = str::from_utf8(list).map_err(|_| Rejected::Bytes("the list of files"))?;
    Tree::from_text(text).map_err(|_| Rejected::Bytes("the list of files"))
}

fn left_out(proof: &Proof, job: &Job, input: &TaskInput) -> Vec<&'static str> {
    let has_files = job.files.len > 0;
    let missing = [
        ("the program", proof.program.is_none()),
        ("the task's input", matches!(input, TaskInput::Blob(..)) && proof.input.is_none()),
        ("the list of the job's files", has_files && proof.list.is_none()),
        ("the job's files", has_files && proof.files.is_empty()),
    ];
    missing.into_iter().filter(|(_, is_missing)| *is_missing).map(|(what, _)| what).collect()
}

/// Runs the task of a proof here, and says who is right. Blocks for as long as the task takes.
pub fn verify(account: &Account, settings: Sandbox) -> Verdict {
    if !account.left_out.is_empty() {
        return Verdict::Undecided(format!("{} was left out of it, as bulky", account.left_out.join(" and ")));
    }
    let Account { terms, proof, .. } = account;
    let mut blobs = Blobs::default();
    for bytes in proof.program.iter().chain(&proof.files) {
        blobs.keep(bytes.to_vec());
    }
    let Ok(tree) = tree_of(proof) else { return Verdict::Undecided("the list of files cannot be read".into()) };
    let stdin = match (&account.input, &proof.input) {
        (TaskInput::Inline(bytes), _) | (TaskInput::Blob(..), Some(bytes)) => bytes.to_vec(),
        _ => Vec::new(),
    };
    let run = run_of(RunId(0), terms, &account.job, account.task, account.input.clone());
    match local::execute(task_of(run, stdin.into(), Arc::new(tree)), blobs, settings, Some(terms.profile)) {
        Ok(ran) if ran.outcome == account.claimed => Verdict::Right,
        Ok(ran) => Verdict::Fraud { outcome: ran.outcome, requester_agrees: ran.outcome == account.outcome },
        Err(LocalError::OtherProfile(ours)) => {
            Verdict::Undecided(format!("it is about the profile {}, and this version runs {ours}", terms.profile))
        }
        Err(error) => Verdict::Undecided(error.to_string()),
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
