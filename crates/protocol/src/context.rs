//! What every machine of a peer needs while it handles one input: the time, the dice, the timers, a place for effects.

use crate::{
    effect::{Effect, Event},
    input::{Item, Prefix, RecordId, RunId},
    record::Record,
    reputation::Reputation,
    settlement::{self, Money},
    timers::{Timer, Timers},
};
use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;
use pocketmesh_ledger::service::Applicant;
use pocketmesh_types::{
    Arch, BlobId, Bytes, Hash, Instant, Output, PeerId, PerGib, Price, ProfileId, UnixTime, limits,
};
use pocketmesh_wire::Message;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

/// The first interval after which a payment without a quittance is said again.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// What a peer is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its own name.
    pub me: PeerId,
    /// The profile that its sandbox runs.
    pub profile: ProfileId,
    /// What it asks for its work.
    pub ask: Price,
    /// What it is to be paid at least for each GiB that is moved for a task.
    pub floor_per_gib: PerGib,
    /// How many tasks it runs at once; none if it gives nothing.
    pub slots: u16,
    /// Its architecture.
    pub arch: Arch,
    /// The largest memory limit of a task that it takes, in bytes.
    pub memory_max: u64,
    /// Where its dice start; every run with the same seed and inputs is the same.
    pub seed: [u8; 32],
    /// What salts are derived from, so that a restarted worker commits alike. A secret.
    pub salt_key: [u8; 32],
    /// Whom it serves for nothing, and how statements about payment are opened.
    pub money: Money,
}

/// The shared part of a peer.
#[derive(Debug)]
pub struct Context {
    /// What it was told once.
    pub config: Config,
    /// The time of the input being handled.
    pub now: Instant,
    /// The timers.
    pub timers: Timers,
    /// What this peer has seen of others.
    pub reputation: Reputation,
    /// What it owes, and is owed.
    pub money: settlement::State,
    /// Connected peers, with their public prefixes.
    pub peers: BTreeMap<PeerId, Option<Prefix>>,
    /// How many peers there are besides this one, about, if the network has said so.
    pub mesh: usize,
    /// Where this peer can be reached.
    pub contacts: Vec<Bytes>,
    /// How many tasks this device runs at once, now.
    pub slots: u16,
    /// Peers whose claims were just refuted: they lose their leases in all jobs.
    pub outcasts: Vec<PeerId>,
    effects: Vec<Effect>,
    rng: ChaCha20Rng,
    wall_at_zero: u64,
    runs: u64,
    records: u64,
}

impl Context {
    /// A peer that has just started.
    pub fn new(config: Config) -> Self {
        Self {
            rng: ChaCha20Rng::from_seed(config.seed),
            slots: config.slots,
            money: config.money.accounts_of(config.me),
            config,
            now: Instant::default(),
            timers: Timers::default(),
            reputation: Reputation::default(),
            peers: BTreeMap::new(),
            mesh: 0,
            contacts: Vec::new(),
            outcasts: Vec::new(),
            effects: Vec::new(),
            wall_at_zero: 0,
            runs: 0,
            records: 0,
        }
    }

    /// Adds an effect.
    pub fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Says something to one peer.
    pub fn send(&mut self, to: PeerId, message: impl Into<Message>) {
        self.send_with(to, message, Vec::new());
    }

    /// Says something to one peer, with small blobs attached.
    pub fn send_with(&mut self, to: PeerId, message: impl Into<Message>, attached: Vec<Bytes>) {
        self.emit(Effect::Send { to, message: message.into(), attached });
    }

    /// Tells people.
    pub fn notify(&mut self, event: Event) {
        self.emit(Effect::Notify(event));
    }

    /// Puts a record on its way to the disk.
    pub fn store(&mut self, record: Record) -> RecordId {
        self.records += 1;
        let id = RecordId(self.records);
        self.emit(Effect::Store { id, record });
        id
    }

    /// Asks for a blob.
    pub fn fetch(&mut self, blob: BlobId, len: u64, from: Vec<PeerId>) {
        self.emit(Effect::Fetch { item: Item::Blob(blob), len, files_max: 0, from, fellows: Vec::new() });
    }

    /// Asks for a list of files and for the files, which together have at most so many bytes.
    pub fn fetch_tree(&mut self, list: Output, files_max: u64, from: Vec<PeerId>) {
        self.emit(Effect::Fetch { item: Item::Tree(list.id), len: list.len, files_max, from, fellows: Vec::new() });
    }

    /// A number for an execution.
    pub fn next_run(&mut self) -> RunId {
        self.runs += 1;
        RunId(self.runs)
    }

    /// A number below `bound`, which is at least 1. The bias, below 2⁻³², is harmless for the choices made here.
    pub fn below(&mut self, bound: usize) -> usize {
        debug_assert!(bound > 0, "a choice among nothing");
        ((u128::from(self.rng.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Thirty-two bytes that nobody can guess.
    pub fn secret(&mut self) -> Hash {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        Hash(bytes)
    }

    /// A peer, as one that asks for work on credit.
    pub fn applicant(&self, peer: PeerId) -> Applicant {
        let prefix = self.peers.get(&peer).copied().flatten();
        Applicant { peer, prefix, has_history: false }
    }

    /// Learns what the network knows of the mesh.
    pub fn set_mesh(&mut self, peers: usize, contacts: Vec<Bytes>) {
        let fits = |contact: &Bytes| contact.len() <= limits::CONTACT_BYTES_MAX;
        self.mesh = peers;
        self.contacts = contacts.into_iter().filter(fits).take(limits::CONTACTS_MAX).collect();
    }

    /// How many peers there are that this one is not connected to, as far as that can be told: the network's estimate is
    /// believed only where it says that they are the most.
    pub fn strangers(&self) -> usize {
        let strangers = self.mesh.saturating_sub(self.peers.len());
        if strangers > self.peers.len() { strangers } else { 0 }
    }

    /// Learns what the wall clock shows now.
    pub fn set_wall_clock(&mut self, wall: UnixTime) {
        self.wall_at_zero = wall.0.saturating_sub(self.now.0 / 1000);
    }

    /// The wall clock, for statements and filters.
    pub fn wall(&self) -> UnixTime {
        UnixTime(self.wall_at_zero.saturating_add(self.now.0 / 1000))
    }

    /// Whether a statement that expires then is still good, and not from a clock far ahead of ours.
    pub fn is_current(&self, expires: UnixTime, life_max: Duration) -> bool {
        let skew = limits::CLOCK_SKEW;
        expires + skew >= self.wall() && expires <= self.wall() + life_max + skew
    }

    /// Payments that get no quittance are said again soon.
    pub fn say_again_soon(&mut self) {
        self.timers.set_sooner(Timer::SayAgain, self.now + SAY_AGAIN);
    }

    /// It is time to.
    pub fn say_again(&mut self) {
        if self.money.say_again(|peer| self.peers.contains_key(peer)) {
            self.say_again_soon();
        }
    }

    /// Everything that was to be done, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        for effect in self.money.take_effects() {
            self.emit(effect.into());
        }
        core::mem::take(&mut self.effects)
    }
}
