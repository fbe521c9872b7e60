//! What the jobs of this device's owner keep in the store, and until when.
//!
//! What goes into a job is kept under another owner than what comes out of it, so that a blob which is both stays. The
//! first is let go when the job is over and reduced, the second stays: it is what the owner gets. What the levels of a
//! reduction come to is nobody's result, and goes as the reduction goes on.

use crate::{
    parts,
    reduce::{Plan, drive},
    trees,
};
use pocketmesh_blobs::Store;
use pocketmesh_protocol::jobs::{
    Jobs,
    active::{Active, Phase},
};
use pocketmesh_types::{Hash, Job, JobId, Outcome};

/// Who holds what goes into a job and its reduction.
pub fn inputs_of(job: &JobId) -> Hash {
    Hash::of_parts("pocketmesh inputs of a job 1", &[job.as_bytes()])
}

/// Who holds what a step of a job's reduction brought together, until it has been read, or is the input of a level.
pub fn gathered_for(job: &JobId) -> Hash {
    Hash::of_parts("pocketmesh gathered outputs of a job 1", &[job.as_bytes()])
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
///
/// A level is read to make the inputs of the one above it, which has them as blobs of its own. When that one is over, on disk,
/// whatever happens next starts from what it came to. So of a reduction under way the last level that is over stays, and what
/// is being made.
pub fn release(store: &Store, jobs: &Jobs, active: &Active, plan: Option<&Plan>) {
    if !is_over(active) {
        return;
    }
    let levels = plan.map(|plan| plan.levels.as_slice()).unwrap_or_default();
    let last = if drive::has_result(active) && plan.is_some_and(|plan| plan.outcome.is_none()) {
        levels.iter().rfind(|level| jobs.get(level).is_some_and(is_over)).or(levels.first())
    } else {
        store.unpin_all(inputs_of(&active.id));
        None
    };
    for level in levels.iter().take_while(|level| Some(*level) != last) {
        store.unpin_all(level.0);
    }
}

fn is_over(job: &Active) -> bool {
    matches!(job.phase, Phase::Over(_))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{money::open_sealed, reduce::FanIn};
    use pocketmesh_protocol::{Config, End, Inputs, Peer, Record, settlement::Money};
    use pocketmesh_types::{
        Arch, BlobId, Exit, Fuel, Output, PeerId, PerGib, Policy, Price, ProfileId, UnixTime, job::TaskLimits,
    };
    use pocketmesh_wire::envelope;
    use tempfile::TempDir;

    /// A job of ours, the levels of its reduction that were begun, and a result of each.
    struct Rig {
        peer: Peer,
        store: Store,
        plan: Plan,
        jobs: Vec<JobId>,
        results: Vec<BlobId>,
        input: BlobId,
        _folder: TempDir,
    }

    /// A peer that knows nobody and nothing yet.
    pub(crate) fn peer() -> Peer {
        Peer::new(Config {
            me: PeerId([1; 32]),
            profile: ProfileId::default(),
            ask: Price(1),
            floor_per_gib: PerGib(0),
            slots: 0,
            arch: Arch::Other,
            memory_max: 0,
            seed: [0; 32],
            salt_key: [0; 32],
            money: Money::new(open_sealed),
        })
    }

    /// One of several jobs.
    pub(crate) fn job(number: u8) -> Job {
        Job {
            program: BlobId::of(b"program"),
            program_len: 7,
            name: String::new(),
            args: vec![],
            env: vec![],
            files: Output::default(),
            inputs: Output::default(),
            input_name: String::new(),
            tasks: 1,
            first_index: 0,
            limits: TaskLimits::default(),
            policy: Policy::Replicas(2),
            max_price: Price(1),
            per_gib: PerGib(0),
            budget: None,
            profile: ProfileId::default(),
            epoch: UnixTime(0),
            nonce: [number; 16],
        }
    }

    impl Rig {
        /// The job is over, and so are all of its levels but those from `under_way` on.
        fn new(levels: u8, under_way: u8) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let store = Store::open(folder.path(), 1 << 20).expect("a store");
            let mut peer = peer();
            let id = |number| JobId(envelope::id(&job(number).into()));
            let jobs: Vec<JobId> = (0..=levels).map(id).collect();
            for number in 0..=levels {
                let at = UnixTime(0);
                peer.restore(Record::Submitted { job: job(number), inputs: Inputs::None, at });
                if number < under_way {
                    peer.restore(Record::Closed { job: id(number), end: End::Complete, at });
                }
            }
            let results = jobs.iter().map(|job| {
                let result = store.put(job.as_bytes()).expect("stored");
                store.pin(result, job.0);
                result
            });
            let results = results.collect();
            let input = store.put(b"input").expect("stored");
            store.pin(input, inputs_of(&jobs[0]));
            let mut plan = Plan::new(BlobId::of(b"reduce"), vec![], FanIn::Sizes);
            plan.levels = jobs[1..].to_vec();
            Self { peer, store, plan, jobs, results, input, _folder: folder }
        }

        /// Whether the input is kept after a release, and which results are: the job's own first, then its levels'.
        fn kept(&self) -> (bool, Vec<bool>) {
            let job = self.peer.jobs().get(&self.jobs[0]).expect("known");
            release(&self.store, self.peer.jobs(), job, Some(&self.plan));
            let is_pinned = |blob: &BlobId| self.store.blob(*blob).expect("here").pinned;
            (is_pinned(&self.input), self.results.iter().map(is_pinned).collect())
        }
    }

    #[test]
    fn a_level_is_let_go_when_the_one_above_it_is_over() {
        assert_eq!(Rig::new(1, 1).kept(), (true, vec![true, true]), "the first level is under way");
        assert_eq!(Rig::new(1, 2).kept(), (true, vec![true, true]), "it is read next");
        assert_eq!(Rig::new(2, 2).kept(), (true, vec![true, true, true]), "the second level is under way");
        assert_eq!(Rig::new(2, 3).kept(), (true, vec![true, false, true]), "and is over");
        assert_eq!(Rig::new(3, 3).kept(), (true, vec![true, false, true, true]));
        assert_eq!(Rig::new(3, 4).kept(), (true, vec![true, false, false, true]));
    }

    #[test]
    fn nothing_is_let_go_before_the_job_is_over_and_all_levels_when_it_is_reduced() {
        assert_eq!(Rig::new(2, 0).kept(), (true, vec![true; 3]));
        let (empty, fuel) = (Output::default(), Fuel(1));
        let done = Outcome { exit: Exit::Code(0), fuel, stdout: empty, stderr: empty, files: empty, files_bytes: 0 };
        for outcome in [Err("failed".to_owned()), Ok(done)] {
            let mut rig = Rig::new(2, 3);
            rig.plan.outcome = Some(outcome);
            assert_eq!(rig.kept(), (false, vec![true, false, false]));
        }
    }

    #[test]
    fn a_level_that_did_not_get_to_the_disk_lets_nothing_go() {
        // The journal names the third level, and does not have it; and the second, which had to be made again, twice.
        let mut rig = Rig::new(2, 3);
        rig.plan.levels.extend([rig.jobs[2], JobId(Hash::of(b"the third level"))]);
        assert_eq!(rig.kept(), (true, vec![true, false, true]));
        // The same, where the first one is all there is.
        let mut rig = Rig::new(1, 2);
        rig.plan.levels.extend([rig.jobs[1], JobId(Hash::of(b"the second level"))]);
        assert_eq!(rig.kept(), (true, vec![true, true]));
    }
}
