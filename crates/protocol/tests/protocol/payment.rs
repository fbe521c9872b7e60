//! Payment between whole peers: what is accepted is paid, once, whatever crashes, and nobody has more at stake than was agreed. specs/settlement.md §4.

use crate::world::{Crash, World, audited, fuel, id_of, job, millis, model::Behaviour, seconds};
use pocketmesh_ledger::{
    Audit,
    record::{Content, Payment},
    service::Unpaid,
    slices::Terms,
};
use pocketmesh_protocol::{Command, End, Event, Inputs, effect::LeaseOver};
use pocketmesh_types::{
    Auditors, BlobId, Credits, Fuel, Job, JobId, PeerId, PerGib, Price, RangeSet, Receipt, Signed, Statement, Target,
    TaskInput, job::TaskLimits, limits,
};
use pocketmesh_wire::{Message, message::DeclineReason};
use std::collections::BTreeMap;

fn receipts(payment: &Payment) -> impl Iterator<Item = Receipt> + '_ {
    payment.receipts.iter().map(|sealed| match crate::world::sealing::open(sealed) {
        Ok(Signed { statement: Statement::Receipt(receipt), .. }) => receipt,
        other => panic!("no receipt: {other:?}"),
    })
}

/// Tasks that a requester has paid, by worker; no seat twice. Every record passes an audit.
fn paid_seats(world: &World, requester: PeerId, job: JobId) -> BTreeMap<PeerId, RangeSet> {
    let mut audit = Audit::new(requester);
    let mut seats: BTreeMap<PeerId, RangeSet> = BTreeMap::new();
    for (sequence, record) in (0..).zip(&world.node(requester).money) {
        audit.take(sequence, record, &crate::world::sealing::open).unwrap();
        let Content::Paid(payment) = &record.content else { continue };
        for receipt in receipts(payment).filter(|receipt| receipt.job == job) {
            let paid = seats.entry(receipt.payee).or_default();
            assert!(receipt.tasks.iter().all(|&(start, end)| paid.insert_range(start..end)), "a seat is paid twice");
        }
    }
    seats
}

/// What is paid for a GiB: a multiple of 2²¹, so that every byte costs a whole number of atto-credits.
const PER_GIB: PerGib = PerGib(1 << 21);

/// A job that pays for bytes, each of whose tasks has an input of another length: a third none to speak of, a third sent along, a third blobs.
fn moving(world: &mut World, job: Job) -> (Job, Inputs) {
    let input = |task: u32| match task % 3 {
        0 => TaskInput::Inline(Vec::new().into()),
        1 => TaskInput::Inline(vec![7; task as usize % (limits::INLINE_BYTES_MAX + 1)].into()),
        _ => TaskInput::Blob(BlobId::of(&task.to_le_bytes()), (1 << 20) + u64::from(task)),
    };
    let inputs = (0..job.tasks).map(input).collect();
    world.cut(Job { per_gib: PER_GIB, ..job }, inputs)
}

/// Every receipt is for the inputs of its tasks and for what they came to. Says how much they are for, all together.
fn bytes_paid(world: &World, requester: PeerId, job: JobId) -> u64 {
    let finals = world.finals(requester, job);
    let bytes = |task: u32| {
        let input = world.inputs[&job][task as usize].as_ref().map_or(0, TaskInput::len);
        input + finals[&task].outcome.unwrap().bytes()
    };
    let paid = world.node(requester).money.iter().filter_map(|record| match &record.content {
        Content::Paid(payment) => Some(receipts(payment)),
        _ => None,
    });
    let mut sum = 0;
    for receipt in paid.flatten().filter(|receipt| receipt.job == job) {
        let moved: u64 = receipt.tasks.iter().flat_map(|&(start, end)| start..end).map(bytes).sum();
        assert_eq!((receipt.bytes, receipt.per_gib), (moved, PER_GIB), "{:?}", receipt.tasks);
        sum += moved;
    }
    sum
}

