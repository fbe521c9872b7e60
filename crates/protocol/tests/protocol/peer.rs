//! One peer against anything that others may say: sequences of valid messages from strangers, in any order.

use crate::world::{World, audited, check, id_of, job, millis, model::Behaviour, profile, sealing::open, seconds};
use pocketmesh_protocol::{
    Command, Effect, End, Executed, Input, Inputs, Item, NoOutcome, Peer, RecordId, RunId, settlement::Money,
};
use pocketmesh_types::{
    Auditors, BlobId, Bytes, ClaimId, Credits, Exit, Fuel, Hash, Job, JobId, LeaseId, OfferId, Outcome, Output, PeerId,
    PerGib, Price, Target, TaskIndex, TaskInput, UnixTime,
};
use pocketmesh_wire::{
    Message, Verified, envelope,
    message::{
        Assign, Assigned, Bid, BidEntry, Claim, ClaimAck, Claimed, Closing, Commit, Committed, Decline, DeclineReason,
        EndReason, HandBack, HandBackReason, Heartbeat, Lease, LeaseEnd, Offer, OfferClosed, Reveal, Standing,
        Verdicts, Void,
    },
};
use proptest::prelude::*;

/// What a stranger can know: every name that there is.
struct Names {
    job: Job,
    leases: Vec<LeaseId>,
    offers: Vec<OfferId>,
    peers: Vec<PeerId>,
    wall: UnixTime,
}

/// A small source of choices, all from one number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }

    fn one_of<T: Copy + Default>(&mut self, all: &[T]) -> T {
        let at = self.below(all.len() as u64 + 1) as usize;
        all.get(at).copied().unwrap_or_default()
    }

    fn task(&mut self) -> TaskIndex {
        if self.below(20) == 0 { TaskIndex::MAX } else { self.below(70) as TaskIndex }
    }

    fn tasks(&mut self) -> Vec<TaskIndex> {
        (0..self.below(6)).map(|_| self.task()).collect()
    }

    fn outcome(&mut self) -> Outcome {
        let stdout = Output { id: BlobId::of(&[self.below(3) as u8]), len: [1, 4096, 1 << 40][self.below(3) as usize] };
        let files = Output { id: BlobId::of(&[self.below(3) as u8]), len: [0, 100, 1 << 40][self.below(3) as usize] };
        Outcome {
            exit: Exit::Code(0),
            fuel: Fuel(self.below(3)),
            stdout,
            stderr: Output::of(b""),
            files,
            files_bytes: files.len,
        }
    }

    fn hash(&mut self) -> Hash {
        Hash::of(&[self.below(4) as u8])
    }

    fn input(&mut self) -> TaskInput {
        match self.below(3) {
            0 => TaskInput::None,
            1 => TaskInput::Inline(Bytes(vec![7; 100])),
            _ => TaskInput::Blob(BlobId::of(&[self.below(5) as u8]), 5_000),
        }
    }
}

/// Any message at all.
fn forge(kind: u8, dice: &mut Dice, names: &Names) -> Message {
    let lease = dice.one_of(&names.leases);
    let job = if dice.below(4) == 0 { JobId::default() } else { id_of(&names.job) };
    match kind % 16 {
        0 => forge_offer(dice, names),
        1 => OfferClosed {
            offer: dice.one_of(&names.offers),
            depth: dice.below(3) as u8,
            expires: names.wall + seconds(dice.below(900)),
        }
        .into(),
        2 => Bid {
            offer: dice.one_of(&names.offers),
            price: Price(dice.below(2_000)),
            slots: 1 + dice.below(60_000) as u16,
            arch: Default::default(),
            expires: names.wall + seconds(dice.below(900)),
            ext: Default::default(),
        }
        .into(),
        3 => forge_closing(dice, names),
        4 => forge_lease(dice, names),
        5 => Decline { lease, reason: DeclineReason::Busy }.into(),
        6 => {
            let tasks = dice.tasks().into_iter().map(|task| Assigned { task, input: dice.input() }).collect();
            Assign { lease, tasks }.into()
        }
        7 => {
            let reason = [HandBackReason::NoOutcome, HandBackReason::DevicePaused][dice.below(2) as usize];
            HandBack { lease, tasks: dice.tasks(), reason }.into()
        }
        8 => Heartbeat { leases: vec![(lease, 3); dice.below(4) as usize] }.into(),
        9 => {
            let commits = dice.tasks().into_iter().map(|task| Committed { task, commitment: dice.hash() }).collect();
            Commit { job, lease, commits }.into()
        }
        10 => Reveal { lease, tasks: dice.tasks(), bare: dice.below(2) == 0 }.into(),
        11 => {
            let row = |task| Claimed {
                task,
                input: None,
                outcome: dice.outcome(),
                salt: (dice.below(2) == 0).then(|| dice.hash()),
            };
            let results = [3, 9, 27].into_iter().map(row).collect();
            Claim { job, lease, profile: profile(), results }.into()
        }
        12 => ClaimAck { lease, claim: ClaimId(dice.hash()) }.into(),
        13 => Verdicts { job, lease, accepted: dice.tasks(), owed: Credits(u128::MAX) }.into(),
        14 => Void {
            job,
            lease,
            task: dice.task(),
            claim: ClaimId(dice.hash()),
            input: dice.input(),
            outcome: dice.outcome(),
        }
        .into(),
        _ => LeaseEnd { lease, reason: EndReason::Unknown }.into(),
    }
}

