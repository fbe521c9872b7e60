//! specs/settlement.md as claims, for both halves together: a network that loses, repeats and reorders, disks that are late, and crashes.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "protocol/world/sealing.rs"]
mod sealing;

use pocketmesh_ledger::{
    Audit, Record,
    accounts::Standing,
    driver::Embedded,
    record::{Content, Payment},
    service::{Allowances, Applicant, Priority, Rates, Unpaid},
    slices::{Dispute, Row, Terms},
};
use pocketmesh_protocol::settlement::{Begin, Effect, Event, Refusal, State, StoreId};
use pocketmesh_types::{
    Bytes, Credits, Fuel, Hash, Instant, JobId, Lane, LeaseId, PeerId, PerGib, Price, Statement, Tariff,
};
use sealing::{open, seal};
use std::collections::{BTreeMap, BTreeSet};

const CLIENT: PeerId = PeerId([1; 32]);
const WORKER: PeerId = PeerId([2; 32]);
const PRICE: Price = Price(7);
const TARIFF: Tariff = Tariff { price: PRICE, per_gib: PerGib(0) };
const TERMS: Terms = Terms { slice_tasks: 4, slice_fuel: Fuel(0), hold_back_tasks: 3 };

fn row(task: u32) -> Row {
    Row { task, fuel: Fuel(100 + u64::from(task)), bytes: 0, digest: Hash::of(&task.to_le_bytes()) }
}

fn cost(tasks: impl IntoIterator<Item = u32>) -> Credits {
    Credits(tasks.into_iter().map(|task| PRICE.cost(row(task).fuel).0).sum())
}

fn fresh(me: PeerId, unpaid: Unpaid) -> State<Embedded> {
    let rates = Rates {
        owner_max: Credits(1_000_000),
        owner_per_second: Credits(0),
        total_max: Credits(10_000_000),
        total_per_second: Credits(0),
    };
    let driver = Embedded { base: Credits(0), per_mille: 0, max: Credits(0) };
    State::new(me, driver, unpaid, Allowances::new(rates, Instant(0)))
}

/// What waits for the disk, and who is told.
enum Waiting {
    Paid(StoreId, Payment),
    Stored(StoreId, Content),
}

struct Node {
    me: PeerId,
    unpaid: Unpaid,
    state: State<Embedded>,
    disk: Vec<Record>,
    waiting: Vec<Waiting>,
    events: Vec<Event>,
}

impl Node {
    fn new(me: PeerId, unpaid: Unpaid) -> Self {
        Self { me, unpaid, state: fresh(me, unpaid), disk: Vec::new(), waiting: Vec::new(), events: Vec::new() }
    }

    /// Whether a statement is in the journal.
    fn has(&self, sealed: &Bytes) -> bool {
        self.disk.iter().any(|record| match &record.content {
            Content::Paid(payment) | Content::Received(payment) => {
                payment.voucher == *sealed || payment.receipts.contains(sealed)
            }
            _ => false,
        })
    }

    /// The next record reaches the disk.
    fn store_one(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match self.waiting.remove(0) {
            Waiting::Paid(id, payment) => {
                self.disk.push(Record::new(Content::Paid(payment.clone())));
                self.state.on_paid(id, payment);
            }
            Waiting::Stored(id, content) => {
                self.disk.push(Record::new(content));
                self.state.on_stored(id);
            }
        }
    }

    /// What was not on the disk is gone, and so is all that was only known.
    fn crash(&mut self) {
        self.waiting.clear();
        self.state = fresh(self.me, self.unpaid);
        for record in &self.disk {
            self.state.restore(record, &open).unwrap();
        }
    }

    fn audit(&self) {
        let mut audit = Audit::new(self.me);
        for (sequence, record) in (0..).zip(&self.disk) {
            audit.take(sequence, record, &open).unwrap();
        }
        let report = audit.finish();
        for (peer, standing) in report.standings {
            // The journal knows nothing of what is only under way.
            let (reserved_by_us, reserved_for_it) = (Credits(0), Credits(0));
            let live = Standing { reserved_by_us, reserved_for_it, ..self.state.accounts().standing(&peer) };
            assert_eq!(standing, live);
        }
    }
}

