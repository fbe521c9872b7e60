//! The world: all peers, the queue of what is to happen, and the loop that makes it happen.
//!
//! Same scenario and seed, same run, to the last message. The other files of this crate add to [`World`] what each of
//! them models; here is only what they share.

use crate::{
    attack::{Clique, Wiretap},
    checkers::Checkers,
    dice::Dice,
    journal::Journal,
    meter::Meter,
    node::{Node, Task},
    overlay::{Overlay, Places},
    plant::Plant,
    queue::Queue,
    scenario::{Faults, Links, Mesh},
    seen::Seen,
    trace::Trace,
    truth::Truth,
};
use pocketmesh_ledger::record::Content;
use pocketmesh_protocol::{Effect, Event, Input, Item, Peer, Record, RecordId, RunId, settlement::StoreId};
use pocketmesh_types::{Instant, PeerId, UnixTime};
use pocketmesh_wire::{Message, Verified};
use std::collections::BTreeMap;

/// A second, in the microseconds of virtual time.
pub const SECOND: u64 = 1_000_000;
/// A millisecond.
pub const MS: u64 = 1_000;
/// The wall clock when the world begins.
const WALL_AT_START_MS: u64 = 1_700_000_000_000;

/// Gossip on its way: one event that moves from arrival to arrival.
#[derive(Debug)]
pub struct Spread {
    /// What is gossiped.
    pub message: Verified<Message>,
    /// What it takes on the wire.
    pub bytes: u32,
    /// How deep its topic lies.
    pub depth: u8,
    /// When it was published.
    pub began: u64,
    /// After how long it reaches whom.
    pub arrivals: Vec<(u32, u32)>,
    /// How far it is.
    pub next: usize,
}

/// Something that is to happen.
#[derive(Debug)]
#[expect(missing_docs, reason = "`at`, `a`, `b` are peers, `life` and `epoch` are those for which it holds")]
pub enum What {
    /// A message arrives; over that connection, or over whichever there is if it comes again.
    Say { to: u32, from: u32, epoch: u32, message: Box<Verified<Message>> },
    /// Gossip reaches the next peer.
    Gossip(Box<Spread>),
    /// A record is written.
    Written { at: u32, life: u32, id: RecordId, record: Box<Record>, tell: bool },
    /// A record of money is written.
    Kept { at: u32, life: u32, id: StoreId, content: Box<Content>, tell: bool },
    /// A task has run.
    Ran { at: u32, life: u32, task: Box<Task> },
    /// A fetch has ended.
    Fetched { at: u32, life: u32, item: Item, found: bool },
    /// A deadline may be due.
    Deadline { at: u32, life: u32 },
    /// Two peers that want to be connected try to.
    Connect { a: u32, b: u32 },
    /// A connection that was made for a bid is closed if nothing has passed for a while.
    Idle { a: u32, b: u32, epoch: u32 },
    /// A connection breaks.
    Break { a: u32, b: u32, epoch: u32 },
    /// One end notices that a connection is gone.
    Notice { at: u32, gone: u32, epoch: u32 },
    /// A peer looks how large the mesh is.
    LookAround { at: u32, life: u32 },
    /// A peer starts.
    Start { at: u32 },
    /// A peer crashes.
    Crash { at: u32, life: u32 },
    /// Churn takes a peer away or brings it back.
    Churn { at: u32, leaves: bool },
    /// A peer that was told to leave is gone.
    Gone { at: u32, life: u32 },
    /// A peer takes a new name.
    Rename { at: u32, life: u32 },
    /// A job is submitted.
    Submit { by: u32, work: u16 },
    /// The mesh falls in two, or is whole again.
    Partition { heals: bool, phase: u32 },
    /// A peer's wall clock jumps.
    ClockJump { phase: u32 },
    /// It is set right.
    ClockSet { at: u32 },
    /// A peer crashes, whichever.
    AnyCrash { phase: u32 },
    /// Checkers look at some peers, and the meter at the clock.
    Sample,
}

/// One stream of dice for each model.
#[derive(Debug)]
pub struct Streams {
    /// Links.
    pub links: Dice,
    /// Gossip.
    pub gossip: Dice,
    /// Sandboxes.
    pub sandbox: Dice,
    /// Coming and going.
    pub churn: Dice,
    /// Faults.
    pub faults: Dice,
    /// Jobs.
    pub jobs: Dice,
}

