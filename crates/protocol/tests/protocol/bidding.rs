//! The worker's side of the market: for what it bids, and when. specs/bidding.md.

use crate::world::{World, contact_of, job, millis, model::Behaviour, seconds};
use pocketmesh_protocol::{End, Event, Input, Inputs};
use pocketmesh_types::{Job, PeerId, PerGib, Price, job::TaskLimits};
use pocketmesh_wire::{
    Message,
    message::{Bid, Standing},
};

fn bids(world: &World, worker: PeerId) -> u64 {
    world.peer(worker).bidding().bid
}

fn answers(world: &World, worker: PeerId) -> Vec<(Standing, bool)> {
    let events = world.node(worker).events.iter().filter_map(|(_, event)| match event {
        Event::BidAnswered { standing, honest, .. } => Some((*standing, *honest)),
        _ => None,
    });
    events.collect()
}

#[test]
fn offers_that_do_not_fit_are_not_bid_for() {
    let fits = job("count", 10, 1);
    let too_cheap = Job { max_price: Price(99), ..fits.clone() };
    let too_large = Job { limits: TaskLimits { memory: 2 << 30, ..fits.limits }, ..fits.clone() };
    for (job, wanted) in [(fits, 1), (too_cheap, 0), (too_large, 0)] {
        let (mut world, requester, workers) = World::mesh(80, 1);
        world.submit(requester, &job, Inputs::None);
        world.run_for(millis(300));
        assert_eq!(bids(&world, workers[0]), wanted);
        assert_eq!(world.peer(workers[0]).bidding().heard, 1);
    }
}

#[test]
fn who_wants_to_be_paid_for_bytes_bids_only_where_they_are_paid() {
    for (per_gib, wanted) in [(0, 0), (9, 0), (10, 1)] {
        let (mut world, requester, workers) = World::mesh(80, 1);
        world.node_mut(workers[0]).floor_per_gib = PerGib(10);
        world.restart(workers[0], millis(1));
        world.submit(requester, &Job { per_gib: PerGib(per_gib), ..job("count", 10, 1) }, Inputs::None);
        world.run_for(millis(500));
        assert_eq!(bids(&world, workers[0]), wanted, "{per_gib}");
    }
}

#[test]
fn a_device_that_may_not_work_does_not_bid() {
    let (mut world, requester, workers) = World::mesh(81, 1);
    world.tell(workers[0], Input::DeviceChanged { slots: 0 });
    let id = world.submit(requester, &job("count", 10, 1), Inputs::None);
    world.run_for(seconds(10));
    assert_eq!(bids(&world, workers[0]), 0);
    world.tell(workers[0], Input::DeviceChanged { slots: 1 });
    assert_eq!(world.finish(requester, id, seconds(60)), End::Complete, "it hears the next offer");
}

#[test]
fn a_busy_worker_does_not_bid() {
    let (mut world, requester, workers) = World::mesh(82, 1);
    world.node_mut(workers[0]).speed = seconds(10);
    world.tell(workers[0], Input::DeviceChanged { slots: 1 });
    for name in ["a", "b", "c", "d", "e", "f"] {
        world.submit(requester, &job(name, 50, 1), Inputs::None);
        world.run_for(seconds(1));
    }
    assert_eq!(world.peer(workers[0]).load().0, 4, "four leases a slot");
}

#[test]
fn a_requester_that_never_answers_does_not_keep_a_worker_from_bidding() {
    let (mut world, requester, workers) = World::mesh(83, 1);
    let silent = world.add(Behaviour::Honest, 0);
    world.connect(silent, workers[0]);
    world.lose = |message| matches!(message, Message::Closing(_) | Message::Lease(_));
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        world.submit(silent, &job(name, 50, 1), Inputs::None);
    }
    world.run_for(seconds(1));
    assert_eq!(bids(&world, workers[0]), 8, "two slots, four commitments each");
    world.kill(silent);
    world.lose = |_| false;
    world.run_for(seconds(6));
    let id = world.submit(requester, &job("count", 10, 1), Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(10)), End::Complete);
}

#[test]
fn a_late_bid_is_ignored_and_told_so() {
    let (mut world, requester, workers) = World::mesh(84, 2);
    let id = world.submit(requester, &job("count", 500, 1), Inputs::None);
    world.run_for(seconds(1));
    let late = world.add(Behaviour::Honest, 1);
    world.connect(requester, late);
    let offer = world.node(workers[0]).events.iter().find_map(|(_, event)| match event {
        Event::BidSent { offer } => Some(*offer),
        _ => None,
    });
    let expires = world.wall() + seconds(30);
    let bid = Bid {
        offer: offer.unwrap(),
        price: Price(1),
        slots: 1,
        arch: Default::default(),
        expires,
        ext: Default::default(),
    };
    world.inject(late, requester, bid.into(), Vec::new());
    world.run_for(millis(100));
    assert_eq!(world.node(late).heard.get("closing"), Some(&1), "it learns that it is late");
    assert!(world.peer(requester).jobs().get(&id).unwrap().live().all(|(_, granted)| granted.worker != late));
}

