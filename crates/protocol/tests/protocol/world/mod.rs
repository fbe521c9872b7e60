//! A small deterministic mesh in virtual time: many peers, their links, disks, sandboxes and blobs, all modelled.
//!
//! Same seed, same run. Every message is encoded, decoded and checked on its way, as it would be between daemons; what
//! the protocol promises at all times (nothing leaves before what it relies on is on disk) is asserted here, for all tests.

pub mod model;
pub mod money;
pub mod sealing;

use model::{Behaviour, Tampering, right};
use pocketmesh_ledger::{record::Content, service::Unpaid};
use pocketmesh_protocol::{
    Command, CommandId, Config, Effect, End, Event, Executed, FinalTask, Input, Inputs, Item, Judgement, NoOutcome,
    Peer, Record, RecordId, Reply, Run, RunId,
    execution::lease,
    input::Prefix,
    settlement::{Money, StoreId},
    verification::windows::WindowId,
};
use pocketmesh_types::{
    Arch, BlobId, Bytes, Credits, Fuel, Hash, Instant, Job, JobId, OfferId, Output, PeerId, PerGib, Policy, Price,
    ProfileId, Target, TaskIndex, TaskInput, UnixTime, job::TaskLimits, parts::Sources,
};
use pocketmesh_wire::{Message, Verified, envelope};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use sealing::open;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The wall clock when the world begins.
const WALL_AT_START: u64 = 1_700_000_000_000;
/// How long one message, gossip or blob may be under way.
const LATENCY: (u64, u64) = (1_000, 20_000);
/// How long a record takes to the disk.
const DISK: Duration = Duration::from_millis(3);

pub fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub fn profile() -> ProfileId {
    ProfileId(Hash::of(b"profile"))
}

/// A job whose tasks print their index.
pub fn job(name: &str, tasks: TaskIndex, replicas: u8) -> Job {
    Job {
        program: BlobId::of(name.as_bytes()),
        program_len: 7,
        name: name.into(),
        args: vec!["{index}".into()],
        env: Vec::new(),
        files: Output::of(b""),
        inputs: Output::default(),
        input_name: String::new(),
        tasks,
        first_index: 0,
        limits: TaskLimits { wall_ms: 20_000, ..TaskLimits::default() },
        policy: Policy::Replicas(replicas),
        max_price: Price(1_000),
        per_gib: PerGib(0),
        budget: None,
        profile: profile(),
        epoch: UnixTime(WALL_AT_START),
        nonce: [0; 16],
    }
}

/// The same job, with its results audited.
pub fn audited(job: Job, target: Target) -> Job {
    Job { policy: Policy::Audited(target), ..job }
}

/// The same job, with files under `/in`, whose tasks leave files too.
pub fn with_files(job: Job) -> Job {
    Job { files: Output::of(b"a list of files"), ..job }
}

/// The name of a job.
pub fn id_of(job: &Job) -> JobId {
    JobId(envelope::id(&job.clone().into()))
}

/// What the disk does with the next record of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The peer dies before this record is on disk.
    Before(usize),
    /// The peer dies when the record is on disk, before it learns of it.
    After(usize),
}