/// What was promised is with those to whom it was promised; how much, in all.
fn settled(world: &mut World, requester: PeerId, workers: &[PeerId]) -> u128 {
    world.run_for(seconds(20));
    let paid = workers.iter().map(|&worker| {
        let (given, received) = world.paid(requester, worker);
        assert_eq!(given, received);
        given
    });
    paid.sum()
}

#[test]
fn every_accepted_seat_is_paid_with_its_fee_and_no_other() {
    let (mut world, requester, workers) = World::mesh(1, 4);
    let (job, inputs) = moving(&mut world, job("count", 300, 2));
    let id = world.submit(requester, &job, inputs);
    world.finish(requester, id, seconds(120));
    let paid = settled(&mut world, requester, &workers);
    let active = world.peer(requester).jobs().get(&id).unwrap();
    let due = active.leases.values().map(|lease| {
        let fee = if lease.accepted > 0 { lease.price.fee(job.program_len).0 } else { 0 };
        lease.owed.0 + fee
    });
    assert_eq!(paid, due.sum::<u128>());
    assert!(bytes_paid(&world, requester, id) > 200 << 20, "each blob went to two");
    let accepted: u64 = active.leases.values().map(|lease| lease.accepted).sum();
    let seats: u64 = paid_seats(&world, requester, id).values().map(|seats| u64::from(seats.len())).sum();
    assert_eq!(seats, accepted);
    let closed = |record: &pocketmesh_ledger::Record| record.content == Content::Closed(id);
    assert_eq!(world.node(requester).money.iter().filter(|record| closed(record)).count(), 1);
}

#[test]
fn a_big_job_is_paid_while_its_windows_fill_and_its_audits_too() {
    let (mut world, requester, workers) = World::mesh(2, 4);
    for &worker in &workers {
        (world.node_mut(worker).speed, world.node_mut(worker).slots) = (millis(1), 16);
        world.restart(worker, millis(1));
    }
    world.node_mut(requester).speed = millis(1);
    let job = audited(job("big", 8_000, 1), Target { by: Auditors::Mesh, ..Target::default() });
    let (job, inputs) = moving(&mut world, job);
    let id = world.submit(requester, &job, inputs);
    let given = |world: &World| workers.iter().map(|&worker| world.paid(requester, worker).0).sum::<u128>();
    let early = world.run_until(world.now + seconds(60), |world| given(world) > 0);
    assert!(early && world.end_of(requester, id).is_none(), "nothing is final yet");
    assert_eq!(world.finish(requester, id, seconds(600)), End::Complete);
    settled(&mut world, requester, &workers);
    let active = world.peer(requester).jobs().get(&id).unwrap();
    let accepted: u64 = active.leases.values().map(|lease| lease.accepted).sum();
    let seats: u64 = paid_seats(&world, requester, id).values().map(|seats| u64::from(seats.len())).sum();
    assert_eq!(seats, accepted, "audits and hedges are seats like any other");
    assert!(bytes_paid(&world, requester, id) > 0);
}

#[test]
fn whatever_record_a_requester_dies_at_each_seat_is_paid_once_and_what_is_final_is_paid() {
    for (number, crash) in (3..60).step_by(4).flat_map(|at| [(at, Crash::Before(at)), (at, Crash::After(at))]) {
        let (mut world, requester, workers) = World::mesh(20, 3);
        let (job, inputs) = moving(&mut world, job("count", 60, 2));
        world.node_mut(requester).crash = Some(crash);
        let id = world.submit(requester, &job, inputs);
        let died = world.run_until(world.now + seconds(60), |world| world.node(requester).peer.is_none());
        if !died {
            assert!(number > 30, "{crash:?}");
            continue;
        }
        world.run_for(millis(500));
        world.start(requester);
        workers.iter().for_each(|&worker| world.connect(requester, worker));
        assert_eq!(world.finish(requester, id, seconds(120)), End::Complete, "{crash:?}");
        settled(&mut world, requester, &workers);
        let paid = paid_seats(&world, requester, id);
        for (task, result) in world.finals(requester, id) {
            for worker in result.workers {
                assert!(paid.get(&worker).is_some_and(|paid| paid.contains(task)), "{crash:?}: {task} is not paid");
            }
        }
        bytes_paid(&world, requester, id);
    }
}

