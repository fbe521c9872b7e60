//! Many real peers in one process: a part that lives, and a part that first falls silent and then dies.
//!
//! The doomed run on a thread of their own. When it stops running them their sockets stay open and nothing answers, as
//! with a phone that lost its signal; when it drops them the kernel closes the sockets, as with a process that is killed.

use super::copies::Copies;
use crate::node::{NET, Node, config};
use futures::future::join_all;
use pocketmesh_network::{Config, DhtRole, Event, Events, Handle, Multiaddr, Verdict};
use pocketmesh_types::PeerId;
use std::{
    collections::{BTreeMap, BTreeSet},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

/// Messages heard and not yet looked at.
const HEARD_MAX: usize = 4096;
/// Heartbeats of each peer after which its mesh is neither too large nor too small. The first comes after five seconds.
const BEATS: u64 = 4;
/// How often a condition is looked at that nobody announces.
const GLANCE: Duration = Duration::from_millis(50);

/// How peers come to know each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// Everybody knows the first one's address, and everything else is as shipped.
    OneAddress,
    /// Each is told to dial its predecessor and so many others at random. Nobody hears of anybody else.
    Random { dialled: u8 },
}

/// How many peers, how many of them will fall silent and die, and how they are connected.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub peers: u8,
    pub doomed: u8,
    pub wiring: Wiring,
}

impl Shape {
    fn config(self, seed: u8, introducer: Option<&Multiaddr>) -> Config {
        let mut config = config(seed);
        if self.wiring == Wiring::OneAddress {
            config.bootstrap = introducer.into_iter().cloned().collect();
        } else {
            config.dht = DhtRole::Client;
            config.limits.outbound_target = 0;
        }
        config
    }
}

/// A peer heard a message for the first time.
#[derive(Debug)]
pub struct Heard {
    pub by: PeerId,
    pub from: PeerId,
    pub at: Instant,
    pub bytes: Vec<u8>,
}

/// What is left of a node when its events are taken by a task.
#[derive(Debug, Clone)]
pub struct Member {
    pub id: PeerId,
    pub address: Multiaddr,
    pub handle: Handle,
}

impl Member {
    /// Starts a peer whose task accepts every message and tells of it.
    async fn start(config: Config, heard: mpsc::Sender<Heard>) -> Self {
        let node = Node::start(config).await;
        let (id, address, handle) = (node.id(), node.bare_address(), node.handle.clone());
        tokio::spawn(attend(id, node.handle, node.events, heard));
        Self { id, address, handle }
    }

    async fn neighbours(&self) -> BTreeSet<PeerId> {
        let infos = self.handle.peers().await.expect("it runs");
        infos.into_iter().map(|info| info.peer).collect()
    }
}

async fn attend(by: PeerId, handle: Handle, mut events: Events, heard: mpsc::Sender<Heard>) {
    while let Some(event) = events.recv().await {
        let Event::Gossip { token, source: from, bytes, .. } = event else { continue };
        let told = heard.send(Heard { by, from, at: Instant::now(), bytes }).await;
        let judged = handle.report(token, Verdict::Accept).await;
        if told.is_err() || judged.is_err() {
            return;
        }
    }
}

/// Peers on a thread of their own. The first of them introduces everybody else.
pub struct Doomed {
    silence: oneshot::Sender<()>,
    silent: oneshot::Receiver<()>,
    dead: Silent,
}