/// One peer and what it stands on.
pub struct Node {
    pub peer: Option<Peer>,
    pub behaviour: Behaviour,
    /// How long a task takes here.
    pub speed: Duration,
    pub slots: u16,
    pub arch: Arch,
    pub ask: Price,
    pub floor_per_gib: PerGib,
    pub memory_max: u64,
    pub prefix: Option<Prefix>,
    /// Blobs that it has.
    pub items: BTreeSet<Item>,
    /// Records on its disk.
    pub disk: Vec<Record>,
    /// Whom it serves.
    pub unpaid: Unpaid,
    /// What is on its disk about money.
    pub money: Vec<pocketmesh_ledger::Record>,
    pub crash: Option<Crash>,
    /// Tasks that its sandbox has run, per job name.
    pub ran: BTreeMap<(String, TaskIndex), u32>,
    pub events: Vec<(Instant, Event)>,
    pub replies: Vec<Reply>,
    pub judgements: Vec<Judgement>,
    /// Messages that it was sent, as kinds.
    pub heard: BTreeMap<&'static str, u64>,
    /// Peers that it wants nothing to do with.
    pub shunned: Vec<(PeerId, &'static str)>,
    life: u32,
    born: Instant,
    stores: usize,
    pub cancelled: BTreeSet<RunId>,
    running: usize,
    queued: Vec<(RunId, Run)>,
    /// What its disk has as final.
    finals: Finals,
    jobs_on_disk: BTreeSet<JobId>,
    pub owed: BTreeMap<(PeerId, JobId), Credits>,
    pub accepted: u64,
}

/// What records say is final, and what is delivered and waits for its audits.
#[derive(Debug, Default)]
pub struct Finals {
    pub finals: BTreeMap<(JobId, TaskIndex), FinalTask>,
    pub held: BTreeMap<(JobId, TaskIndex), (WindowId, PeerId, FinalTask)>,
}

impl Finals {
    fn read(&mut self, record: &Record) {
        match record {
            Record::Final { job, tasks } => {
                for task in tasks {
                    self.held.remove(&(*job, task.task));
                    self.finals.insert((*job, task.task), task.clone());
                }
            }
            Record::Delivered { job, window, worker, tasks, .. } => {
                let held = tasks.iter().map(|task| ((*job, task.task), (*window, *worker, task.clone())));
                self.held.extend(held);
            }
            Record::Refuted { job, worker, .. } => {
                self.held.retain(|(of, _), (_, owner, _)| of != job || owner != worker);
            }
            Record::WindowFinal { job, window } => {
                let passed = self.held.extract_if(.., |(of, _), (held, ..)| of == job && held == window);
                self.finals.extend(passed.map(|(key, (_, _, task))| (key, task)));
            }
            _ => {}
        }
    }
}

/// Where a peer can be reached, as its offers say.
pub fn contact_of(peer: PeerId) -> Bytes {
    Bytes(peer.0[..8].to_vec())
}

/// In how many bits from the first on an offer and a peer agree.
pub fn agreement(offer: OfferId, peer: &PeerId) -> u32 {
    let bits = offer.as_bytes().iter().zip(&peer.0).map(|(one, other)| one ^ other);
    let mut zeros = 0;
    for byte in bits {
        zeros += byte.leading_zeros();
        if byte != 0 {
            break;
        }
    }
    zeros
}

enum What {
    Connected { a: PeerId, b: PeerId },
    Say { to: PeerId, from: PeerId, message: Box<Verified<Message>> },
    Gossip { to: PeerId, depth: u8, message: Box<Verified<Message>> },
    Stored { at: PeerId, life: u32, id: RecordId, record: Box<Record> },
    Kept { at: PeerId, life: u32, id: StoreId, content: Box<Content> },
    Finished { at: PeerId, life: u32, run: RunId, result: Box<Result<Executed, NoOutcome>> },
    Fetched { at: PeerId, life: u32, item: Item, found: bool },
    PartsRead { at: PeerId, life: u32, job: JobId, parts: Vec<(TaskIndex, Option<TaskInput>)> },
    Deadline { at: PeerId, life: u32 },
}

pub struct World {
    pub now: Instant,
    pub nodes: BTreeMap<PeerId, Node>,
    /// Who is connected to whom, both ways.
    pub links: BTreeSet<(PeerId, PeerId)>,
    /// Drops a message instead of delivering it, if this says so.
    pub lose: fn(&Message) -> bool,
    /// Delivers every direct message so many times.
    pub copies: u32,
    /// All that was said, as kinds and lengths, for comparing runs.
    pub log: Vec<(Instant, PeerId, &'static str, usize)>,
    pub keep_log: bool,
    /// Bytes of messages on their way to each peer, what is attached included.
    pub bytes_to: BTreeMap<PeerId, u64>,
    /// Standard output that came with claims: whose, of which task, how often.
    pub brought: BTreeMap<(PeerId, TaskIndex), u32>,
    queue: BTreeMap<(Instant, u64), What>,
    arrivals: BTreeMap<(PeerId, PeerId), Instant>,
    seq: u64,
    rng: ChaCha8Rng,
    commands: u64,
    tokens: u64,
    pub tampering: Tampering,
    /// What offers said that a task burns.
    pub expected: Vec<(JobId, Option<Fuel>)>,
    /// The inputs of jobs that have some; nothing where they are gone.
    pub inputs: BTreeMap<JobId, Vec<Option<TaskInput>>>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::default(),
            nodes: BTreeMap::new(),
            links: BTreeSet::new(),
            lose: |_| false,
            copies: 1,
            log: Vec::new(),
            keep_log: false,
            bytes_to: BTreeMap::new(),
            brought: BTreeMap::new(),
            queue: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            seq: 0,
            rng: ChaCha8Rng::seed_from_u64(seed),
            commands: 0,
            tokens: 0,
            tampering: Tampering::default(),
            expected: Vec::new(),
            inputs: BTreeMap::new(),
        }
    }