#[test]
fn a_worker_that_is_not_paid_stops_at_its_bound_and_gives_the_lease_up() {
    let (mut world, requester, workers) = World::mesh(3, 1);
    world.node_mut(workers[0]).speed = millis(1);
    world.lose = |message| matches!(message, Message::Payment(_));
    let job = job("count", 4_000, 1);
    let id = world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(30));
    let run = world.executions("count").len();
    let most = Terms::default().exposure_tasks(Some(fuel()));
    assert!(run <= most && run + 64 > most, "{run} of {most}");
    world.run_for(seconds(150));
    let declined = |event: &Event| matches!(event, Event::LeaseOver { .. });
    assert!(world.events(requester, declined) > 0, "the lease is given up");
    assert_eq!(world.end_of(requester, id), None);
    world.lose = |_| false;
    world.disconnect(requester, workers[0]);
    world.connect(requester, workers[0]);
    assert_eq!(world.finish(requester, id, seconds(300)), End::Complete, "and is taken again once payments come");
    let paid = settled(&mut world, requester, &workers);
    assert!(paid > 0);
}

#[test]
fn who_is_refuted_forfeits_what_was_not_paid() {
    let (mut world, requester, workers) = World::mesh(4, 4);
    for (at, &worker) in workers.iter().enumerate() {
        let node = world.node_mut(worker);
        (node.speed, node.slots) = (millis(1), 16);
        node.behaviour = if at == 1 { Behaviour::Sometimes(0.1) } else { Behaviour::Honest };
        world.restart(worker, millis(1));
    }
    world.node_mut(requester).speed = millis(1);
    let job = audited(job("big", 8_000, 1), Target::default());
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(600)), End::Complete);
    settled(&mut world, requester, &workers);
    let liar = workers[1];
    let forfeited = world.node(requester).money.iter().filter_map(|record| match &record.content {
        Content::Forfeited { payee, tasks, .. } if *payee == liar => Some(tasks),
        _ => None,
    });
    let count: u32 = forfeited.flatten().map(|(start, end)| end - start).sum();
    assert!(count >= limits::HOLD_BACK_TASKS, "{count}");
    paid_seats(&world, requester, id);
}

#[test]
fn a_stopped_job_pays_for_what_was_delivered() {
    let (mut world, requester, workers) = World::mesh(5, 3);
    let job = job("count", 5_000, 1);
    let id = world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(5));
    world.command(requester, Command::Stop(id));
    assert_eq!(world.finish(requester, id, seconds(30)), End::Stopped);
    settled(&mut world, requester, &workers);
    let paid: u32 = paid_seats(&world, requester, id).values().map(RangeSet::len).sum();
    let finals = world.finals(requester, id).values().map(|result| result.workers.len()).sum::<usize>();
    assert!(finals > 0 && paid as usize >= finals, "{paid} of {finals}");
}

#[test]
fn who_serves_against_credit_only_takes_no_work_of_a_stranger() {
    let (mut world, requester, workers) = World::mesh(6, 2);
    world.node_mut(workers[0]).unpaid = Unpaid::None;
    world.restart(workers[0], millis(1));
    let job = job("count", 40, 1);
    world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id_of(&job), seconds(60)), End::Complete);
    assert_eq!(world.paid(requester, workers[0]), (0, 0));
    assert!(settled(&mut world, requester, &workers) > 0);
    // Whoever has worked for it is served: the debt is set off.
    let back = crate::world::job("back", 10, 1);
    world.node_mut(requester).slots = 2;
    world.restart(requester, millis(1));
    world.submit(workers[1], &back, Inputs::None);
    assert_eq!(world.finish(workers[1], id_of(&back), seconds(60)), End::Complete);
    world.run_for(seconds(20));
    let standing = world.peer(requester).settlement().accounts().standing(&workers[1]);
    assert!(standing.received.0 > 0 && standing.owes_us.0 == 0, "{standing:?}");
}

