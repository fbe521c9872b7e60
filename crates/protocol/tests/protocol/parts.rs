//! Inputs of tasks: read when they are needed, and gone for good if they are. specs/jobs.md §8.

use crate::world::{World, audited, id_of, job, millis, model::Behaviour, seconds};
use pocketmesh_protocol::{End, Event, Inputs, Item};
use pocketmesh_types::{Auditors, BlobId, Job, Target, TaskInput};

fn blobs(tasks: u32) -> Vec<TaskInput> {
    (0..tasks).map(|task| TaskInput::Blob(BlobId::of(&task.to_le_bytes()), 1 << 20)).collect()
}

fn cut(world: &mut World, job: Job) -> (Job, Inputs) {
    let parts = blobs(job.tasks);
    world.cut(job, parts)
}

#[test]
fn only_the_inputs_of_tasks_in_work_are_held() {
    let (mut world, requester, _) = World::mesh(40, 3);
    let (job, inputs) = cut(&mut world, job("count", 2_000, 2));
    let id = world.submit(requester, &job, inputs);
    let mut most = 0;
    while world.end_of(requester, id).is_none() {
        world.run_for(millis(100));
        let held = world.node(requester).items.iter().filter(|item| matches!(item, Item::Blob(_))).count();
        most = most.max(held);
    }
    assert!(most < 1_000, "{most} inputs at a time");
    world.assert_right(requester, &job, &inputs);
    world.run_for(seconds(60));
    assert!(world.node(requester).items.len() <= 3, "program, files, nothing else");
}

#[test]
fn audits_and_own_runs_read_their_inputs_again() {
    for by in [Auditors::Own, Auditors::Mesh] {
        let (mut world, requester, workers) = World::mesh(41, 4);
        world.node_mut(workers[0]).behaviour = Behaviour::Sometimes(0.3);
        let target = Target { by, ..Target::default() };
        let (job, inputs) = cut(&mut world, audited(job("count", 400, 1), target));
        let id = world.submit(requester, &job, inputs);
        assert_eq!(world.finish(requester, id, seconds(600)), End::Complete, "{by:?}");
        world.assert_right(requester, &job, &inputs);
        assert!(world.events(requester, |event| matches!(event, Event::Refuted { .. })) > 0, "{by:?}");
    }
}

#[test]
fn a_task_whose_input_is_gone_is_given_up_and_the_others_are_done() {
    for replicas in 1..=3 {
        let (mut world, requester, _) = World::mesh(42, 4);
        let (job, inputs) = cut(&mut world, job("count", 300, replicas));
        let lost = |task: usize| task % 3 == 1;
        let parts = world.inputs.get_mut(&id_of(&job)).unwrap();
        parts.iter_mut().enumerate().filter(|(task, _)| lost(*task)).for_each(|(_, part)| *part = None);
        let id = world.submit(requester, &job, inputs);
        assert_eq!(world.finish(requester, id, seconds(60)), End::Partial);
        for (task, result) in world.finals(requester, id) {
            assert_eq!(result.outcome.is_none(), lost(task as usize), "task {task}");
        }
    }
}

#[test]
fn inputs_that_vanish_under_way_end_the_job_and_take_no_result_away() {
    for target in [None, Some(Target { by: Auditors::Own, ..Target::default() }), Some(Target::default())] {
        let (mut world, requester, _) = World::mesh(43, 4);
        let plain = job("count", 600, 2);
        let (job, inputs) = cut(&mut world, target.map_or(plain.clone(), |target| audited(plain, target)));
        let id = world.submit(requester, &job, inputs);
        world.run_until(world.now + seconds(60), |world| world.finals(requester, id).len() >= 50);
        let before = world.finals(requester, id);
        world.inputs.get_mut(&id).unwrap().fill(None);
        assert_eq!(world.finish(requester, id, seconds(60)), End::Partial);
        let after = world.finals(requester, id);
        assert_eq!(after.len(), 600);
        assert!(before.iter().all(|(task, result)| after[task].outcome == result.outcome));
    }
}

#[test]
fn a_worker_that_cannot_fetch_its_input_costs_no_task() {
    let (mut world, requester, workers) = World::mesh(44, 3);
    let (job, inputs) = cut(&mut world, job("count", 200, 1));
    let id = world.submit(requester, &job, inputs);
    for _ in 0..40 {
        world.run_for(millis(50));
        // The requester's disk loses what it has just read; the workers find nothing, and ask for it again.
        world.node_mut(requester).items.retain(|item| *item == Item::Blob(job.program));
    }
    assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
    world.assert_right(requester, &job, &inputs);
    assert_eq!(workers.len(), 3);
}

#[test]
fn a_claim_on_what_was_not_handed_out_yet_counts_for_nothing() {
    let (mut world, requester, _) = World::mesh(45, 2);
    let (job, inputs) = cut(&mut world, job("count", 50, 1));
    let id = world.submit(requester, &job, inputs);
    // An answer to something that nobody asked for.
    world.tell(requester, pocketmesh_protocol::Input::PartsRead { job: id, parts: vec![(7, None), (8, None)] });
    assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
    world.assert_right(requester, &job, &inputs);
}