    /// A mesh of one requester (which gives nothing) and so many honest workers, all connected.
    pub fn mesh(seed: u64, workers: usize) -> (Self, PeerId, Vec<PeerId>) {
        let mut world = Self::new(seed);
        let requester = world.add(Behaviour::Honest, 0);
        let workers: Vec<PeerId> = (0..workers).map(|_| world.add(Behaviour::Honest, 2)).collect();
        workers.iter().for_each(|&worker| world.connect(requester, worker));
        (world, requester, workers)
    }

    pub fn add(&mut self, behaviour: Behaviour, slots: u16) -> PeerId {
        let number = self.nodes.len() as u64;
        let id = PeerId(Hash::of_parts("test peer", &[&number.to_le_bytes()]).0);
        let node = Node {
            peer: None,
            behaviour,
            speed: millis(50),
            slots,
            arch: Arch::X86_64,
            ask: Price(100),
            floor_per_gib: PerGib(0),
            memory_max: 1 << 30,
            prefix: None,
            items: BTreeSet::new(),
            disk: Vec::new(),
            unpaid: Unpaid::Idle,
            money: Vec::new(),
            crash: None,
            ran: BTreeMap::new(),
            events: Vec::new(),
            replies: Vec::new(),
            judgements: Vec::new(),
            heard: BTreeMap::new(),
            shunned: Vec::new(),
            life: 0,
            born: self.now,
            stores: 0,
            cancelled: BTreeSet::new(),
            running: 0,
            queued: Vec::new(),
            finals: Finals::default(),
            jobs_on_disk: BTreeSet::new(),
            owed: BTreeMap::new(),
            accepted: 0,
        };
        self.nodes.insert(id, node);
        self.start(id);
        id
    }

    pub fn node(&self, id: PeerId) -> &Node {
        &self.nodes[&id]
    }

    pub fn node_mut(&mut self, id: PeerId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    pub fn peer(&self, id: PeerId) -> &Peer {
        self.nodes[&id].peer.as_ref().unwrap()
    }

    /// Starts a peer on what its disk holds.
    pub fn start(&mut self, id: PeerId) {
        let (now, wall) = (self.now, self.wall());
        let node = self.nodes.get_mut(&id).unwrap();
        node.life += 1;
        (node.born, node.running) = (now, 0);
        node.queued.clear();
        node.cancelled.clear();
        let life = [node.life as u8; 32];
        let mut peer = Peer::new(Config {
            me: id,
            profile: profile(),
            ask: node.ask,
            floor_per_gib: node.floor_per_gib,
            slots: node.slots,
            arch: node.arch,
            memory_max: node.memory_max,
            seed: Hash::of_parts("test dice", &[&id.0, &life]).0,
            salt_key: Hash::of_parts("test salt", &[&id.0]).0,
            money: Money { unpaid: node.unpaid, ..Money::new(open) },
        });
        node.disk.iter().for_each(|record| peer.restore(record.clone()));
        node.money.iter().for_each(|record| peer.restore_money(record).unwrap());
        let mut effects = peer.handle(Instant::default(), Input::WallClock(wall));
        effects.extend(peer.resume(Instant::default()));
        node.peer = Some(peer);
        self.perform(id, effects);
    }

    /// Kills a peer: what it had said is under way, what it had not stored is lost.
    pub fn kill(&mut self, id: PeerId) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.peer = None;
        node.life += 1;
        for other in self.neighbours(id) {
            self.disconnect(id, other);
        }
    }

