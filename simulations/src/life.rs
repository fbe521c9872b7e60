//! How peers begin, crash, come and go, and what else goes wrong by itself.

use crate::{
    dice::Dice,
    node::{Lanes, Link},
    plant::Plant,
    seen::Seen,
    truth,
    world::{MS, SECOND, What, World},
};
use pocketmesh_ledger::driver::Embedded;
use pocketmesh_protocol::{Config, Input, Peer};
use pocketmesh_types::{Bytes, Credits, Hash, PerGib, Price, ProfileId};

/// How long others take to notice that a peer is gone without a word, at the least and the most.
const NOTICED: (u64, u64) = (5 * SECOND, 20 * SECOND);
/// How long a peer takes to connect to those that it knows, at most.
const CONNECT_WITHIN: u64 = 500 * MS;
/// How long a wall clock stays wrong.
const CLOCK_WRONG_FOR: u64 = 300 * SECOND;
/// Memory that a device gives.
const MEMORY: u64 = 1 << 32;

/// The profile that all sandboxes have.
pub fn profile() -> ProfileId {
    ProfileId(Hash::of(b"simulated"))
}

/// When a peer that has started looks for the first time how large the mesh is: the daemon does when it first keeps house.
const LOOKS_AROUND_AFTER: u64 = 2 * SECOND;

impl World {
    /// Starts a peer on what is on its disk.
    pub(crate) fn start(&mut self, at: u32) {
        if self.nodes[at as usize].peer.is_some() || self.nodes[at as usize].away {
            return;
        }
        let wall = self.wall(at);
        let group = &self.plan.peers[usize::from(self.truth.peers[at as usize].group)];
        let (ask, slots) = (Price(group.ask), group.slots);
        let node = &mut self.nodes[at as usize];
        node.life += 1;
        (node.born, node.armed, node.lanes) = (self.now, u64::MAX, Lanes::default());
        let same = self.plant == Some(Plant::SameDice);
        let (life, name) = if same { (0, [0; 32]) } else { (node.life, node.id.0) };
        let mut money = self.plan.money();
        if self.plant == Some(Plant::CreditIgnored) {
            let any = Credits(u128::MAX);
            money.driver = Embedded { base: any, max: any, ..money.driver };
        }
        let mut peer = Box::new(Peer::new(Config {
            me: node.id,
            profile: profile(),
            ask,
            floor_per_gib: PerGib(0),
            slots,
            arch: group.arch.into(),
            memory_max: MEMORY,
            seed: Hash::of_parts("simulated dice", &[&self.seed.to_le_bytes(), &name, &life.to_le_bytes()]).0,
            salt_key: Hash::of_parts("simulated salt", &[&node.id.0]).0,
            money,
        }));
        self.journal_of(at).into_iter().for_each(|record| peer.restore(record));
        let mut effects = self.restore_money(at, &mut peer);
        effects.extend(peer.handle(Default::default(), Input::WallClock(wall)));
        let nobody_yet = Input::Mesh { peers: 0, contacts: vec![Bytes(at.to_le_bytes().to_vec())] };
        effects.extend(peer.handle(Default::default(), nobody_yet));
        effects.extend(peer.resume(Default::default()));
        let name = self.nodes[at as usize].id;
        let disk = std::mem::take(&mut self.nodes[at as usize].disk);
        self.see(&Seen::Started { at, name, disk: &disk });
        let node = &mut self.nodes[at as usize];
        (node.disk, node.peer) = (disk, Some(peer));
        let life = node.life;
        self.later(LOOKS_AROUND_AFTER, What::LookAround { at, life });
        self.perform(at, effects);
        for edge in 0..self.edges[at as usize].len() {
            let (b, wait) = (self.edges[at as usize][edge], self.dice.churn.below(CONNECT_WITHIN));
            self.later(wait, What::Connect { a: at, b });
        }
    }

    /// A peer's network tells it how large the mesh is. The daemon estimates that by the distance of the twenty nearest
    /// (specs/network.md §4).
    pub(crate) fn look_around(&mut self, at: u32) {
        let others = self.nodes.len() - 1;
        let error = Dice::new(self.seed, &format!("mesh as seen by {at}")).spread(1.0, 1.7);
        let peers = if others <= 20 { others } else { (others as f64 * error) as usize };
        self.tell(at, Input::Mesh { peers, contacts: vec![Bytes(at.to_le_bytes().to_vec())] });
    }

    /// A peer is gone from one moment to the next; others notice at once, or after a while.
    pub(crate) fn kill(&mut self, at: u32, silent: bool) {
        let node = &mut self.nodes[at as usize];
        if node.peer.take().is_none() {
            return;
        }
        node.life += 1;
        node.lanes = Lanes::default();
        node.disk_free = 0;
        let links = std::mem::take(&mut node.links);
        for Link { peer, epoch, .. } in links {
            let wait = if silent { self.dice.churn.between(NOTICED.0, NOTICED.1) } else { MS };
            self.later(wait, What::Notice { at: peer, gone: at, epoch });
        }
    }

    /// A peer crashes: what it had not stored is lost. The system closes its connections, so others notice. It comes back.
    pub(crate) fn crash(&mut self, at: u32) {
        self.meter.crashes += 1;
        self.kill(at, false);
        let down = self.dice.faults.between(SECOND / 10, self.faults.down_s.max(1) * SECOND);
        self.later(down, What::Start { at });
    }

