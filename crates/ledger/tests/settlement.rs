//! specs/settlement.md as claims: what each side has at stake, and what a stranger gets for nothing.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use pocketmesh_ledger::{
    accounts::Standing,
    driver::{Embedded, SettlementDriver},
    service::{self, Allowances, Applicant, Credit, Priority, Rates, Unpaid},
    slices::{Dispute, Earner, Payer, Row, Slice, Terms},
};
use pocketmesh_types::{
    Credits, Fuel, Hash, Instant, JobId, Lane, LeaseId, PeerId, PerGib, Price, Receipt, Tariff, limits,
};
use std::collections::{BTreeMap, BTreeSet};

const TARIFF: Tariff = Tariff { price: Price(7), per_gib: PerGib(1 << 30) };

fn row(task: u32, fuel: u64) -> Row {
    Row { task, fuel: Fuel(fuel), bytes: 0, digest: Hash::of(&task.to_le_bytes()) }
}

/// The same, of a task that moves as many bytes.
fn moving(task: u32, fuel: u64) -> Row {
    Row { bytes: fuel, ..row(task, fuel) }
}

fn terms(slice_tasks: u32, hold_back_tasks: u32) -> Terms {
    Terms { slice_tasks, slice_fuel: Fuel(0), hold_back_tasks }
}

fn receipt_of(slice: &Slice) -> Receipt {
    let Slice { tasks, fuel, bytes, results, .. } = slice.clone();
    let Tariff { price, per_gib } = TARIFF;
    let (client, payee) = (PeerId([1; 32]), PeerId([2; 32]));
    let (job, lease) = (JobId(Hash::of(b"job")), LeaseId(Hash::of(b"lease")));
    Receipt { job, lease, client, payee, lane: Lane(0), tasks, fuel, bytes, price, per_gib, fee: Credits(0), results }
}

fn count(slice: &Slice) -> u32 {
    slice.tasks.iter().map(|(start, end)| end - start).sum()
}

#[test]
fn a_slice_is_due_when_it_passed_and_the_hold_back_is_behind_it() {
    let mut payer = Payer::new(terms(8, 3), TARIFF);
    for task in 0..7 {
        assert_eq!(payer.next_due(), None);
        assert!(payer.deliver(0, row(task, 10)));
    }
    payer.on_drawn(0, [0, 5, 9]);
    assert_eq!(payer.next_due(), None, "its audits have not agreed");
    payer.on_agreed(0, 5);
    assert_eq!(payer.next_due(), None, "another's has");
    payer.on_agreed(0, 0);
    let first = payer.next_due().unwrap();
    assert_eq!((first.tasks, first.fuel), (vec![(0, 4)], Fuel(40)));
    assert_eq!(payer.next_due(), None, "three are held back");
    payer.on_final(0);
    assert_eq!(payer.next_due().map(|last| last.tasks), Some(vec![(4, 7)]));
    assert_eq!((payer.next_due(), payer.is_done()), (None, true));
}

#[test]
fn of_short_tasks_more_is_due_at_once_in_as_many_receipts_as_it_takes() {
    let mut payer = Payer::new(Terms { slice_tasks: 4, slice_fuel: Fuel(200), hold_back_tasks: 3 }, TARIFF);
    for task in 0..12 {
        assert_eq!(payer.next_due(), None, "half a slice are ten");
        assert!(payer.deliver(0, row(task, 10)));
    }
    payer.deliver(0, row(12, 10));
    let due: Vec<u32> = std::iter::from_fn(|| payer.next_due()).map(|slice| count(&slice)).collect();
    assert_eq!((due, payer.unpaid()), (vec![4, 4, 2], 3));
    (100..109).for_each(|task| assert!(payer.accept(row(task, 10))));
    assert_eq!(payer.next_due(), None);
    payer.accept(row(109, 10));
    let due: Vec<u32> = std::iter::from_fn(|| payer.next_due()).map(|slice| count(&slice)).collect();
    assert_eq!((due, payer.unpaid()), (vec![4, 4, 2], 3));
}

