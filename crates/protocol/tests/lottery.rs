//! The bidding lottery. specs/lottery.md.

use pocketmesh_protocol::lottery::{
    EVERYBODY, ROUND, Reach, Turnout, first_share, next_fraction, round_of, ticket, wait, window,
};
use pocketmesh_types::{Hash, OfferId, PeerId};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// An offer to everybody.
fn to_all(fraction: u64) -> Reach {
    Reach { depth: 0, fraction }
}

fn offer(number: u64) -> OfferId {
    OfferId(Hash::of_parts("test offer", &[&number.to_le_bytes()]))
}

fn peer(number: u64) -> PeerId {
    PeerId(Hash::of_parts("test peer", &[&number.to_le_bytes()]).0)
}

#[test]
fn a_ticket_depends_on_offer_and_peer() {
    assert_eq!(ticket(offer(1), peer(1)), ticket(offer(1), peer(1)));
    assert_ne!(ticket(offer(1), peer(1)), ticket(offer(2), peer(1)));
    assert_ne!(ticket(offer(1), peer(1)), ticket(offer(1), peer(2)));
}

#[test]
fn tickets_are_uniform() {
    let mut counts = [0_i64; 16];
    for number in 0..16_000 {
        counts[(ticket(offer(7), peer(number)) >> 60) as usize] += 1;
    }
    let chi2: i64 = counts.iter().map(|count| (count - 1_000).pow(2)).sum::<i64>() / 1_000;
    assert!(chi2 < 38, "χ² of {chi2} with 15 degrees of freedom: 38 has probability 0.001"); // 37.7
}

#[test]
fn a_round_is_the_first_whose_share_covers_the_ticket() {
    assert_eq!(round_of(0, 1), 0);
    assert_eq!(round_of(99, 100), 0);
    assert_eq!(round_of(100, 100), 1);
    assert_eq!(round_of(399, 100), 1);
    assert_eq!(round_of(400, 100), 2);
    assert_eq!(wait(400, 100), 2 * ROUND);
}

#[test]
fn no_offer_and_no_ticket_wait_forever() {
    assert_eq!(round_of(u64::MAX, 1), 32);
    assert_eq!(round_of(u64::MAX, 0), 32, "a fraction of zero counts as the least");
    assert_eq!(round_of(u64::MAX - 1, EVERYBODY), 0);
    assert_eq!(wait(u64::MAX, 0), 32 * ROUND);
}

#[test]
fn bids_are_taken_until_everybody_had_a_turn_or_for_four_rounds() {
    assert_eq!(window(EVERYBODY), ROUND);
    assert_eq!(window(EVERYBODY / 4), 2 * ROUND);
    assert_eq!(window(EVERYBODY / 1_000_000), 4 * ROUND);
    assert_eq!(window(0), 4 * ROUND);
}

#[test]
fn in_a_small_mesh_everybody_bids_at_once() {
    for peers in [0, 1, 10, 64] {
        assert_eq!(first_share(64, peers), EVERYBODY, "{peers} peers");
    }
    assert_eq!(first_share(64, 128), EVERYBODY / 2);
    assert_eq!(next_fraction(EVERYBODY, 10, 10), EVERYBODY);
}

#[test]
fn one_odd_auction_costs_one_round() {
    let usual = EVERYBODY / 1_000;
    assert_eq!(next_fraction(usual, 0, 64), usual * 4, "a partition");
    assert_eq!(next_fraction(usual, 1_000_000, 64), usual / 4, "a flood");
    assert_eq!(next_fraction(0, 0, 0), 1, "nonsense");
    assert_eq!(next_fraction(EVERYBODY, 0, 64), EVERYBODY);
}

#[test]
fn a_flood_from_one_prefix_counts_once() {
    let mut turnout = Turnout::new(offer(1), to_all(EVERYBODY), 64);
    for number in 0..10_000 {
        turnout.on_bid(peer(number), Some([8, 8, 8, 0, 0, 0]));
        turnout.on_bid(peer(10_000), None);
    }
    assert_eq!(turnout.answered(), 2);
}