    /// Some peer crashes; then the next, while this phase lasts.
    pub(crate) fn any_crash(&mut self, phase: u32) {
        if phase == self.phase && self.faults.crashes_per_hour > 0.0 {
            let at = self.dice.faults.index(self.nodes.len()) as u32;
            self.crash(at);
            self.again(self.faults.crashes_per_hour * self.nodes.len() as f64, What::AnyCrash { phase });
        }
    }

    /// Puts in what comes so often an hour.
    pub(crate) fn again(&mut self, per_hour: f64, what: What) {
        if per_hour > 0.0 {
            let wait = self.dice.faults.exponential(3_600.0 / per_hour);
            self.later((wait * SECOND as f64) as u64, what);
        }
    }

    /// Churn takes a peer away, or brings it back.
    pub(crate) fn churn(&mut self, at: u32, leaves: bool) {
        let churn = self.plan.peers[usize::from(self.truth.peers[at as usize].group)].churn;
        let Some((_, _, silent)) = churn.profile() else { return };
        if leaves && !self.faults.no_churn {
            self.nodes[at as usize].away = true;
            if self.dice.churn.chance(silent) {
                self.kill(at, true);
            } else {
                self.tell(at, Input::DeviceChanged { slots: 0 });
                let life = self.nodes[at as usize].life;
                self.later(SECOND, What::Gone { at, life });
            }
        } else if !leaves {
            self.nodes[at as usize].away = false;
            self.start(at);
        }
        self.plan_churn(at, leaves);
    }

    /// When churn next touches a peer, which has just come or gone.
    pub(crate) fn plan_churn(&mut self, at: u32, is_away: bool) {
        let churn = self.plan.peers[usize::from(self.truth.peers[at as usize].group)].churn;
        let Some((session, absence, _)) = churn.profile() else { return };
        let median = if is_away { absence } else { session };
        let wait = 2.0 + self.dice.churn.exponential(median / std::f64::consts::LN_2);
        self.later((wait * SECOND as f64) as u64, What::Churn { at, leaves: !is_away });
    }

    /// A peer whose name is burnt takes another: nothing of what it was is left.
    pub(crate) fn rename(&mut self, at: u32) {
        self.meter.renamed += 1;
        self.kill(at, false);
        let seed = self.seed;
        let node = &mut self.nodes[at as usize];
        node.generation += 1;
        node.id = truth::name_of(seed, at, node.generation);
        node.disk.clear();
        node.money.clear();
        node.delivered = 0;
        self.later(SECOND, What::Start { at });
    }

    /// The mesh falls into two halves, or is whole again.
    pub(crate) fn partition(&mut self, heals: bool, phase: u32) {
        if heals {
            self.sides = None;
            for a in 0..self.nodes.len() as u32 {
                for edge in 0..self.edges[a as usize].len() {
                    let b = self.edges[a as usize][edge];
                    if a < b && self.nodes[a as usize].link(b).is_none() {
                        let wait = self.dice.churn.below(CONNECT_WITHIN);
                        self.later(wait, What::Connect { a, b });
                    }
                }
            }
        } else if phase == self.phase && self.faults.partitions_per_hour > 0.0 {
            if self.sides.is_none() {
                self.meter.partitions += 1;
                let sides: Vec<bool> = (0..self.nodes.len()).map(|_| self.dice.faults.chance(0.5)).collect();
                self.cut_across(&sides);
                self.sides = Some(sides);
                self.later(self.faults.partition_s * SECOND, What::Partition { heals: true, phase });
            }
            self.again(self.faults.partitions_per_hour, What::Partition { heals: false, phase });
        }
    }

    fn cut_across(&mut self, sides: &[bool]) {
        for a in 0..self.nodes.len() as u32 {
            let across = |link: &&Link| a < link.peer && sides[a as usize] != sides[link.peer as usize];
            let cut: Vec<Link> = self.nodes[a as usize].links.iter().filter(across).copied().collect();
            for link in cut {
                for (one, other) in [(a, link.peer), (link.peer, a)] {
                    let wait = self.dice.faults.below(NOTICED.1);
                    self.later(wait, What::Notice { at: one, gone: other, epoch: link.epoch });
                }
            }
        }
    }

    /// Some peer's wall clock jumps; then the next, while this phase lasts.
    pub(crate) fn clock_jump(&mut self, phase: u32) {
        if phase == self.phase && self.faults.clock_jumps_per_hour > 0.0 {
            let at = self.dice.faults.index(self.nodes.len()) as u32;
            let span = self.faults.clock_jump_s as i64 * 1_000;
            let skew = self.dice.faults.below(2 * span as u64 + 1) as i64 - span;
            self.set_clock(at, skew);
            self.later(CLOCK_WRONG_FOR, What::ClockSet { at });
            self.again(self.faults.clock_jumps_per_hour * self.nodes.len() as f64, What::ClockJump { phase });
        }
    }

    /// Sets a peer's wall clock so far from the true one, and tells the peer.
    pub(crate) fn set_clock(&mut self, at: u32, skew_ms: i64) {
        self.nodes[at as usize].skew_ms = skew_ms;
        let wall = self.wall(at);
        self.tell(at, Input::WallClock(wall));
    }
}