struct World {
    nodes: BTreeMap<PeerId, Node>,
    network: Vec<(PeerId, PeerId, Vec<Bytes>)>,
    dice: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self::serving(seed, Unpaid::Idle)
    }

    fn serving(seed: u64, unpaid: Unpaid) -> Self {
        let nodes = [CLIENT, WORKER].map(|me| (me, Node::new(me, unpaid))).into();
        Self { nodes, network: Vec::new(), dice: seed }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) as usize % bound
    }

    fn client(&mut self) -> &mut State<Embedded> {
        &mut self.nodes.get_mut(&CLIENT).unwrap().state
    }

    fn worker(&mut self) -> &mut State<Embedded> {
        &mut self.nodes.get_mut(&WORKER).unwrap().state
    }

    fn lease(&mut self, lease: LeaseId, job: JobId) {
        self.lease_at(lease, job, [TARIFF; 2]);
    }

    /// A lease of which the two may think differently.
    fn lease_at(&mut self, lease: LeaseId, job: JobId, [paid, expected]: [Tariff; 2]) {
        self.client().on_granted(lease, job, WORKER, paid, Credits(0), TERMS);
        let applicant = Applicant { peer: CLIENT, prefix: None, has_history: false };
        assert!(self.worker().on_taken(lease, applicant, expected, TERMS, Fuel(1_000)));
    }

    /// Carries effects out, and checks that nothing leaves a node that is not on its disk.
    fn perform(&mut self) {
        for (&me, node) in &mut self.nodes {
            for effect in node.state.take_effects() {
                match effect {
                    Effect::Pay { id, receipts, voucher } => {
                        let receipts = receipts.into_iter().map(|receipt| seal(&Statement::Receipt(receipt))).collect();
                        node.waiting
                            .push(Waiting::Paid(id, Payment { receipts, voucher: seal(&Statement::Voucher(voucher)) }));
                    }
                    Effect::Store { id, content } => node.waiting.push(Waiting::Stored(id, content)),
                    Effect::Send { to, statements } => {
                        assert!(statements.iter().all(|sealed| node.has(sealed)), "sent before it was on the disk");
                        self.network.push((me, to, statements));
                    }
                    Effect::Quit(quittance) => {
                        let lane = node.state.accounts().received(&quittance.client, quittance.lane);
                        assert!(lane.cumulative() >= quittance.cumulative, "acknowledged before it was on the disk");
                        self.network.push((me, quittance.client, vec![seal(&Statement::Quittance(quittance))]));
                    }
                    Effect::Notify(event) => node.events.push(event),
                }
            }
        }
    }

    fn deliver(&mut self, at: usize) {
        let (from, to, statements) = self.network.remove(at);
        self.nodes.get_mut(&to).unwrap().state.on_statements(from, statements, &open);
        self.perform();
    }

    /// No more faults: everything that can still happen does.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.client().on_connected(WORKER);
            self.worker().on_connected(CLIENT);
            self.perform();
            while !self.network.is_empty() || self.nodes.values().any(|node| !node.waiting.is_empty()) {
                self.nodes.values_mut().for_each(Node::store_one);
                self.perform();
                if !self.network.is_empty() {
                    self.deliver(0);
                }
            }
        }
    }

    fn fault(&mut self, crashes: bool) {
        let count = self.network.len();
        match self.below(if crashes { 13 } else { 12 }) {
            0..=3 if count > 0 => {
                let at = self.below(count);
                self.deliver(at);
            }
            4 if count > 0 => {
                let at = self.below(count);
                self.network.remove(at);
            }
            5 if count > 0 => {
                let at = self.below(count);
                let again = self.network[at].clone();
                self.network.push(again);
            }
            6..=8 => self.nodes.get_mut(&CLIENT).unwrap().store_one(),
            9..=10 => self.nodes.get_mut(&WORKER).unwrap().store_one(),
            11 => {
                self.client().on_connected(WORKER);
                self.worker().on_connected(CLIENT);
            }
            12 => {
                let who = if self.below(2) == 0 { CLIENT } else { WORKER };
                self.nodes.get_mut(&who).unwrap().crash();
            }
            _ => {}
        }
        self.perform();
    }

    fn standings(&self) -> (Credits, Credits) {
        let (client, worker) = (&self.nodes[&CLIENT].state, &self.nodes[&WORKER].state);
        (client.accounts().standing(&WORKER).given, worker.accounts().standing(&CLIENT).received)
    }

    /// What each side has reserved: what the client will owe, and what the worker will be owed.
    fn under_way(&self) -> (Credits, Credits) {
        let (client, worker) = (&self.nodes[&CLIENT].state, &self.nodes[&WORKER].state);
        (client.accounts().standing(&WORKER).reserved_for_it, worker.accounts().standing(&CLIENT).reserved_by_us)
    }
}

