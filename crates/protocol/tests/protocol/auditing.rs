//! Audits after delivery: what becomes final, what is void, who is asked. specs/verification.md §4.

use crate::verification::refuted;
use crate::world::{Crash, World, audited, job, millis, model::Behaviour, seconds};
use pocketmesh_protocol::{End, Event, Inputs, Record, jobs::active::Counts, verification::Regime};
use pocketmesh_types::{Arch, Auditors, Job, JobId, PeerId, Target, TaskIndex};
use std::collections::{BTreeMap, BTreeSet};

fn target(by: Auditors) -> Target {
    Target { by, ..Target::default() }
}

/// Fast workers, so that thousands of tasks are a matter of seconds.
fn fast_mesh(seed: u64, workers: usize, liars: &[(usize, Behaviour)]) -> (World, PeerId, Vec<PeerId>) {
    let (mut world, requester, workers) = World::mesh(seed, workers);
    for (at, &worker) in workers.iter().enumerate() {
        let node = world.node_mut(worker);
        (node.speed, node.slots) = (millis(1), 16);
        node.behaviour = liars.iter().find(|(liar, _)| *liar == at).map_or(Behaviour::Honest, |&(_, kind)| kind);
        world.restart(worker, millis(1));
    }
    world.node_mut(requester).speed = millis(1);
    (world, requester, workers)
}

fn run(world: &mut World, requester: PeerId, job: &Job) -> (JobId, Counts) {
    let id = world.submit(requester, job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(600)), End::Complete);
    world.assert_right(requester, job, &Inputs::None);
    (id, world.peer(requester).jobs().get(&id).unwrap().counts)
}

fn drawn(world: &World, requester: PeerId) -> BTreeMap<u32, (BTreeSet<TaskIndex>, bool)> {
    let records = world.node(requester).disk.iter();
    let drawn = records.filter_map(|record| match record {
        Record::Drawn { window, audits, own, .. } => Some((window.0, (audits.iter().copied().collect(), *own))),
        _ => None,
    });
    drawn.collect()
}

#[test]
fn a_big_job_runs_once_and_its_audits_go_to_others() {
    let (mut world, requester, _) = fast_mesh(1, 4, &[]);
    let job = audited(job("big", 8_000, 1), target(Auditors::Mesh));
    let (id, counts) = run(&mut world, requester, &job);
    let active = world.peer(requester).jobs().get(&id).unwrap();
    assert_eq!(active.regime, Regime::Big);
    assert_eq!(counts.own_runs, 0, "{counts:?}");
    assert!(counts.audits >= 4 * 100 && counts.audits < 8 * 106, "{counts:?}");
    let executions = u64::from(world.executions("big").values().sum::<u32>());
    let hedged = executions - 8_000 - counts.audits;
    assert!(hedged < 100, "once each, the audits, and a few hedges at the end: {hedged}");
    assert_eq!((counts.voided_windows, counts.refuted), (0, 0));
    let paid: u64 = active.workers().iter().map(|row| row.accepted).sum();
    assert_eq!(paid, executions, "audits are paid as any other seat, and so are hedges");
}

#[test]
fn nobody_audits_itself() {
    let (mut world, requester, _) = fast_mesh(2, 3, &[]);
    let job = audited(job("big", 6_000, 1), target(Auditors::Mesh));
    run(&mut world, requester, &job);
    for (worker, node) in &world.nodes {
        assert!(node.ran.values().all(|&times| times == 1), "{worker} ran a task twice");
    }
}

#[test]
fn a_liar_is_found_and_its_windows_are_done_again() {
    for (seed, by) in [(3, Auditors::Mesh), (4, Auditors::Own)] {
        for behaviour in [Behaviour::Wrong, Behaviour::Sometimes(0.1)] {
            let (mut world, requester, workers) = fast_mesh(seed, 4, &[(1, behaviour)]);
            let job = audited(job("big", 8_000, 1), target(by));
            let (id, counts) = run(&mut world, requester, &job);
            assert_eq!(refuted(&world, requester), [workers[1]].into(), "{by:?} {behaviour:?}");
            assert!(counts.voided_windows >= 1 && counts.dropped > 100, "{counts:?}");
            let rows = world.peer(requester).jobs().get(&id).unwrap().workers();
            assert!(rows.iter().filter(|row| row.worker != workers[1]).all(|row| row.voided == 0));
            let accepted = rows.iter().filter(|row| row.worker == workers[1]).map(|row| row.accepted).sum::<u64>();
            assert!(accepted == 0 || behaviour != Behaviour::Wrong, "{accepted}");
        }
    }
}

