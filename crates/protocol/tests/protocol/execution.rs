//! The worker's side of a lease, alone: what it runs, keeps and says, and what it gives up. specs/leases.md §3.

use crate::world::{fuel, id_of, job, millis, profile, sealing::open, seconds};
use pocketmesh_ledger::service::Unpaid;
use pocketmesh_protocol::{
    Config, Effect, Event, Executed, Item, RunId,
    context::Context,
    execution::{Counters, Execution, earning::UNPAID_MAX, lease::WorkLease},
    offers::Held,
    settlement::Money,
};
use pocketmesh_types::{
    BlobId, Bytes, Credits, Exit, Fuel, Hash, Instant, Job, LeaseId, Outcome, Output, PeerId, PerGib, Price, TaskInput,
    limits,
};
use pocketmesh_wire::{
    Message, envelope,
    message::{Assign, Assigned, ClaimAck, Decline, DeclineReason, HandBackReason, Lease, Offer, Verdicts, Void},
};
use std::collections::{BTreeMap, BTreeSet};

const ME: PeerId = PeerId([1; 32]);
const REQUESTER: PeerId = PeerId([2; 32]);
const OTHER: PeerId = PeerId([3; 32]);

fn outcome(text: &str) -> Outcome {
    let (stdout, empty) = (Output::of(text.as_bytes()), Output::of(b""));
    Outcome { exit: Exit::Code(0), fuel: fuel(), stdout, stderr: empty, files: empty, files_bytes: 0 }
}

fn executed(text: &str) -> Executed {
    Executed { outcome: outcome(text), inline: vec![Bytes(text.as_bytes().to_vec())] }
}

fn lease_of(job: &Job, commit_first: bool) -> Lease {
    Lease {
        offer: Default::default(),
        worker: ME,
        job: job.clone(),
        price: Price(100),
        heartbeat_ms: 5_000,
        commit_first,
        slice_tasks: 256,
        hold_back_tasks: 20,
        fee: Price(100).fee(job.program_len),
        ext: Default::default(),
    }
}

fn held_of(job: &Job) -> Held {
    let offer = Offer {
        job: id_of(job),
        program: job.program,
        program_len: job.program_len,
        profile: job.profile,
        tasks: job.tasks,
        input_bytes: 0,
        limits: job.limits,
        ceiling: job.max_price,
        per_gib: job.per_gib,
        expected_fuel: None,
        seats: 1,
        bids_wanted: 1,
        depth: 0,
        fraction: u64::MAX,
        contacts: Vec::new(),
        nonce_hash: Default::default(),
        closes_ms: 400,
        expires: Default::default(),
        attempt: 0,
        ext: Default::default(),
    };
    Held { offer, reaching: false, bid: None, due: None, fellows: Vec::new() }
}

fn config(slots: u16) -> Config {
    Config {
        me: ME,
        profile: profile(),
        ask: Price(100),
        floor_per_gib: PerGib(0),
        slots,
        arch: Default::default(),
        memory_max: 1 << 40,
        seed: [3; 32],
        salt_key: [4; 32],
        money: Money::new(open),
    }
}

/// What a worker did about one thing that happened.
#[derive(Debug, Default, PartialEq)]
struct Done {
    started: Vec<RunId>,
    cancelled: Vec<RunId>,
    fetched: Vec<Item>,
    /// Results, batch by batch.
    claimed: Vec<usize>,
    declined: Vec<(LeaseId, DeclineReason)>,
    handed_back: Vec<(Vec<u32>, HandBackReason)>,
    contested: usize,
}

impl Done {
    fn of(effects: Vec<Effect>) -> Self {
        let mut done = Self::default();
        for effect in effects {
            match effect {
                Effect::Execute(run) => done.started.push(run.run),
                Effect::Cancel(run) => done.cancelled.push(run),
                Effect::Fetch { item, .. } => done.fetched.push(item),
                Effect::Send { message: Message::Claim(claim), .. } => done.claimed.push(claim.results.len()),
                Effect::Send { message: Message::Decline(Decline { lease, reason }), .. } => {
                    done.declined.push((lease, reason));
                }
                Effect::Send { message: Message::HandBack(back), .. } => {
                    done.handed_back.push((back.tasks, back.reason));
                }
                Effect::Notify(Event::Contested { .. }) => done.contested += 1,
                _ => {}
            }
        }
        done
    }
}

struct Worker {
    execution: Execution,
    context: Context,
}

