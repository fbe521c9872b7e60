//! The auction: who may bid, how seats are drawn, what they pay, and what a bidder can prove. specs/auction.md.

use core::time::Duration;
use pocketmesh_protocol::auction::{
    Book, Cheat, Checked, Clearing, PRICE_MAX, SealedBid, Seat, Terms, accepted_of, check, clear, fellows, nonce_hash,
    price_of, score,
};
use pocketmesh_types::{
    BlobId, Hash, Instant, JobId, OfferId, PeerId, Price, ProfileId, UnixTime, job::TaskLimits, limits,
};
use pocketmesh_wire::message::{BidEntry, Closing, Ext, Offer, Standing};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::collections::BTreeMap;

const CLOSES: Duration = Duration::from_millis(400);
const OPENED: Instant = Instant(1_000_000);

fn peer(number: u64) -> PeerId {
    PeerId(Hash::of_parts("test peer", &[&number.to_le_bytes()]).0)
}

fn nonce(number: u64) -> Hash {
    Hash::of_parts("test nonce", &[&number.to_le_bytes()])
}

fn bid_id(bidder: PeerId, price: Price) -> Hash {
    Hash::of_parts("test bid", &[&bidder.0, &price.0.to_le_bytes()])
}

fn sealed(number: u64, price: u64, delivery_ppm: u32) -> SealedBid {
    let (bidder, price) = (peer(number), Price(price));
    SealedBid { bidder, bid: bid_id(bidder, price), price, delivery_ppm, prefix: None }
}

fn entry(number: u64, price: u64, delivery_ppm: u32) -> BidEntry {
    let SealedBid { bidder, bid, price, .. } = sealed(number, price, delivery_ppm);
    BidEntry { bidder, bid, score: score(price, delivery_ppm), delivery_ppm }
}

fn offer(nonce: &Hash, seats: u16, ceiling: u64, bids_wanted: u16) -> Offer {
    Offer {
        job: JobId(Hash::of(b"job")),
        program: BlobId::of(b"program"),
        program_len: 7,
        profile: ProfileId(Hash::of(b"profile")),
        tasks: 300,
        input_bytes: 0,
        limits: TaskLimits::default(),
        ceiling: Price(ceiling),
        per_gib: pocketmesh_types::PerGib(0),
        expected_fuel: None,
        seats,
        bids_wanted,
        depth: 0,
        fraction: u64::MAX,
        contacts: Vec::new(),
        nonce_hash: nonce_hash(nonce),
        closes_ms: 400,
        expires: UnixTime(0),
        attempt: 0,
        ext: Ext::new(),
    }
}

fn book(nonce_number: u64, seats: u16, ceiling: u64, bids_wanted: u16) -> (Offer, Book) {
    let nonce = nonce(nonce_number);
    let offer = offer(&nonce, seats, ceiling, bids_wanted);
    let book = Book::new(nonce, Terms::of(OfferId(Hash::of(b"offer")), &offer), OPENED, CLOSES);
    assert_eq!(book.nonce_hash(), offer.nonce_hash);
    (offer, book)
}

struct Dice(ChaCha8Rng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number from `least` to `most`.
    fn range(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.next_u64() % (most - least + 1)
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.range(0, end as u64) as usize);
        }
    }
}

// Who may bid.

#[test]
fn a_late_bid_is_ignored() {
    let (_, mut book) = book(1, 2, 1_000, 64);
    assert_eq!(book.deadline(), OPENED + CLOSES);
    assert_eq!(book.on_bid(Instant(book.deadline().0 - 1), sealed(1, 10, 1_000_000)), Ok(()));
    assert_eq!(book.on_bid(book.deadline(), sealed(2, 10, 1_000_000)), Err(Standing::Late));
    book.close();
    assert_eq!(book.on_bid(OPENED, sealed(3, 10, 1_000_000)), Err(Standing::Late), "closed is closed");
    assert_eq!(book.entries().len(), 1);
    assert_eq!(book.closing_for(&peer(3)).expect("an answer").standing, Standing::Late);
}

#[test]
fn an_auction_closes_at_its_count_whatever_the_bids_cost() {
    let (_, mut book) = book(1, 2, 1_000, 5);
    for number in 0..5 {
        assert!(!book.is_full());
        assert_eq!(book.on_bid(OPENED, sealed(number, 1_000, 1)), Ok(()));
    }
    assert!(book.is_full());
    assert_eq!(book.on_bid(OPENED, sealed(5, 0, 1_000_000)), Err(Standing::Late));
}