/// All of it.
#[derive(Debug)]
pub struct World {
    /// Virtual time, in microseconds.
    pub now: u64,
    /// The seed of the run.
    pub seed: u64,
    /// All peers.
    pub nodes: Vec<Node>,
    /// What is really so.
    pub truth: Truth,
    /// Those who look for what must not be.
    pub checkers: Checkers,
    /// What is counted.
    pub meter: Meter,
    /// The story of one job.
    pub trace: Trace,
    /// What was broken on purpose.
    pub plant: Option<Plant>,
    /// Latencies.
    pub links: Links,
    /// Who is connected to whom.
    pub mesh: Mesh,
    /// The assumptions on gossip.
    pub overlay: Overlay,
    /// Those who want to be connected.
    pub edges: Vec<Vec<u32>>,
    /// Where everybody is in the key space: who hears which offers.
    pub places: Places,
    /// What goes wrong now.
    pub faults: Faults,
    /// Which phase it is.
    pub phase: u32,
    /// On which side of a partition each peer is, while there is one.
    pub sides: Option<Vec<bool>>,
    /// What the disks say, all together.
    pub journal: Journal,
    /// Who refuses whom, and until when.
    pub refused: BTreeMap<(u32, PeerId), u64>,
    /// What a copier has seen.
    pub wiretap: Wiretap,
    /// What the clique knows.
    pub clique: Clique,
    /// The groups and jobs of the scenario.
    pub plan: crate::scenario::Scenario,
    /// The dice.
    pub dice: Streams,
    pub(crate) queue: Queue<What>,
    pub(crate) epochs: u32,
    pub(crate) tokens: u64,
    pub(crate) commands: u64,
    pub(crate) sampled: usize,
    pub(crate) jobs_wanted: bool,
}

impl World {
    /// Puts something into the queue.
    pub(crate) fn later(&mut self, span: u64, what: What) {
        self.queue.push(self.now + span, what);
    }

    /// Runs until `end`, or until `done` says so; it is asked at each sample.
    pub fn run_until(&mut self, end: u64, mut done: impl FnMut(&Self) -> bool) {
        while let Some((at, what)) = self.queue.pop_until(end) {
            self.now = self.now.max(at);
            self.meter.on_event(at, &what);
            let is_sample = matches!(what, What::Sample);
            self.happen(what);
            if is_sample && done(self) {
                return;
            }
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Say { to, from, epoch, message } => self.arrive(to, from, epoch, message),
            What::Gossip(spread) => self.gossip_arrives(spread),
            What::Written { at, life, id, record, tell } => self.written(at, life, id, *record, tell),
            What::Kept { at, life, id, content, tell } => self.kept(at, life, id, *content, tell),
            What::Ran { at, life, task } if self.lives(at, life) => self.ran(at, task),
            What::Fetched { at, life, item, found } if self.lives(at, life) => self.fetched(at, item, found),
            What::Deadline { at, life } if self.lives(at, life) => self.deadline(at),
            What::Connect { a, b } => self.connect(a, b),
            What::Idle { a, b, epoch } => self.close_if_idle(a, b, epoch),
            What::Break { a, b, epoch } => self.break_link(a, b, epoch),
            What::Notice { at, gone, epoch } => self.notice_gone(at, gone, epoch),
            What::LookAround { at, life } if self.lives(at, life) => self.look_around(at),
            What::Start { at } => self.start(at),
            What::Crash { at, life } if self.lives(at, life) => self.crash(at),
            What::Churn { at, leaves } => self.churn(at, leaves),
            What::Gone { at, life } if self.lives(at, life) => self.kill(at, false),
            What::Rename { at, life } if self.lives(at, life) => self.rename(at),
            What::Submit { by, work } => self.submit(by, work),
            What::Partition { heals, phase } => self.partition(heals, phase),
            What::ClockJump { phase } => self.clock_jump(phase),
            What::ClockSet { at } => self.set_clock(at, 0),
            What::AnyCrash { phase } => self.any_crash(phase),
            What::Sample => self.sample(),
            _ => {}
        }
    }

    /// Whether a peer is up, and in this life.
    pub(crate) fn lives(&self, at: u32, life: u32) -> bool {
        let node = &self.nodes[at as usize];
        node.life == life && node.peer.is_some()
    }

    /// The wall clock of a peer.
    pub(crate) fn wall(&self, at: u32) -> UnixTime {
        let true_ms = WALL_AT_START_MS + self.now / MS;
        UnixTime(true_ms.saturating_add_signed(self.nodes[at as usize].skew_ms))
    }