fn names(of: u8) -> (LeaseId, JobId) {
    (LeaseId(Hash::of(&[of, 0])), JobId(Hash::of(&[of, 1])))
}

fn begin(world: &mut World, lease: &LeaseId, task: u32) -> bool {
    world.worker().on_begin(lease, task, Instant(0)) == Begin::Now
}

/// The worker may begin a task, claims its outcome, and the client has it.
fn hand_in(world: &mut World, lease: &LeaseId, window: u32, task: u32) {
    assert!(begin(world, lease, task), "task {task} may begin");
    world.worker().on_claimed(lease, row(task), Instant(0));
    world.client().on_delivered(lease, window, row(task));
}

/// Runs one lease to its end, whatever the network does; returns the tasks that were done.
fn run_lease(world: &mut World, of: u8, crashes: bool) -> Vec<u32> {
    let (lease, job) = names(of);
    world.lease(lease, job);
    let mut done = Vec::new();
    for step in 0..400_u32 {
        match world.below(4) {
            0 => {
                let task = u32::try_from(done.len()).unwrap();
                if begin(world, &lease, task) {
                    world.worker().on_claimed(&lease, row(task), Instant(0));
                    world.client().on_delivered(&lease, task / 30, row(task));
                    done.push(task);
                    if task % 30 == 29 {
                        world.client().on_final(job, WORKER, task / 30);
                    }
                    world.perform();
                }
            }
            _ => world.fault(crashes && step % 5 == 0),
        }
    }
    world.client().on_stopped(job);
    world.client().on_job_over(job);
    done
}

#[test]
fn over_a_network_that_loses_repeats_and_reorders_all_is_paid_exactly_once() {
    let mut most = 0;
    for seed in 0..300 {
        let mut world = World::new(seed);
        let done = run_lease(&mut world, 0, false);
        most = most.max(done.len());
        world.settle();
        let owed = cost(done);
        assert_eq!(world.standings(), (owed, owed), "seed {seed}");
        for node in world.nodes.values() {
            node.audit();
            assert!(
                node.events.iter().all(|event| !matches!(event, Event::Disputed { .. } | Event::Behind { .. })),
                "{:?}",
                node.events
            );
        }
        let (lane, acknowledged) = world.nodes[&CLIENT].state.accounts().given(&WORKER, Lane(0));
        assert_eq!(lane.cumulative(), acknowledged);
    }
    assert!(most > 5 * TERMS.exposure_tasks(None), "payments came through, and so work went on: {most}");
}

#[test]
fn whoever_crashes_whenever_both_books_come_to_the_same_and_pass_an_audit() {
    let (mut paid, mut lost) = (0, 0);
    for seed in 0..300 {
        let mut world = World::new(seed);
        let mut done = Vec::new();
        for of in 0..4 {
            done.extend(run_lease(&mut world, of, true));
            world.settle();
            let (given, received) = world.standings();
            assert_eq!(given, received, "seed {seed}");
            assert!(given <= cost(done.iter().copied()), "seed {seed}: paid more than was done");
        }
        world.nodes.values().for_each(Node::audit);
        let (given, all) = (world.standings().0.0, cost(done).0);
        paid += given;
        lost += all - given;
    }
    assert!(paid > lost, "{paid} paid, {lost} lost with leases that a crash ended");
}

#[test]
fn a_payer_whose_journal_was_put_back_learns_so_and_goes_on_in_another_lane() {
    let mut world = World::new(1);
    let (first, job) = names(0);
    world.lease(first, job);
    let work = |world: &mut World, (lease, job), tasks: std::ops::Range<u32>| {
        tasks.for_each(|task| hand_in(world, &lease, 0, task));
        world.client().on_stopped(job);
        world.perform();
        world.settle();
    };
    work(&mut world, (first, job), 0..4);
    let copy = world.nodes[&CLIENT].disk.clone();
    let (second, job) = names(1);
    world.lease(second, job);
    work(&mut world, (second, job), 0..4);
    let client = world.nodes.get_mut(&CLIENT).unwrap();
    client.disk = copy;
    client.crash();
    let (third, job) = names(2);
    world.lease(third, job);
    world.settle();
    let behind = Event::Behind { payee: WORKER, lane: Lane(0), ours: cost(0..4), theirs: Credits(2 * cost(0..4).0) };
    assert!(world.nodes[&CLIENT].events.contains(&behind), "{:?}", world.nodes[&CLIENT].events);
    work(&mut world, (third, job), 0..4);
    let one = cost(0..4);
    let two = Credits(2 * one.0);
    let received = |world: &World| {
        let accounts = world.nodes[&WORKER].state.accounts();
        [0, 1].map(|lane| accounts.received(&CLIENT, Lane(lane)).cumulative())
    };
    assert_eq!(received(&world), [two, one]);
    world.nodes.get_mut(&CLIENT).unwrap().crash();
    let (fourth, job) = names(3);
    world.lease(fourth, job);
    work(&mut world, (fourth, job), 0..4);
    assert_eq!(received(&world), [two, two], "a restart does not forget which lane is in use");
}

