//! Leases, from both sides: streaming, silence, hedges, hand-backs, and every way out. specs/leases.md.

use crate::world::{World, fuel, job, millis, model::Behaviour, seconds};
use pocketmesh_protocol::{
    Effect, End, Event, Input, Inputs, Peer,
    effect::LeaseOver,
    jobs::{active::Active, view::WorkerView},
};
use pocketmesh_types::{Credits, JobId, LeaseId, PeerId, PerGib, Price, TaskInput};
use pocketmesh_wire::{
    Message,
    message::{Assign, Assigned, DeclineReason, EndReason, Lease},
};

fn active(world: &World, requester: PeerId, id: JobId) -> &Active {
    world.peer(requester).jobs().get(&id).unwrap()
}

fn view(world: &World, requester: PeerId, id: JobId, worker: PeerId) -> WorkerView {
    active(world, requester, id).workers().into_iter().find(|view| view.worker == worker).unwrap()
}

fn over(world: &World, requester: PeerId, worker: PeerId) -> Vec<LeaseOver> {
    let events = world.node(requester).events.iter().filter_map(|(_, event)| match event {
        Event::LeaseOver { worker: who, reason, .. } if *who == worker => Some(*reason),
        _ => None,
    });
    events.collect()
}

#[test]
fn a_silent_worker_is_replaced() {
    for replicas in [1, 2] {
        let (mut world, requester, workers) = World::mesh(30, 3);
        world.node_mut(workers[0]).behaviour = Behaviour::Silent;
        let job = job("count", 2_000, replicas);
        let id = world.submit(requester, &job, Inputs::None);
        assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
        world.assert_right(requester, &job, &Inputs::None);
        assert_eq!(over(&world, requester, workers[0])[0], LeaseOver::Ended(EndReason::Silent));
        assert_eq!(view(&world, requester, id, workers[0]).owed, Credits::default());
    }
}

#[test]
fn a_worker_that_is_alive_and_never_finishes_does_not_hold_a_job_up() {
    for replicas in [1, 2] {
        let (mut world, requester, workers) = World::mesh(31, 4);
        world.node_mut(workers[0]).behaviour = Behaviour::Sleeper;
        let job = job("count", 20, replicas);
        let id = world.submit(requester, &job, Inputs::None);
        assert_eq!(world.finish(requester, id, seconds(20)), End::Complete, "hedges do its tasks");
        world.assert_right(requester, &job, &Inputs::None);
        world.run_for(seconds(200));
        assert_eq!(
            over(&world, requester, workers[0]),
            [LeaseOver::Ended(EndReason::Silent)],
            "in the end it is let go"
        );
    }
}

#[test]
fn a_worker_that_leaves_is_replaced() {
    let (mut world, requester, workers) = World::mesh(32, 3);
    let job = job("count", 1_000, 2);
    let id = world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(5));
    world.kill(workers[1]);
    assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
    assert_eq!(over(&world, requester, workers[1]), [LeaseOver::Disconnected]);
}

#[test]
fn a_worker_that_is_back_within_the_grace_loses_nothing_and_runs_nothing_twice() {
    for replicas in [1, 2] {
        let (mut world, requester, workers) = World::mesh(33, 3);
        let job = job("count", 1_000, replicas);
        let id = world.submit(requester, &job, Inputs::None);
        for _ in 0..5 {
            world.run_for(millis(1_700));
            world.disconnect(requester, workers[0]);
            world.run_for(millis(1_900));
            world.connect(requester, workers[0]);
        }
        assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
        world.assert_right(requester, &job, &Inputs::None);
        world.run_for(seconds(2));
        assert_eq!(over(&world, requester, workers[0]), [LeaseOver::Ended(EndReason::JobDone)]);
        let ran = &world.node(workers[0]).ran;
        assert!(ran.values().all(|&count| count == 1), "no task twice at one worker");
        assert_eq!(view(&world, requester, id, workers[0]).accepted, ran.len() as u64, "all that it ran is accepted");
    }
}

#[test]
fn a_restarted_worker_is_found_out_at_once_and_works_again() {
    let (mut world, requester, workers) = World::mesh(34, 2);
    let job = job("count", 1_000, 2);
    let id = world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(5));
    let accepted = world.node(workers[0]).accepted;
    world.restart(workers[0], millis(100));
    world.run_for(seconds(1));
    assert_eq!(over(&world, requester, workers[0]), [LeaseOver::Declined(DeclineReason::Unknown)]);
    world.run_for(seconds(9));
    assert!(world.node(workers[0]).accepted > accepted + 50, "it has a new lease");
    assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
}