#[test]
fn a_second_bid_of_a_peer_is_refused_and_the_first_counts() {
    let (_, mut book) = book(1, 2, 1_000, 64);
    assert_eq!(book.on_bid(OPENED, sealed(1, 500, 1_000_000)), Ok(()));
    assert_eq!(book.on_bid(OPENED, sealed(1, 1, 1_000_000)), Err(Standing::SecondBid));
    assert_eq!(book.on_bid(OPENED, sealed(1, 500, 1_000_000)), Ok(()), "the same bid delivered again is no second bid");
    assert_eq!(book.entries(), [entry(1, 500, 1_000_000)]);
    book.close();
    assert_eq!(book.on_bid(OPENED, sealed(1, 1, 1_000_000)), Err(Standing::SecondBid));
    assert_eq!(book.closing_for(&peer(1)).expect("an answer").standing, Standing::Won);
}

#[test]
fn a_second_bid_from_a_public_prefix_is_refused() {
    let (_, mut book) = book(1, 2, 1_000, 64);
    let from = |number, prefix| SealedBid { prefix, ..sealed(number, 10, 1_000_000) };
    let here = Some([8, 8, 8, 0, 0, 0]);
    assert_eq!(book.on_bid(OPENED, SealedBid { price: Price(1_001), ..from(0, here) }), Err(Standing::AboveCeiling));
    assert_eq!(book.on_bid(OPENED, from(1, here)), Ok(()), "a bid that did not count takes nobody's place");
    assert_eq!(book.on_bid(OPENED, from(2, here)), Err(Standing::SamePrefix));
    assert_eq!(book.on_bid(OPENED, from(3, Some([8, 8, 9, 0, 0, 0]))), Ok(()));
    assert_eq!(book.on_bid(OPENED, from(4, None)), Ok(()), "private addresses have no prefix");
    assert_eq!(book.on_bid(OPENED, from(5, None)), Ok(()));
}

#[test]
fn a_bid_above_the_ceiling_is_refused_and_may_be_lowered() {
    let (_, mut book) = book(1, 2, 1_000, 64);
    assert_eq!(book.on_bid(OPENED, sealed(1, 1_001, 1_000_000)), Err(Standing::AboveCeiling));
    assert_eq!(book.on_bid(OPENED, sealed(2, 1_000, 1)), Ok(()), "the ceiling is for prices, not for scores");
    assert_eq!(book.on_bid(OPENED, sealed(1, 1_000, 1_000_000)), Ok(()));
    let (_, mut rich) = self::book(1, 2, u64::MAX, 64);
    assert_eq!(rich.on_bid(OPENED, sealed(1, PRICE_MAX.0 + 1, 1_000_000)), Err(Standing::AboveCeiling));
    assert_eq!(rich.on_bid(OPENED, sealed(1, PRICE_MAX.0, 1)), Ok(()));
}

#[test]
fn nothing_is_disclosed_before_the_auction_is_closed() {
    let (_, mut book) = book(1, 2, 1_000, 64);
    book.on_bid(OPENED, sealed(1, 10, 1_000_000)).expect("a good bid");
    assert_eq!(book.closing_for(&peer(1)), None);
    book.close();
    assert!(book.closing_for(&peer(1)).is_some());
    assert_eq!(book.closing_for(&peer(2)), None, "a stranger to this auction");
}