impl Worker {
    fn new(slots: u16) -> Self {
        Self { execution: Execution::default(), context: Context::new(config(slots)) }
    }

    fn act(&mut self, act: impl FnOnce(&mut Execution, &mut Context)) -> Done {
        act(&mut self.execution, &mut self.context);
        Done::of(self.context.take_effects())
    }

    /// What comes of a lease that answers this offer.
    fn grant(&mut self, lease: Lease, held: Held) -> (LeaseId, Done) {
        let id = LeaseId(envelope::id(&lease.clone().into()));
        let done = self.act(|execution, context| {
            execution.on_lease(context, REQUESTER, id, lease, Some(held));
        });
        (id, done)
    }

    /// Takes a lease of a job whose program is here.
    fn lease(&mut self, from: PeerId, job: &Job) -> LeaseId {
        let lease = lease_of(job, false);
        let id = LeaseId(envelope::id(&lease.clone().into()));
        let served = self.execution.on_lease(&mut self.context, from, id, lease, Some(held_of(job)));
        assert_eq!(served, Some(id_of(job)));
        self.execution.on_fetched(&mut self.context, Item::Blob(job.program), true);
        id
    }

    fn assign(&mut self, from: PeerId, lease: LeaseId, tasks: &[(u32, TaskInput)]) -> Done {
        let tasks = tasks.iter().map(|(task, input)| Assigned { task: *task, input: input.clone() }).collect();
        self.act(|execution, context| execution.on_assign(context, from, Assign { lease, tasks }))
    }

    fn finish(&mut self, run: RunId, text: &str) -> Done {
        self.act(|execution, context| assert!(execution.on_finished(context, run, &Ok(executed(text)))))
    }

    fn void(&mut self, job: &Job, lease: LeaseId, task: u32, input: TaskInput, text: &str) -> Done {
        let void = Void { job: id_of(job), lease, task, claim: Default::default(), input, outcome: outcome(text) };
        self.act(|execution, context| execution.on_void(context, REQUESTER, &void))
    }

    fn fetched(&mut self, blob: BlobId, found: bool) -> Done {
        self.act(|execution, context| execution.on_fetched(context, Item::Blob(blob), found))
    }
}

/// These tasks, which have no input.
fn plain(tasks: std::ops::Range<u32>) -> Vec<(u32, TaskInput)> {
    tasks.map(|task| (task, TaskInput::None)).collect()
}

#[test]
fn what_burns_far_more_than_was_offered_is_handed_back_and_what_is_begun_is_done() {
    let job = job("count", 100, 1);
    for (expected, is_given_up) in [(Some(fuel().0 / 8 - 1), true), (Some(fuel().0 / 8), false), (None, false)] {
        let mut worker = Worker::new(2);
        let mut held = held_of(&job);
        held.offer.expected_fuel = expected.map(Fuel);
        let (id, _) = worker.grant(lease_of(&job, false), held);
        worker.execution.on_fetched(&mut worker.context, Item::Blob(job.program), true);
        let mut runs = worker.assign(REQUESTER, id, &plain(0..20)).started;
        assert_eq!(runs.len(), 4);
        for seen in 1..=2 {
            let done = worker.finish(runs.remove(0), "right");
            assert_eq!(done.handed_back, [], "{seen} tasks tell little");
            runs.extend(done.started);
        }
        let done = worker.finish(runs.remove(0), "right");
        if !is_given_up {
            assert_eq!(done.handed_back, [], "{expected:?}");
            continue;
        }
        // Three are done and three are begun.
        assert_eq!(done.handed_back, [((6..20).collect(), HandBackReason::DearerThanOffered)]);
        assert_eq!(done.started, []);
        let late = worker.assign(REQUESTER, id, &plain(30..31));
        assert_eq!(late.handed_back, [(vec![30], HandBackReason::DearerThanOffered)]);
        let claimed: usize = runs.into_iter().flat_map(|run| worker.finish(run, "right").claimed).sum();
        assert_eq!(claimed, 6, "all that was begun is delivered");
        let verdicts = Verdicts { job: id_of(&job), lease: id, accepted: (0..6).collect(), owed: Default::default() };
        let done = worker.act(|execution, context| execution.on_verdicts(context, REQUESTER, &verdicts));
        assert_eq!(done.declined, [(id, DeclineReason::DearerThanOffered)]);
    }
}