#[test]
fn a_window_is_paid_only_when_those_before_it_are_final() {
    let mut payer = Payer::new(terms(4, 1), TARIFF);
    for task in 0..6 {
        payer.deliver(task / 3, row(task, 1));
    }
    assert_eq!(payer.next_due().map(|slice| slice.window), Some(Some(0)));
    assert_eq!(payer.next_due(), None, "the second waits for the first");
    payer.on_final(0);
    assert_eq!(payer.next_due().map(|slice| (slice.window, slice.tasks)), Some((Some(0), vec![(2, 3)])));
    assert_eq!(payer.next_due().map(|slice| slice.window), Some(Some(1)));
}

#[test]
fn a_void_forfeits_what_was_not_paid_and_nothing_else() {
    let mut payer = Payer::new(terms(4, 1), TARIFF);
    for task in 0..9 {
        payer.deliver(task / 3, row(task, 1));
    }
    payer.next_due().unwrap();
    payer.on_final(0);
    assert_eq!(payer.on_void().iter().map(|row| row.task).collect::<Vec<u32>>(), [3, 4, 5, 6, 7, 8]);
    assert_eq!(payer.next_due().map(|slice| slice.tasks), Some(vec![(2, 3)]), "the first window was final");
    assert!(payer.is_done());
}

#[test]
fn a_stopped_job_pays_for_what_was_delivered() {
    let mut payer = Payer::new(Terms::default(), TARIFF);
    for task in 0..100 {
        payer.deliver(task / 30, row(task, 1));
    }
    payer.on_stopped();
    let paid: u32 = std::iter::from_fn(|| payer.next_due()).map(|slice| count(&slice)).sum();
    assert_eq!((paid, payer.is_done()), (100, true));
}

#[test]
fn a_task_is_taken_once() {
    let mut payer = Payer::new(Terms::default(), TARIFF);
    assert!(payer.deliver(0, row(5, 1)) && !payer.deliver(0, row(5, 1)) && !payer.deliver(1, row(5, 1)));
    assert!(!payer.deliver(0, row(6, u64::MAX)), "no task takes as much fuel");
    payer.on_final(0);
    assert!(!payer.deliver(0, row(7, 1)), "the window is final");
}

#[test]
fn a_receipt_that_says_anything_else_than_was_delivered_is_disputed() {
    let mut earner = Earner::new(terms(4, 2), TARIFF);
    let mut payer = Payer::new(terms(4, 2), TARIFF);
    for task in [3, 1, 2, 9, 4, 5] {
        assert!(earner.begin(task));
        earner.deliver(row(task, 10));
        payer.deliver(0, row(task, 10));
    }
    assert!(!earner.begin(6), "a slice and the hold-back are unpaid");
    let good = receipt_of(&payer.next_due().unwrap());
    assert_eq!(good.tasks, [(1, 4), (9, 10)]);
    assert_eq!(earner.check(&good), Ok(()));
    let of = |change: fn(&mut Receipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        earner.check(&receipt).unwrap_err()
    };
    assert!(matches!(of(|receipt| receipt.price = Price(6)), Dispute::Price { .. }));
    assert!(matches!(of(|receipt| receipt.fuel = Fuel(39)), Dispute::Fuel { .. }));
    assert_eq!(of(|receipt| receipt.tasks = vec![(1, 4), (8, 9)]), Dispute::Task(8));
    assert_eq!(of(|receipt| receipt.results = Hash::default()), Dispute::Results);
    let leased = TARIFF.per_gib;
    assert_eq!(of(|receipt| receipt.per_gib = PerGib(2)), Dispute::PerGib { found: PerGib(2), leased });
    assert_eq!(of(|receipt| receipt.bytes = 3), Dispute::Bytes { found: 3, moved: 0 });
    earner.on_paid(&good);
    assert_eq!(earner.check(&good), Err(Dispute::Task(1)), "paid once");
    assert_eq!((earner.at_stake(), earner.exposed_tasks()), (Credits(140), 2));
}