    /// Kills a peer, starts it again and connects it as before.
    pub fn restart(&mut self, id: PeerId, down_for: Duration) {
        let neighbours = self.neighbours(id);
        if self.node(id).peer.is_some() {
            self.kill(id);
        }
        self.run_for(down_for);
        self.start(id);
        for other in neighbours {
            self.connect(id, other);
        }
    }

    pub fn neighbours(&self, id: PeerId) -> Vec<PeerId> {
        self.links.iter().filter(|(a, _)| *a == id).map(|&(_, b)| b).collect()
    }

    pub fn connect(&mut self, a: PeerId, b: PeerId) {
        for (one, other) in [(a, b), (b, a)] {
            if self.links.insert((one, other)) {
                let prefix = self.nodes[&other].prefix;
                self.tell(one, Input::PeerConnected { peer: other, prefix });
            }
        }
    }

    /// What is under way between the two is lost.
    pub fn disconnect(&mut self, a: PeerId, b: PeerId) {
        for (one, other) in [(a, b), (b, a)] {
            if self.links.remove(&(one, other)) {
                self.queue
                    .retain(|_, what| !matches!(what, What::Say { to, from, .. } if (*to, *from) == (one, other)));
                if self.nodes[&one].peer.is_some() {
                    self.tell(one, Input::PeerDisconnected { peer: other });
                }
            }
        }
    }

    pub fn wall(&self) -> UnixTime {
        UnixTime(WALL_AT_START + self.now.0 / 1000)
    }

    /// Gives a job to a peer; its program and inputs are in its store.
    pub fn submit(&mut self, to: PeerId, job: &Job, inputs: Inputs) -> JobId {
        let node = self.nodes.get_mut(&to).unwrap();
        node.items.insert(Item::Blob(job.program));
        node.items.insert(Item::Tree(job.files.id));
        self.command(to, Command::Submit { job: Box::new(job.clone()), inputs });
        id_of(job)
    }

    /// A job whose tasks have these inputs.
    pub fn cut(&mut self, job: Job, parts: Vec<TaskInput>) -> (Job, Inputs) {
        let bytes = parts.iter().map(TaskInput::len).sum();
        let longest = parts.iter().map(TaskInput::len).max().unwrap_or(0);
        let table = Output { len: Sources::default().table_len(job.tasks), ..Output::of(b"a table") };
        let job = Job { inputs: table, ..job };
        self.inputs.insert(id_of(&job), parts.into_iter().map(Some).collect());
        (job, Inputs::Cut { bytes, longest })
    }

    pub fn command(&mut self, to: PeerId, command: Command) {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.tell(to, Input::Command { id, command });
    }

    /// Tells a peer something now.
    pub fn tell(&mut self, to: PeerId, input: Input) {
        let now = self.now;
        let node = self.nodes.get_mut(&to).unwrap();
        let at = Instant(now.since(node.born).as_micros() as u64);
        let Some(peer) = &mut node.peer else { return };
        let effects = peer.handle(at, input);
        self.perform(to, effects);
    }

    /// Delivers something that `from` says, whatever it is, at once.
    pub fn inject(&mut self, from: PeerId, to: PeerId, message: Message, attached: Vec<Bytes>) {
        let id = envelope::id(&message);
        self.tell(
            to,
            Input::MessageReceived { from, message: Verified { signer: from, id, content: message, attached } },
        );
    }