#[test]
fn a_lease_that_pays_less_for_bytes_than_its_offer_said_is_declined() {
    let job = Job { per_gib: PerGib(10), ..job("bytes", 10, 1) };
    for (offered, reason) in [(11, Some(DeclineReason::NotAsOffered)), (10, None)] {
        let mut held = held_of(&job);
        held.offer.per_gib = PerGib(offered);
        let (_, done) = Worker::new(1).grant(lease_of(&job, false), held);
        assert_eq!(done.declined.first().map(|&(_, reason)| reason), reason, "{offered}");
    }
}

#[test]
fn a_lease_brings_its_program_here_and_its_files_if_it_has_any() {
    let list = Output::of(b"a list");
    for files in [Output::of(b""), list] {
        let job = Job { files, ..job("files", 10, 1) };
        let (_, done) = Worker::new(1).grant(lease_of(&job, false), held_of(&job));
        let files = (files == list).then_some(Item::Tree(list.id));
        assert_eq!(done.fetched, [Item::Blob(job.program)].into_iter().chain(files).collect::<Vec<_>>());
    }
}

#[test]
fn a_lease_that_pays_less_or_later_than_is_fair_or_on_no_credit_is_declined() {
    let job = job("terms", 10, 1);
    let fair = lease_of(&job, false);
    let leases = [
        (fair.clone(), Unpaid::Idle, None),
        (Lease { fee: Credits(fair.fee.0 + 1), ..fair.clone() }, Unpaid::Idle, None),
        (Lease { fee: Credits(fair.fee.0 - 1), ..fair.clone() }, Unpaid::Idle, Some(DeclineReason::NotAsOffered)),
        (
            Lease { slice_tasks: limits::SLICE_TASKS_MAX + 1, ..fair.clone() },
            Unpaid::Idle,
            Some(DeclineReason::NotAsOffered),
        ),
        (
            Lease { hold_back_tasks: limits::HOLD_BACK_TASKS + 1, ..fair.clone() },
            Unpaid::Idle,
            Some(DeclineReason::NotAsOffered),
        ),
        (fair, Unpaid::None, Some(DeclineReason::NoCredit)),
    ];
    for (lease, unpaid, reason) in leases {
        let mut worker = Worker::new(1);
        worker.context = Context::new(Config { money: Money { unpaid, ..Money::new(open) }, ..config(1) });
        let about = format!("{lease:?}, {unpaid:?}");
        let (_, done) = worker.grant(lease, held_of(&job));
        assert_eq!(done.declined.first().map(|&(_, reason)| reason), reason, "{about}");
    }
}

#[test]
fn a_lease_waits_at_its_own_bound_to_be_paid_for_a_minute_and_no_longer() {
    let job = job("unpaid", 100, 1);
    let mut worker = Worker::new(2);
    let lease = Lease { slice_tasks: 1, hold_back_tasks: 1, ..lease_of(&job, false) };
    let (id, _) = worker.grant(lease, held_of(&job));
    worker.execution.on_fetched(&mut worker.context, Item::Blob(job.program), true);
    let began = worker.assign(REQUESTER, id, &plain(0..20)).started;
    assert_eq!(began.len(), 2, "a slice and what is held back");
    for run in began {
        assert_eq!(worker.finish(run, "right").started, [], "nothing is begun beyond it");
    }
    let waits = worker.context.now;
    for (waited, declined) in [(UNPAID_MAX, vec![]), (UNPAID_MAX + millis(1), vec![(id, DeclineReason::NoCredit)])] {
        worker.context.now = waits + waited;
        assert_eq!(worker.act(|execution, context| execution.heartbeat(context)).declined, declined);
    }
}

#[test]
fn a_sandbox_is_given_one_task_a_slot_beyond_those_that_run() {
    let mut worker = Worker::new(3);
    let job = job("count", 100, 1);
    let lease = worker.lease(REQUESTER, &job);
    assert!(worker.execution.serves(&id_of(&job)));
    let started = worker.assign(REQUESTER, lease, &plain(0..50)).started;
    assert_eq!((started.len(), worker.execution.running()), (6, 6));
    assert_eq!(worker.finish(started[0], "right").started.len(), 1, "one ends, one begins");
}