#[test]
fn whose_result_is_held_is_no_witness_of_it() {
    for seed in 0..12 {
        let (mut world, requester, workers) = fast_mesh(20 + seed, 3, &[(0, Behaviour::Sometimes(0.02))]);
        let job = audited(job("held", 3_600, 1), target(Auditors::Mesh));
        let id = world.submit(requester, &job, Inputs::None);
        assert_eq!(world.finish(requester, id, seconds(600)), End::Complete);
        for &worker in &workers[1..] {
            let node = world.node(worker);
            assert!(node.accepted as usize <= node.ran.len(), "a task is accepted once of each, seed {seed}");
            assert!(node.ran.values().all(|&times| times == 1));
        }
    }
}

#[test]
fn a_small_job_is_confirmed_here_in_full() {
    let clique = [(0, Behaviour::Colluding), (1, Behaviour::Colluding), (2, Behaviour::Colluding)];
    let (mut world, requester, _) = fast_mesh(5, 4, &clique);
    let job = audited(job("small", 300, 1), target(Auditors::Auto));
    let (id, counts) = run(&mut world, requester, &job);
    assert_eq!(world.peer(requester).jobs().get(&id).unwrap().regime, Regime::Small);
    assert!(counts.own_runs >= 300, "three of four lie alike, and every result is right: {counts:?}");
}

#[test]
fn what_turns_out_too_large_to_be_confirmed_gets_a_second_seat() {
    let (mut world, requester, _) = fast_mesh(6, 4, &[(2, Behaviour::Wrong)]);
    world.node_mut(requester).speed = seconds(2);
    let job = audited(job("middle", 400, 1), target(Auditors::Auto));
    let (id, counts) = run(&mut world, requester, &job);
    assert_eq!(world.peer(requester).jobs().get(&id).unwrap().regime, Regime::Middle);
    assert!(counts.own_runs < 120 && counts.audits > 0, "{counts:?}");
}

#[test]
fn what_turns_out_too_large_is_audited_where_that_takes_less_than_second_seats() {
    for liars in [&[][..], &[(2, Behaviour::Wrong)], &[(1, Behaviour::Colluding), (4, Behaviour::Colluding)]] {
        let (mut world, requester, workers) = fast_mesh(9, 8, liars);
        world.node_mut(requester).speed = seconds(2);
        let job = audited(job("cheap", 4_000, 1), target(Auditors::Mesh));
        let (id, counts) = run(&mut world, requester, &job);
        let active = world.peer(requester).jobs().get(&id).unwrap();
        assert_eq!(active.regime, Regime::Big);
        let own_max = if liars.is_empty() { 100 } else { 400 };
        assert!(counts.own_runs < own_max && counts.audits > 400, "{counts:?}");
        let named: BTreeSet<PeerId> = liars.iter().map(|&(at, _)| workers[at]).collect();
        assert_eq!(refuted(&world, requester), named);
        if liars.is_empty() {
            let ran = workers.iter().flat_map(|worker| world.node(*worker).ran.values());
            let executions = u64::from(ran.sum::<u32>());
            assert!(executions < 4_000 * 3 / 2, "{executions}");
            let paid: u64 = active.workers().iter().map(|row| row.accepted).sum();
            assert_eq!(paid, executions, "who has committed before, and who has not, is paid once");
            assert_eq!(counts.executions, executions, "and counted once");
        }
    }
}

#[test]
fn the_run_that_shows_a_lie_and_that_the_job_is_large_makes_its_task_final_once() {
    for seed in 0..40 {
        let liars: Vec<(usize, Behaviour)> = (0..6).map(|at| (at, Behaviour::Sometimes(0.15))).collect();
        let (mut world, requester, _) = fast_mesh(seed, 8, &liars);
        world.node_mut(requester).speed = millis(200);
        let job = audited(job("once", 1_700, 1), target(Auditors::Mesh));
        run(&mut world, requester, &job);
        let finals = world.node(requester).disk.iter().filter_map(|record| match record {
            Record::Final { tasks, .. } => Some(tasks),
            _ => None,
        });
        let mut said = BTreeSet::new();
        for task in finals.flatten() {
            assert!(said.insert((task.task, format!("{:?}", task.outcome))), "task {} twice, seed {seed}", task.task);
        }
    }
}

#[test]
fn a_job_is_shared_by_no_more_than_keep_its_audits_cheap() {
    let (mut world, requester, _) = fast_mesh(10, 40, &[]);
    world.node_mut(requester).speed = seconds(1);
    let job = audited(job("shared", 4_000, 1), target(Auditors::Mesh));
    let (id, _) = run(&mut world, requester, &job);
    let active = world.peer(requester).jobs().get(&id).unwrap();
    let seen = world.peer(requester).reputation().windows();
    let most = active.leases_max;
    assert!((16..40).contains(&most) && active.workers().len() <= most, "{most}");
    assert!(
        active.is_big(seen, most, target(Auditors::Mesh)) && !active.is_big(seen, most + 1, target(Auditors::Mesh))
    );
    assert!(
        !active.is_big(seen, most, target(Auditors::Own)),
        "own audits would cost the requester as much as the job"
    );
}

