//! Proofs made from a real execution: what is wrong is proved, what is right is not, and no byte can be changed.

use super::*;
use crate::home::{SandboxBackend, SandboxExecutor};
use crate::local::{LocalTask, run};
use pocketmesh_types::{Exit, Fuel, LeaseId, Output, Policy, Price, ProfileId, UnixTime, job::TaskLimits};
use pocketmesh_wire::Key;

const SETTINGS: Sandbox = Sandbox { executor: SandboxExecutor::InProcess, backend: SandboxBackend::Compiled };

fn guest(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../guests/wasm/{name}.wasm", env!("CARGO_MANIFEST_DIR"))).expect("a guest")
}

fn profile() -> ProfileId {
    run(LocalTask { program: guest("noop"), name: "noop".into(), ..LocalTask::default() }, SETTINGS)
        .expect("it runs")
        .profile
}

/// A store with a job of word counts in it, whose task 0 reads this text.
fn job(store: &Store, text: &[u8], profile: ProfileId) -> (Job, TaskInput) {
    let program = guest("wordcount");
    store.put(&program).expect("stored");
    store.put(text).expect("stored");
    let job = Job {
        program: BlobId::of(&program),
        program_len: program.len() as u64,
        name: "count".into(),
        args: vec![],
        env: vec![],
        files: Output::of(b""),
        inputs: Output::default(),
        input_name: String::new(),
        tasks: 3,
        first_index: 0,
        limits: TaskLimits { memory: 64 << 20, ..TaskLimits::default() },
        policy: Policy::Replicas(1),
        max_price: Price(1),
        per_gib: pocketmesh_types::PerGib(0),
        budget: None,
        profile,
        epoch: UnixTime(7),
        nonce: [9; 16],
    };
    (job, TaskInput::Blob(BlobId::of(text), text.len() as u64))
}

/// What task 0 really comes to.
fn truth(store: &Store, job: &Job, input: &TaskInput) -> Outcome {
    let mut blobs = Blobs::default();
    blobs.keep(store.get(job.program, 1 << 20).expect("the program"));
    let TaskInput::Blob(id, len) = *input else { panic!("a blob") };
    let id_of_job = JobId(envelope::id(&job.clone().into()));
    let task = task_of(
        run_of(RunId(0), job, &id_of_job, 0, input.clone()),
        store.get(id, len).expect("the input").into(),
        Arc::default(),
    );
    local::execute(task, blobs, SETTINGS, None).expect("it runs").outcome
}

fn proof(store: &Store, (job, input): (Job, TaskInput), claimed: Outcome, said: Outcome) -> Vec<u8> {
    let (worker, requester) = (Key::from_seed(&[1; 32]), Key::from_seed(&[2; 32]));
    let id = JobId(envelope::id(&job.clone().into()));
    let row = |task, outcome| Claimed { task, input: input.id(), outcome, salt: None };
    let claim = Message::from(Claim {
        job: id,
        lease: LeaseId::default(),
        profile: job.profile,
        results: vec![row(2, said), row(0, claimed)],
    });
    let void = Void {
        job: id,
        lease: LeaseId::default(),
        task: 0,
        claim: ClaimId(envelope::id(&claim)),
        input: input.clone(),
        outcome: said,
    };
    let claim = Envelope::seal(&claim, vec![b"attached".to_vec().into()], &worker).bare().encode();
    let void = Envelope::seal(&void.into(), vec![], &requester).encode();
    Proof::gather(store, Parts { job, claim, void, input }).encode()
}

fn wrong(outcome: Outcome) -> Outcome {
    Outcome { fuel: Fuel(outcome.fuel.0 + 1), ..outcome }
}

#[test]
fn a_wrong_claim_is_proved_and_a_right_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), 1 << 30).expect("a store");
    let made = job(&store, &b"some words and some more\n".repeat(400), profile());
    let right = truth(&store, &made.0, &made.1);
    let verdict = |claimed, said| {
        let account = read(&proof(&store, made.clone(), claimed, said)).expect("a proof");
        assert_eq!((account.task, account.claimed, account.left_out.len()), (0, claimed, 0));
        verify(&account, SETTINGS)
    };
    assert_eq!(verdict(wrong(right), right), Verdict::Fraud { outcome: right, requester_agrees: true });
    assert_eq!(verdict(right, wrong(right)), Verdict::Right);
    let both = verdict(wrong(right), wrong(wrong(right)));
    assert_eq!(both, Verdict::Fraud { outcome: right, requester_agrees: false });
    let same = read(&proof(&store, made.clone(), right, right)).expect_err("no dispute");
    assert_eq!(same, Rejected::NoDispute(0));
}

#[test]
fn what_cannot_be_told_here_is_said_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), 1 << 30).expect("a store");
    let made = job(&store, &b"words\n".repeat(1000), ProfileId(pocketmesh_types::Hash([3; 32])));
    let right = truth(&store, &made.0, &made.1);
    let account = read(&proof(&store, made, wrong(right), right)).expect("a proof");
    assert!(matches!(verify(&account, SETTINGS), Verdict::Undecided(why) if why.contains("profile")));

    let (job, input) = job(&store, &b"words\n".repeat(1000), profile());
    let elsewhere = tempfile::tempdir().expect("a folder");
    let empty = Store::open(elsewhere.path(), 1 << 30).expect("a store");
    let account = read(&proof(&empty, (job, input), wrong(right), right)).expect("a proof");
    assert_eq!(account.left_out, ["the program", "the task's input"]);
    assert!(
        matches!(verify(&account, SETTINGS), Verdict::Undecided(why) if why.contains("the program and the task's input"))
    );
}

#[test]
fn no_byte_of_a_proof_can_be_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), 1 << 30).expect("a store");
    let made = job(&store, &b"some words\n".repeat(500), ProfileId::default());
    let empty = Output::of(b"");
    let outcome =
        Outcome { exit: Exit::Code(0), fuel: Fuel(7), stdout: empty, stderr: empty, files: empty, files_bytes: 0 };
    let bytes = proof(&store, made, wrong(outcome), outcome);
    assert!(read(&bytes).is_ok());
    let program = guest("wordcount");
    let at = bytes.windows(64).position(|window| window == &program[..64]).expect("the program is in it");
    // Every byte outside of the program and of the input, and some inside.
    let input = bytes.windows(11).position(|window| window == b"some words\n").expect("the input is in it");
    let all = (0..bytes.len()).filter(|place| {
        let inside = (at..at + program.len()).contains(place) || (input..input + 5_500).contains(place);
        !inside || place % 997 == 0
    });
    let mut reasons = std::collections::BTreeSet::new();
    for place in all {
        for flip in [1, 0x80] {
            let mut changed = bytes.clone();
            changed[place] ^= flip;
            let rejected = read(&changed).expect_err("a changed byte");
            reasons.insert(rejected.to_string());
        }
    }
    assert!(reasons.iter().any(|reason| reason.contains("the program in it")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("the input in it")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("signature")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("another job")), "{reasons:?}");
    assert!(matches!(read(&bytes[..bytes.len() - 1]), Err(Rejected::Form(_))));
    assert!(matches!(read(&[&bytes[..], b"x"].concat()), Err(Rejected::Form(_))));
}