#[test]
fn a_hedge_seat_wins_and_the_late_right_claim_is_paid_too() {
    for replicas in [1, 2] {
        let (mut world, requester, workers) = World::mesh(35, 4);
        world.node_mut(workers[0]).speed = seconds(15);
        let job = job("count", 60, replicas);
        let id = world.submit(requester, &job, Inputs::None);
        assert_eq!(world.finish(requester, id, seconds(10)), End::Complete, "long before the slow one is done");
        world.assert_right(requester, &job, &Inputs::None);
        let slow = view(&world, requester, id, workers[0]);
        assert_eq!((slow.done, slow.leased), (0, true), "its seats are waited for");
        world.run_for(seconds(40));
        let slow = view(&world, requester, id, workers[0]);
        let ran = world.node(workers[0]).ran.len() as u64;
        assert!(ran > 0 && slow.late == ran && slow.accepted == ran, "{slow:?}");
        let owed = Credits(u128::from(ran) * slow.price.cost(fuel()).0);
        assert_eq!(slow.owed, owed);
        assert_eq!(world.node(workers[0]).owed[&(requester, id)], owed, "and it knows");
        assert_eq!(over(&world, requester, workers[0]), [LeaseOver::Ended(EndReason::JobDone)]);
    }
}

#[test]
fn tasks_that_take_long_are_hedged_by_idle_workers_only() {
    let (mut world, requester, workers) = World::mesh(36, 3);
    world.node_mut(workers[0]).behaviour = Behaviour::Moody;
    let job = job("count", 300, 1);
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
    assert!(world.executions("count").values().all(|&count| count <= 2));
}

#[test]
fn handing_back_and_declining_are_no_stain() {
    for behaviour in [Behaviour::HandsBack, Behaviour::Declines] {
        let (mut world, requester, workers) = World::mesh(37, 3);
        world.node_mut(workers[0]).behaviour = behaviour;
        let job = job("count", 300, 2);
        let id = world.submit(requester, &job, Inputs::None);
        assert_eq!(world.finish(requester, id, seconds(60)), End::Complete, "{behaviour:?}");
        world.assert_right(requester, &job, &Inputs::None);
        let failed = |reason: &LeaseOver| matches!(reason, LeaseOver::Ended(EndReason::Silent | EndReason::Refuted));
        assert!(!over(&world, requester, workers[0]).iter().any(failed), "{behaviour:?}");
        assert!(!view(&world, requester, id, workers[0]).excluded);
    }
}

#[test]
fn a_paused_device_gives_its_tasks_back_and_keeps_what_it_has_done() {
    for replicas in [1, 2] {
        let (mut world, requester, workers) = World::mesh(38, 3);
        let job = job("count", 4_000, replicas);
        let id = world.submit(requester, &job, Inputs::None);
        world.run_for(seconds(4));
        world.tell(workers[0], Input::DeviceChanged { slots: 0 });
        world.run_for(seconds(2));
        assert_eq!(world.peer(workers[0]).load(), (0, 0), "it has left");
        assert_eq!(over(&world, requester, workers[0]), [LeaseOver::Declined(DeclineReason::DevicePaused)]);
        let seen = view(&world, requester, id, workers[0]);
        assert!(seen.done > 20 && seen.accepted == seen.done, "all that it had committed to counts: {seen:?}");
        world.run_for(seconds(2));
        world.tell(workers[0], Input::DeviceChanged { slots: 2 });
        world.run_for(seconds(40));
        assert!(view(&world, requester, id, workers[0]).accepted > seen.accepted, "it bids again");
        assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
        world.assert_right(requester, &job, &Inputs::None);
    }
}

#[test]
fn whoever_cannot_be_paid_serves_nobody() {
    let (mut world, requester, workers) = World::mesh(48, 3);
    let job = job("count", 4_000, 1);
    let id = world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(4));
    world.tell(workers[0], Input::MoneyFailed { reason: "the disk is full".into() });
    world.run_for(seconds(2));
    assert_eq!(world.peer(workers[0]).load(), (0, 0), "it has left");
    let left = view(&world, requester, id, workers[0]);
    assert!(left.done > 20 && left.accepted == left.done, "what it has done is not lost: {left:?}");
    world.tell(workers[0], Input::DeviceChanged { slots: 2 });
    assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
    assert_eq!(view(&world, requester, id, workers[0]).accepted, left.accepted, "and it bids no more");
}