fn forge_offer(dice: &mut Dice, names: &Names) -> Message {
    Offer {
        job: id_of(&names.job),
        program: names.job.program,
        program_len: names.job.program_len,
        profile: profile(),
        tasks: 60,
        input_bytes: dice.below(1 << 40),
        limits: names.job.limits,
        ceiling: Price(dice.below(1_000)),
        per_gib: pocketmesh_types::PerGib(0),
        expected_fuel: None,
        seats: 1 + dice.below(60) as u16,
        bids_wanted: 1 + dice.below(200) as u16,
        depth: dice.below(3) as u8,
        fraction: dice.below(u64::MAX),
        contacts: vec![Bytes(vec![1; 8]); dice.below(4) as usize],
        nonce_hash: dice.hash(),
        closes_ms: dice.below(u64::from(u32::MAX)) as u32,
        expires: names.wall + seconds(dice.below(900)),
        attempt: dice.below(9) as u32,
        ext: Default::default(),
    }
    .into()
}

fn forge_closing(dice: &mut Dice, names: &Names) -> Message {
    let entry = |bidder: &PeerId| BidEntry { bidder: *bidder, bid: Hash::default(), score: 9, delivery_ppm: 900_000 };
    let standing = [Standing::Won, Standing::Late, Standing::SecondBid][dice.below(3) as usize];
    let bids = names.peers.iter().map(entry).collect();
    Closing { offer: dice.one_of(&names.offers), nonce: dice.hash(), bids, standing }.into()
}

fn forge_lease(dice: &mut Dice, names: &Names) -> Message {
    Lease {
        offer: dice.one_of(&names.offers),
        worker: names.peers[dice.below(names.peers.len() as u64) as usize],
        job: names.job.clone(),
        price: Price(dice.below(500)),
        heartbeat_ms: 100 + dice.below(100_000) as u32,
        commit_first: dice.below(2) == 0,
        slice_tasks: 64,
        hold_back_tasks: 20,
        fee: Credits(0),
        ext: Default::default(),
    }
    .into()
}

/// Kinds, dice, targets, delays in milliseconds, and whether it is gossiped.
type Script = Vec<(u8, u64, u8, u16, bool)>;

fn script() -> impl Strategy<Value = Script> {
    prop::collection::vec((any::<u8>(), any::<u64>(), any::<u8>(), 0..120_u16, prop::bool::weighted(0.1)), 0..120)
}

