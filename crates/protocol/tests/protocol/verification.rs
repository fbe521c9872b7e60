//! From claims to decisions: who is believed, who is not, and what it costs. specs/verification.md.

use crate::world::{World, job, millis, model::Behaviour, seconds, with_files};
use pocketmesh_protocol::{
    End, Event, Inputs, Record,
    effect::LeaseOver,
    verification::{AskTerms, Audit, Ballot, ClaimError, ClaimTerms, Committing, Regime, Rule, Seat, Stage, Step},
};
use pocketmesh_types::{
    Bytes, ClaimId, Credits, Exit, Fuel, Hash, Instant, JobId, LeaseId, Outcome, Output, PeerId, Policy, Target, limits,
};
use pocketmesh_wire::message::{Claimed, EndReason, verdict::commitment};
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
                // Who loses the first auction does little: then a rare lie may not come about.
                let enough = if behaviour == Behaviour::Wrong { 1 } else { 100 };
                let worked = seen.workers().iter().any(|view| view.worker == workers[liar] && view.done >= enough);
                assert!(refuted(&world, requester).is_subset(&caught), "only the liar");
                assert!(refuted(&world, requester) == caught || !worked, "{replicas} {liar} {behaviour:?}");
                let voided =
                    |at: PeerId| seen.workers().iter().find(|view| view.worker == at).map_or(0, |view| view.voided);
                for &honest in workers.iter().filter(|&&worker| worker != workers[liar]) {
                    assert_eq!(voided(honest), 0);
                }
                let excluded = |view: &&pocketmesh_protocol::jobs::view::WorkerView| view.excluded;
                assert!(seen.workers().iter().filter(excluded).all(|view| view.worker == workers[liar]));
                assert_eq!(seen.workers().iter().any(|view| view.excluded), refuted(&world, requester) == caught);
            }
        }
    }
}