#[test]
fn a_flood_from_many_places_is_held_in_bounded_memory() {
    let mut turnout = Turnout::new(offer(1), to_all(EVERYBODY), 64);
    for number in 0..10_000 {
        turnout.on_bid(peer(number), None);
    }
    assert_eq!(turnout.answered(), 384);
    assert_eq!(turnout.next_share(), EVERYBODY / 4, "and what is held is enough for the largest step");
}

/// What one auction saw.
struct Auction {
    counted: usize,
    sent: usize,
    rounds: u32,
    turnout: Turnout,
}

#[test]
fn in_a_small_mesh_everybody_hears_every_offer() {
    for share in [EVERYBODY, EVERYBODY / 2, EVERYBODY / 5 + 1] {
        assert_eq!(Reach::of(share, EVERYBODY), to_all(share));
    }
}

#[test]
fn five_times_those_who_are_to_bid_hear_an_offer_whatever_the_size_of_the_mesh() {
    let mut dice = ChaCha8Rng::seed_from_u64(5);
    for peers in [500_u64, 1_000, 3_000, 10_000, 77_777, 1_000_000, 20_000_000] {
        let share = EVERYBODY / peers * 96;
        let draws = 20_000;
        let heard: f64 = (0..draws)
            .map(|_| {
                let reach = Reach::of(share, dice.next_u64());
                assert!(reach.is_thrifty(), "{peers} peers: {reach:?}");
                let first = reach.fraction as f64 / EVERYBODY as f64;
                assert!((0.1..=0.4).contains(&first), "{peers} peers: {first} of those who hear it may bid");
                peers as f64 / f64::from(1 << reach.depth)
            })
            .sum::<f64>()
            / f64::from(draws);
        assert!((heard - 480.0).abs() < 10.0, "{peers} peers: {heard} hear an offer");
    }
}

#[test]
fn an_offer_that_could_have_gone_to_fewer_is_not_thrifty() {
    assert!(!to_all(EVERYBODY / 20).is_thrifty());
    assert!(!to_all(0).is_thrifty());
    let deepest = Reach::of(0, 0);
    assert_eq!(deepest.depth, 16);
    assert!(deepest.is_thrifty(), "there is nothing deeper");
}

/// Milliseconds from the requester to a peer by gossip: 5 to 75 for each hop, six neighbours a hop.
fn gossip(peers: u64, dice: &mut ChaCha8Rng) -> u64 {
    let hops = (1..).find(|hops| 6_u64.pow(*hops) >= peers).expect("a number of hops");
    (0..hops).map(|_| 5 + dice.next_u64() % 70).sum()
}

/// Milliseconds for a bid to its requester: five round trips to connect where most are strangers, and its own way.
fn way(peers: u64, dice: &mut ChaCha8Rng) -> u64 {
    let trips = if peers > 64 { 11 } else { 1 };
    trips * (5 + dice.next_u64() % 70)
}

/// One offer to the nearest of `peers` peers, of which one in `unwilling + 1` bids. The auction closes when `wanted` bids
/// are in, or when everybody who heard it had a turn.
fn hold(number: u64, peers: u64, unwilling: u64, share: u64, wanted: u16, dice: &mut ChaCha8Rng) -> Auction {
    let (offer, reach) = (offer(number), Reach::of(share, dice.next_u64()));
    let mut bids = Vec::new();
    for bidder in (0..peers / (unwilling + 1)).filter(|peer| peer.trailing_zeros() >= u32::from(reach.depth)).map(peer)
    {
        let round = round_of(ticket(offer, bidder), reach.fraction);
        if round <= 4 {
            let sends = gossip(peers >> reach.depth, dice) + u64::from(round) * ROUND.as_millis() as u64;
            bids.push((sends + way(peers, dice), sends, gossip(peers >> reach.depth, dice), round, bidder));
        }
    }
    bids.sort_unstable();
    let counted = bids.len().min(usize::from(wanted));
    let closed = bids[..counted].last().map_or(0, |bid| bid.0);
    let rounds = bids[..counted].iter().map(|bid| bid.3).max().unwrap_or_default();
    let mut auction = Auction { counted, sent: 0, rounds, turnout: Turnout::new(offer, reach, wanted) };
    for (_, sends, notice, _, bidder) in bids {
        if sends < closed + notice {
            auction.sent += 1;
            auction.turnout.on_bid(bidder, None);
        }
    }
    auction
}