#[test]
fn leases_are_served_in_turn() {
    let mut worker = Worker::new(3);
    let names = ["one", "two", "three"];
    let ids: Vec<_> = names.iter().map(|name| worker.lease(REQUESTER, &job(name, 10, 1))).collect();
    // Nothing may begin before all have tasks.
    worker.context.slots = 0;
    ids.iter().for_each(|&id| drop(worker.assign(REQUESTER, id, &plain(0..4))));
    worker.context.slots = 3;
    worker.execution.start_runs(&mut worker.context);
    let begun = worker.context.take_effects().into_iter();
    let begun: Vec<String> =
        begun.filter_map(|effect| if let Effect::Execute(run) = effect { Some(run.name) } else { None }).collect();
    assert_eq!(begun.len(), 6);
    assert_eq!(begun[..3].iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(names), "{begun:?}");
    assert_eq!(begun[..3], begun[3..]);
}

#[test]
fn inputs_are_fetched_while_earlier_tasks_run_and_the_next_task_waits_for_none() {
    let mut worker = Worker::new(1);
    let lease = worker.lease(REQUESTER, &job("count", 100, 1));
    worker.act(|_, _| {});
    let inputs: Vec<BlobId> = (0..6u8).map(|number| BlobId::of(&[number])).collect();
    let tasks: Vec<_> = (0..).zip(&inputs).map(|(task, input)| (task, TaskInput::Blob(*input, 5_000))).collect();
    let done = worker.assign(REQUESTER, lease, &tasks);
    assert_eq!(done.fetched, inputs.iter().map(|input| Item::Blob(*input)).collect::<Vec<_>>(), "all at once");
    assert_eq!(done.started, [], "nothing can run yet");
    let mut running = worker.fetched(inputs[0], true).started;
    assert_eq!(running.len(), 1, "the first runs");
    // The slot is taken and a place behind it is free: what comes meanwhile is begun there, or waits for its turn only.
    inputs[1..].iter().for_each(|&input| running.extend(worker.fetched(input, true).started));
    for left in (0..inputs.len()).rev() {
        let done = worker.finish(running.remove(0), "right");
        assert_eq!(done.fetched, [], "it was there before it was needed");
        running.extend(done.started);
        assert_eq!(running.len(), left.min(2), "the slot is never without work");
    }
}

#[test]
fn results_wait_for_company_while_more_are_to_come() {
    let mut worker = Worker::new(200);
    let lease = worker.lease(REQUESTER, &job("count", 270, 1));
    let runs = worker.assign(REQUESTER, lease, &plain(0..270)).started;
    let batches: Vec<(usize, Vec<usize>)> = runs
        .iter()
        .map(|&run| worker.finish(run, "right").claimed)
        .enumerate()
        .filter(|(_, sent)| !sent.is_empty())
        .collect();
    assert_eq!(batches, [(255, vec![256]), (269, vec![14])], "a full batch, and what is left at the end");
}

#[test]
fn what_was_executed_accepted_and_refuted_is_counted_once() {
    let mut worker = Worker::new(2);
    let job = job("count", 100, 1);
    let lease = worker.lease(REQUESTER, &job);
    for run in worker.assign(REQUESTER, lease, &plain(0..3)).started {
        worker.finish(run, "right");
    }
    let verdicts = Verdicts { job: id_of(&job), lease, accepted: vec![0, 1], owed: Default::default() };
    for (from, accepted) in [(OTHER, 0), (REQUESTER, 2), (REQUESTER, 2)] {
        worker.act(|execution, context| execution.on_verdicts(context, from, &verdicts));
        assert_eq!(worker.execution.counters().accepted, accepted);
    }
    worker.void(&job, lease, 2, TaskInput::None, "wrong");
    assert_eq!(worker.execution.counters(), Counters { executed: 3, accepted: 2, refuted: 1, waited: 0 });
}

