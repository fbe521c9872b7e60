//! What the jobs of this device's owner keep in the store, and until when.
//!
//! What goes into a job is kept under another owner than what comes out of it, so that a blob which is both stays. The
//! first is let go when the job is over and reduced, the second stays: it is what the owner gets.

use crate::{
    parts,
    reduce::{Plan, drive},
    trees,
};
use pocketmesh_blobs::Store;
use pocketmesh_protocol::jobs::active::{Active, Phase};
use pocketmesh_types::{Hash, Job, JobId, Outcome};

/// Who holds what goes into a job and its reduction.
pub fn inputs_of(job: &JobId) -> Hash {
    Hash::of_parts("pocketmesh inputs of a job 1", &[job.as_bytes()])
}

/// Keeps program, files and inputs of a job until it is over.
pub fn pin_inputs(store: &Store, job: &Job, id: &JobId) {
    let owner = inputs_of(id);
    store.pin(job.program, owner);
    trees::pin(store, job.files, owner);
    parts::pin(store, job, owner);
}

/// Keeps what a task came to for as long as its job.
pub fn pin_outcome(store: &Store, outcome: &Outcome, job: &JobId) {
    store.pin(outcome.stdout.id, job.0);
    store.pin(outcome.stderr.id, job.0);
    trees::pin(store, outcome.files, job.0);
}

/// Lets go what a job does not need any more: its inputs, if all is over, and what the levels of its reduction came to.
pub fn release(store: &Store, active: &Active, plan: Option<&Plan>) {
    let is_over = matches!(active.phase, Phase::Over(_));
    let is_reducing = drive::has_result(active) && plan.is_some_and(|plan| plan.outcome.is_none());
    if !is_over || is_reducing {
        return;
    }
    store.unpin_all(inputs_of(&active.id));
    for level in plan.iter().flat_map(|plan| &plan.levels) {
        store.unpin_all(level.0);
    }
}