#[test]
fn everybody_who_bid_learns_why_it_did_not_win() {
    let (offer, mut book) = book(3, 1, 1_000, 6);
    let here = Some([8, 8, 8, 0, 0, 0]);
    for number in 0..6 {
        let bid = SealedBid { prefix: here.filter(|_| number == 0), ..sealed(number, 100 + number, 1_000_000) };
        book.on_bid(OPENED, bid).expect("a good bid");
        if number == 0 {
            book.on_bid(OPENED, sealed(10, 2_000, 1_000_000)).expect_err("too high");
            book.on_bid(OPENED, SealedBid { prefix: here, ..sealed(11, 10, 1_000_000) }).expect_err("same prefix");
            book.turn_away(peer(13), Standing::Distrusted);
        }
    }
    book.on_bid(OPENED, sealed(12, 10, 1_000_000)).expect_err("late");
    book.close();
    let mut standings = Vec::new();
    for (number, price) in
        (0..6).map(|number| (number, 100 + number)).chain([(10, 2_000), (11, 10), (12, 10), (13, 10)])
    {
        let closing = book.closing_for(&peer(number)).expect("an answer");
        let mine = bid_id(peer(number), Price(price));
        let checked = check(&offer, &closing, peer(number), mine, Price(price)).expect("an honest requester");
        standings.push(checked.standing);
    }
    let count = |standing| standings.iter().filter(|&&found| found == standing).count();
    assert_eq!([count(Standing::Won), count(Standing::NotDrawn), count(Standing::TooDear)], [1, 3, 2]);
    assert_eq!(standings[6..], [Standing::AboveCeiling, Standing::SamePrefix, Standing::Late, Standing::Distrusted]);
}

#[test]
fn a_flood_of_bids_is_held_in_bounded_memory() {
    let (_, mut book) = book(1, 2, 1_000, u16::MAX);
    let taken = (0..2_000).filter(|&number| book.on_bid(OPENED, sealed(number, 10, 1_000_000)).is_ok()).count();
    for number in 2_000..4_000 {
        book.on_bid(OPENED, sealed(number, 2_000, 1_000_000)).expect_err("too high, and late");
    }
    book.close();
    let answered = (0..4_000).filter(|&number| book.closing_for(&peer(number)).is_some()).count();
    assert_eq!((taken, answered), (limits::BIDS_PER_OFFER_MAX, 2 * limits::BIDS_PER_OFFER_MAX));
}

// Scores and prices.

#[test]
fn a_price_is_found_again_from_its_score() {
    let mut dice = Dice::new(1);
    for _ in 0..20_000 {
        let most = 1 << dice.range(0, 44);
        let price = Price(dice.range(0, most).min(PRICE_MAX.0));
        let ppm = dice.range(1, 1_000_000) as u32;
        assert_eq!(price_of(score(price, ppm), ppm), price, "with a chance of {ppm} in a million");
    }
    assert_eq!(price_of(score(PRICE_MAX, 1), 1), PRICE_MAX);
    assert_eq!(score(Price(PRICE_MAX.0 + 1), 1), u64::MAX, "the first score that is rounded off");
}

#[test]
fn a_score_is_the_expected_cost_and_reliability_earns_its_premium() {
    assert_eq!(score(Price(900), 1_000_000), 900);
    assert_eq!(score(Price(900), 900_000), 1_000);
    assert_eq!(score(Price(901), 900_000), 1_002, "rounded up");
    assert_eq!(score(Price(7), 0), 7_000_000, "nobody is known never to deliver");
    assert_eq!(score(Price(7), u32::MAX), 7, "nor to deliver more than always");
    assert_eq!(score(Price(u64::MAX), 1), u64::MAX, "saturated");

    let mut bids: Vec<_> = (0..7).map(|number| entry(number, 1_000, 800_000)).collect();
    bids.push(entry(7, 1_100, 1_000_000));
    bids.push(entry(8, 600, 400_000));
    let clearing = clear(&nonce(1), 9, Price(2_000), &bids);
    assert_eq!(clearing.first_rejected, Some(1_250));
    assert_eq!(clearing.outcomes[7].standing, Standing::Won);
    assert_eq!(
        clearing.outcomes[7].price,
        Price(1_250),
        "dearer than the others, and paid what its reliability is worth"
    );
    assert_eq!(clearing.outcomes[8].standing, Standing::TooDear, "cheaper than the others, and dearer in the end");
}

// Clearing.

fn random_bids(dice: &mut Dice, bids: u64, price_max: u64) -> Vec<BidEntry> {
    let price_max = dice.range(0, price_max);
    (0..bids)
        .map(|number| {
            let ppm = if dice.range(0, 1) == 0 { 1_000_000 } else { dice.range(1, 1_000_000) as u32 };
            entry(number, dice.range(0, price_max), ppm)
        })
        .collect()
}

/// Each bidder's result, and what is the same for all.
type Results = (BTreeMap<PeerId, (String, Price)>, Vec<Seat>, usize, Option<u64>);