#[test]
fn an_input_is_waited_for_if_it_comes_when_a_slot_has_nothing_to_run() {
    let job = job("count", 10, 1);
    let blob = |task: u32| BlobId(Hash([task as u8; 32]));
    let inputs = |tasks: std::ops::Range<u32>| -> Vec<(u32, TaskInput)> {
        tasks.map(|task| (task, TaskInput::Blob(blob(task), 10_000))).collect()
    };
    let mut worker = Worker::new(2);
    let lease = worker.lease(REQUESTER, &job);
    worker.assign(REQUESTER, lease, &inputs(0..5));
    // Two slots have nothing else to do; what comes then is there before it is needed, but for what never comes.
    let mut runs = Vec::new();
    for (task, waited) in [(0, 1), (1, 2), (2, 2), (3, 2)] {
        runs.extend(worker.fetched(blob(task), true).started);
        assert_eq!(worker.execution.counters().waited, waited, "after input {task}");
    }
    for run in runs {
        worker.finish(run, "right");
    }
    worker.fetched(blob(4), false);
    assert_eq!(worker.execution.counters().waited, 2, "a lost input is not waited for any more");
    // Nothing runs: now it is waited for again, once for each slot, if more tasks have the same input.
    worker.assign(REQUESTER, lease, &(5..8).map(|task| (task, TaskInput::Blob(blob(5), 10_000))).collect::<Vec<_>>());
    worker.fetched(blob(5), true);
    assert_eq!(worker.execution.counters().waited, 4);
    // So it is if tasks of several leases have.
    let mut worker = Worker::new(1);
    for name in ["one", "other"] {
        let lease = worker.lease(REQUESTER, &crate::world::job(name, 10, 1));
        worker.assign(REQUESTER, lease, &inputs(0..1));
    }
    worker.fetched(blob(0), true);
    assert_eq!(worker.execution.counters().waited, 1);
}

#[test]
fn an_unjust_requester_loses_all_its_leases_and_nobody_else_any() {
    let (first, second, others) = (job("first", 10, 1), job("second", 10, 1), job("other", 10, 1));
    let mut worker = Worker::new(4);
    let leases = [(REQUESTER, &first), (REQUESTER, &second), (OTHER, &others)].map(|(from, job)| {
        let lease = worker.lease(from, job);
        (lease, worker.assign(from, lease, &plain(0..2)).started)
    });
    let [(lease, runs), (next, more), _] = leases;
    worker.finish(runs[0], "right");
    let mut done = worker.void(&first, lease, 0, TaskInput::None, "right");
    assert_eq!(done.contested, 1, "what it calls refuted is what we claimed");
    let declined = BTreeMap::from([lease, next].map(|lease| (lease, DeclineReason::Unjust)));
    assert_eq!(done.declined.into_iter().collect::<BTreeMap<_, _>>(), declined);
    done.cancelled.sort();
    assert_eq!(done.cancelled, [runs[1], more[0], more[1]]);
    assert_eq!((worker.execution.leases(), worker.execution.running()), (1, 2));
}

#[test]
fn a_void_about_another_input_is_no_evidence() {
    let mut worker = Worker::new(1);
    let job = job("count", 10, 1);
    let lease = worker.lease(REQUESTER, &job);
    let started = worker.assign(REQUESTER, lease, &plain(0..2)).started;
    worker.finish(started[0], "right");
    let unheard = worker.void(&job, lease, 1, TaskInput::None, "wrong");
    assert_eq!(unheard, Done::default(), "nothing was claimed of it");
    let other = TaskInput::Inline(Bytes(b"another".to_vec()));
    assert_eq!(worker.void(&job, lease, 0, other, "wrong").declined, [(lease, DeclineReason::Unjust)]);
}

#[test]
fn a_void_whose_input_is_not_to_be_had_is_no_evidence_and_few_are_looked_into() {
    let mut worker = Worker::new(4);
    let job = job("count", 10, 1);
    let lease = worker.lease(REQUESTER, &job);
    let input = BlobId::of(b"input");
    let large = TaskInput::Blob(input, 5_000);
    let mut tasks = plain(1..5);
    tasks.push((0, large.clone()));
    let mut started = worker.assign(REQUESTER, lease, &tasks).started;
    started.extend(worker.fetched(input, true).started);
    started.iter().for_each(|&run| drop(worker.finish(run, "right")));
    assert_eq!(worker.void(&job, lease, 0, large, "wrong").fetched, [Item::Blob(input)]);
    for task in 1..4 {
        assert_eq!(worker.void(&job, lease, task, TaskInput::None, "wrong").started.len(), 1, "it is run again");
    }
    assert_eq!(worker.void(&job, lease, 4, TaskInput::None, "wrong"), Done::default(), "four at once");
    assert_eq!(worker.fetched(BlobId::of(b"another"), false), Done::default());
    let done = worker.fetched(input, false);
    assert_eq!((done.contested, done.declined), (1, vec![(lease, DeclineReason::Unjust)]));
}

