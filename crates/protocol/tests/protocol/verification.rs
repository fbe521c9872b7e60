//! From claims to decisions: who is believed, who is not, and what it costs. specs/verification.md.

use crate::world::{World, job, millis, model::Behaviour, seconds, with_files};
use pocketmesh_protocol::{
    End, Event, Inputs, Record,
    effect::LeaseOver,
    verification::{Ballot, Rule, Seat, Stage, Step},
};
use pocketmesh_types::{Credits, Hash, JobId, LeaseId, PeerId};
use pocketmesh_wire::message::EndReason;
use std::collections::BTreeSet;

/// Whom the requester has refuted, by its journal.
pub fn refuted(world: &World, requester: PeerId) -> BTreeSet<PeerId> {
    let records = world.node(requester).disk.iter();
    records
        .filter_map(|record| if let Record::Refuted { worker, .. } = record { Some(*worker) } else { None })
        .collect()
}

fn out(world: &World, requester: PeerId) -> BTreeSet<PeerId> {
    let events = world.node(requester).events.iter().filter_map(|(_, event)| match event {
        Event::LeaseOver { worker, reason: LeaseOver::Ended(EndReason::Refuted), .. } => Some(*worker),
        _ => None,
    });
    events.collect()
}

fn mesh_with(seed: u64, workers: usize, liars: &[(usize, Behaviour)]) -> (World, PeerId, Vec<PeerId>) {
    let (mut world, requester, workers) = World::mesh(seed, workers);
    for &(at, behaviour) in liars {
        world.node_mut(workers[at]).behaviour = behaviour;
    }
    (world, requester, workers)
}

fn assert_complete(world: &mut World, requester: PeerId, job: &pocketmesh_types::Job) -> JobId {
    let id = world.submit(requester, job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(300)), End::Complete);
    world.assert_right(requester, job, &Inputs::None);
    id
}

#[test]
fn disagreement_voids_the_liar_and_only_the_liar() {
    for replicas in [2, 3] {
        for liar in 0..4 {
            for behaviour in [Behaviour::Wrong, Behaviour::Sometimes(0.05)] {
                let (mut world, requester, workers) = mesh_with(50 + liar as u64, 5, &[(liar, behaviour)]);
                let job = job("count", 400, replicas);
                let id = assert_complete(&mut world, requester, &job);
                let seen = world.peer(requester).jobs().get(&id).unwrap();
                let caught: BTreeSet<PeerId> = [workers[liar]].into();
                let worked = seen.workers().iter().any(|view| view.worker == workers[liar] && view.done > 0);
                assert!(refuted(&world, requester).is_subset(&caught), "only the liar");
                assert_eq!(refuted(&world, requester) == caught, worked, "{replicas} {liar} {behaviour:?}");
                let voided =
                    |at: PeerId| seen.workers().iter().find(|view| view.worker == at).map_or(0, |view| view.voided);
                for &honest in workers.iter().filter(|&&worker| worker != workers[liar]) {
                    assert_eq!(voided(honest), 0);
                }
                let excluded = |view: &&pocketmesh_protocol::jobs::view::WorkerView| view.excluded;
                assert!(seen.workers().iter().filter(excluded).all(|view| view.worker == workers[liar]));
                assert_eq!(seen.workers().iter().any(|view| view.excluded), worked);
            }
        }
    }
}

#[test]
fn one_liar_costs_a_run_or_two_of_our_own_however_much_it_has_claimed() {
    let (mut world, requester, workers) = mesh_with(70, 4, &[(0, Behaviour::Wrong), (1, Behaviour::Wrong)]);
    for &worker in &workers {
        (world.node_mut(worker).speed, world.node_mut(worker).slots) = (millis(1), 16);
        world.restart(worker, millis(1));
    }
    let job = job("count", 2_000, 2);
    let id = assert_complete(&mut world, requester, &job);
    let seen = world.peer(requester).jobs().get(&id).unwrap();
    assert!(seen.counts.dropped > 10, "it had claimed a lot: {:?}", seen.counts);
    let second = u64::from(seen.counts.convicted);
    assert!(seen.counts.own_runs <= 4 + second, "{:?}", seen.counts);
}