fn by_bidder(bids: &[BidEntry], clearing: Clearing) -> Results {
    let of = |(bid, outcome): (&BidEntry, &pocketmesh_protocol::auction::Outcome)| {
        (bid.bidder, (format!("{:?}", outcome.standing), outcome.price))
    };
    let outcomes = bids.iter().zip(&clearing.outcomes).map(of).collect();
    (outcomes, clearing.winners, clearing.accepted, clearing.first_rejected)
}

#[test]
fn the_order_of_the_bids_makes_no_difference() {
    let mut dice = Dice::new(2);
    for round in 0..3_000 {
        let (bids, seats) = (dice.range(0, 40), dice.range(1, 12) as u16);
        let mut bids = random_bids(&mut dice, bids, 60); // Low prices, so that many scores are equal.
        let before = by_bidder(&bids, clear(&nonce(round), seats, Price(50), &bids));
        dice.shuffle(&mut bids);
        assert_eq!(by_bidder(&bids, clear(&nonce(round), seats, Price(50), &bids)), before);
    }
}

#[test]
fn two_thirds_take_part_and_nobody_is_paid_less_than_asked_or_more_than_the_ceiling() {
    let mut dice = Dice::new(3);
    for round in 0..10_000 {
        let ceiling = dice.range(0, 2_000);
        let (bids, seats) = (dice.range(0, 40), dice.range(1, 12) as u16);
        let mut bids = random_bids(&mut dice, bids, 2_000);
        bids.retain(|bid| price_of(bid.score, bid.delivery_ppm) <= Price(ceiling));
        let clearing = clear(&nonce(round), seats, Price(ceiling), &bids);
        let accepted = if bids.len() < 5 { bids.len() } else { (2 * bids.len()).div_ceil(3) };
        assert_eq!(clearing.accepted, accepted);
        assert_eq!(accepted_of(bids.len()), accepted);
        assert_eq!(clearing.winners.len(), accepted.min(usize::from(seats)));
        for (bid, outcome) in bids.iter().zip(&clearing.outcomes) {
            let asked = price_of(bid.score, bid.delivery_ppm);
            assert!(outcome.price <= Price(ceiling));
            match outcome.standing {
                Standing::Won | Standing::NotDrawn => assert!(outcome.price >= asked),
                Standing::TooDear => assert!(outcome.price <= asked),
                other => panic!("{other:?} is not for a bid that counted"),
            }
        }
    }
}

#[test]
fn a_thin_market_takes_every_bid_and_pays_as_bid() {
    for bids in 0..5_u64 {
        let bids: Vec<_> = (0..bids).map(|number| entry(number, 100 * number, 500_000)).collect();
        let clearing = clear(&nonce(1), 2, Price(1_000), &bids);
        assert_eq!((clearing.accepted, clearing.first_rejected), (bids.len(), None));
        assert_eq!(clearing.winners.len(), bids.len().min(2));
        for (number, outcome) in clearing.outcomes.iter().enumerate() {
            assert_eq!(outcome.price, Price(100 * number as u64));
            assert_ne!(outcome.standing, Standing::TooDear);
        }
    }
}

#[test]
fn five_bids_make_a_market() {
    let bids: Vec<_> = (0..5).map(|number| entry(number, 100 * number, 1_000_000)).collect();
    let clearing = clear(&nonce(1), 9, Price(1_000), &bids);
    assert_eq!((clearing.accepted, clearing.first_rejected), (4, Some(400)));
    assert!(clearing.winners.iter().all(|seat| seat.price == Price(400)));
    assert_eq!(clearing.outcomes[4].standing, Standing::TooDear);
    assert_eq!(clearing.outcomes[4].price, Price(300), "what would have tied with the last accepted");
}

// Why the true cost is the best bid.

/// One market: the bids of others, and one bidder whose true cost is known.
struct Market {
    nonce: u64,
    seats: u16,
    ceiling: u64,
    others: Vec<SealedBid>,
    me: u64,
    cost: u64,
    delivery_ppm: u32,
}