#[test]
fn a_slice_of_short_tasks_has_more_of_them_until_a_dear_one_is_seen() {
    let terms = Terms { slice_tasks: 4, slice_fuel: Fuel(1_000), hold_back_tasks: 2 };
    let mut earner = Earner::new(terms, TARIFF);
    let begun = |earner: &mut Earner| (0..).take_while(|&task| earner.begin(task + 1_000)).count();
    assert_eq!(begun(&mut earner.clone()), 6, "nothing is known of them");
    earner.begin(0);
    earner.deliver(row(0, 10));
    assert_eq!(begun(&mut earner.clone()), 100 + 2 - 1, "a hundred burn what a slice does");
    (1..90).for_each(|task| {
        assert!(earner.begin(task));
        earner.deliver(row(task, 10));
    });
    earner.begin(90);
    earner.deliver(row(90, 500));
    assert_eq!(begun(&mut earner), 0, "the next one may be as dear");
    assert_eq!(terms.exposure_tasks(Some(Fuel(0))), 1_002, "what burns nothing costs something all the same");
    let most = (limits::SLICE_SHORT_TASKS_MAX + limits::HOLD_BACK_TASKS) as usize;
    assert_eq!(Terms::default().exposure_tasks(Some(Fuel(1))), most);
    assert_eq!(Terms::default().exposure_tasks(Some(Fuel(limits::TASK_FUEL_MAX))), 276);
}

#[test]
fn bytes_are_at_stake_and_paid_as_fuel_is() {
    let tariff = Tariff { price: Price(7), per_gib: PerGib(1) };
    let (mut earner, mut payer) = (Earner::new(terms(2, 1), tariff), Payer::new(terms(2, 1), tariff));
    // What is rounded away for each is paid for all.
    for (task, bytes) in [(0, 101), (1, 203), (2, 307)] {
        let row = Row { bytes, ..row(task, 10) };
        assert!(earner.begin(task));
        earner.deliver(row);
        assert!(payer.deliver(0, row));
    }
    let each = |bytes| 70 + tariff.per_gib.cost(bytes).0;
    assert_eq!(earner.at_stake(), Credits(each(101) + each(203) + each(307)));
    let slice = payer.next_due().unwrap();
    assert_eq!((slice.fuel, slice.bytes), (Fuel(20), 304));
    let receipt = Receipt { per_gib: tariff.per_gib, ..receipt_of(&slice) };
    assert_eq!(receipt.total(), Some(Credits(140 + 304 * 1_000_000_000 / (1 << 30))));
    assert_eq!(earner.check(&receipt), Ok(()));
    earner.on_paid(&receipt);
    assert_eq!((earner.at_stake(), earner.exposed_tasks()), (Credits(each(307)), 1));
    assert!(!payer.accept(Row { bytes: u64::MAX, ..row(9, 10) }), "no task moves as much");
}