#[test]
fn a_job_costs_no_more_than_its_budget_and_ends_with_what_that_buys() {
    for (seed, policy) in [(7, 1), (8, 2)] {
        let (mut world, requester, workers) = World::mesh(seed, 3);
        let job = job("count", 200, policy);
        let worst = Price(100).cost(fuel()).0;
        let limits = TaskLimits { fuel: fuel(), ..job.limits };
        let job = pocketmesh_types::Job { budget: Some(Credits(20 * worst)), limits, ..job };
        let id = world.submit(requester, &job, Inputs::None);
        assert_eq!(world.finish(requester, id, seconds(120)), End::Partial);
        assert_eq!(world.events(requester, |event| matches!(event, Event::BudgetSpent { .. })), 1);
        let paid = settled(&mut world, requester, &workers);
        assert!(paid <= 20 * worst && paid > 0, "{paid} of {}", 20 * worst);
    }
    // What a task may write counts, and what it reads: a third of them move a MiB, at two thousand nano-credits.
    let (mut world, requester, workers) = World::mesh(7, 3);
    let limits = TaskLimits { fuel: fuel(), output: 1 << 20, ..job("count", 1, 1).limits };
    let (dear, inputs) = moving(&mut world, Job { budget: Some(Credits(1 << 46)), limits, ..job("count", 200, 1) });
    let id = world.submit(requester, &dear, inputs);
    assert_eq!(world.finish(requester, id, seconds(120)), End::Partial);
    let paid = settled(&mut world, requester, &workers);
    assert!(paid <= 1 << 46 && paid > 1 << 45, "{paid}");
    let (mut world, requester, _) = World::mesh(9, 3);
    let enough = pocketmesh_types::Job { budget: Some(Credits(1 << 90)), ..job("count", 200, 2) };
    let id = world.submit(requester, &enough, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
}

#[test]
fn tasks_that_burn_far_more_than_was_offered_are_handed_back_and_those_done_are_paid() {
    let (mut world, requester, workers) = World::mesh(11, 3);
    let usual = job("count", 60, 1);
    let id = world.submit(requester, &usual, Inputs::None);
    world.finish(requester, id, seconds(60));
    let of = |world: &World, job: JobId| -> Vec<Option<Fuel>> {
        world.expected.iter().filter(|(of, _)| *of == job).map(|&(_, expected)| expected).collect()
    };
    assert_eq!(of(&world, id).first(), Some(&None), "nothing is known of the first job with a program");
    let dear = |job: Job| Job { args: vec!["{index}".into(), "20".into()], ..job };
    let dear = dear(Job { nonce: [1; 16], ..job("count", 400, 1) });
    let id = world.submit(requester, &dear, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(300)), End::Complete);
    let is_dearer = |event: &Event| {
        let dearer = LeaseOver::Declined(DeclineReason::DearerThanOffered);
        matches!(event, Event::LeaseOver { reason, .. } if *reason == dearer)
    };
    assert_eq!(world.events(requester, is_dearer), 3, "each gave one lease up, and worked under the next one");
    let offers = of(&world, id);
    let measured = Some(Fuel(20 * fuel().0));
    assert_eq!(offers.first(), Some(&Some(fuel())), "as the job before");
    assert!(offers[1..].contains(&measured) && !offers[1..].contains(&Some(fuel())), "{offers:?}");
    settled(&mut world, requester, &workers);
    let paid = paid_seats(&world, requester, id);
    for (task, result) in world.finals(requester, id) {
        assert!(result.workers.iter().all(|worker| paid[worker].contains(task)), "task {task} is paid");
    }
}