#[test]
fn acknowledgements_that_were_lost_do_not_keep_a_worker_from_leaving() {
    let (mut world, requester, workers) = World::mesh(46, 2);
    world.submit(requester, &job("count", 4_000, 1), Inputs::None);
    world.run_for(seconds(2));
    world.lose = |message| matches!(message, Message::ClaimAck(_) | Message::Verdicts(_));
    world.run_for(seconds(1));
    world.lose = |_| false;
    world.disconnect(requester, workers[0]);
    world.run_for(seconds(1));
    world.connect(requester, workers[0]);
    world.run_for(seconds(1));
    world.tell(workers[0], Input::DeviceChanged { slots: 0 });
    world.run_for(seconds(1));
    assert_eq!(world.peer(workers[0]).load(), (0, 0));
}

#[test]
fn a_host_that_comes_to_no_outcome_gets_no_more_tasks() {
    let (mut world, requester, workers) = World::mesh(39, 3);
    world.node_mut(workers[0]).behaviour = Behaviour::NoOutcome;
    let job = job("count", 300, 1);
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
    assert!(world.node(workers[0]).ran.values().sum::<u32>() < 20);
}

#[test]
fn a_task_that_comes_back_undone_three_times_is_run_here() {
    let (mut world, requester, workers) = World::mesh(40, 3);
    workers.iter().for_each(|&worker| world.node_mut(worker).behaviour = Behaviour::NoOutcome);
    let job = job("count", 3, 1);
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
    assert_eq!(active(&world, requester, id).counts.own_runs, 3);
}

#[test]
fn a_worker_whose_profile_refuses_the_program_is_not_asked_again() {
    let (mut world, requester, workers) = World::mesh(41, 3);
    world.node_mut(workers[0]).behaviour = Behaviour::RefusesProgram;
    let job = job("count", 3_000, 2);
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(200)), End::Complete);
    let reasons = over(&world, requester, workers[0]);
    assert_eq!(reasons, [LeaseOver::Declined(DeclineReason::ProgramRefused)]);
}

#[test]
fn a_worker_forgets_a_requester_that_does_not_come_back() {
    let (mut world, requester, workers) = World::mesh(42, 2);
    world.submit(requester, &job("count", 5_000, 2), Inputs::None);
    world.run_for(seconds(3));
    world.kill(requester);
    world.run_for(seconds(10));
    assert_eq!(world.peer(workers[0]).load().0, 1, "it waits a while");
    world.run_for(seconds(10));
    for worker in workers {
        assert_eq!(world.peer(worker).load(), (0, 0));
        assert_eq!(world.peer(worker).next_deadline(), None, "no timer is left");
    }
}

#[test]
fn a_lease_under_which_nothing_is_asked_is_given_up() {
    let (mut world, requester, workers) = World::mesh(43, 1);
    world.lose = |message| matches!(message, Message::Assign(_));
    let mut job = job("count", 100, 1);
    job.limits.wall_ms = 3_600_000;
    world.submit(requester, &job, Inputs::None);
    world.run_for(seconds(110));
    assert_eq!(over(&world, requester, workers[0]), []);
    world.run_for(seconds(20));
    assert_eq!(over(&world, requester, workers[0]), [LeaseOver::Declined(DeclineReason::Busy)]);
}

#[test]
fn a_lease_that_pays_less_than_the_auction_says_is_declined() {
    for (behaviour, taken) in [(Behaviour::Honest, 4), (Behaviour::Underpays, 0)] {
        let mut world = World::new(47);
        let requester = world.add(behaviour, 0);
        let workers: Vec<PeerId> = (0..6).map(|_| world.add(Behaviour::Honest, 1)).collect();
        for (at, &worker) in workers.iter().enumerate() {
            world.node_mut(worker).ask = Price(100 + 10 * at as u64);
            world.start(worker);
            world.connect(requester, worker);
        }
        world.submit(requester, &job("count", 1_000, 2), Inputs::None);
        world.run_for(seconds(1));
        let takes = |worker: &PeerId| world.events(*worker, |event| matches!(event, Event::LeaseTaken { .. }));
        assert_eq!(workers.iter().map(takes).sum::<usize>(), taken, "{behaviour:?}");
    }
}

