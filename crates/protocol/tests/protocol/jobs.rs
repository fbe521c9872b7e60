//! A job's life, from submission to its end. specs/jobs.md.

use crate::world::{Crash, World, id_of, job, millis, model::Behaviour, seconds, with_files};
use pocketmesh_protocol::{Command, End, Event, Inputs, Record, Reply};
use pocketmesh_types::{BlobId, Bytes, TaskInput};

fn inline_inputs(tasks: u32) -> Vec<TaskInput> {
    (0..tasks).map(|task| TaskInput::Inline(Bytes(vec![task as u8; 4096]))).collect()
}

fn blob_inputs(tasks: u32) -> Vec<TaskInput> {
    (0..tasks).map(|task| TaskInput::Blob(BlobId::of(&task.to_le_bytes()), 1 << 20)).collect()
}

#[test]
fn a_job_completes_with_every_task_right_and_no_seat_wasted() {
    for replicas in 1..=3 {
        for workers in [1, 2, 3, 5, 20] {
            for tasks in [1, 7, 300] {
                if workers < usize::from(replicas) {
                    continue;
                }
                let (mut world, requester, _) = World::mesh(7, workers);
                let job = job("count", tasks, replicas);
                let id = world.submit(requester, &job, Inputs::None);
                assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
                world.assert_right(requester, &job, &Inputs::None);
                let run: u32 = world.executions("count").values().sum();
                let needed = tasks * u32::from(replicas);
                assert!(run <= needed + needed / 10 + 1, "{replicas} of {workers}: {run} runs for {needed} seats");
            }
        }
    }
}

#[test]
fn inputs_and_outputs_of_any_size_cross_the_mesh() {
    let cut = [("small", Some(inline_inputs(100))), ("large", Some(blob_inputs(100))), ("large", None)];
    for (name, parts) in cut {
        let (mut world, requester, _) = World::mesh(8, 4);
        let job = job(name, 100, 2);
        let (job, inputs) = parts.map_or((job.clone(), Inputs::None), |parts| world.cut(job, parts));
        let id = world.submit(requester, &job, inputs);
        assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
        world.assert_right(requester, &job, &inputs);
    }
}

#[test]
fn files_reach_every_worker_and_come_back() {
    let (mut world, requester, _) = World::mesh(11, 4);
    let job = with_files(job("count", 100, 2));
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
}

#[test]
fn the_first_result_is_there_within_a_fifth_of_a_second() {
    let (mut world, requester, workers) = World::mesh(9, 4);
    workers.iter().for_each(|&worker| world.node_mut(worker).speed = millis(1));
    let id = world.submit(requester, &job("count", 1, 2), Inputs::None);
    world.finish(requester, id, millis(200));
}

#[test]
fn a_job_waits_for_workers_and_goes_on_when_they_come() {
    let (mut world, requester, _) = World::mesh(10, 2);
    let job = job("count", 200, 3);
    let id = world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(60));
    assert_eq!(world.end_of(requester, id), None, "two workers are no three replicas");
    let active = world.peer(requester).jobs().get(&id).unwrap();
    assert_eq!(active.finals.len(), 0);
    assert!(active.ballots.len() <= 2 * 64, "they do not run ahead for ever: {}", active.ballots.len());
    let late = world.add(Behaviour::Honest, 2);
    world.connect(requester, late);
    assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
    assert!(world.executions("count").values().all(|&count| count == 3));
}

#[test]
fn a_job_waits_where_nobody_is() {
    let (mut world, requester, _) = World::mesh(11, 0);
    let id = world.submit(requester, &job("count", 10, 1), Inputs::None);
    world.run_for(seconds(600));
    assert_eq!(world.events(requester, |event| matches!(event, Event::Offered { .. })), 0, "nobody would hear it");
    let worker = world.add(Behaviour::Honest, 1);
    world.connect(requester, worker);
    world.finish(requester, id, seconds(10));
}

#[test]
fn a_late_peer_gets_work() {
    let (mut world, requester, _) = World::mesh(12, 2);
    let job = job("count", 3_000, 1);
    let id = world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(10));
    let late = world.add(Behaviour::Honest, 2);
    world.connect(requester, late);
    world.run_for(seconds(10));
    assert!(world.node(late).accepted > 100, "{} tasks after ten seconds", world.node(late).accepted);
    assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
}