#[test]
fn a_void_forfeits_the_hold_back_and_those_seats_are_never_paid() {
    let mut world = World::new(1);
    let (lease, job) = names(0);
    world.lease(lease, job);
    (0..7).for_each(|task| hand_in(&mut world, &lease, 0, task));
    world.perform();
    world.client().on_void(job, WORKER);
    world.client().on_job_over(job);
    world.perform();
    world.settle();
    assert_eq!(world.standings(), (cost(0..4), cost(0..4)), "the slice that was paid stays paid");
    let contents: Vec<&Content> = world.nodes[&CLIENT].disk.iter().map(|record| &record.content).collect();
    assert!(
        contents.iter().any(|content| matches!(content, Content::Forfeited { tasks, .. } if *tasks == [(4, 7)])),
        "{contents:?}"
    );
    assert!(contents.iter().any(|content| matches!(content, Content::Closed(of) if *of == job)), "{contents:?}");
    world.nodes[&CLIENT].audit();
}

#[test]
fn what_is_done_and_not_paid_is_under_way_on_both_sides() {
    let mut world = World::new(1);
    let (lease, job) = names(0);
    world.lease(lease, job);
    (0..7).for_each(|task| hand_in(&mut world, &lease, 0, task));
    world.perform();
    assert_eq!(world.under_way(), (cost(0..7), cost(0..7)), "what is on its way to the disk is not paid");
    world.settle();
    assert_eq!(world.under_way(), (cost(4..7), cost(4..7)), "a slice is paid");
    world.client().on_final(job, WORKER, 0);
    world.settle();
    assert_eq!(world.under_way(), (Credits(0), Credits(0)));
    assert_eq!(world.standings(), (cost(0..7), cost(0..7)));
}

#[test]
fn a_client_that_underpays_is_disputed_and_gets_no_more_than_was_at_stake() {
    let mut world = World::new(1);
    let (lease, job) = names(0);
    world.lease(lease, job);
    let mut begun = BTreeSet::new();
    for task in 0..100 {
        if begin(&mut world, &lease, task) {
            begun.insert(task);
            world.worker().on_claimed(&lease, row(task), Instant(0));
            world.client().on_delivered(&lease, 0, Row { fuel: Fuel(1), ..row(task) });
            world.perform();
            world.settle();
        }
    }
    assert_eq!(begun.len(), TERMS.exposure_tasks(None));
    assert!(
        matches!(world.nodes[&WORKER].events.first(), Some(Event::Disputed { .. })),
        "{:?}",
        world.nodes[&WORKER].events
    );
    assert_eq!(world.standings().1, Credits(0));
}

#[test]
fn a_journal_that_failed_stops_payments_both_ways_and_nothing_else() {
    for failed in [CLIENT, WORKER] {
        let mut world = World::new(1);
        let (lease, job) = names(0);
        world.lease(lease, job);
        world.nodes.get_mut(&failed).unwrap().state.on_journal_failed("the journal could not be synced".into());
        for task in 0..7 {
            assert!(begin(&mut world, &lease, task), "work goes on, as far as it may be unpaid");
            world.worker().on_claimed(&lease, row(task), Instant(0));
            world.client().on_delivered(&lease, 0, row(task));
        }
        world.perform();
        world.settle();
        assert_eq!(world.standings().1, Credits(0));
        assert!(world.nodes[&failed].disk.is_empty());
        assert_eq!(world.nodes[&failed].state.accounts().halted(), Some("the journal could not be synced"));
    }
}