#[test]
fn no_window_is_final_before_its_audits_and_none_without() {
    let (mut world, requester, _) = fast_mesh(7, 4, &[]);
    let job = audited(job("big", 5_000, 1), target(Auditors::Own));
    run(&mut world, requester, &job);
    let drawn = drawn(&world, requester);
    let finals = world.node(requester).disk.iter().filter_map(|record| match record {
        Record::WindowFinal { window, .. } => Some(window.0),
        _ => None,
    });
    let finals: Vec<u32> = finals.collect();
    assert_eq!(finals.iter().copied().collect::<BTreeSet<u32>>(), drawn.keys().copied().collect());
    let audits: BTreeSet<TaskIndex> = drawn.values().flat_map(|(audits, _)| audits).copied().collect();
    let own: BTreeSet<TaskIndex> = world.node(requester).ran.keys().map(|(_, task)| *task).collect();
    assert_eq!(own, audits, "we ran what was drawn, and nothing else");
    assert!(drawn.values().all(|(audits, own)| *own && !audits.is_empty()));
}

#[test]
fn a_requester_that_dies_anywhere_goes_on_with_the_same_audits() {
    let (mut world, requester, _) = fast_mesh(8, 3, &[]);
    let job = audited(job("big", 3_600, 1), target(Auditors::Mesh));
    let id = world.submit(requester, &job, Inputs::None);
    world.finish(requester, id, seconds(600));
    let records = world.node(requester).disk.len();
    for at in (1..records).step_by(records / 24 + 1) {
        for crash in [Crash::Before(at), Crash::After(at)] {
            let (mut world, requester, workers) = fast_mesh(8, 3, &[]);
            world.node_mut(requester).crash = Some(crash);
            let id = world.submit(requester, &job, Inputs::None);
            let end = world.now + seconds(300);
            world.run_until(end, |world| world.node(requester).peer.is_none());
            let drawn_before = drawn(&world, requester);
            world.restart(requester, seconds(1));
            workers.iter().for_each(|&worker| world.connect(requester, worker));
            if world.peer(requester).jobs().get(&id).is_none() {
                continue;
            }
            assert_eq!(world.finish(requester, id, seconds(600)), End::Complete);
            world.assert_right(requester, &job, &Inputs::None);
            let after = drawn(&world, requester);
            assert!(drawn_before.iter().all(|(window, drawn)| after.get(window) == Some(drawn)), "drawn once");
            let windows = after.keys().collect::<BTreeSet<_>>().len();
            let records = world.node(requester).disk.iter();
            let draws = records.filter(|record| matches!(record, Record::Drawn { .. })).count();
            assert_eq!(windows, draws, "no window is drawn twice");
        }
    }
}

#[test]
fn a_requester_that_voids_what_is_right_is_served_no_more() {
    let (mut world, requester, workers) = fast_mesh(9, 3, &[]);
    world.node_mut(requester).behaviour = Behaviour::Wrong;
    let unjust = job("unjust", 200, 1);
    let unjust = audited(unjust, target(Auditors::Own));
    let id = world.submit(requester, &unjust, Inputs::None);
    let end = world.now + seconds(60);
    world.run_until(end, |_| false);
    assert_eq!(world.end_of(requester, id), None, "it has lost its workers");
    for &worker in &workers {
        let node = world.node(worker);
        let contested = |event: &Event| matches!(event, Event::Contested { requester: by, .. } if *by == requester);
        assert!(node.events.iter().any(|(_, event)| contested(event)), "{worker} stands by its claim");
        assert!(node.disk.iter().any(|record| matches!(record, Record::Contested { .. })));
    }
    // Not after a restart either, and not for its next job, which it would judge rightly.
    world.node_mut(requester).behaviour = Behaviour::Honest;
    world.restart(workers[0], seconds(1));
    let next = job("next", 20, 1);
    let id = world.submit(requester, &next, Inputs::None);
    world.run_for(seconds(60));
    assert_eq!(world.end_of(requester, id), None);
    assert!(workers.iter().all(|&worker| !world.node(worker).ran.keys().any(|(name, _)| name == "next")));
}