#[test]
fn who_loses_an_auction_soon_works_too_if_there_is_work() {
    let (mut world, requester, workers) = World::mesh(13, 6);
    let id = world.submit(requester, &job("count", 3_000, 1), Inputs::None);
    world.run_for(seconds(1));
    assert_eq!(world.peer(requester).jobs().get(&id).unwrap().live().count(), 4, "two thirds of the bids");
    world.run_for(seconds(10));
    assert!(workers.iter().all(|&worker| world.node(worker).accepted > 0));
}

#[test]
fn a_requester_works_for_others_too() {
    let mut world = World::new(14);
    let peers: Vec<_> = (0..4).map(|_| world.add(Behaviour::Honest, 2)).collect();
    for (at, &one) in peers.iter().enumerate() {
        peers[at + 1..].iter().for_each(|&other| world.connect(one, other));
    }
    let jobs: Vec<_> = (0..4).map(|at| job(&format!("count{at}"), 100, 2)).collect();
    let ids: Vec<_> = peers.iter().zip(&jobs).map(|(&peer, job)| world.submit(peer, job, Inputs::None)).collect();
    for ((&peer, id), job) in peers.iter().zip(ids).zip(&jobs) {
        assert_eq!(world.finish(peer, id, seconds(120)), End::Complete);
        world.assert_right(peer, job, &Inputs::None);
    }
}

#[test]
fn a_failing_program_is_a_result() {
    let (mut world, requester, _) = World::mesh(15, 3);
    let job = job("failing", 20, 2);
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
    assert_eq!(world.peer(requester).jobs().get(&id).unwrap().counts.unsuccessful, 20);
}

#[test]
fn a_job_that_cannot_be_is_refused() {
    let (mut world, requester, _) = World::mesh(16, 1);
    let other_profile = pocketmesh_types::Job { profile: Default::default(), ..job("count", 1, 1) };
    world.submit(requester, &job("count", 0, 1), Inputs::None);
    world.submit(requester, &other_profile, Inputs::None);
    // Inputs without a table, a table without inputs, and the table of other tasks.
    world.submit(requester, &job("count", 2, 1), Inputs::Cut { bytes: 7, longest: 7 });
    let (cut, inputs) = world.cut(job("count", 2, 1), inline_inputs(2));
    world.submit(requester, &cut, Inputs::None);
    world.submit(requester, &pocketmesh_types::Job { tasks: 3, ..cut }, inputs);
    assert_eq!(world.node(requester).replies.len(), 5);
    assert!(world.node(requester).replies.iter().all(|reply| matches!(reply, Reply::Refused(_))));
    assert!(world.node(requester).disk.is_empty());
}

#[test]
fn a_job_is_submitted_once() {
    let (mut world, requester, _) = World::mesh(17, 1);
    let job = job("count", 10, 1);
    let id = world.submit(requester, &job, Inputs::None);
    world.submit(requester, &job, Inputs::None);
    world.finish(requester, id, seconds(60));
    world.submit(requester, &job, Inputs::None);
    let refused = |reply: &&Reply| matches!(reply, Reply::Refused(_));
    assert_eq!(world.node(requester).replies.iter().filter(refused).count(), 2);
    assert!(world.executions("count").values().all(|&count| count == 1));
}

#[test]
fn stopping_keeps_what_was_accepted_and_frees_the_workers() {
    let (mut world, requester, workers) = World::mesh(18, 3);
    let job = job("count", 5_000, 2);
    let id = world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(5));
    world.command(requester, Command::Stop(id));
    world.run_for(millis(500));
    assert_eq!(world.end_of(requester, id), Some(End::Stopped));
    assert!(world.finals(requester, id).len() > 50);
    for worker in workers {
        assert_eq!(world.peer(worker).load(), (0, 0), "no lease is left");
        let seen = world.peer(requester).jobs().get(&id).unwrap();
        assert!(seen.live().next().is_none());
    }
    world.run_for(seconds(30));
    assert_eq!(world.events(requester, |event| matches!(event, Event::JobClosed { .. })), 1);
    world.command(requester, Command::Stop(id));
    world.command(requester, Command::Stop(id_of(&crate::world::job("another", 1, 1))));
    let replies = &world.node(requester).replies;
    assert_eq!(replies[replies.len() - 2..], [Reply::Stopped, Reply::UnknownJob]);
}

#[test]
fn a_job_stopped_while_its_auction_is_open_grants_nothing() {
    let (mut world, requester, _) = World::mesh(19, 3);
    let id = world.submit(requester, &job("count", 10, 1), Inputs::None);
    world.run_for(millis(10));
    assert!(world.peer(requester).jobs().get(&id).unwrap().offering.is_some());
    world.command(requester, Command::Stop(id));
    world.run_for(seconds(30));
    assert_eq!(world.events(requester, |event| matches!(event, Event::Leased { .. })), 0);
}