#[test]
fn every_bidder_learns_how_it_went_and_can_check_it() {
    let (mut world, requester, workers) = World::mesh(85, 12);
    world.submit(requester, &job("count", 2_000, 2), Inputs::None);
    world.run_for(seconds(1));
    for &worker in &workers {
        let answers = answers(&world, worker);
        assert_eq!(answers.len(), 1);
        assert!(answers[0].1, "the disclosure adds up");
    }
    let won = workers.iter().filter(|&&worker| answers(&world, worker)[0].0 == Standing::Won).count();
    assert_eq!(won, 8);
}

#[test]
fn one_public_prefix_has_one_lease_a_job() {
    let (mut world, requester, _) = World::mesh(86, 0);
    let workers: Vec<PeerId> = (0..6).map(|_| world.add(Behaviour::Honest, 2)).collect();
    for &worker in &workers {
        world.node_mut(worker).prefix = Some([4, 8, 8, 8, 0, 0]);
        world.connect(requester, worker);
    }
    let other = world.add(Behaviour::Honest, 2);
    world.connect(requester, other);
    let job = job("count", 200, 2);
    let id = world.submit(requester, &job, Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
    for task in world.finals(requester, id).values() {
        assert!(task.workers.contains(&other), "no task has two seats behind one prefix");
    }
}

/// A mesh of so many peers of which the requester is connected to the first few and the others to nobody.
fn sparse(seed: u64, peers: usize, connected: usize) -> (World, PeerId, Vec<PeerId>) {
    let mut world = World::new(seed);
    let requester = world.add(Behaviour::Honest, 0);
    let workers: Vec<PeerId> = (0..peers).map(|_| world.add(Behaviour::Honest, 2)).collect();
    workers[..connected].iter().for_each(|&worker| world.connect(requester, worker));
    world.tell(requester, Input::Mesh { peers, contacts: vec![contact_of(requester)] });
    (world, requester, workers)
}

#[test]
fn strangers_connect_in_order_to_bid() {
    let (mut world, requester, workers) = sparse(86, 40, 2);
    let id = world.submit(requester, &job("count", 400, 2), Inputs::None);
    assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
    let worked = |worker: &&PeerId| world.node(**worker).ran.values().sum::<u32>() > 0;
    assert!(workers[2..].iter().filter(worked).count() > 10, "most of the work is done by strangers");
}

#[test]
fn in_a_large_mesh_an_offer_goes_to_a_part_of_it_and_brings_as_many_bids_as_wanted() {
    let (mut world, requester, workers) = sparse(87, 4_000, 10);
    let id = world.submit(requester, &job("count", 40, 2), Inputs::None);
    world.run_until(world.now + seconds(8), |world| {
        world.node(requester).events.iter().any(|(_, event)| matches!(event, Event::AuctionClosed { .. }))
    });
    let heard = workers.iter().filter(|&&worker| world.peer(worker).bidding().heard > 0).count();
    let bid = workers.iter().filter(|&&worker| bids(&world, worker) > 0).count();
    assert!((100..1_000).contains(&heard), "{heard} of 4,000 heard the offer");
    assert!((40..160).contains(&bid), "{bid} bid for it");
    assert_eq!(world.finish(requester, id, seconds(120)), End::Complete);
}

#[test]
fn a_requester_that_cannot_be_reached_does_not_keep_a_worker_from_bidding() {
    let (mut world, requester, workers) = World::mesh(88, 1);
    let far = world.add(Behaviour::Honest, 0);
    world.tell(far, Input::Mesh { peers: 40, contacts: vec![contact_of(requester)] });
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        world.submit(far, &job(name, 50, 1), Inputs::None);
    }
    world.run_for(seconds(1));
    let id = world.submit(requester, &job("busy", 10, 1), Inputs::None);
    world.run_for(millis(500));
    assert_eq!(bids(&world, workers[0]), 0, "it is waiting for others");
    assert_eq!(world.finish(requester, id, seconds(30)), End::Complete, "and not for long");
}

#[test]
fn a_worker_that_loses_its_requester_looks_for_it_where_the_offer_said() {
    let (mut world, requester, workers) = sparse(89, 1, 1);
    let id = world.submit(requester, &job("count", 400, 1), Inputs::None);
    world.run_for(seconds(2));
    assert!(world.peer(workers[0]).load().0 > 0, "it has a lease");
    world.disconnect(requester, workers[0]);
    assert_eq!(world.finish(requester, id, seconds(60)), End::Complete);
    let leases = world.node(requester).events.iter().filter(|(_, event)| matches!(event, Event::Leased { .. }));
    assert_eq!(leases.count(), 1, "the lease has outlived the connection");
}