#[test]
fn a_paused_device_stops_what_runs_and_leaves_when_its_results_are_delivered() {
    let mut worker = Worker::new(2);
    let job = job("count", 10, 1);
    let lease = worker.lease(REQUESTER, &job);
    let started = worker.assign(REQUESTER, lease, &plain(0..4)).started;
    worker.finish(started[0], "right");
    worker.context.slots = 0;
    worker.execution.on_device_changed(&mut worker.context);
    let effects = worker.context.take_effects();
    let claim = effects.iter().find_map(|effect| match effect {
        Effect::Send { message: message @ Message::Claim(_), .. } => {
            Some(pocketmesh_types::ClaimId(envelope::id(message)))
        }
        _ => None,
    });
    let done = Done::of(effects);
    assert_eq!((done.cancelled.as_slice(), done.declined), (&started[1..], Vec::new()));
    assert_eq!(worker.execution.running(), 0);
    let ack = ClaimAck { lease, claim: claim.unwrap() };
    let done = worker.act(|execution, context| execution.on_ack(context, REQUESTER, &ack));
    assert_eq!(done.declined, [(lease, DeclineReason::DevicePaused)]);
}

#[test]
fn a_lease_is_given_up_when_nothing_was_asked_for_more_than_two_minutes() {
    let mut worker = Worker::new(1);
    let lease = worker.lease(REQUESTER, &job("count", 10, 1));
    let (asked, limit) = (worker.context.now, seconds(120));
    for (waited, declined) in [(limit, vec![]), (limit + seconds(5), vec![(lease, DeclineReason::Busy)])] {
        worker.context.now = asked + waited;
        assert_eq!(worker.act(Execution::heartbeat).declined, declined, "after {waited:?}");
    }
}

// One lease.

fn granted(job: &Job, commit_first: bool) -> WorkLease {
    WorkLease::new(REQUESTER, &held_of(job).offer, lease_of(job, commit_first), Instant::default())
}

/// Brings tasks of a lease to an outcome.
fn work(lease: &mut WorkLease, tasks: std::ops::Range<u32>, text: &str) {
    for (task, input) in plain(tasks) {
        lease.take_tasks(vec![Assigned { task, input }]);
        assert_eq!(lease.start(RunId(0)).unwrap().0, task);
        lease.finish(task, executed(text));
    }
}

#[test]
fn no_task_is_taken_beyond_the_last_of_the_job() {
    let mut lease = granted(&job("count", 10, 1), false);
    let assigned = [10, 9].map(|task| Assigned { task, input: TaskInput::None });
    lease.take_tasks(assigned.into());
    assert_eq!(lease.undone(), [9]);
}

#[test]
fn a_batch_has_so_many_results_and_so_many_bytes() {
    let (job, context) = (job("count", 1_000, 1), Context::new(config(1)));
    let batches = |commit_first, tasks, text: &str| {
        let mut lease = granted(&job, commit_first);
        work(&mut lease, tasks, text);
        let mut rows = Vec::new();
        while let Some((message, _)) = lease.next_batch(LeaseId::default(), &context) {
            rows.push(match message {
                Message::Commit(commit) => commit.commits.len(),
                Message::Claim(claim) => claim.results.len(),
                other => panic!("{other:?}"),
            });
        }
        rows
    };
    for commit_first in [true, false] {
        assert_eq!(batches(commit_first, 0..300, "right"), [256, 44], "{commit_first}");
    }
    let large = "x".repeat(limits::INLINE_BYTES_MAX);
    let fit = limits::MESSAGE_BYTES_TARGET / limits::INLINE_BYTES_MAX;
    assert_eq!(batches(false, 0..40, &large), [fit, 40 - fit]);
}

#[test]
fn tasks_that_are_forgotten_are_neither_run_nor_waited_for() {
    let blob = TaskInput::Blob(BlobId::of(b"input"), 5_000);
    let large = TaskInput::Blob(BlobId::of(b"another"), 6_000);
    let mut lease = granted(&job("count", 20, 1), false);
    let tasks = |lease: &mut WorkLease, inputs: &[(u32, &TaskInput)]| {
        lease.take_tasks(inputs.iter().map(|&(task, input)| Assigned { task, input: input.clone() }).collect())
    };
    work(&mut lease, 0..1, "right");
    tasks(&mut lease, &[(1, &TaskInput::None), (2, &TaskInput::None), (3, &TaskInput::None)]);
    tasks(&mut lease, &[(4, &blob), (5, &blob), (6, &large)]);
    assert_eq!(lease.start(RunId(1)).unwrap().0, 1);
    lease.forget(&[0, 1, 2, 4, 6, 19].into());
    assert_eq!((lease.undone(), lease.backlog()), (vec![3, 5], 2), "one is done, and one was never here");
    assert_eq!(lease.start(RunId(2)).unwrap().0, 3);
    assert_eq!(tasks(&mut lease, &[(4, &blob), (6, &large)]), [(BlobId::of(b"another"), 6_000)], "it is fetched again");
    lease.on_input(&BlobId::of(b"input"), true);
    let started = std::iter::from_fn(|| lease.start(RunId(3))).map(|(task, _)| task);
    assert_eq!(started.collect::<Vec<_>>(), [5, 4]);
    for task in [3, 4, 5] {
        lease.finish(task, executed("right"));
    }
    assert!(!lease.is_idle());
    lease.forget(&[6].into());
    assert!(lease.is_idle() && !lease.is_empty());
}