/// How many records a run of this job stores without a crash.
fn records_of(seed: u64) -> usize {
    let (mut world, requester, _) = World::mesh(seed, 3);
    let id = world.submit(requester, &job("count", 30, 2), Inputs::None);
    world.finish(requester, id, seconds(60));
    world.node(requester).disk.len() + world.node(requester).money.len()
}

#[test]
fn a_requester_that_dies_at_any_record_goes_on_and_repeats_nothing_final() {
    let records = records_of(20);
    assert!(records > 10, "{records}");
    for crash in (1..=records).flat_map(|record| [Crash::Before(record), Crash::After(record)]) {
        let (mut world, requester, _) = World::mesh(20, 3);
        let job = job("count", 30, 2);
        let neighbours = world.neighbours(requester);
        world.node_mut(requester).crash = Some(crash);
        let id = world.submit(requester, &job, Inputs::None);
        let died = world.run_until(world.now + seconds(60), |world| world.node(requester).peer.is_none());
        assert!(died, "{crash:?}");
        let final_then = world.finals(requester, id);
        world.run_for(millis(700));
        let runs_then = world.executions("count");
        world.start(requester);
        neighbours.into_iter().for_each(|worker| world.connect(requester, worker));
        if crash == Crash::Before(1) {
            world.submit(requester, &job, Inputs::None);
        }
        assert_eq!(world.finish(requester, id, seconds(60)), End::Complete, "{crash:?}");
        world.assert_right(requester, &job, &Inputs::None);
        let runs_now = world.executions("count");
        for task in final_then.keys() {
            assert_eq!(runs_now[task], runs_then[task], "{crash:?}: task {task} was final and ran again");
        }
        let ends = world.node(requester).disk.iter().filter(|record| matches!(record, Record::Closed { .. })).count();
        assert_eq!(ends, 1, "{crash:?}");
    }
}

#[test]
fn a_requester_that_dies_again_and_again_still_completes() {
    let (mut world, requester, _) = World::mesh(21, 4);
    let job = job("count", 400, 2);
    let id = world.submit(requester, &job, Inputs::None);
    for _ in 0..6 {
        world.run_for(millis(2_300));
        world.restart(requester, millis(900));
    }
    assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
}

#[test]
fn a_finished_job_is_known_after_a_restart_and_nothing_is_done_for_it() {
    let (mut world, requester, _) = World::mesh(22, 2);
    let id = world.submit(requester, &job("count", 10, 2), Inputs::None);
    world.finish(requester, id, seconds(60));
    world.run_for(seconds(1));
    world.restart(requester, seconds(1));
    let offers = world.events(requester, |event| matches!(event, Event::Offered { .. }));
    world.run_for(seconds(60));
    let progress = world.peer(requester).jobs().get(&id).unwrap().progress();
    assert_eq!(progress.done, 10);
    assert_eq!(world.events(requester, |event| matches!(event, Event::Offered { .. })), offers);
    assert_eq!(world.peer(requester).next_deadline(), None, "it sleeps");
}

#[test]
fn ten_million_tasks_take_no_more_memory_than_their_windows() {
    let (mut world, requester, workers) = World::mesh(23, 3);
    for &worker in &workers {
        let node = world.node_mut(worker);
        (node.speed, node.slots) = (millis(1), 8);
    }
    let id = world.submit(requester, &job("count", 10_000_000, 2), Inputs::None);
    for _ in 0..10 {
        world.run_for(millis(500));
        let active = world.peer(requester).jobs().get(&id).unwrap();
        assert!(active.ballots.len() <= 3 * 4 * 512, "{} ballots", active.ballots.len());
        assert!(active.wanting.len() <= active.ballots.len());
        let rows = active.finals.ranges().count();
        assert!(rows <= active.ballots.len() + 1, "{rows} ranges");
    }
    assert!(world.finals(requester, id).len() > 5_000);
}

#[test]
fn same_seed_and_inputs_make_the_same_run() {
    let run = || {
        let (mut world, requester, workers) = World::mesh(24, 5);
        world.keep_log = true;
        world.node_mut(workers[0]).behaviour = Behaviour::Sometimes(0.2);
        let id = world.submit(requester, &job("count", 200, 2), Inputs::None);
        world.finish(requester, id, seconds(60));
        world.log
    };
    let log = run();
    assert!(log.len() > 100);
    assert_eq!(log, run());
}