#[test]
fn a_worker_keeps_no_more_than_so_many_tasks_whatever_it_is_sent() {
    let (mut world, requester, workers) = World::mesh(48, 1);
    world.lose = |message| matches!(message, Message::Assign(_));
    world.submit(requester, &job("count", 100_000, 1), Inputs::None);
    world.run_for(millis(200));
    let lease = world.tampering.leases[0];
    for chunk in 0..20 {
        let tasks = (chunk * 1_000..(chunk + 1) * 1_000).map(|task| Assigned { task, input: TaskInput::None });
        world.inject(requester, workers[0], Assign { lease, tasks: tasks.collect() }.into(), Vec::new());
    }
    world.tell(workers[0], Input::PeerDisconnected { peer: requester });
    let now = world.now;
    let peer = world.node_mut(workers[0]).peer.as_mut().unwrap();
    let backlog =
        peer.handle(now, Input::PeerConnected { peer: requester, prefix: None }).into_iter().find_map(|effect| {
            match effect {
                Effect::Send { message: Message::Heartbeat(heartbeat), .. } => Some(heartbeat.leases[0].1),
                _ => None,
            }
        });
    assert_eq!(backlog, Some(4_096));
}

/// Lets a worker win a lease that the test then makes up itself: offers it what `change` makes of the real one.
fn answer_to(change: fn(&mut Lease)) -> Option<DeclineReason> {
    let (mut world, requester, workers) = World::mesh(44, 1);
    world.lose = |message| matches!(message, Message::Lease(_));
    let job = job("count", 10, 1);
    world.submit(requester, &job, Inputs::None);
    world.run_for(millis(100));
    let offer = world.node(workers[0]).events.iter().find_map(|(_, event)| match event {
        Event::BidSent { offer } => Some(*offer),
        _ => None,
    });
    let mut lease = Lease {
        offer: offer.unwrap(),
        worker: workers[0],
        job,
        price: Price(100),
        heartbeat_ms: 5_000,
        commit_first: false,
        slice_tasks: 64,
        hold_back_tasks: 20,
        fee: Price(100).fee(100),
        ext: Default::default(),
    };
    change(&mut lease);
    let (before, message) = (world.peer(workers[0]).load().0, Message::from(lease));
    let id = LeaseId(pocketmesh_wire::envelope::id(&message));
    let wall = world.now;
    let peer: &mut Peer = world.node_mut(workers[0]).peer.as_mut().unwrap();
    let message = pocketmesh_wire::Verified { signer: requester, id: id.0, content: message, attached: Vec::new() };
    let effects = peer.handle(wall, Input::MessageReceived { from: requester, message });
    let declined = effects.iter().find_map(|effect| match effect {
        Effect::Send { message: Message::Decline(decline), .. } => Some(decline.reason),
        _ => None,
    });
    assert_eq!(world.peer(workers[0]).load().0 == before, declined.is_some());
    declined
}

#[test]
fn a_lease_that_is_not_as_offered_is_declined() {
    assert_eq!(answer_to(|_| {}), None);
    let not_as_offered = Some(DeclineReason::NotAsOffered);
    assert_eq!(answer_to(|lease| lease.price = Price(99)), not_as_offered);
    assert_eq!(answer_to(|lease| lease.job.tasks = 11), not_as_offered);
    assert_eq!(answer_to(|lease| lease.job.limits.memory *= 2), not_as_offered);
    assert_eq!(answer_to(|lease| lease.job.per_gib = PerGib(1)), not_as_offered);
    assert_eq!(answer_to(|lease| lease.worker = PeerId([9; 32])), not_as_offered);
    assert_eq!(answer_to(|lease| lease.offer = Default::default()), not_as_offered);
}

#[test]
fn messages_that_come_twice_change_nothing() {
    for replicas in [1, 2] {
        let (mut world, requester, _) = World::mesh(45, 3);
        world.copies = 2;
        let job = job("count", 200, replicas);
        let id = world.submit(requester, &job, Inputs::None);
        assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
        world.assert_right(requester, &job, &Inputs::None);
        assert!(world.executions("count").values().all(|&count| count == u32::from(replicas)));
        assert_eq!(active(&world, requester, id).counts.executions, u64::from(replicas) * 200);
        assert_eq!(active(&world, requester, id).counts.refuted, 0);
    }
}