    /// Lets `to` hear some gossip, and says how it was judged.
    pub fn gossip(&mut self, author: PeerId, to: PeerId, message: Message) -> Judgement {
        let id = envelope::id(&message);
        let message = Verified { signer: author, id, content: message, attached: Vec::new() };
        let depth = match &message.content {
            Message::Offer(offer) => offer.depth,
            Message::OfferClosed(closed) => closed.depth,
            _ => 0,
        };
        self.gossip_at(depth, to, message)
    }

    /// The same, on a topic of that depth.
    pub fn gossip_at(&mut self, depth: u8, to: PeerId, message: Verified<Message>) -> Judgement {
        self.tokens += 1;
        self.tell(to, Input::GossipHeard { token: self.tokens, depth, message });
        *self.node(to).judgements.last().unwrap()
    }

    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        self.run_until(end, |_| false);
    }

    /// Runs until `done`, or until `end`; says whether it was done.
    pub fn run_until(&mut self, end: Instant, mut done: impl FnMut(&Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            match self.queue.first_key_value() {
                Some((&(at, _), _)) if at <= end => {}
                _ => {
                    self.now = end;
                    return done(self);
                }
            }
            let ((at, _), what) = self.queue.pop_first().unwrap();
            self.now = self.now.max(at);
            self.happen(what);
        }
    }

    /// Runs until a job is over; says how it ended, or panics after this time.
    pub fn finish(&mut self, requester: PeerId, job: JobId, within: Duration) -> End {
        let end = self.now + within;
        let over = self.run_until(end, |world| world.end_of(requester, job).is_some());
        let progress = self.node(requester).peer.as_ref().and_then(|peer| peer.jobs().get(&job)).map(|a| a.progress());
        assert!(over, "not over after {within:?}: {progress:?}");
        self.end_of(requester, job).unwrap()
    }

    pub fn end_of(&self, requester: PeerId, job: JobId) -> Option<End> {
        self.node(requester).disk.iter().find_map(|record| match record {
            Record::Closed { job: closed, end, .. } if *closed == job => Some(*end),
            _ => None,
        })
    }

    /// Final tasks on disk; the last word counts.
    pub fn finals(&self, requester: PeerId, job: JobId) -> BTreeMap<TaskIndex, FinalTask> {
        let mut finals = Finals::default();
        self.node(requester).disk.iter().for_each(|record| finals.read(record));
        let of_job = finals.finals.into_iter().filter(|((of, _), _)| *of == job);
        of_job.map(|((_, index), task)| (index, task)).collect()
    }

    /// Whether every task of a job has the right outcome on disk, with its output.
    pub fn assert_right(&self, requester: PeerId, job: &Job, _: &Inputs) {
        let finals = self.finals(requester, id_of(job));
        assert_eq!(finals.len(), job.tasks as usize, "every task is final");
        for (task, found) in finals {
            let input =
                self.inputs.get(&id_of(job)).and_then(|inputs| inputs[task as usize].clone()).unwrap_or_default();
            let (executed, items) = right(&lease::run_of(RunId(0), job, &id_of(job), task, input));
            assert_eq!(found.outcome, Some(executed.outcome), "task {task}");
            let small = executed.inline.first().cloned();
            assert_eq!(found.stdout, small, "output of task {task}");
            assert!(items.iter().all(|item| self.node(requester).items.contains(item)), "outputs of task {task}");
        }
    }

    /// How often each task of a job was run, all workers together.
    pub fn executions(&self, name: &str) -> BTreeMap<TaskIndex, u32> {
        let mut sums = BTreeMap::new();
        for node in self.nodes.values() {
            for ((of, task), count) in &node.ran {
                if of == name {
                    *sums.entry(*task).or_default() += count;
                }
            }
        }
        sums
    }

    pub fn events(&self, of: PeerId, which: impl Fn(&Event) -> bool) -> usize {
        self.node(of).events.iter().filter(|(_, event)| which(event)).count()
    }

    fn later(&mut self, span: Duration, what: What) {
        self.seq += 1;
        self.queue.insert((self.now + span, self.seq), what);
    }

    fn latency(&mut self) -> Duration {
        Duration::from_micros(LATENCY.0 + self.rng.next_u64() % (LATENCY.1 - LATENCY.0))
    }

    fn perform(&mut self, id: PeerId, effects: Vec<Effect>) {
        for effect in effects {
            if self.nodes[&id].peer.is_none() {
                break;
            }
            match effect {
                Effect::Send { to, message, attached } => self.send(id, to, message, attached),
                Effect::Publish { message, near, depth } => self.publish(id, &message, near, depth),
                Effect::Reach { peer, contacts } => self.reach(id, peer, contacts),
                Effect::Judge { judgement, .. } => self.node_mut(id).judgements.push(judgement),
                Effect::Execute(run) => self.execute(id, run),
                Effect::Cancel(run) => {
                    self.node_mut(id).cancelled.insert(run);
                }
                Effect::Fetch { item, from, .. } => self.fetch(id, item, &from),
                Effect::ReadParts { job, tasks, .. } => self.read_parts(id, job, &tasks),
                Effect::ReleaseParts { blobs, .. } => {
                    let items = &mut self.node_mut(id).items;
                    items.retain(|item| !matches!(item, Item::Blob(blob) if blobs.contains(blob)));
                }
                Effect::Store { id: record_id, record } => self.store(id, record_id, record),
                money @ (Effect::Pay { .. } | Effect::Keep { .. } | Effect::Quit(_)) => self.perform_money(id, money),
                Effect::Reply { reply, .. } => self.node_mut(id).replies.push(reply),
                Effect::Disconnect { peer, reason } => self.node_mut(id).shunned.push((peer, reason)),
                Effect::Notify(event) => {
                    if let Event::JobClosed { job, .. } = &event {
                        assert!(self.end_of(id, *job).is_some(), "a job is over only when that is on disk");
                    }
                    let now = self.now;
                    self.node_mut(id).events.push((now, event));
                }
            }
        }
        self.arm(id);
    }

    fn arm(&mut self, id: PeerId) {
        let node = &self.nodes[&id];
        let Some(at) = node.peer.as_ref().and_then(Peer::next_deadline) else { return };
        let (life, span) = (node.life, (node.born + Duration::from_micros(at.0)).since(self.now));
        self.later(span, What::Deadline { at: id, life });
    }

    fn send(&mut self, from: PeerId, to: PeerId, message: Message, attached: Vec<Bytes>) {
        self.assert_durable(from, &message);
        if let Some((message, attached)) = self.tamper(from, to, message, attached) {
            self.transmit(from, to, message, attached);
        }
    }

    /// Says something in a peer's name.
    pub fn say(&mut self, from: PeerId, to: PeerId, message: Message) {
        self.transmit(from, to, message, Vec::new());
    }

    fn transmit(&mut self, from: PeerId, to: PeerId, message: Message, attached: Vec<Bytes>) {
        check(&message, &attached);
        self.note_bytes(from, to, &message, &attached);
        if self.keep_log {
            self.log.push((self.now, from, message.kind().name(), message.encode_body().len()));
        }
        if !self.links.contains(&(from, to)) || (self.lose)(&message) {
            return;
        }
        let verified = Verified { signer: from, id: envelope::id(&message), content: message, attached };
        for _ in 0..self.copies {
            let arrival = (self.now + self.latency()).max(self.arrivals.get(&(from, to)).copied().unwrap_or_default());
            self.arrivals.insert((from, to), arrival);
            self.later(arrival.since(self.now), What::Say { to, from, message: Box::new(verified.clone()) });
        }
    }

    fn note_bytes(&mut self, from: PeerId, to: PeerId, message: &Message, attached: &[Bytes]) {
        let bytes = message.encode_body().len() + attached.iter().map(|blob| blob.len()).sum::<usize>();
        *self.bytes_to.entry(to).or_default() += bytes as u64;
        if let Message::Claim(claim) = message {
            let names: BTreeSet<BlobId> = attached.iter().map(|bytes| BlobId::of(bytes)).collect();
            for row in claim.results.iter().filter(|row| names.contains(&row.outcome.stdout.id)) {
                *self.brought.entry((from, row.task)).or_default() += 1;
            }
        }
    }

    /// Gossip reaches those whose name agrees with the offer's in the first bits, connected or not.
    fn publish(&mut self, from: PeerId, message: &Message, near: OfferId, depth: u8) {
        self.assert_durable(from, message);
        check(message, &[]);
        if let Message::Offer(offer) = message {
            self.expected.push((offer.job, offer.expected_fuel));
        }
        let verified =
            Verified { signer: from, id: envelope::id(message), content: message.clone(), attached: Vec::new() };
        let hears = |other: &PeerId| *other != from && agreement(near, other) >= u32::from(depth);
        let others: Vec<PeerId> = self.nodes.keys().copied().filter(hears).collect();
        for to in others {
            let span = self.latency();
            self.later(span, What::Gossip { to, depth, message: Box::new(verified.clone()) });
        }
    }

    /// A peer connects to another, if it is told where that is.
    fn reach(&mut self, from: PeerId, to: PeerId, contacts: Vec<Bytes>) {
        let span = self.latency();
        if contacts == [contact_of(to)] {
            self.later(span, What::Connected { a: from, b: to });
        }
    }

    /// Nothing that relies on a record leaves before the record is on disk.
    fn assert_durable(&self, from: PeerId, message: &Message) {
        let node = &self.nodes[&from];
        match message {
            Message::Offer(offer) => assert!(node.jobs_on_disk.contains(&offer.job), "offered before it was stored"),
            Message::Verdicts(verdicts) => {
                let stored = |&task: &TaskIndex| node.finals.finals.contains_key(&(verdicts.job, task));
                assert!(verdicts.accepted.iter().all(stored), "accepted before it was stored");
            }
            _ => {}
        }
    }

    fn store(&mut self, id: PeerId, record_id: RecordId, record: Record) {
        if self.dies_before(id) {
            return;
        }
        let life = self.nodes[&id].life;
        self.later(DISK, What::Stored { at: id, life, id: record_id, record: Box::new(record) });
    }

    fn fetch(&mut self, id: PeerId, item: Item, from: &[PeerId]) {
        let has = |peer: &&PeerId| {
            let node = &self.nodes[*peer];
            self.links.contains(&(id, **peer)) && node.items.contains(&item) && node.behaviour.serves()
        };
        let found = self.nodes[&id].items.contains(&item) || from.iter().any(|peer| has(&peer));
        let (life, span) = (self.nodes[&id].life, self.latency() + self.latency());
        self.later(span, What::Fetched { at: id, life, item, found });
    }

    fn read_parts(&mut self, id: PeerId, job: JobId, tasks: &[TaskIndex]) {
        let parts: Vec<_> = tasks.iter().map(|&task| (task, self.inputs[&job][task as usize].clone())).collect();
        let (life, span) = (self.nodes[&id].life, self.latency());
        self.later(span, What::PartsRead { at: id, life, job, parts });
    }

    fn execute(&mut self, id: PeerId, run: Run) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.queued.push((run.run, run));
        self.run_sandbox(id);
    }

    /// A sandbox has as many lanes as its peer has slots, and one for checks.
    fn run_sandbox(&mut self, id: PeerId) {
        loop {
            let node = self.nodes.get_mut(&id).unwrap();
            if node.queued.is_empty() || node.running >= usize::from(node.slots).max(1) {
                return;
            }
            let (run_id, run) = node.queued.remove(0);
            if node.cancelled.contains(&run_id) {
                continue;
            }
            let Some((result, span)) = self.sandbox(id, &run) else { continue };
            let node = self.nodes.get_mut(&id).unwrap();
            node.running += 1;
            *node.ran.entry((run.name.clone(), model::index_of(&run))).or_default() += 1;
            let life = node.life;
            self.later(span, What::Finished { at: id, life, run: run_id, result: Box::new(result) });
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Say { to, from, message } => {
                *self.node_mut(to).heard.entry(message.content.kind().name()).or_default() += 1;
                self.note_verdicts(to, from, &message.content);
                self.tell(to, Input::MessageReceived { from, message: *message });
            }
            What::Gossip { to, depth, message } => {
                self.tokens += 1;
                self.tell(to, Input::GossipHeard { token: self.tokens, depth, message: *message });
            }
            What::Connected { a, b } => self.connect(a, b),
            What::Stored { at, life, id, record } if self.nodes[&at].life == life => self.stored(at, id, *record),
            What::Kept { at, life, id, content } if self.nodes[&at].life == life => self.kept(at, id, *content),
            What::Finished { at, life, run, result } if self.nodes[&at].life == life => {
                self.node_mut(at).running -= 1;
                self.tell(at, Input::ExecutionFinished { run, result: *result });
                self.run_sandbox(at);
            }
            What::Fetched { at, life, item, found } if self.nodes[&at].life == life => {
                if found {
                    self.node_mut(at).items.insert(item);
                }
                self.tell(at, Input::Fetched { item, found });
            }
            What::PartsRead { at, life, job, parts } if self.nodes[&at].life == life => {
                let blobs = parts.iter().filter_map(|(_, input)| model::blob_of(input.as_ref()?));
                self.node_mut(at).items.extend(blobs.map(Item::Blob));
                self.tell(at, Input::PartsRead { job, parts });
            }
            What::Deadline { at, life } if self.nodes[&at].life == life => {
                let node = &self.nodes[&at];
                let due = node.peer.as_ref().and_then(Peer::next_deadline);
                if due.is_some_and(|due| node.born + Duration::from_micros(due.0) <= self.now) {
                    self.tell(at, Input::DeadlineReached);
                }
            }
            _ => {}
        }
    }

    fn stored(&mut self, at: PeerId, id: RecordId, record: Record) {
        let node = self.nodes.get_mut(&at).unwrap();
        match &record {
            Record::Submitted { job, .. } => drop(node.jobs_on_disk.insert(id_of(job))),
            record => node.finals.read(record),
        }
        node.disk.push(record);
        if self.dies_after(at) {
            return;
        }
        self.tell(at, Input::Stored { record: id });
    }

    fn note_verdicts(&mut self, to: PeerId, from: PeerId, message: &Message) {
        if let Message::Verdicts(verdicts) = message {
            let node = self.node_mut(to);
            node.accepted += verdicts.accepted.len() as u64;
            let owed = node.owed.entry((from, verdicts.job)).or_default();
            *owed = (*owed).max(verdicts.owed);
        }
    }

    /// Something between 0 and 1.
    pub fn chance(&mut self) -> f64 {
        self.rng.next_u64() as f64 / u64::MAX as f64
    }
}

/// What a message must keep on its way: its kind's bounds, and the same content at the other end.
pub fn check(message: &Message, attached: &[Bytes]) {
    let body = message.encode_body();
    let bytes: usize = attached.iter().map(|blob| blob.len() + 8).sum();
    assert!(body.len() <= message.kind().bytes_max(), "{} of {} bytes", message.kind().name(), body.len());
    assert!(body.len() + bytes + 512 <= pocketmesh_types::limits::MESSAGE_BYTES_MAX, "{}", message.kind().name());
    let back = Message::decode_body(message.kind(), &body).unwrap();
    assert!(back.check().is_ok(), "{message:?}");
    assert_eq!(&back, message);
}

pub fn fuel() -> Fuel {
    Fuel(1_000_000)
}