/// Plays a script from a stranger into a mesh at work; the stranger bids for work too, if it has slots.
fn play(script: Script, slots: u16, job: Job) -> (World, PeerId, Vec<PeerId>, Job) {
    let (mut world, requester, workers) = World::mesh(100, 3);
    let stranger = world.add(Behaviour::Honest, slots);
    let mut targets = workers.clone();
    targets.push(requester);
    targets.iter().for_each(|&target| world.connect(stranger, target));
    for &worker in workers.iter().filter(|_| job.tasks > 1_000) {
        (world.node_mut(worker).speed, world.node_mut(worker).slots) = (millis(1), 64);
        world.restart(worker, millis(1));
    }
    world.submit(requester, &job, Inputs::None);
    for (kind, dice, target, delay, gossiped) in script {
        world.run_for(millis(u64::from(delay)));
        let offers = world.node(workers[0]).events.iter().filter_map(|(_, event)| match event {
            pocketmesh_protocol::Event::OfferHeard { offer, .. } => Some(*offer),
            _ => None,
        });
        let names = Names {
            job: job.clone(),
            leases: world.tampering.leases.clone(),
            offers: offers.collect(),
            peers: targets.clone(),
            wall: world.wall(),
        };
        let message = forge(kind, &mut Dice(dice), &names);
        check(&message, &[]);
        let target = targets[usize::from(target) % targets.len()];
        if gossiped {
            world.gossip(stranger, target, message);
        } else {
            world.inject(stranger, target, message, vec![Bytes(vec![1])]);
        }
    }
    (world, requester, workers, job)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A stranger's bid may be a good one; then it is a worker that says anything at all, and loses its place.
    #[test]
    fn no_stranger_disturbs_a_job_or_an_honest_worker(script in script(), slots in 0..3_u16) {
        assert_undisturbed(play(script, slots, job("count", 60, 2)));
    }

    #[test]
    fn nor_does_one_disturb_a_small_job_that_is_confirmed(script in script(), slots in 0..3_u16) {
        assert_undisturbed(play(script, slots, audited(job("count", 60, 1), Target::default())));
    }

    #[test]
    fn no_sequence_of_inputs_panics(script in script()) {
        let mut peer = lone_peer();
        let stranger = PeerId([2; 32]);
        let names = Names {
            job: job("count", 60, 2),
            leases: vec![LeaseId(Hash::of(b"lease"))],
            offers: vec![OfferId(Hash::of(b"offer"))],
            peers: vec![stranger, PeerId([1; 32])],
            wall: UnixTime(1_700_000_000_000),
        };
        let mut now = pocketmesh_types::Instant::default();
        for (kind, dice, what, delay, _) in script {
            now = now + millis(u64::from(delay));
            let mut dice = Dice(dice);
            let input = any_input(what, kind, &mut dice, &names, stranger);
            for effect in peer.handle(now, input) {
                if let Effect::Send { message, attached, .. } = effect {
                    check(&message, &attached);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nor_does_one_disturb_audit_windows(script in script(), slots in 0..3_u16) {
        let target = Target { by: Auditors::Mesh, ..Target::default() };
        assert_undisturbed(play(script, slots, audited(job("count", 4_200, 1), target)));
    }
}

fn assert_undisturbed((mut world, requester, workers, job): (World, PeerId, Vec<PeerId>, Job)) {
    assert_eq!(world.finish(requester, id_of(&job), seconds(60)), End::Complete);
    world.assert_right(requester, &job, &Inputs::None);
    let views = world.peer(requester).jobs().get(&id_of(&job)).unwrap().workers();
    let honest = views.iter().filter(|view| workers.contains(&view.worker));
    honest.for_each(|view| assert!(view.voided == 0 && !view.excluded));
    for &worker in &workers {
        assert!(world.node(worker).ran.values().all(|&count| count == 1), "nothing is run twice for it");
    }
}

fn lone_peer() -> Peer {
    let config = pocketmesh_protocol::Config {
        me: PeerId([1; 32]),
        profile: profile(),
        ask: Price(100),
        floor_per_gib: PerGib(0),
        slots: 2,
        arch: Default::default(),
        memory_max: 1 << 40,
        seed: [3; 32],
        salt_key: [4; 32],
        money: Money::new(open),
    };
    let mut peer = Peer::new(config);
    drop(peer.handle(Default::default(), Input::WallClock(UnixTime(1_700_000_000_000))));
    peer
}

fn any_input(what: u8, kind: u8, dice: &mut Dice, names: &Names, stranger: PeerId) -> Input {
    let verified = |content: Message| {
        let id = envelope::id(&content);
        Verified { signer: stranger, id, content, attached: Vec::new() }
    };
    match what % 12 {
        0 => Input::PeerConnected { peer: stranger, prefix: None },
        1 => Input::PeerDisconnected { peer: stranger },
        2 => Input::GossipHeard { token: 1, depth: dice.below(3) as u8, message: verified(forge(kind, dice, names)) },
        3 => Input::ExecutionFinished { run: RunId(dice.below(20)), result: Err(NoOutcome::HostFailed) },
        4 => {
            let executed = Executed { outcome: dice.outcome(), inline: vec![Bytes(vec![1])] };
            Input::ExecutionFinished { run: RunId(dice.below(20)), result: Ok(executed) }
        }
        5 => {
            let blob = BlobId::of(&[dice.below(5) as u8]);
            let item = if dice.below(2) == 0 { Item::Blob(blob) } else { Item::Tree(blob) };
            Input::Fetched { item, found: dice.below(2) == 0 }
        }
        6 => Input::Stored { record: RecordId(dice.below(10)) },
        7 => Input::DeviceChanged { slots: dice.below(3) as u16 },
        8 => {
            let job = Box::new(Job { nonce: [dice.below(3) as u8; 16], ..names.job.clone() });
            Input::Command {
                id: pocketmesh_protocol::CommandId(1),
                command: Command::Submit { job, inputs: Inputs::None },
            }
        }
        9 => Input::WallClock(UnixTime(dice.below(u64::MAX))),
        _ => Input::MessageReceived { from: stranger, message: verified(forge(kind, dice, names)) },
    }
}
