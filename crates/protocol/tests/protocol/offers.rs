//! Gossip in: what is passed on, dropped, or held against its sender. specs/offers.md.

use crate::world::{World, profile, seconds};
use pocketmesh_protocol::Judgement;
use pocketmesh_types::{BlobId, Hash, JobId, OfferId, PeerId, Price, UnixTime, job::TaskLimits};
use pocketmesh_wire::{
    Message, Verified,
    message::{EndReason, LeaseEnd, Offer, OfferClosed},
};

fn offer(number: u64, expires: UnixTime) -> Message {
    Offer {
        job: JobId(Hash::of(&number.to_le_bytes())),
        program: BlobId::of(b"program"),
        program_len: 7,
        profile: profile(),
        tasks: 10,
        input_bytes: 0,
        limits: TaskLimits::default(),
        ceiling: Price(1_000),
        per_gib: pocketmesh_types::PerGib(0),
        expected_fuel: None,
        seats: 1,
        bids_wanted: 1,
        depth: 0,
        fraction: u64::MAX,
        contacts: Vec::new(),
        nonce_hash: Hash::of(b"nonce"),
        closes_ms: u32::MAX,
        expires,
        attempt: 0,
        ext: Default::default(),
    }
    .into()
}

fn stranger(number: u64) -> PeerId {
    PeerId(Hash::of_parts("stranger", &[&number.to_le_bytes()]).0)
}

#[test]
fn a_good_offer_is_passed_on_once() {
    let (mut world, peer, _) = World::mesh(90, 1);
    let good = offer(1, world.wall() + seconds(60));
    assert_eq!(world.gossip(stranger(1), peer, good.clone()), Judgement::PassOn);
    assert_eq!(world.gossip(stranger(1), peer, good), Judgement::Drop);
}

#[test]
fn an_expired_offer_and_one_from_a_clock_far_ahead_are_dropped() {
    let (mut world, peer, _) = World::mesh(91, 1);
    world.run_for(seconds(1_000));
    let expired = UnixTime(world.wall().0 - 121_000);
    let just_not = UnixTime(world.wall().0 - 119_000);
    let ahead = world.wall() + seconds(721);
    assert_eq!(world.gossip(stranger(1), peer, offer(1, expired)), Judgement::Drop);
    assert_eq!(world.gossip(stranger(1), peer, offer(2, just_not)), Judgement::PassOn, "clocks differ");
    assert_eq!(world.gossip(stranger(1), peer, offer(3, ahead)), Judgement::Drop);
}

#[test]
fn what_is_not_meant_to_be_gossiped_is_rejected() {
    let (mut world, peer, _) = World::mesh(92, 1);
    let end = LeaseEnd { lease: Default::default(), reason: EndReason::JobDone };
    assert_eq!(world.gossip(stranger(1), peer, end.into()), Judgement::Reject);
    assert_eq!(world.gossip(stranger(1), peer, crate::world::job("count", 1, 1).into()), Judgement::Reject);
}

#[test]
fn an_offer_sent_directly_is_against_the_rules() {
    let (mut world, peer, workers) = World::mesh(93, 1);
    let good = offer(1, world.wall() + seconds(60));
    world.inject(workers[0], peer, good, Vec::new());
    assert_eq!(world.node(peer).shunned[0].0, workers[0]);
}

#[test]
fn one_requester_is_passed_on_so_often_and_others_do_not_suffer() {
    let (mut world, peer, _) = World::mesh(94, 1);
    let expires = world.wall() + seconds(300);
    let passed = |world: &mut World, from: u64| {
        let judged = (0..200).map(|number| world.gossip(stranger(from), peer, offer(1_000 * from + number, expires)));
        judged.filter(|&judgement| judgement == Judgement::PassOn).count()
    };
    assert_eq!(passed(&mut world, 1), 120);
    assert_eq!(passed(&mut world, 2), 120);
    world.run_for(seconds(61));
    assert_eq!(world.gossip(stranger(1), peer, offer(9_999, expires)), Judgement::PassOn);
}

#[test]
fn a_flood_of_names_and_offers_is_held_within_bounds() {
    let (mut world, _, workers) = World::mesh(95, 1);
    let expires = world.wall() + seconds(300);
    let mut passed = 0;
    for number in 0..60_000 {
        let judged = world.gossip(stranger(number / 5), workers[0], offer(number, expires));
        passed += usize::from(judged == Judgement::PassOn);
    }
    assert!(passed <= 50_000, "{passed}: the names of one window are bounded");
    world.run_for(seconds(61));
    let honest = stranger(1 << 40);
    assert_eq!(world.gossip(honest, workers[0], offer(1 << 40, expires)), Judgement::PassOn, "and forgotten after it");
    world.run_for(seconds(61));
    assert_eq!(world.peer(workers[0]).next_deadline(), None, "no offer is held, no timer is left");
}

#[test]
fn repeating_anothers_words_does_not_get_in_their_way() {
    let (mut world, peer, _) = World::mesh(97, 1);
    let good = offer(1, world.wall() + seconds(60));
    assert_eq!(world.gossip(stranger(2), peer, good.clone()), Judgement::PassOn);
    assert_eq!(world.gossip(stranger(1), peer, good), Judgement::PassOn);
}

#[test]
fn an_offer_is_passed_on_only_where_its_author_meant_it_to_go() {
    let (mut world, peer, _) = World::mesh(98, 1);
    let expires = world.wall() + seconds(60);
    let said = |content: Message| Verified {
        signer: stranger(1),
        id: pocketmesh_wire::envelope::id(&content),
        content,
        attached: Vec::new(),
    };
    let closed = OfferClosed { offer: OfferId::default(), depth: 2, expires };
    assert_eq!(world.gossip_at(0, peer, said(closed.clone().into())), Judgement::Reject, "to more peers");
    assert_eq!(world.gossip_at(1, peer, said(offer(1, expires))), Judgement::Reject, "to others");
    assert_eq!(world.gossip_at(2, peer, said(closed.into())), Judgement::PassOn);
}

#[test]
fn an_offer_to_many_for_the_sake_of_few_is_not_passed_on() {
    let (mut world, peer, _) = World::mesh(99, 1);
    let mut wasteful = offer(1, world.wall() + seconds(60));
    if let Message::Offer(offer) = &mut wasteful {
        offer.fraction = u64::MAX / 20;
    }
    assert_eq!(world.gossip(stranger(1), peer, wasteful), Judgement::Drop);
}

#[test]
fn a_closed_notice_stops_only_its_own_requesters_offer() {
    let (mut world, _, workers) = World::mesh(96, 1);
    let expires = world.wall() + seconds(60);
    let mut waiting = offer(1, expires);
    if let Message::Offer(offer) = &mut waiting {
        (offer.depth, offer.fraction) = (16, 1);
    }
    let id = OfferId(pocketmesh_wire::envelope::id(&waiting));
    world.gossip(stranger(1), workers[0], waiting);
    assert!(world.peer(workers[0]).next_deadline().is_some(), "it waits for its turn");
    world.gossip(stranger(2), workers[0], OfferClosed { offer: id, depth: 16, expires }.into());
    assert!(world.peer(workers[0]).next_deadline().is_some(), "a stranger cannot close it");
    world.gossip(stranger(1), workers[0], OfferClosed { offer: id, depth: 16, expires }.into());
    assert_eq!(world.peer(workers[0]).next_deadline(), None);
}