/// The same when nobody runs them any more: their sockets are open and nothing answers.
pub struct Silent {
    death: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Doomed {
    async fn start(shape: Shape, copies: Copies, heard: mpsc::Sender<Heard>) -> (Self, Vec<Member>) {
        let (silence, silenced) = oneshot::channel::<()>();
        let (fell_silent, silent) = oneshot::channel();
        let (death, died) = oneshot::channel::<()>();
        let (started, members) = oneshot::channel();
        let live = async move {
            let introducer = Member::start(shape.config(1, None), heard.clone()).await;
            let address = introducer.address.clone();
            let others =
                (2..=shape.doomed).map(|seed| Member::start(shape.config(seed, Some(&address)), heard.clone()));
            let members: Vec<_> = [introducer].into_iter().chain(join_all(others).await).collect();
            started.send(members).expect("somebody waits");
            // An error means that the test is over.
            let _ = silenced.await;
        };
        let thread = thread::spawn(move || {
            let _listening = copies.listen();
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(live);
            // Errors mean that the test is over.
            let _ = fell_silent.send(());
            let _ = died.blocking_recv();
        });
        let members = members.await.expect("they start");
        (Self { silence, silent, dead: Silent { death, thread } }, members)
    }

    /// Nothing of them runs from here on.
    pub async fn fall_silent(self) -> Silent {
        self.silence.send(()).expect("they live");
        self.silent.await.expect("their thread runs");
        self.dead
    }
}

impl Silent {
    /// The kernel has closed their sockets from here on.
    pub fn die(self) {
        self.death.send(()).expect("their thread runs");
        self.thread.join().expect("they end");
    }
}

/// See the module.
pub struct Swarm {
    pub living: Vec<Member>,
    doomed: Vec<Member>,
    pub heard: mpsc::Receiver<Heard>,
    pub copies: Copies,
}

impl Swarm {
    /// Starts all at once, and returns when they are connected and their gossip has taken its shape.
    pub async fn start(shape: Shape, copies: Copies) -> (Self, Doomed) {
        let (hears, heard) = mpsc::channel(HEARD_MAX);
        let (reaper, doomed) = Doomed::start(shape, copies.clone(), hears.clone()).await;
        let address = doomed[0].address.clone();
        let living = (shape.doomed + 1..=shape.peers)
            .map(|seed| Member::start(shape.config(seed, Some(&address)), hears.clone()));
        let swarm = Self { living: join_all(living).await, doomed, heard, copies };
        if let Wiring::Random { dialled } = shape.wiring {
            swarm.wire(usize::from(dialled)).await;
        }
        timeout(NET, swarm.until_formed()).await.expect("formed before the net");
        (swarm, reaper)
    }

    /// The doomed and the living.
    pub fn everybody(&self) -> Vec<Member> {
        self.doomed.iter().chain(&self.living).cloned().collect()
    }

    /// Each dials its predecessor, so that the living stay in one piece, and so many others.
    async fn wire(&self, dialled: usize) {
        let all = self.everybody();
        for (at, member) in all.iter().enumerate() {
            let random = blake3::hash(format!("links of {at}").as_bytes());
            let others = random.as_bytes().iter().map(|byte| usize::from(*byte) % all.len());
            let others = others.filter(|other| *other != at).take(dialled);
            for other in others.chain(at.checked_sub(1)) {
                let reached = member.handle.dial(all[other].address.clone()).await;
                assert_eq!(reached, Ok(all[other].id));
            }
        }
    }

    /// All are connected, through whomever, and every peer's heartbeat has chosen its neighbours of the mesh.
    async fn until_formed(&self) {
        let met = self.living[0].id;
        while reached(&self.graph().await, met).len() < self.everybody().len() {
            sleep(GLANCE).await;
        }
        let wanted = self.copies.beats() + BEATS * self.everybody().len() as u64;
        while self.copies.beats() < wanted {
            sleep(GLANCE).await;
        }
    }

    /// Who is connected with whom.
    async fn graph(&self) -> BTreeMap<PeerId, BTreeSet<PeerId>> {
        let mut graph = BTreeMap::new();
        for member in self.everybody() {
            graph.insert(member.id, member.neighbours().await);
        }
        graph
    }
}

/// Those of the graph that can be reached from `start` over those of the graph.
fn reached(graph: &BTreeMap<PeerId, BTreeSet<PeerId>>, start: PeerId) -> BTreeSet<PeerId> {
    let (mut reached, mut todo) = (BTreeSet::from([start]), vec![start]);
    while let Some(peer) = todo.pop() {
        let next = graph[&peer].iter().filter(|next| graph.contains_key(*next));
        todo.extend(next.copied().filter(|next| reached.insert(*next)).collect::<Vec<_>>());
    }
    reached
}