#[test]
fn statements_that_are_not_what_they_should_be_change_nothing() {
    let mut world = World::new(1);
    let junk = [vec![], vec![Bytes(vec![1, 2, 3])], vec![Bytes(vec![0; 4_096]); 3]];
    for statements in junk {
        world.worker().on_statements(CLIENT, statements, &open);
    }
    let quittance = pocketmesh_types::Quittance {
        voucher: pocketmesh_types::VoucherId(Hash::of(b"v")),
        client: CLIENT,
        payee: WORKER,
        lane: Lane(0),
        cumulative: Credits(5),
    };
    let sealed = seal(&Statement::Quittance(quittance));
    world.client().on_statements(WORKER, vec![sealed.clone()], &open);
    world.client().on_statements(PeerId([3; 32]), vec![sealed], &open);
    world.perform();
    for node in world.nodes.values() {
        assert!(node.waiting.is_empty() && node.events.iter().all(|event| matches!(event, Event::Refused { .. })));
        assert_eq!(node.events.len(), 2);
    }
}

#[test]
fn a_promise_earns_no_history_and_work_does() {
    let mut world = World::serving(1, Unpaid::Allowance);
    let applicant = |peer| Applicant { peer, prefix: Some([9; 6]), has_history: true };
    let ask = |state: &mut State<Embedded>, peer, amount| state.priority(applicant(peer), Credits(amount), Instant(0));
    let stranger = PeerId([3; 32]);
    assert_eq!(ask(world.client(), stranger, 1_000_000), Some(Priority::Trusted), "its prefix's allowance");
    assert_eq!(ask(world.client(), PeerId([4; 32]), 1), None, "which it shares, whatever it says of its history");
    let done = run_lease(&mut world, 0, false);
    world.settle();
    assert!(!done.is_empty());
    let owed = world.client().accounts().standing(&WORKER).owed_by_us.0;
    assert_eq!(ask(world.client(), WORKER, owed), Some(Priority::Covered), "we owe it as much");
    assert_eq!(ask(world.client(), WORKER, owed + 1), Some(Priority::Trusted), "and beyond that its own allowance");
    assert_eq!(ask(world.client(), WORKER, 1_000_000), None, "of which that much is gone");
    let left = 1_000_000 - cost(done).0;
    let here = Applicant { peer: CLIENT, prefix: None, has_history: false };
    let mut ask_worker = |amount| world.worker().priority(here, Credits(amount), Instant(0));
    assert_eq!(ask_worker(left + 1), None, "what was done for the client was drawn, though it has promised to pay");
    assert!(ask_worker(left / 2).is_some());
}

#[test]
fn under_an_allowance_a_client_that_never_pays_gets_that_much_and_the_lease_ends() {
    let mut world = World::serving(1, Unpaid::Allowance);
    let mut got = 0;
    for of in 0..100 {
        let (lease, job) = names(of);
        world.lease(lease, job);
        for task in 0.. {
            match world.worker().on_begin(&lease, task, Instant(0)) {
                Begin::Now => {
                    world.worker().on_claimed(&lease, row(task), Instant(0));
                    got += PRICE.cost(row(task).fuel).0;
                }
                Begin::Wait | Begin::Never => break,
            }
        }
        world.worker().on_lease_over(&lease);
    }
    // What a lease has drawn and not used is gone with it.
    assert!(got <= 1_000_000 && got > 500_000, "{got}");
    assert_eq!(world.worker().at_stake_with(&CLIENT).0, got, "and it is remembered as what it owes");
}

#[test]
fn under_idle_who_owes_comes_behind_whoever_does_not_and_is_served_all_the_same() {
    let mut world = World::new(1);
    let (lease, job) = names(0);
    world.lease(lease, job);
    let stranger = PeerId([3; 32]);
    assert_eq!(world.worker().rank(&CLIENT), world.worker().rank(&stranger));
    assert!(begin(&mut world, &lease, 0));
    world.worker().on_claimed(&lease, row(0), Instant(0));
    assert!(world.worker().rank(&CLIENT) > world.worker().rank(&stranger), "what is not paid is a debt");
    assert_eq!(world.worker().rank(&CLIENT).0, Priority::Idle);
    assert!(begin(&mut world, &lease, 1), "nobody else waits");
    world.worker().on_lease_over(&lease);
    assert_eq!(world.worker().rank(&CLIENT).0, Priority::Idle, "leases end, debts do not");
}