impl Market {
    fn random(dice: &mut Dice, nonce: u64, others: (u64, u64)) -> Self {
        let price_max = [20, 300, 100_000, PRICE_MAX.0][dice.range(0, 3) as usize];
        let ceiling = dice.range(0, price_max);
        let chance = |dice: &mut Dice| match dice.range(0, 3) {
            0 => 1_000_000,
            1 => dice.range(1, 100) as u32,
            _ => dice.range(300_000, 1_000_000) as u32,
        };
        let others = dice.range(others.0, others.1);
        let others = (0..others).map(|number| sealed(number, dice.range(0, ceiling), chance(dice))).collect();
        // One bidder in eight has costs above the ceiling.
        let cost = if dice.range(0, 7) == 0 { dice.range(0, price_max) } else { dice.range(0, ceiling) };
        Self { nonce, seats: dice.range(1, 12) as u16, ceiling, others, me: 1_000, cost, delivery_ppm: chance(dice) }
    }

    /// What bidding `price` is worth to me: the price of my seat less its cost, or nothing without a seat.
    fn gain(&self, price: u64) -> i128 {
        let (_, mut book) = book(self.nonce, self.seats, self.ceiling, 64);
        for &other in &self.others {
            book.on_bid(OPENED, other).expect("others bid under the ceiling");
        }
        if book.on_bid(OPENED, sealed(self.me, price, self.delivery_ppm)).is_err() {
            return 0;
        }
        let seats = book.close().winners;
        let mine = seats.into_iter().find(|seat| seat.bidder == peer(self.me));
        mine.map_or(0, |seat| i128::from(seat.price.0) - i128::from(self.cost))
    }

    /// Bids other than the true cost: small and large steps, the ends, and every other bidder's score from both sides.
    fn deviations(&self, dice: &mut Dice) -> Vec<u64> {
        let mut bids =
            vec![0, self.ceiling, self.ceiling.saturating_add(1), self.cost + 1, self.cost.saturating_sub(1)];
        bids.extend([self.cost / 2, self.cost.saturating_mul(2), dice.range(0, self.ceiling)]);
        for _ in 0..2.min(self.others.len()) {
            let other = self.others[dice.range(0, self.others.len() as u64 - 1) as usize];
            let level = price_of(score(other.price, other.delivery_ppm), self.delivery_ppm).0;
            bids.extend([level, level + 1, level.saturating_sub(1)]);
        }
        bids
    }
}

#[test]
fn bidding_above_or_below_the_true_cost_never_pays() {
    let mut dice = Dice::new(4);
    let (mut won, mut differ) = (0, 0);
    for round in 0..12_000 {
        let market = Market::random(&mut dice, round, (4, 24));
        let honest = market.gain(market.cost);
        assert!(honest >= 0, "an honest bidder never loses");
        won += u32::from(honest > 0);
        for price in market.deviations(&mut dice) {
            let gain = market.gain(price);
            assert!(gain <= honest, "market {round}: bidding {price} at a cost of {} gains {gain}", market.cost);
            differ += u32::from(gain < honest);
        }
    }
    println!("12000 markets: {won} won with a gain, {differ} deviations lost by it, none won");
    assert!(won > 1_000 && differ > 1_000, "the markets must be such that something is at stake");
}

#[test]
fn in_a_thin_market_bidding_below_the_true_cost_never_pays() {
    let mut dice = Dice::new(5);
    let mut above_pays = 0;
    for round in 0..4_000 {
        let market = Market::random(&mut dice, round, (0, 3));
        let honest = market.gain(market.cost);
        assert!(honest >= 0);
        for price in market.deviations(&mut dice) {
            let gain = market.gain(price);
            assert!(gain <= honest || price > market.cost, "market {round}: {price} at a cost of {}", market.cost);
            above_pays += u32::from(gain > honest);
        }
    }
    assert!(above_pays > 0, "paid as bid, it is the ceiling that bounds what is asked: specs/auction.md §4");
}

// The draw.

#[test]
fn every_accepted_bidder_is_drawn_equally_often() {
    // Distinct scores; all equal; and a tie across the line between accepted and rejected.
    let markets: [(&str, [u64; 12]); 3] = [
        ("distinct", [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]),
        ("equal", [10; 12]),
        ("tie at the line", [10, 20, 30, 40, 50, 50, 50, 50, 50, 50, 50, 50]),
    ];
    for (name, prices) in markets {
        let bids: Vec<_> = prices.iter().enumerate().map(|(n, price)| entry(n as u64, *price, 1_000_000)).collect();
        let (mut accepted, mut drawn) = ([0_f64; 12], [0_f64; 12]);
        for round in 0..10_000 {
            for (index, outcome) in clear(&nonce(round), 3, Price(1_000), &bids).outcomes.iter().enumerate() {
                accepted[index] += f64::from(u8::from(outcome.standing != Standing::TooDear));
                drawn[index] += f64::from(u8::from(outcome.standing == Standing::Won));
            }
        }
        for index in 0..12 {
            let (share, sigma) = (3.0 / 8.0, (accepted[index] * 3.0 / 8.0 * 5.0 / 8.0).sqrt());
            let off = (drawn[index] - accepted[index] * share).abs();
            assert!(off <= 3.0 * sigma, "{name}: bidder {index} drawn {} of {}", drawn[index], accepted[index]);
        }
    }
}

