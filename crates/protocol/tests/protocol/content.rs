//! Who brings the content of a result that several claim: one of them, and another if that one is lost.
//! specs/verification.md §2.

use crate::world::{World, job, millis, model::Behaviour, seconds};
use pocketmesh_protocol::{
    End, Event, Inputs,
    effect::LeaseOver,
    input::Item,
    verification::{AskTerms, Ballot, Seat, Stage},
};
use pocketmesh_types::{
    BlobId, ClaimId, Exit, Fuel, Hash, Instant, LeaseId, Outcome, Output, PeerId, TaskIndex, limits,
};
use pocketmesh_wire::message::EndReason;
use std::collections::{BTreeMap, BTreeSet};

/// Who was let go for being silent over what it owed.
fn silent(world: &World, requester: PeerId) -> BTreeSet<PeerId> {
    let events = world.node(requester).events.iter().filter_map(|(_, event)| match event {
        Event::LeaseOver { worker, reason: LeaseOver::Ended(EndReason::Silent), .. } => Some(*worker),
        _ => None,
    });
    events.collect()
}

/// Runs a job of outputs that may just be attached, while something happens every 700 ms.
fn run(world: &mut World, requester: PeerId, tasks: TaskIndex, replicas: u8, mut happens: impl FnMut(&mut World, u32)) {
    let job = job("wordy", tasks, replicas);
    let id = world.submit(requester, &job, Inputs::None);
    let mut times = 0;
    while world.end_of(requester, id).is_none() && times < 40 {
        world.run_for(millis(700));
        happens(world, times);
        times += 1;
    }
    assert_eq!(world.finish(requester, id, seconds(300)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
}

/// How often each task's content came.
fn brought(world: &World) -> BTreeMap<TaskIndex, u32> {
    let mut times = BTreeMap::new();
    for ((_, task), count) in &world.brought {
        *times.entry(*task).or_default() += count;
    }
    times
}

#[test]
fn of_all_who_claim_a_result_one_attaches_it() {
    for replicas in [2, 3] {
        let (mut world, requester, workers) = World::mesh(80, 4);
        run(&mut world, requester, 400, replicas, |_, _| {});
        let brought = brought(&world);
        assert_eq!(brought.len(), 400);
        assert!(brought.values().all(|&times| times == 1), "{brought:?}");
        let content = 400 * limits::INLINE_BYTES_MAX as u64;
        let others = world.bytes_to[&requester] - content;
        assert!(others < content / 2, "{others} bytes beside the content, once");
        // Who is asked for it changes from task to task: no uplink carries it for the others.
        let shares = workers.iter().map(|at| world.brought.keys().filter(|(from, _)| from == at).count());
        assert!(shares.clone().all(|share| share > 30), "{:?}", shares.collect::<Vec<_>>());
    }
}

#[test]
fn who_comes_back_is_asked_again_for_as_much_as_before() {
    for replicas in [2, 3] {
        let (mut world, requester, workers) = World::mesh(81, 4);
        run(&mut world, requester, 600, replicas, |world, times| {
            let gone = workers[times as usize % 4];
            world.disconnect(requester, gone);
            world.run_for(millis(300));
            world.connect(requester, gone);
        });
        let who: BTreeSet<TaskIndex> = world.brought.keys().map(|&(_, task)| task).collect();
        assert_eq!((world.brought.len(), who.len()), (600, 600), "nobody else was asked for it");
    }
}

#[test]
fn the_content_comes_from_another_where_whoever_was_asked_for_it_is_lost() {
    for seed in 0..10 {
        for replicas in [2, 3] {
            let (mut world, requester, workers) = World::mesh(100 + seed, 7);
            world.node_mut(workers[0]).behaviour = Behaviour::Withholds;
            world.node_mut(workers[1]).behaviour = Behaviour::Moody;
            run(&mut world, requester, 300, replicas, |world, times| match times % 4 {
                1 => world.restart(workers[2], millis(50)),
                3 => world.restart(workers[3], seconds(4)),
                _ => {}
            });
        }
    }
}

#[test]
fn after_a_restart_of_the_requester_the_content_is_asked_for_anew() {
    for seed in 0..5 {
        let (mut world, requester, _) = World::mesh(120 + seed, 4);
        run(&mut world, requester, 400, 2, |world, times| {
            if times % 3 == 1 {
                world.restart(requester, millis(200));
            }
        });
    }
}

#[test]
fn whoever_is_asked_for_content_and_does_not_give_it_is_let_go_and_its_partner_is_not() {
    for replicas in [2, 3] {
        let (mut world, requester, workers) = World::mesh(82, 5);
        world.node_mut(workers[1]).behaviour = Behaviour::Mute;
        run(&mut world, requester, 200, replicas, |_, _| {});
        assert_eq!(silent(&world, requester), [workers[1]].into());
        assert!(world.brought.keys().all(|(from, _)| *from != workers[1]));
    }
}

#[test]
fn a_liar_brings_nothing_that_counts() {
    for replicas in [2, 3] {
        for seed in 0..10 {
            let (mut world, requester, workers) = World::mesh(130 + seed, 5);
            world.node_mut(workers[0]).behaviour = Behaviour::Sometimes(0.1);
            world.node_mut(workers[1]).behaviour = Behaviour::Reneges;
            run(&mut world, requester, 200, replicas, |_, _| {});
        }
    }
}

// One ballot.

fn outcome(text: &str) -> Outcome {
    let (stdout, empty) = (Output::of(text.as_bytes()), Output::of(b""));
    Outcome { exit: Exit::Code(0), fuel: Fuel(7), stdout, stderr: empty, files: empty, files_bytes: 0 }
}

fn lease(number: u8) -> LeaseId {
    LeaseId(Hash([number; 32]))
}

fn worker(number: u8) -> PeerId {
    PeerId([number; 32])
}

/// Worker `number` takes a seat and commits.
fn bind(ballot: &mut Ballot, number: u8) {
    let (assigned, stage) = (Instant(0), Stage::Committed(Hash([number; 32])));
    let seat = Seat { worker: worker(number), assigned, stage, paid: false, bare: false, late: false };
    ballot.seats.insert(lease(number), seat);
}

fn claim(ballot: &mut Ballot, number: u8, says: Outcome) {
    ballot.seats.get_mut(&lease(number)).unwrap().stage = Stage::Claimed(ClaimId::default(), says);
}

/// Asks these workers; says who of them is asked bare.
fn ask(ballot: &mut Ballot, wanted: usize, numbers: &[u8]) -> Vec<u8> {
    numbers.iter().for_each(|&number| bind(ballot, number));
    let leases: Vec<LeaseId> = numbers.iter().map(|&number| lease(number)).collect();
    let bare = ballot.ask(&leases, &AskTerms { wanted, is_here: false, now: Instant(1) });
    bare.into_iter().map(|lease| lease.0.0[0]).collect()
}

#[test]
fn the_first_who_is_asked_brings_the_content_and_the_next_if_it_is_lost() {
    let mut ballot = Ballot::default();
    assert_eq!(ask(&mut ballot, 2, &[2, 1]), [1]);
    ballot.seats.remove(&lease(1));
    assert_eq!(ask(&mut ballot, 2, &[3]), [3], "the first is still asked");
    claim(&mut ballot, 2, outcome("right"));
    ballot.seats.remove(&lease(3));
    assert_eq!(ask(&mut ballot, 2, &[4]), [4], "or has claimed");
    ballot.seats.remove(&lease(2));
    assert_eq!(ask(&mut ballot, 2, &[5]), [0; 0], "it is lost");
    assert_eq!(ask(&mut Ballot::default(), 1, &[1]), [0; 0], "alone");
    assert_eq!(ask(&mut Ballot::default(), 3, &[1, 2, 3]), [2, 3]);
}

#[test]
fn as_many_as_must_agree_are_never_bare() {
    let mut ballot = Ballot::default();
    assert_eq!(ask(&mut ballot, 2, &[1, 2]), [2]);
    assert_eq!(ask(&mut ballot, 2, &[3]), [0; 0], "or the two who are bare could be all that is left");
    let mut ballot = Ballot::default();
    assert_eq!(ask(&mut ballot, 3, &[1, 2]), [2]);
    assert_eq!(ask(&mut ballot, 3, &[3, 4]), [3]);
}

#[test]
fn what_is_here_is_brought_by_nobody() {
    let mut ballot = Ballot { own: Some(outcome("right")), ..Ballot::default() };
    assert_eq!(ask(&mut ballot, 2, &[1, 2]), [1, 2], "our own run has left it here");
    let mut ballot = Ballot::default();
    bind(&mut ballot, 1);
    let terms = AskTerms { wanted: 1, is_here: true, now: Instant(1) };
    assert_eq!(ballot.ask(&[lease(1), lease(2)], &terms), [lease(1)].into(), "who has no seat is not asked");
    assert!(ballot.ask(&[lease(1)], &terms).is_empty(), "nor is anybody asked twice");
}

#[test]
fn what_is_large_is_with_all_who_claim_it_and_what_is_small_with_whoever_was_to_bring_it() {
    let (right, small) = (outcome("right"), limits::INLINE_BYTES_MAX as u64);
    let mut ballot = Ballot::default();
    ask(&mut ballot, 3, &[1, 2, 3]);
    claim(&mut ballot, 1, right);
    claim(&mut ballot, 2, right);
    claim(&mut ballot, 3, outcome("wrong"));
    let item = BlobId::of(b"right");
    assert_eq!(ballot.holders(&right, &Item::Blob(item), small), [worker(1)]);
    assert_eq!(ballot.holders(&right, &Item::Blob(item), small + 1), [worker(1), worker(2)]);
    assert_eq!(
        ballot.holders(&right, &Item::Tree(item), 1),
        [worker(1), worker(2)],
        "a list of files is never attached"
    );
}