#[test]
fn several_liars_that_do_not_agree_are_all_voided() {
    let liars = [(0, Behaviour::Wrong), (2, Behaviour::Wrong), (3, Behaviour::Sometimes(0.3))];
    let (mut world, requester, workers) = mesh_with(60, 8, &liars);
    let job = job("count", 600, 3);
    assert_complete(&mut world, requester, &job);
    let honest: BTreeSet<PeerId> =
        workers.iter().copied().filter(|&w| world.node(w).behaviour == Behaviour::Honest).collect();
    assert!(refuted(&world, requester).is_disjoint(&honest));
    assert!(!refuted(&world, requester).is_empty());
}

#[test]
fn a_clique_is_found_out_as_soon_as_it_sits_with_an_honest_worker() {
    let liars = [(0, Behaviour::Colluding), (1, Behaviour::Colluding)];
    let (mut world, requester, workers) = mesh_with(61, 6, &liars);
    let job = job("count", 500, 2);
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(300)), End::Complete);
    let caught: BTreeSet<PeerId> = workers[..2].iter().copied().collect();
    assert!(refuted(&world, requester).is_subset(&caught) && !refuted(&world, requester).is_empty());
    // specs/verification.md §6: two agreeing liars are believed where they sit together. That is what 2-of-2 is worth.
    let wrong = world.finals(requester, id).into_values().filter(|task| {
        let (right, _) = crate::world::model::right(&crate::world::model::run_of(&job, task.task, &Inputs::None));
        task.outcome != Some(right.outcome)
    });
    assert!(wrong.count() < 500 / 10);
}

#[test]
fn a_copied_commitment_gains_nothing() {
    let (mut world, requester, workers) = mesh_with(62, 4, &[(1, Behaviour::Copies)]);
    let job = job("count", 400, 2);
    let id = assert_complete(&mut world, requester, &job);
    assert_eq!(out(&world, requester), [workers[1]].into(), "it cannot open what it has copied");
    let view = world.peer(requester).jobs().get(&id).unwrap().workers();
    let copier = view.iter().find(|view| view.worker == workers[1]).unwrap();
    assert!(copier.excluded);
}

#[test]
fn who_reveals_something_else_or_commits_twice_is_out() {
    for behaviour in [Behaviour::Reneges, Behaviour::Equivocates] {
        let (mut world, requester, workers) = mesh_with(63, 4, &[(1, behaviour)]);
        let job = job("count", 400, 2);
        let id = assert_complete(&mut world, requester, &job);
        assert_eq!(out(&world, requester), [workers[1]].into(), "{behaviour:?}");
        assert_eq!(world.node(requester).shunned[0].0, workers[1], "and the network rests from it");
        let views = world.peer(requester).jobs().get(&id).unwrap().workers();
        let owed = views.iter().find(|view| view.worker == workers[1]).unwrap().owed;
        assert_eq!(owed, Credits::default());
    }
}

#[test]
fn a_withheld_reveal_is_waited_for_no_longer_than_five_seconds() {
    let (mut world, requester, workers) = mesh_with(64, 4, &[(1, Behaviour::Withholds)]);
    let job = job("count", 20, 2);
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(7)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
    assert!(refuted(&world, requester).is_empty(), "nothing is proved against it");
    let ended = |event: &Event| matches!(event, Event::LeaseOver { worker, reason: LeaseOver::Ended(EndReason::Silent), .. } if *worker == workers[1]);
    assert_eq!(world.events(requester, ended), 1);
}

#[test]
fn what_our_own_run_cannot_decide_is_unresolved_and_the_rest_goes_on() {
    let (mut world, requester, _) = mesh_with(65, 3, &[(0, Behaviour::Sometimes(0.1))]);
    world.node_mut(requester).behaviour = Behaviour::BrokenHost;
    let job = job("count", 200, 2);
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(300)), End::Partial);
    let finals = world.finals(requester, id);
    let unresolved = finals.values().filter(|task| task.outcome.is_none()).count();
    assert!((1..100).contains(&unresolved), "{unresolved}");
    assert_eq!(finals.len(), 200);
    assert!(refuted(&world, requester).is_empty(), "without evidence nobody is void");
    let counts = world.peer(requester).jobs().get(&id).unwrap().counts;
    assert_eq!(counts.unresolved as usize, unresolved);
}

#[test]
fn outputs_that_are_not_given_do_not_count() {
    let (mut world, requester, workers) = mesh_with(66, 4, &[(1, Behaviour::KeepsOutputs)]);
    let job = job("large", 100, 1);
    assert_complete(&mut world, requester, &job);
    assert_eq!(world.node(workers[1]).accepted, 0);
}