/// The chance that all of `seats` drawn from `accepted` are among `clique` of them.
fn hypergeometric(clique: u64, accepted: u64, seats: u64) -> f64 {
    (0..seats).map(|taken| clique.saturating_sub(taken) as f64 / (accepted - taken) as f64).product()
}

#[test]
fn a_clique_that_underbids_fills_all_seats_no_more_often_than_the_draw_allows() {
    const AUCTIONS: u64 = 10_000;
    for (bids, clique, seats) in [(5, 2, 2), (12, 4, 2), (12, 6, 3), (30, 3, 2), (64, 13, 2), (64, 32, 4), (7, 3, 1)] {
        let of_bidder = |number| entry(number, if number < clique { 0 } else { 100 + number }, 1_000_000);
        let entries: Vec<_> = (0..bids).map(of_bidder).collect();
        let members: Vec<_> = (0..clique).map(peer).collect();
        let mut filled = 0_u64;
        for round in 0..AUCTIONS {
            let winners = clear(&nonce(round), seats as u16, Price(1_000), &entries).winners;
            assert_eq!(winners.len() as u64, seats);
            filled += u64::from(winners.iter().all(|seat| members.contains(&seat.bidder)));
        }
        let exact = hypergeometric(clique, accepted_of(bids as usize) as u64, seats);
        let bound = (1.5 * clique as f64 / bids as f64).powi(seats as i32);
        let found = filled as f64 / AUCTIONS as f64;
        let sigma = (exact * (1.0 - exact) / AUCTIONS as f64).sqrt();
        println!("{clique} of {bids} bids, {seats} seats: {found:.4}, exactly {exact:.4}, bound {bound:.4}");
        assert!((found - exact).abs() <= 3.0 * sigma, "{clique} of {bids}, {seats} seats: {found}, exactly {exact}");
        assert!(exact <= bound);
    }
}

#[test]
fn no_bidding_of_a_clique_fills_the_seats_more_often() {
    const AUCTIONS: u64 = 10_000;
    let (bids, clique, seats) = (20_u64, 6, 2);
    let mut dice = Dice::new(6);
    let mut filled = 0;
    for round in 0..AUCTIONS {
        let prices = |number: u64, dice: &mut Dice| if number < clique { dice.range(0, 250) } else { 100 + number };
        let entries: Vec<_> = (0..bids).map(|number| entry(number, prices(number, &mut dice), 1_000_000)).collect();
        let winners = clear(&nonce(round), seats, Price(1_000), &entries).winners;
        filled += u32::from(winners.iter().all(|seat| (0..clique).any(|number| peer(number) == seat.bidder)));
    }
    let exact = hypergeometric(clique, 14, 2);
    let found = f64::from(filled) / AUCTIONS as f64;
    assert!(found <= exact + 3.0 * (exact * (1.0 - exact) / AUCTIONS as f64).sqrt(), "{found}, at most {exact}");
}

#[test]
fn names_ground_without_the_nonce_gain_nothing() {
    // The clique takes, of many names, those that a nonce of its own would have drawn first.
    let mut names: Vec<_> = (0..2_000).collect();
    let rank = |guess: &Hash, number: u64| {
        let all = [entry(number, 10, 1_000_000), entry(99_999, 10, 1_000_000)];
        clear(guess, 1, Price(100), &all).winners[0].bidder == peer(number)
    };
    names.retain(|&number| (0..6).all(|guess| rank(&nonce(1_000_000 + guess), number)));
    let ground = names.into_iter().take(4);
    let entries: Vec<_> = ground.chain(50_000..50_008).map(|number| entry(number, 10, 1_000_000)).collect();
    let mut won = 0_f64;
    for round in 0..10_000 {
        let winner = clear(&nonce(round), 1, Price(100), &entries).winners[0].bidder;
        won += f64::from(u8::from(entries[..4].iter().any(|bid| bid.bidder == winner)));
    }
    let (expected, sigma) = (10_000.0 / 3.0, (10_000.0_f64 * 2.0 / 9.0).sqrt());
    assert!((won - expected).abs() <= 3.0 * sigma, "{won} of 10000 for a third of the bids");
}