#[test]
fn a_salt_is_of_its_task_lease_and_peer_and_the_same_when_it_is_derived_again() {
    let salts = |number: u8, salt_key: [u8; 32]| {
        let mut lease = granted(&job("count", 10, 2), true);
        work(&mut lease, 0..2, "right");
        let (context, id) = (Context::new(Config { salt_key, ..config(1) }), LeaseId(Hash([number; 32])));
        lease.next_batch(id, &context);
        lease.reveal(&[0, 1], false);
        match lease.next_batch(id, &context) {
            Some((Message::Claim(claim), _)) => claim.results.into_iter().filter_map(|row| row.salt).collect(),
            other => panic!("{other:?}"),
        }
    };
    let all: [BTreeSet<Hash>; 3] = [salts(1, [4; 32]), salts(2, [4; 32]), salts(1, [5; 32])];
    assert_eq!(all.iter().flatten().collect::<BTreeSet<_>>().len(), 6, "no two are alike");
    assert_eq!(salts(1, [4; 32]), all[0]);
}

#[test]
fn what_is_asked_bare_is_claimed_bare_until_it_is_asked_for_in_full() {
    let (mut lease, context) = (granted(&job("count", 100, 2), true), Context::new(config(1)));
    work(&mut lease, 0..40, &"x".repeat(limits::INLINE_BYTES_MAX));
    let next = |lease: &mut WorkLease| match lease.next_batch(LeaseId::default(), &context) {
        Some((Message::Claim(claim), attached)) => (claim.results.len(), attached.len()),
        Some(_) => (0, 0),
        None => panic!("nothing is asked"),
    };
    assert_eq!(next(&mut lease), (0, 0), "commitments come first");
    let tasks: Vec<u32> = (0..40).collect();
    lease.reveal(&tasks, true);
    assert_eq!(next(&mut lease), (40, 0), "and all of them fit in one message");
    lease.claim_again();
    assert_eq!(next(&mut lease), (40, 0), "said again, it is no more");
    lease.reveal(&[7, 9, 99], false);
    assert_eq!(next(&mut lease), (2, 2));
}

#[test]
fn claims_are_kept_for_a_requester_that_comes_back_but_no_more_than_so_many() {
    let (mut lease, context) = (granted(&job("count", 1_025, 1), false), Context::new(config(1)));
    for task in 0..1_025 {
        work(&mut lease, task..task + 1, "right");
        assert!(lease.next_batch(LeaseId::default(), &context).is_some());
    }
    lease.claim_again();
    let again = std::iter::from_fn(|| lease.next_batch(LeaseId::default(), &context));
    let rows = again.map(|(message, _)| if let Message::Claim(claim) = message { claim.results.len() } else { 0 });
    assert_eq!(rows.sum::<usize>(), 1_024);
}

#[test]
fn what_was_claimed_is_known_until_twenty_thousand_others_were() {
    let last = 2 * limits::WINDOW_RESULTS_MAX;
    let mut lease = granted(&job("count", last + 1, 1), false);
    work(&mut lease, 0..1, "right");
    assert_eq!(lease.stated(0).map(|stated| stated.outcome), Some(outcome("right")), "before the requester has it");
    assert_eq!((lease.settle(&[0]), lease.settle(&[0])), (1, 0), "accepted once");
    for task in 1..last {
        work(&mut lease, task..task + 1, "right");
        assert_eq!(lease.settle(&[task]), 1);
    }
    assert!(lease.stated(0).is_some());
    work(&mut lease, last..last + 1, "right");
    lease.settle(&[last]);
    assert!(lease.stated(0).is_none() && lease.stated(1).is_some());
}