#[test]
fn files_that_are_not_given_do_not_count() {
    let (mut world, requester, workers) = mesh_with(69, 4, &[(1, Behaviour::KeepsOutputs)]);
    assert_complete(&mut world, requester, &with_files(job("count", 100, 1)));
    assert_eq!(world.node(workers[1]).accepted, 0);
}

#[test]
fn a_refuted_worker_gets_nothing_from_this_requester_any_more_even_after_a_restart() {
    let (mut world, requester, workers) = mesh_with(67, 3, &[(0, Behaviour::Wrong)]);
    assert_complete(&mut world, requester, &job("count", 300, 2));
    assert_eq!(refuted(&world, requester), [workers[0]].into());
    world.node_mut(workers[0]).behaviour = Behaviour::Honest;
    world.restart(requester, seconds(1));
    let leases = |world: &World| {
        let granted = |event: &Event| matches!(event, Event::Leased { worker, .. } if *worker == workers[0]);
        world.events(requester, granted)
    };
    let before = leases(&world);
    assert_complete(&mut world, requester, &job("again", 300, 2));
    assert_eq!(leases(&world), before);
}

#[test]
fn a_job_with_nobody_left_but_refuted_workers_waits_for_others() {
    let (mut world, requester, _) = mesh_with(68, 2, &[(0, Behaviour::Wrong), (1, Behaviour::Wrong)]);
    let job = job("count", 50, 2);
    let id = world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(120));
    assert_eq!(world.end_of(requester, id), None);
    for _ in 0..2 {
        let honest = world.add(Behaviour::Honest, 2);
        world.connect(requester, honest);
    }
    assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
}

#[test]
fn a_late_dissent_corrects_what_is_final_while_the_job_is_under_way() {
    // One replica promises nothing, but a hedge may show that a final result is wrong. Two peers behind one prefix never
    // share a task, so the liar cannot help the slowest, and the job is still under way when the truth comes.
    let (mut world, requester, _) = World::mesh(69, 0);
    let [slowest, slow, liar] = [0; 3].map(|_| world.add(Behaviour::Honest, 2));
    world.node_mut(liar).behaviour = Behaviour::Wrong;
    world.node_mut(slow).speed = seconds(2);
    world.node_mut(slowest).speed = seconds(60);
    for behind in [slowest, liar] {
        world.node_mut(behind).prefix = Some([4, 8, 8, 8, 0, 0]);
    }
    world.connect(requester, slowest);
    let job = job("count", 100, 1);
    let id = world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(1));
    world.connect(requester, slow);
    world.connect(requester, liar);
    world.finish(requester, id, seconds(200));
    world.run_for(seconds(1));
    assert_eq!(refuted(&world, requester), [liar].into());
    let finals = world.finals(requester, id);
    let ran = &world.node(slow).ran;
    let right = |task: &u32| crate::world::model::right(&crate::world::model::run_of(&job, *task, &Inputs::None)).0;
    assert!(ran.keys().all(|(_, task)| finals[task].outcome == Some(right(task).outcome)));
    let twice = world.node(requester).disk.iter().filter_map(|record| match record {
        Record::Final { tasks, .. } => Some(tasks.len()),
        _ => None,
    });
    assert!(twice.sum::<usize>() > 100, "some were corrected");
    let owed = world.node(slow).owed[&(requester, id)];
    assert_eq!(owed, Credits(ran.len() as u128 * 100 * crate::world::fuel().0 as u128));
}

#[test]
fn a_late_commitment_is_asked_for_whatever_was_decided() {
    let (outcome, lease) = (
        crate::world::model::right(&crate::world::model::run_of(&job("count", 1, 3), 0, &Inputs::None)).0.outcome,
        LeaseId::default(),
    );
    let stage = Stage::Committed(Hash::of(b"bound"));
    let seat = Seat { worker: PeerId([1; 32]), assigned: Default::default(), stage, paid: false };
    let mut ballot = Ballot { seats: [(lease, seat)].into(), ..Ballot::default() };
    assert_eq!(Rule::replicas(3).step(&ballot), Step::Seat, "one of three is not enough to ask");
    (ballot.own, ballot.decided) = (Some(outcome), Some(outcome));
    assert_eq!(Rule::replicas(3).step(&ballot), Step::Ask(vec![lease]));
}

#[test]
fn one_seat_alone_has_nothing_to_hide() {
    assert!(!Rule::replicas(1).commits_first && Rule::replicas(2).commits_first);
}