// What a bidder can prove.

/// An honest auction of twelve, its disclosure for one bidder with a given standing, and that bidder's number and price.
fn disclosed(standing: Standing) -> (Offer, Closing, u64, Price) {
    let (offer, mut book) = book(8, 3, 1_000, 12);
    let price = |number| 100 + 37 * number;
    for number in 0..12 {
        book.on_bid(OPENED, sealed(number, price(number), 900_000)).expect("a good bid");
    }
    let clearing = book.close();
    let found = (0..12).find(|&number| clearing.outcomes[number as usize].standing == standing);
    let number = found.expect("every standing occurs");
    let closing = book.closing_for(&peer(number)).expect("an answer");
    (offer, closing, number, Price(price(number)))
}

fn checked((offer, closing, number, price): &(Offer, Closing, u64, Price)) -> Result<Checked, Cheat> {
    check(offer, closing, peer(*number), bid_id(peer(*number), *price), *price)
}

#[test]
fn winner_and_losers_recompute_the_draw_and_their_price() {
    for standing in [Standing::Won, Standing::NotDrawn, Standing::TooDear] {
        let case = disclosed(standing);
        let result = checked(&case).expect("an honest requester");
        assert_eq!(result.standing, standing);
        let (offer, closing, number, price) = &case;
        let due = result.price.expect("the bid counted");
        assert_eq!(due >= *price, standing != Standing::TooDear);
        let clearing = clear(&closing.nonce, offer.seats, offer.ceiling, &closing.bids);
        assert_eq!(clearing.winners.iter().any(|seat| seat.bidder == peer(*number)), standing == Standing::Won);
        // The first rejected is the ninth of twelve: ⌈⅔ · 12⌉ = 8 take part.
        assert_eq!(clearing.first_rejected, Some(score(Price(100 + 37 * 8), 900_000)));
    }
}

#[test]
fn whoever_bid_learns_who_won_beside_it() {
    for standing in [Standing::Won, Standing::NotDrawn] {
        let (offer, closing, number, _) = disclosed(standing);
        let winners = clear(&closing.nonce, offer.seats, offer.ceiling, &closing.bids).winners;
        let others: Vec<PeerId> =
            winners.iter().map(|seat| seat.bidder).filter(|bidder| *bidder != peer(number)).collect();
        assert_eq!(others.len(), if standing == Standing::Won { 2 } else { 3 });
        assert_eq!(fellows(&offer, &closing, &peer(number)), others);
    }
}

#[test]
fn a_lease_below_the_price_of_the_auction_is_a_lie() {
    let result = checked(&disclosed(Standing::Won)).expect("an honest requester");
    let due = result.price.expect("the bid counted");
    assert_eq!(due, Price(100 + 37 * 8), "equal chances, so the first rejected score is the ninth price");
    assert_eq!(result.pays(due), Ok(()));
    assert_eq!(result.pays(Price(due.0 + 1)), Ok(()));
    assert_eq!(result.pays(Price(due.0 - 1)), Err(Cheat::Underpaid { due, offered: Price(due.0 - 1) }));
}

#[test]
fn another_nonce_is_a_lie() {
    let mut case = disclosed(Standing::NotDrawn);
    case.1.nonce = nonce(9);
    assert_eq!(checked(&case), Err(Cheat::OtherNonce));
}

#[test]
fn another_standing_is_a_lie() {
    for (true_standing, told) in [
        (Standing::Won, Standing::NotDrawn),
        (Standing::Won, Standing::AboveCeiling),
        (Standing::NotDrawn, Standing::TooDear),
        (Standing::NotDrawn, Standing::Won),
        (Standing::TooDear, Standing::Late),
    ] {
        let mut case = disclosed(true_standing);
        case.1.standing = told;
        assert_eq!(checked(&case), Err(Cheat::WrongStanding { told, drawn: true_standing }));
    }
}