#[test]
fn tasks_that_move_much_are_no_short_ones() {
    let terms = Terms { slice_tasks: 4, slice_fuel: Fuel(1_000), hold_back_tasks: 2 };
    // A MiB costs what 250 units of fuel do.
    let tariff = Tariff { price: Price(1_000_000_000), per_gib: PerGib(1_024 * 250) };
    let mut earner = Earner::new(terms, tariff);
    earner.begin(1_000);
    earner.deliver(row(1_000, 10));
    let room = |earner: &Earner| {
        let mut earner = earner.clone();
        (0..).take_while(|&task| earner.begin(task)).count()
    };
    assert_eq!(room(&earner), 100 + 2 - 1);
    earner.begin(1_001);
    earner.deliver(Row { bytes: 1 << 20, ..row(1_001, 10) });
    assert_eq!(room(&earner), 4 + 2 - 2);
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// One lease, until somebody walks away.
struct Game {
    payer: Payer,
    earner: Earner,
    /// What each task takes.
    fuel: BTreeMap<u32, u64>,
    begun: Vec<u32>,
    next: u32,
    window: u32,
    in_window: u32,
    /// Audits of windows that take no more, and have not agreed.
    open: BTreeMap<u32, BTreeSet<u32>>,
    /// The tasks of the newest window.
    tasks: Vec<u32>,
    /// Vouchers that left the client and have not arrived: on disk there, so they will.
    under_way: Vec<Slice>,
    finals: BTreeSet<u32>,
    /// Tasks that were paid in each window that is not final.
    at_risk: BTreeMap<u32, u32>,
}

impl Game {
    fn new(terms: Terms) -> Self {
        Self {
            payer: Payer::new(terms, TARIFF),
            earner: Earner::new(terms, TARIFF),
            fuel: BTreeMap::new(),
            begun: Vec::new(),
            next: 0,
            window: 0,
            in_window: 0,
            open: BTreeMap::new(),
            tasks: Vec::new(),
            under_way: Vec::new(),
            finals: BTreeSet::new(),
            at_risk: BTreeMap::new(),
        }
    }

    fn step(&mut self, dice: &mut Dice) {
        match dice.below(12) {
            0..=3 => {
                if self.earner.begin(self.next) {
                    self.fuel.insert(self.next, 1 + dice.below(1_000));
                    self.begun.push(self.next);
                    self.next += 1;
                }
            }
            4..=6 => self.deliver(dice),
            7..=8 => {
                let window = u32::try_from(dice.below(u64::from(self.window) + 1)).unwrap();
                if let Some(task) = self.open.get_mut(&window).and_then(BTreeSet::pop_first) {
                    self.payer.on_agreed(window, task);
                }
            }
            9 => {
                if let Some(slice) = self.payer.next_due() {
                    let window = slice.window.unwrap();
                    if !self.finals.contains(&window) {
                        assert!(!self.is_audited(window, &slice), "paid before its audit agreed");
                        *self.at_risk.entry(window).or_default() += count(&slice);
                    }
                    self.under_way.push(slice);
                }
            }
            10 => self.arrive(),
            _ => self.turn_window(dice),
        }
    }

    fn deliver(&mut self, dice: &mut Dice) {
        if self.begun.is_empty() {
            return;
        }
        let task = self.begun.swap_remove(dice.below(self.begun.len() as u64) as usize);
        let row = moving(task, self.fuel[&task]);
        self.earner.deliver(row);
        assert!(self.payer.deliver(self.window, row));
        self.in_window += 1;
        self.tasks.push(task);
    }

    fn is_audited(&self, window: u32, slice: &Slice) -> bool {
        let open = self.open.get(&window).into_iter().flatten();
        open.into_iter().any(|task| slice.tasks.iter().any(|&(start, end)| (start..end).contains(task)))
    }

    fn arrive(&mut self) {
        if !self.under_way.is_empty() {
            let receipt = receipt_of(&self.under_way.remove(0));
            self.earner.check(&receipt).unwrap();
            self.earner.on_paid(&receipt);
        }
    }

    /// The newest window takes no more, or one that takes no more is final.
    fn turn_window(&mut self, dice: &mut Dice) {
        if self.in_window > 0 && dice.below(2) == 0 {
            let mut audits = std::mem::take(&mut self.tasks);
            audits.retain(|_| dice.below(3) == 0);
            self.payer.on_drawn(self.window, audits.iter().copied());
            self.open.insert(self.window, audits.into_iter().collect());
            self.window += 1;
            self.in_window = 0;
        } else if self.window > 0 {
            let window = u32::try_from(dice.below(u64::from(self.window))).unwrap();
            self.payer.on_final(window);
            self.finals.insert(window);
            self.at_risk.remove(&window);
        }
    }

    /// The client walks away, or the worker's connection breaks for good. What it has done and was not promised is lost.
    fn lost_by_worker(mut self) -> (usize, u128) {
        while !self.under_way.is_empty() {
            self.arrive();
        }
        let begun: u128 = self.begun.iter().map(|task| TARIFF.cost(moving(*task, self.fuel[task]).work()).0).sum();
        (self.earner.exposed_tasks(), self.earner.at_stake().0 + begun)
    }
}

#[test]
fn over_a_hundred_thousand_aborts_neither_side_loses_more_than_was_agreed() {
    let mut dice = Dice(1);
    let (mut most_tasks, mut most_paid, mut voids) = (0, 0, 0_u32);
    for _ in 0..100_000 {
        let terms = terms(1 + u32::try_from(dice.below(16)).unwrap(), u32::try_from(dice.below(21)).unwrap());
        let mut game = Game::new(terms);
        for _ in 0..dice.below(300) {
            game.step(&mut dice);
        }
        // Whoever aborts, and why: the client is gone, the worker is gone, or a result was wrong and all that is not final is void.
        let at_risk: Vec<u32> = game.at_risk.values().copied().collect();
        assert!(at_risk.len() <= 1, "paid for {} windows that are not final", at_risk.len());
        if dice.below(3) == 0 {
            voids += 1;
            let forfeited = u32::try_from(game.payer.on_void().len()).unwrap();
            if let Some(&paid) = at_risk.first() {
                assert!(forfeited >= terms.hold_back_tasks, "{forfeited} held back of {}", terms.hold_back_tasks);
                most_paid = most_paid.max(paid);
            }
        }
        let exposure = terms.exposure_tasks(None);
        let mut dearest: Vec<u128> = game.fuel.values().map(|&fuel| TARIFF.cost(moving(0, fuel).work()).0).collect();
        dearest.sort_unstable_by(|a, b| b.cmp(a));
        let bound: u128 = dearest.iter().take(exposure).sum();
        let (tasks, lost) = game.lost_by_worker();
        assert!(tasks <= exposure && lost <= bound, "{tasks} tasks worth {lost} lost, {exposure} worth {bound} agreed");
        most_tasks = most_tasks.max(tasks);
    }
    assert!(voids > 30_000 && most_paid > 0, "{voids} voids, {most_paid} paid");
    assert_eq!(most_tasks, 16 + 20, "the bound is reached");
}

fn rates() -> Rates {
    Rates {
        owner_max: Credits(1_000),
        owner_per_second: Credits(10),
        total_max: Credits(100_000),
        total_per_second: Credits(1_000),
    }
}

fn stranger(number: u32, prefix: Option<[u8; 6]>) -> Applicant {
    let mut name = [0; 32];
    name[..4].copy_from_slice(&number.to_le_bytes());
    Applicant { peer: PeerId(name), prefix, has_history: false }
}

/// All that an applicant gets in `seconds`, asking for `amount` ten times a second.
fn drawn(allowances: &mut Allowances, who: &[Applicant], amount: u128, seconds: u64) -> u128 {
    let mut sum = 0;
    for tick in 0..seconds * 10 {
        for &applicant in who {
            sum += if allowances.draw(applicant, Credits(amount), Instant(tick * 100_000)) { amount } else { 0 };
        }
    }
    sum
}

#[test]
fn who_never_pays_gets_the_allowances_of_fifty_workers_and_no_more() {
    let seconds = 600;
    let each = 1_000 + 10 * u128::from(seconds);
    let mut sum = 0;
    for worker in 0..50_u128 {
        let mut allowances = Allowances::new(rates(), Instant(0));
        sum += drawn(&mut allowances, &[stranger(1, Some([4; 6]))], 7 + worker, seconds);
    }
    assert!(sum <= 50 * each, "{sum} of {}", 50 * each);
    assert!(sum > 49 * each, "what is allowed is given: {sum} of {}", 50 * each);
}

#[test]
fn a_thousand_fresh_keys_in_one_prefix_get_no_more_than_one() {
    let seconds = 60;
    let one = 1_000 + 10 * u128::from(seconds);
    let keys: Vec<Applicant> = (0..1_000).map(|number| stranger(number, Some([4; 6]))).collect();
    let mut allowances = Allowances::new(rates(), Instant(0));
    let sum = drawn(&mut allowances, &keys, 5, seconds);
    assert!(sum <= one && sum > one - 20, "{sum} of {one}");
}

#[test]
fn half_of_all_is_kept_for_those_with_history() {
    let still = Rates { total_per_second: Credits(0), owner_per_second: Credits(0), ..rates() };
    let mut allowances = Allowances::new(still, Instant(0));
    let prefixes: Vec<Applicant> = (0..200_u32).map(|number| stranger(number, Some([number as u8; 6]))).collect();
    assert_eq!(drawn(&mut allowances, &prefixes, 100, 1), 50_000, "strangers of many places get one half");
    let known: Vec<Applicant> =
        (500..700).map(|number| Applicant { has_history: true, ..stranger(number, Some([4; 6])) }).collect();
    assert_eq!(
        drawn(&mut allowances, &known, 100, 1),
        50_000,
        "the other half was kept, and names with history do not share"
    );
}

#[test]
fn on_a_private_network_neighbours_do_not_share() {
    let mut allowances = Allowances::new(rates(), Instant(0));
    let neighbours = [stranger(1, None), stranger(2, None)];
    assert_eq!(neighbours.map(|neighbour| allowances.draw(neighbour, Credits(1_000), Instant(0))), [true, true]);
    assert!(!allowances.draw(neighbours[0], Credits(1), Instant(0)));
}

#[test]
fn buckets_are_bounded_and_full_ones_make_room() {
    let mut allowances = Allowances::new(Rates { total_max: Credits(u128::MAX), ..rates() }, Instant(0));
    let max = u32::try_from(pocketmesh_types::limits::ALLOWANCE_BUCKETS_MAX).unwrap();
    for number in 0..max {
        assert!(allowances.draw(stranger(number, None), Credits(10), Instant(0)));
    }
    assert!(!allowances.draw(stranger(max, None), Credits(10), Instant(0)));
    assert!(
        allowances.draw(stranger(max, None), Credits(10), Instant(1_000_000)),
        "a second later the others are full"
    );
}

#[test]
fn credit_decides_the_order_and_only_none_decides_whether() {
    let (never, always) = (|_| false, |_| true);
    let owed = Standing { owed_by_us: Credits(100), ..Standing::default() };
    let in_debt = Standing { owes_us: Credits(100), ..Standing::default() };
    let credit = Credit { secured: Credits(0), exposure_limit: Credits(60) };
    let of = |unpaid, standing: &Standing, credit, cost, draw: fn(Credits) -> bool| {
        service::priority(unpaid, standing, credit, Credits(cost), draw)
    };
    for unpaid in [Unpaid::Idle, Unpaid::Allowance, Unpaid::None] {
        assert_eq!(of(unpaid, &owed, credit, 100, never), Some(Priority::Covered), "{unpaid:?}");
    }
    assert_eq!(of(Unpaid::Idle, &owed, credit, 160, never), Some(Priority::Trusted));
    assert_eq!(of(Unpaid::Idle, &in_debt, credit, 1, never), Some(Priority::Idle));
    assert_eq!(of(Unpaid::Allowance, &in_debt, credit, 1, always), Some(Priority::Trusted));
    assert_eq!(of(Unpaid::Allowance, &in_debt, credit, 1, never), None);
    assert_eq!(of(Unpaid::None, &in_debt, credit, 1, always), None);
    let secured = Credit { secured: Credits(101), ..credit };
    assert_eq!(of(Unpaid::None, &in_debt, secured, 1, never), Some(Priority::Covered));
    let under_way = Standing { reserved_by_us: Credits(50), ..owed };
    assert_eq!(of(Unpaid::None, &under_way, credit, 51, never), None, "work under way counts at once");
    assert_eq!("idle".parse(), Ok(Unpaid::Idle));
    assert!("free".parse::<Unpaid>().is_err());
}

#[test]
fn those_who_wait_are_served_by_credit_then_debt_then_patience() {
    let owing = |amount| Standing { owes_us: Credits(amount), ..Standing::default() };
    let mut waiting = [
        (Priority::Idle, owing(9), "debtor"),
        (Priority::Idle, owing(1), "first small debtor"),
        (Priority::Covered, owing(0), "creditor"),
        (Priority::Idle, owing(1), "second small debtor"),
        (Priority::Trusted, owing(5), "trusted"),
    ];
    service::order(&mut waiting);
    let names = waiting.map(|(_, _, name)| name);
    assert_eq!(names, ["creditor", "trusted", "first small debtor", "second small debtor", "debtor"]);
}

#[test]
fn the_embedded_driver_trusts_work_and_not_promises() {
    let driver = Embedded { base: Credits(1_000), per_mille: 100, max: Credits(5_000) };
    let peer = PeerId([1; 32]);
    let limit = |standing| driver.exposure_limit(&peer, &standing);
    assert_eq!(limit(Standing { received: Credits(1 << 90), ..Standing::default() }), Credits(1_000));
    assert_eq!(limit(Standing { given: Credits(20_000), ..Standing::default() }), Credits(3_000));
    assert_eq!(limit(Standing { settled: Credits(1 << 90), ..Standing::default() }), Credits(5_000));
    assert_eq!(driver.secured(&peer), Credits(0));
}