#[test]
fn a_worker_that_was_wrong_does_not_accuse_its_requester() {
    let (mut world, requester, workers) = fast_mesh(10, 4, &[(0, Behaviour::Wrong)]);
    let job = audited(job("big", 6_000, 1), target(Auditors::Own));
    world.submit(requester, &job, Inputs::None);
    world.run_until(world.now + seconds(20), |world| !refuted(world, requester).is_empty());
    // Its device is whole again when it runs the task a second time.
    world.node_mut(workers[0]).behaviour = Behaviour::Honest;
    world.run_for(seconds(60));
    let erred = world.events(workers[0], |event| matches!(event, Event::Erred { .. }));
    let contested = world.events(workers[0], |event| matches!(event, Event::Contested { .. }));
    assert!(erred > 0 && contested == 0, "{erred} {contested}");
}

fn convicted(world: &World, requester: PeerId) -> BTreeSet<PeerId> {
    let records = world.node(requester).disk.iter();
    records
        .filter_map(|record| if let Record::Convicted { worker, .. } = record { Some(*worker) } else { None })
        .collect()
}

#[test]
fn liars_are_convicted_in_jobs_of_any_size() {
    for (tasks, by) in [(300, Auditors::Auto), (8_000, Auditors::Mesh), (8_000, Auditors::Own)] {
        let (mut world, requester, workers) = fast_mesh(11, 4, &[(3, Behaviour::Wrong)]);
        let job = audited(job("any", tasks, 1), target(by));
        run(&mut world, requester, &job);
        world.run_for(seconds(40));
        assert_eq!(convicted(&world, requester), [workers[3]].into(), "{tasks} {by:?}");
    }
}

#[test]
fn an_engine_that_is_wrong_on_one_architecture_convicts_nobody() {
    for tasks in [300, 9_000] {
        // Honest, all three, but their engine comes to something else.
        let faulty = [(0, Behaviour::Colluding), (1, Behaviour::Colluding), (2, Behaviour::Colluding)];
        let (mut world, requester, workers) = fast_mesh(12, 6, &faulty);
        for &worker in &workers[..3] {
            world.node_mut(worker).arch = Arch::Aarch64;
            world.restart(worker, millis(1));
        }
        let job = audited(job("any", tasks, 1), target(Auditors::Auto));
        run(&mut world, requester, &job);
        world.run_for(seconds(40));
        assert!(!refuted(&world, requester).is_empty(), "what they deliver is not accepted");
        assert_eq!(convicted(&world, requester), BTreeSet::new());
    }
}

#[test]
fn a_requester_with_a_broken_host_convicts_nobody() {
    let (mut world, requester, _) = fast_mesh(13, 4, &[]);
    world.node_mut(requester).behaviour = Behaviour::Wrong;
    let job = audited(job("any", 100, 1), target(Auditors::Auto));
    world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(120));
    assert!(!refuted(&world, requester).is_empty());
    assert_eq!(convicted(&world, requester), BTreeSet::new());
}

#[test]
fn a_requester_that_cannot_run_the_tasks_leaves_their_check_to_others() {
    for tasks in [200, 6_000] {
        let (mut world, requester, _) = fast_mesh(14, 4, &[]);
        world.node_mut(requester).behaviour = Behaviour::BrokenHost;
        let job = audited(job("any", tasks, 1), target(Auditors::Own));
        run(&mut world, requester, &job);
    }
}

#[test]
fn audits_are_handed_out_however_many_one_worker_has_done() {
    let (mut world, requester, workers) = fast_mesh(15, 4, &[]);
    for &worker in &workers {
        // So slow that no more than two tasks are ahead of it.
        (world.node_mut(worker).slots, world.node_mut(worker).speed) = (1, millis(300));
        world.restart(worker, millis(1));
    }
    let job = audited(job("big", 8_000, 1), target(Auditors::Mesh));
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(2_000)), End::Complete);
    let active = world.peer(requester).jobs().get(&id).unwrap();
    assert_eq!((active.counts.own_runs, active.leases.len()), (0, 4), "nobody waits until it gives up");
}

#[test]
fn who_is_found_out_in_one_job_loses_its_leases_in_all() {
    let (mut world, requester, workers) = fast_mesh(16, 4, &[(2, Behaviour::Wrong)]);
    // Two seats a task find it out at once; the windows of the other job would take their time.
    let big = world.submit(requester, &audited(job("big", 40_000, 1), target(Auditors::Mesh)), Inputs::None);
    world.run_for(millis(500));
    assert!(world.peer(requester).jobs().get(&big).unwrap().live().any(|(_, granted)| granted.worker == workers[2]));
    let small = world.submit(requester, &job("small", 50, 2), Inputs::None);
    world.finish(requester, small, seconds(60));
    assert_eq!(refuted(&world, requester), [workers[2]].into());
    let active = world.peer(requester).jobs().get(&big).unwrap();
    assert!(active.excluded.contains(&workers[2]) && active.live().all(|(_, granted)| granted.worker != workers[2]));
    assert!(active.windows.iter().all(|(_, window)| window.owner() != workers[2]));
}