#[test]
fn a_bid_left_out_replaced_or_rescored_is_a_lie() {
    let case = disclosed(Standing::TooDear);
    let own = case.1.bids.iter().position(|bid| bid.bidder == peer(case.2)).expect("listed");
    let with = |change: fn(&mut Vec<BidEntry>, usize)| {
        let mut changed = case.clone();
        change(&mut changed.1.bids, own);
        checked(&changed)
    };
    assert_eq!(with(|bids, own| *bids = [&bids[..own], &bids[own + 1..]].concat()), Err(Cheat::NotListed));
    assert_eq!(with(|bids, own| bids[own].bid = Hash::of(b"another")), Err(Cheat::OtherBid));
    let dearer = with(|bids, own| bids[own].score = score(Price(999), 900_000));
    assert!(matches!(dearer, Err(Cheat::WrongScore { .. })), "{dearer:?}");
}

#[test]
fn a_bid_that_cannot_have_counted_is_a_lie() {
    let case = disclosed(Standing::TooDear);
    let other = case.1.bids.iter().position(|bid| bid.bidder != peer(case.2)).expect("others bid");
    let name = case.1.bids[other].bidder;
    let with = |change: &dyn Fn(&mut Closing)| {
        let mut changed = case.clone();
        change(&mut changed.1);
        checked(&changed)
    };
    let above = score(Price(1_001), 900_000);
    assert_eq!(with(&|told| told.bids[other].score = above), Err(Cheat::ListedAboveCeiling(name)));
    let highest = score(Price(1_000), 900_000);
    assert_ne!(with(&|told| told.bids[other].score = highest), Err(Cheat::ListedAboveCeiling(name)));
    assert_eq!(with(&|told| told.bids[other].score = 11), Err(Cheat::NoSuchScore(name)), "9 scores 10, 10 scores 12");
    assert_eq!(with(&|told| told.bids[other].delivery_ppm = 0), Err(Cheat::NoSuchScore(name)));
    assert_eq!(with(&|told| told.bids[other].delivery_ppm = 1_000_001), Err(Cheat::NoSuchScore(name)));
    assert_eq!(with(&|told| told.bids.push(entry(50, 1, 900_000))), Err(Cheat::TooManyBids { listed: 13, wanted: 12 }));
    let twice = with(&|told| {
        let copy = told.bids[other];
        let last = told.bids.iter_mut().rev().find(|bid| bid.bidder != copy.bidder && bid.bidder != peer(case.2));
        *last.expect("twelve bids") = copy;
    });
    assert_eq!(twice, Err(Cheat::ListedTwice(name)));
}

#[test]
fn a_bid_refused_as_above_the_ceiling_must_be_above_it() {
    let (offer, mut closing, ..) = disclosed(Standing::Won);
    closing.standing = Standing::AboveCeiling;
    let as_stranger = |price| check(&offer, &closing, peer(77), bid_id(peer(77), Price(price)), Price(price));
    assert_eq!(as_stranger(1_000), Err(Cheat::NotAboveCeiling));
    assert_eq!(as_stranger(1_001), Ok(Checked { standing: Standing::AboveCeiling, price: None }));
}

#[test]
fn no_disclosure_makes_a_bidder_panic() {
    let mut dice = Dice::new(7);
    let standings = [Standing::Won, Standing::TooDear, Standing::NotDrawn, Standing::Late, Standing::SecondBid];
    for round in 0..10_000 {
        let number = dice.range(0, 300);
        let bids: Vec<_> = (0..number)
            .map(|_| BidEntry {
                bidder: peer(dice.range(0, 200)),
                bid: Hash::of(b"bid"),
                score: dice.range(0, u64::MAX - 1),
                delivery_ppm: dice.range(0, u64::from(u32::MAX)) as u32,
            })
            .collect();
        let (seats, ceiling) = (dice.range(0, 65_535) as u16, dice.range(0, u64::MAX - 1));
        let offer = offer(&nonce(round), seats, ceiling, dice.range(0, 65_535) as u16);
        let standing = standings[dice.range(0, 4) as usize];
        clear(&nonce(round), seats, Price(ceiling), &bids);
        let closing = Closing { offer: OfferId(Hash::of(b"offer")), nonce: nonce(round), bids, standing };
        let _ = check(&offer, &closing, peer(1), Hash::of(b"bid"), Price(ceiling));
    }
}