    /// The time on a peer's own clock.
    pub(crate) fn clock(&self, at: u32) -> Instant {
        let now = if self.plant == Some(Plant::ClockStands) { self.now.min(15 * SECOND) } else { self.now };
        Instant(now.saturating_sub(self.nodes[at as usize].born))
    }

    /// Tells a peer something, and does what it says.
    pub(crate) fn tell(&mut self, at: u32, input: Input) {
        let clock = self.clock(at);
        let Some(peer) = &mut self.nodes[at as usize].peer else { return };
        let effects = peer.handle(clock, input);
        self.perform(at, effects);
    }

    pub(crate) fn perform(&mut self, at: u32, effects: Vec<Effect>) {
        let life = self.nodes[at as usize].life;
        for effect in effects {
            if !self.lives(at, life) {
                return;
            }
            match effect {
                Effect::Send { to, message, attached } => self.send(at, to, message, attached),
                Effect::Publish { message, near, depth } => self.publish(at, message, near, depth),
                Effect::Reach { peer, .. } => self.reach(at, &peer),
                Effect::Judge { judgement, .. } => self.meter.on_judgement(judgement),
                Effect::Execute(run) => self.execute(at, &run),
                Effect::Cancel(run) => self.cancel(at, run),
                Effect::Fetch { item, len, from, .. } => self.fetch(at, item, len, &from),
                // Jobs of scenarios have no inputs.
                Effect::ReadParts { .. } | Effect::ReleaseParts { .. } => {}
                Effect::Store { id, record } => self.store(at, id, record),
                money @ (Effect::Pay { .. } | Effect::Keep { .. } | Effect::Quit(_)) => self.perform_money(at, money),
                Effect::Reply { reply, .. } => self.meter.on_reply(&reply),
                Effect::Disconnect { peer, .. } => self.shun(at, &peer),
                Effect::Notify(event) => self.notice(at, &event),
            }
        }
        self.arm(at);
    }

    fn notice(&mut self, at: u32, event: &Event) {
        self.see(&Seen::Notice { at, event });
    }

    /// Shows the meter and the checkers something.
    pub(crate) fn see(&mut self, seen: &Seen<'_>) {
        self.meter.see(&self.truth, self.now, seen);
        self.checkers.see(&self.truth, self.now, seen);
        self.trace.see(&self.truth, self.now, seen);
    }

    fn arm(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        let Some(deadline) = node.peer.as_ref().and_then(|peer| peer.next_deadline()) else { return };
        let due = (node.born + deadline.0).max(self.now);
        let stands = self.plant == Some(Plant::ClockStands) && self.now > 15 * SECOND;
        if due < node.armed && !stands {
            node.armed = due;
            let life = node.life;
            self.queue.push(due, What::Deadline { at, life });
        }
    }

    fn deadline(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        if self.now < node.armed {
            return;
        }
        node.armed = u64::MAX;
        let due = node.peer.as_ref().and_then(|peer| peer.next_deadline());
        if due.is_some_and(|due| node.born + due.0 <= self.now) {
            self.tell(at, Input::DeadlineReached);
        } else {
            self.arm(at);
        }
    }

    /// Cancels what is not wanted any more; a lane that is free takes the next.
    fn cancel(&mut self, at: u32, run: RunId) {
        let lanes = &mut self.nodes[at as usize].lanes;
        if self.plant == Some(Plant::RunsPileUp)
            && let Some(task) = lanes.queued.iter().find(|task| task.run == run).copied()
        {
            lanes.queued.extend([task, task]);
            return;
        }
        lanes.running.retain(|&running| running != run);
        lanes.queued.retain(|task| task.run != run);
        self.pump(at);
    }

    /// Looks at some peers, all of them in turn.
    fn sample(&mut self) {
        const PEERS_AT_ONCE: usize = 256;
        for _ in 0..PEERS_AT_ONCE.min(self.nodes.len()) {
            self.sampled = (self.sampled + 1) % self.nodes.len();
            let node = &self.nodes[self.sampled];
            let Some(peer) = &node.peer else { continue };
            let seen = Seen::Sampled {
                at: self.sampled as u32,
                peer: peer as &Peer,
                slots: self.plan.peers[usize::from(self.truth.peers[self.sampled].group)].slots,
                queued: node.lanes.queued.len(),
                running: node.lanes.running.len(),
            };
            self.checkers.see(&self.truth, self.now, &seen);
        }
        let up = self.up();
        self.meter.tick(up);
        self.later(SECOND, What::Sample);
    }

    /// How many peers are up.
    pub fn up(&self) -> usize {
        self.nodes.iter().filter(|node| node.peer.is_some()).count()
    }
}