#[test]
fn one_liar_costs_no_more_runs_of_our_own_than_it_had_shown_claims() {
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
    assert!(seen.counts.own_runs <= seen.counts.dropped + 4 + second, "{:?}", seen.counts);
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
fn what_was_shown_beside_a_withholder_is_left_to_others_where_it_cannot_be_run_here() {
    for (host, speed, most) in [(Behaviour::BrokenHost, millis(1), 2_000), (Behaviour::Honest, seconds(2), 40)] {
        let (mut world, requester, workers) = mesh_with(64, 4, &[(1, Behaviour::Withholds)]);
        (world.node_mut(requester).behaviour, world.node_mut(requester).speed) = (host, speed);
        for &worker in &workers {
            (world.node_mut(worker).speed, world.node_mut(worker).slots) = (millis(1), 16);
            world.restart(worker, millis(1));
        }
        let job = job("count", 2_000, 2);
        let id = assert_complete(&mut world, requester, &job);
        let counts = world.peer(requester).jobs().get(&id).unwrap().counts;
        assert!((1..=most).contains(&counts.own_runs) && counts.unresolved == 0, "{host:?}: {counts:?}");
    }
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

// One ballot.

fn outcome(text: &str) -> Outcome {
    let (stdout, empty) = (Output::of(text.as_bytes()), Output::of(b""));
    Outcome { exit: Exit::Code(0), fuel: Fuel(7), stdout, stderr: empty, files: empty, files_bytes: 0 }
}

fn lease(number: u8) -> LeaseId {
    LeaseId(Hash([number; 32]))
}

/// A ballot whose seats are that far; seat `n` is worker `n`'s under lease `n`, since second `n`, from 1 on.
fn ballot(stages: &[Stage]) -> Ballot {
    let seat = |(number, stage): (u8, &Stage)| {
        let assigned = Instant(u64::from(number) * 1_000_000);
        (
            lease(number),
            Seat {
                worker: PeerId([number; 32]),
                assigned,
                stage: stage.clone(),
                paid: false,
                bare: false,
                late: false,
            },
        )
    };
    Ballot { seats: (1..).zip(stages).map(seat).collect(), ..Ballot::default() }
}

fn claimed(outcome: Outcome) -> Stage {
    Stage::Claimed(ClaimId::default(), outcome)
}

const RUNNING: Stage = Stage::Running;
const BOUND: Stage = Stage::Committed(Hash([7; 32]));
const ASKED: Stage = Stage::Asked(Hash([7; 32]), Instant(0));

#[test]
fn every_ballot_leads_to_its_step() {
    let (right, wrong) = (outcome("right"), outcome("wrong"));
    let says = |text| claimed(outcome(text));
    let two = Rule::replicas(2);
    let rows: [(&[Stage], Step); 11] = [
        (&[], Step::Seat),
        (&[RUNNING], Step::Seat),
        (&[RUNNING, RUNNING], Step::Wait),
        (&[BOUND, RUNNING], Step::Wait),
        (&[BOUND, BOUND], Step::Ask(vec![lease(1), lease(2)])),
        (&[ASKED, says("right"), BOUND], Step::Ask(vec![lease(3)])),
        (&[ASKED], Step::Wait),
        (&[says("right"), says("wrong"), ASKED], Step::Wait),
        (&[says("right"), RUNNING], Step::Wait),
        (&[says("right"), says("right"), RUNNING], Step::Decide(right)),
        (&[says("right"), RUNNING, says("wrong")], Step::RunHere),
    ];
    for (stages, step) in rows {
        assert_eq!(two.step(&ballot(stages)), step, "{stages:?}");
    }
    let confirms = Rule::of(Policy::Audited(Target::default()), Regime::Small);
    assert_eq!(confirms.step(&ballot(&[says("right")])), Step::RunHere, "one claim is confirmed");
    for (own, decided, step) in [
        (None, Some(right), Step::Wait),
        (None, Some(wrong), Step::RunHere),
        (Some(right), None, Step::Decide(right)),
        (Some(right), Some(wrong), Step::Decide(right)),
        (Some(right), Some(right), Step::Wait),
    ] {
        let ballot = Ballot { own, decided, ..ballot(&[says("right"), says("right")]) };
        assert_eq!(two.step(&ballot), step, "{own:?} {decided:?}");
    }
}

#[test]
fn every_ballot_of_an_audit_leads_to_its_step() {
    let (right, wrong) = (outcome("right"), outcome("wrong"));
    let says = |text| claimed(outcome(text));
    let (by_others, here, agreed) = ((false, false), (true, false), (false, true));
    let rows: [(_, Option<Outcome>, &[Stage], Step); 13] = [
        (by_others, None, &[], Step::Seat),
        (by_others, None, &[RUNNING], Step::Wait),
        (by_others, None, &[BOUND], Step::Ask(vec![lease(1)])),
        (by_others, None, &[says("right")], Step::Agree),
        (by_others, None, &[says("right"), says("wrong")], Step::RunHere),
        (here, None, &[], Step::RunHere),
        (here, Some(right), &[], Step::Decide(right)),
        (by_others, Some(wrong), &[], Step::Decide(wrong)),
        (agreed, None, &[], Step::Wait),
        (agreed, None, &[says("right")], Step::Wait),
        (agreed, None, &[says("right"), says("wrong")], Step::RunHere),
        (agreed, Some(right), &[], Step::Wait),
        (agreed, Some(wrong), &[], Step::Decide(wrong)),
    ];
    for ((here, agreed), own, stages, step) in rows {
        let owner = PeerId([99; 32]);
        let since = Instant::default();
        let audit = Audit { window: Default::default(), owner, outcome: right, own: here, agreed, since };
        let ballot = Ballot { own, audit: Some(audit), ..ballot(stages) };
        assert_eq!(Rule::replicas(1).step(&ballot), step, "{here} {agreed} {own:?} {stages:?}");
    }
}

#[test]
fn a_late_commitment_is_asked_for_whatever_was_decided() {
    let mut ballot = ballot(&[BOUND]);
    assert_eq!(Rule::replicas(3).step(&ballot), Step::Seat, "one of three is not enough to ask");
    let outcome = Some(outcome("right"));
    (ballot.own, ballot.decided) = (outcome, outcome);
    assert_eq!(Rule::replicas(3).step(&ballot), Step::Ask(vec![lease(1)]));
}

#[test]
fn who_is_bound_after_a_claim_was_shown_decides_nothing() {
    let (two, right) = (Rule::replicas(2), outcome("right"));
    let terms = AskTerms { wanted: 2, is_here: false, now: Instant(0) };
    let mut ballot = ballot(&[BOUND, BOUND, RUNNING]);
    ballot.ask(&[lease(1), lease(2)], &terms);
    ballot.seats.remove(&lease(2));
    assert_eq!(two.step(&ballot), Step::Wait, "the first is still to be heard");
    ballot.seats.get_mut(&lease(1)).expect("seated").stage = claimed(right);
    assert_eq!(two.step(&ballot), Step::RunHere, "nobody else could not have seen it");

    assert_eq!(ballot.commit(lease(3), Hash([7; 32])), Committing::Taken);
    assert_eq!(two.step(&ballot), Step::Ask(vec![lease(3)]), "it is heard all the same");
    ballot.seats.get_mut(&lease(3)).expect("seated").stage = claimed(right);
    assert_eq!(two.step(&ballot), Step::RunHere, "two claims, one of them late");
    let unable = Ballot { is_shown: true, hears_late: true, seats: ballot.seats.clone(), ..Ballot::default() };
    assert_eq!(two.step(&unable), Step::Decide(right), "who cannot run it has nothing else");
    ballot.own = Some(right);
    assert_eq!(two.step(&ballot), Step::Decide(right));
}

#[test]
fn a_claim_shown_in_vain_is_as_good_as_any() {
    let terms = AskTerms { wanted: 2, is_here: false, now: Instant(0) };
    let mut ballot = ballot(&[BOUND, BOUND]);
    ballot.ask(&[lease(1), lease(2)], &terms);
    ballot.seats.clear();
    assert_eq!(
        Rule::replicas(2).step(&ballot),
        Step::RunHere,
        "what did not arrive here may have been read on its way"
    );
    assert_eq!(Rule::replicas(1).step(&ballot), Step::Seat, "one seat has nobody to copy from");
}

#[test]
fn one_seat_alone_has_nothing_to_hide() {
    assert!(!Rule::replicas(1).commits_first && Rule::replicas(2).commits_first);
}

/// A claim of seat 1 on task 5 of the default job.
fn claim(ballot: &mut Ballot, outcome: Outcome, salt: Option<Hash>) -> Result<(), ClaimError> {
    let row = Claimed { task: 5, input: None, outcome, salt };
    let terms = ClaimTerms { input: None, output_max: 100, commits_first: salt.is_some() };
    ballot.claim(&JobId::default(), lease(1), ClaimId::default(), &row, &terms)
}

#[test]
fn a_claim_is_as_large_as_the_job_allows_and_no_larger() {
    let with = |[stdout, stderr, files_bytes]: [u64; 3], list| {
        let mut outcome = Outcome { files_bytes, ..outcome("right") };
        (outcome.stdout.len, outcome.stderr.len, outcome.files.len) = (stdout, stderr, list);
        claim(&mut ballot(&[RUNNING]), outcome, None)
    };
    assert_eq!(with([50, 40, 10], limits::TREE_BYTES_MAX), Ok(()), "streams and files together have 100 bytes");
    for one_too_many in [[51, 40, 10], [50, 41, 10], [50, 40, 11], [u64::MAX, 1, 1], [1, 1, u64::MAX]] {
        assert_eq!(with(one_too_many, 0), Err(ClaimError::TooLarge), "{one_too_many:?}");
    }
    assert_eq!(with([0; 3], limits::TREE_BYTES_MAX + 1), Err(ClaimError::TooLarge));
}

#[test]
fn a_claim_is_stated_once_and_for_good() {
    let mut ballot = ballot(&[RUNNING]);
    assert_eq!(claim(&mut ballot, outcome("this"), None), Ok(()));
    assert_eq!(claim(&mut ballot, outcome("this"), None), Err(ClaimError::NotDue), "said again, it is no news");
    assert_eq!(claim(&mut ballot, outcome("that"), None), Err(ClaimError::Equivocates));
}

#[test]
fn a_claim_opens_the_commitment_that_was_asked_for() {
    let (salt, outcome) = (Hash([3; 32]), outcome("right"));
    let bound = commitment(&salt, &JobId::default(), &PeerId([1; 32]), 5, &outcome);
    let mut ballot = ballot(&[RUNNING, BOUND]);
    assert_eq!(claim(&mut ballot, outcome, Some(salt)), Err(ClaimError::NotDue), "nothing is bound");
    assert_eq!(ballot.commit(lease(1), bound), Committing::Taken);
    assert_eq!(claim(&mut ballot, outcome, Some(salt)), Err(ClaimError::NotDue), "nobody has asked");
    ballot.ask(&[lease(1)], &AskTerms { wanted: 2, is_here: false, now: Instant(8) });
    assert_eq!(ballot.commit(lease(1), bound), Committing::Known);
    assert_eq!(ballot.commit(lease(1), salt), Committing::Equivocates);
    assert_eq!(claim(&mut ballot, outcome, Some(Hash([4; 32]))), Err(ClaimError::NotAsCommitted));
    assert_eq!(claim(&mut ballot, outcome, Some(salt)), Ok(()));
    assert_eq!(ballot.seats[&lease(2)].stage, BOUND, "another seat's word is its own");
}

#[test]
fn claims_are_told_apart_by_what_they_say() {
    let (right, wrong) = (outcome("right"), outcome("wrong"));
    let mut ballot = ballot(&[claimed(wrong), claimed(right), RUNNING, claimed(right)]);
    let [first, second, fourth] = [1, 2, 4].map(|number| (lease(number), PeerId([number; 32])));
    assert_eq!(ballot.dissenters(&right), [(lease(1), ClaimId::default(), wrong)]);
    assert_eq!((ballot.agreeing(&right), ballot.agreeing(&wrong)), (vec![second, fourth], vec![first]));
    let delivery = |(lease, worker)| Some((lease, worker, ClaimId::default()));
    assert_eq!(ballot.delivery(&right), delivery(second), "the first that says so");
    assert_eq!(ballot.delivery(&wrong), delivery(first));
    assert_eq!(ballot.running_since(), Some(Instant(3_000_000)));
    ballot.own = Some(right);
    assert_eq!(ballot.delivery(&right), None, "our own run has decided it");
}

#[test]
fn a_dispute_takes_two_that_say_different_things() {
    let (right, wrong) = (outcome("right"), outcome("wrong"));
    let of = |claims: &[Stage], decided| Ballot { decided, ..ballot(claims) }.is_disputed();
    assert!(!of(&[RUNNING], None) && !of(&[claimed(right), RUNNING, claimed(right)], Some(right)));
    assert!(of(&[claimed(right), claimed(wrong)], None) && of(&[claimed(wrong)], Some(right)));
}

#[test]
fn whoever_agrees_is_paid_once_and_heard_out() {
    let (right, wrong) = (outcome("right"), outcome("wrong"));
    let mut ballot = ballot(&[claimed(right), claimed(wrong), RUNNING]);
    assert_eq!(ballot.pay(), [], "nothing is decided");
    assert!(ballot.is_open());
    ballot.decided = Some(right);
    assert_eq!(ballot.pay(), [(lease(1), right)]);
    assert!(ballot.is_open(), "one is still at work");
    ballot.seats.insert(lease(3), Seat { stage: claimed(right), ..ballot.seats[&lease(3)].clone() });
    assert!(ballot.is_open(), "it is not paid yet");
    assert_eq!(ballot.pay(), [(lease(3), right)], "the first was paid before");
    assert!(!ballot.is_open(), "whoever says something else is owed nothing");
    ballot.checking = true;
    assert!(ballot.is_open());
}

#[test]
fn of_what_comes_with_a_claim_only_small_outputs_that_it_names_are_kept() {
    let mut ballot = Ballot::default();
    let [small, other] = [b"small", b"other"].map(|text| Bytes(text.to_vec()));
    let attached = [&small, &other].map(|bytes| (pocketmesh_types::BlobId::of(bytes), bytes.clone())).into();
    let mut outcome = outcome("small");
    outcome.stderr = Output { len: limits::INLINE_BYTES_MAX as u64 + 1, ..Output::of(b"other") };
    ballot.keep_inline(&outcome, &attached);
    assert_eq!(ballot.inline.into_values().collect::<Vec<_>>(), [small]);
}