#[test]
fn a_payment_that_was_lost_is_said_again_less_and_less_often_until_there_is_a_quittance() {
    let mut world = World::new(1);
    let (lease, job) = names(1);
    world.lease(lease, job);
    world.perform();
    assert!(begin(&mut world, &lease, 0));
    world.worker().on_claimed(&lease, row(0), Instant(0));
    world.client().on_accepted(&lease, row(0));
    world.client().on_pause(&lease);
    world.perform();
    world.nodes.get_mut(&CLIENT).unwrap().store_one();
    world.perform();
    let said = std::mem::take(&mut world.network);
    assert_eq!(said.len(), 1, "and it is lost");
    let mut looks = Vec::new();
    for look in 1..=70 {
        assert!(!world.client().say_again(|_| false), "nobody is there");
        let more = world.client().say_again(|_| true);
        assert_eq!(more, look < 64);
        world.perform();
        if !world.network.is_empty() {
            assert_eq!(std::mem::take(&mut world.network), said, "the same bytes");
            looks.push(look);
        }
    }
    assert_eq!(looks, [1, 2, 4, 8, 16, 32, 64]);
    world.settle();
    assert!(!world.client().say_again(|_| true));
    world.perform();
    assert!(world.network.is_empty(), "it is acknowledged");
}

#[test]
fn of_two_leases_of_one_worker_only_the_oldest_open_window_is_paid() {
    let mut world = World::new(2);
    let ((old, job), (new, _)) = (names(1), names(2));
    world.lease(old, job);
    world.lease(new, job);
    for task in 0..7 {
        for (lease, window, task) in [(old, 0, task), (new, 1, 100 + task)] {
            hand_in(&mut world, &lease, window, task);
        }
    }
    world.settle();
    let paid = cost(0..4);
    assert_eq!(world.standings().0, paid, "a slice of the first, and three are held back");
    world.client().on_final(job, WORKER, 0);
    world.settle();
    assert_eq!(world.standings().0.0, paid.0 + cost(4..7).0 + cost(100..104).0, "then the other's turn comes");
}

#[test]
fn payments_for_unknown_leases_do_not_fill_the_journal() {
    let mut world = World::new(3);
    let (lease, job) = names(1);
    world.client().on_granted(lease, job, WORKER, TARIFF, Credits(0), TERMS);
    for task in 0..5_000 {
        world.client().on_accepted(&lease, row(task));
        world.client().on_pause(&lease);
        world.settle();
    }
    let node = &world.nodes[&WORKER];
    assert!(node.disk.len() <= 1 << 12, "{}", node.disk.len());
    assert!(node.events.iter().any(|event| matches!(event, Event::Refused { why: Refusal::Unasked, .. })));
}

/// A lease under which a slice is paid, the client's rows being these; what the worker makes of it.
fn paid_by_bytes(tariffs: [Tariff; 2], told: impl Fn(Row) -> Row) -> (World, Option<Dispute>) {
    let mut world = World::new(1);
    let (lease, job) = names(0);
    world.lease_at(lease, job, tariffs);
    for task in 0..7 {
        assert!(begin(&mut world, &lease, task));
        let row = Row { bytes: 1 << 20, ..row(task) };
        world.worker().on_claimed(&lease, row, Instant(0));
        world.client().on_delivered(&lease, 0, told(row));
        world.perform();
    }
    world.settle();
    let disputed = world.nodes[&WORKER].events.iter().find_map(|event| match event {
        Event::Disputed { why, .. } => Some(*why),
        _ => None,
    });
    (world, disputed)
}

#[test]
fn bytes_are_paid_and_a_receipt_for_others_or_at_another_rate_is_disputed() {
    let tariff = Tariff { per_gib: PerGib(1_024), ..TARIFF };
    let (world, disputed) = paid_by_bytes([tariff; 2], |row| row);
    // A slice is four tasks, and half of it is paid at a time; three are held back. A MiB costs a nano-credit.
    let paid = Credits(cost(0..4).0 + 4 * 1_000_000_000);
    assert_eq!((world.standings(), disputed), ((paid, paid), None));
    world.nodes.values().for_each(Node::audit);
    let cheaper = Tariff { per_gib: PerGib(1_023), ..tariff };
    let (world, disputed) = paid_by_bytes([cheaper, tariff], |row| row);
    assert_eq!(disputed, Some(Dispute::PerGib { found: cheaper.per_gib, leased: tariff.per_gib }));
    assert_eq!(world.standings().1, Credits(0));
    let (world, disputed) = paid_by_bytes([tariff; 2], |row| Row { bytes: row.bytes - 1, ..row });
    assert_eq!(disputed, Some(Dispute::Bytes { found: (2 << 20) - 2, moved: 2 << 20 }));
    assert_eq!(world.standings().1, Credits(0));
}