#[test]
fn the_wanted_number_of_bids_comes_from_10_peers_and_from_100_000() {
    for (peers, wanted, offers) in [(10, 10, 40), (1_000, 64, 200), (100_000, 64, 30)] {
        let mut dice = ChaCha8Rng::seed_from_u64(peers);
        let mut share = first_share(wanted, peers as usize);
        let (mut sent, mut second_rounds) = (0, 0);
        for number in 0..offers {
            let auction = hold(number, peers, 0, share, wanted, &mut dice);
            assert_eq!(auction.counted, usize::from(wanted), "{peers} peers, offer {number}");
            assert!(auction.rounds <= 1, "{peers} peers, offer {number}: {} rounds", auction.rounds);
            sent += auction.sent;
            second_rounds += auction.rounds;
            share = auction.turnout.next_share();
        }
        let bids = sent as f64 / offers as f64;
        println!(
            "{peers:>6} peers: {bids:.1} bids for {wanted} wanted, a second round for {second_rounds} of {offers}"
        );
        assert!(bids < 1.8 * f64::from(wanted), "{peers} peers sent {bids} bids");
        assert!(second_rounds <= offers as u32 / 10, "{second_rounds} second rounds");
    }
}

/// Offers until the share of round 0 is within a third of what is aimed at, and the bids of the first and last auction.
fn settle(peers: u64, unwilling: u64, start: u64) -> (u64, usize, usize) {
    let mut dice = ChaCha8Rng::seed_from_u64(start);
    let right = EVERYBODY as f64 / peers as f64 * (unwilling + 1) as f64 * 96.0;
    let (mut share, mut first) = (start, 0);
    for number in 0..20 {
        let auction = hold(number, peers, unwilling, share, 64, &mut dice);
        first = if number == 0 { auction.sent } else { first };
        if (0.67..1.5).contains(&(share as f64 / right)) {
            assert_eq!(auction.counted, 64, "enough bids from then on");
            return (number, first, auction.sent);
        }
        share = auction.turnout.next_share();
    }
    panic!("never settled: {peers} peers, one of {} willing, start {start}", unwilling + 1);
}

#[test]
fn a_wrong_start_is_corrected_within_four_offers() {
    for (peers, unwilling, heard, offers_max, why) in [
        (100_000, 0, 2_000, 4, "a newcomer that has heard of one peer in fifty"),
        (1_000, 0, 100_000, 4, "a mesh that has shrunk to a hundredth"),
        (10_000, 9, 10_000, 3, "one peer in ten is willing"),
        (10_000, 0, 100, 4, "one heard of in a hundred"),
    ] {
        let (offers, first, last) = settle(peers, unwilling, first_share(64, heard));
        println!("{why}: {offers} offers, {first} bids for the first, {last} for the last");
        assert!(offers <= offers_max, "{why}: {offers} offers");
        assert!(last < 3 * 64, "{why}: still {last} bids");
    }
}

#[test]
fn a_steady_mesh_keeps_its_fraction() {
    let mut dice = ChaCha8Rng::seed_from_u64(9);
    let right = EVERYBODY / 5_000 * 96;
    let mut share = right;
    for number in 0..100 {
        share = hold(number, 5_000, 0, share, 64, &mut dice).turnout.next_share();
        assert!(share > right / 2 && share < right * 2, "after offer {number}: {share} for {right}");
    }
}
