//! A whole daemon, from its data folder to its last word.

use crate::{
    blobs::{self, Exchange},
    clock::Clock,
    control::Desk,
    driver::{Driver, LoopError, PARTS_MAX, QUESTIONS_MAX, Sources},
    executor::{QUEUE, Sandbox},
    gossip::Pending,
    home::{Home, KeyError, PlaceError, Size},
    money,
    parts::Cutter,
    peers,
    proofs::Shelf,
    recover::{Recovered, recover},
    sabotage::{Sabotage, Saboteur},
    sandbox,
};
use futures::FutureExt;
use pocketmesh_api::{BindError, Listener};
use pocketmesh_blobs::{Durability, Rates, Store, Uplink};
use pocketmesh_network::{Multiaddr, StartError};
use pocketmesh_protocol::{Config, settlement::Money};
use pocketmesh_sandbox::{Blob, Executor, Saver};
use pocketmesh_store::{FolderLock, Index, LockError, index, journal};
use pocketmesh_types::{Arch, Hash, Output, PeerId, limits};
use pocketmesh_wire::{Key, Signer};
use std::{
    collections::BTreeMap,
    future::Future,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// What sled may keep in memory.
const INDEX_CACHE_BYTES: u64 = 16 << 20;

/// How long another daemon's hold on the data folder is waited for, and how often it is looked at.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(50);

/// What a daemon is started with.
#[derive(Debug)]
pub struct Options {
    /// Its data folder.
    pub home: Home,
    /// Addresses to listen on in place of the configuration's.
    pub listen: Vec<String>,
    /// Bootstrap addresses besides the configuration's.
    pub bootstrap: Vec<String>,
    /// Whether to look for peers by multicast.
    pub mdns: bool,
    /// A test aid: return wrong results.
    pub sabotage: Option<Sabotage>,
}

/// A daemon that can be talked to.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Its name.
    pub peer: PeerId,
    /// Where it listens, each with `/p2p/…`.
    pub addresses: Vec<String>,
    /// Its control socket.
    pub socket: PathBuf,
}

/// Why a daemon did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder is in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The identity cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An address is none.
    #[error("{0:?} is no address: give /ip4/ADDRESS/tcp/PORT, with or without /p2p/PEER")]
    Address(String),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    /// The index cannot be made.
    #[error(transparent)]
    Index(#[from] index::OpenError),
    /// The index cannot be used.
    #[error("cannot use the index: {0}")]
    Tree(#[from] index::UseError),
    /// The blob store cannot be opened.
    #[error(transparent)]
    Blobs(#[from] pocketmesh_blobs::store::OpenError),
    /// The sandbox does not start.
    #[error(transparent)]
    Sandbox(#[from] sandbox::StartError),
    /// The network does not start.
    #[error(transparent)]
    Network(#[from] StartError),
    /// There is no place for the control socket.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The control socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Entropy(getrandom::Error),
    /// The loop ended.
    #[error(transparent)]
    Loop(#[from] LoopError),
}

/// Runs a daemon until `stop`, or until it is told to stop over its socket.
pub async fn run(
    options: Options,
    on_ready: impl FnOnce(&Ready),
    stop: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    let home = options.home.clone();
    let lock = lock(&home).await?;
    let seed = home.seed()?;
    let key = Key::from_seed(seed.bytes());
    let index = open_index(&lock)?;
    let notes = blobs::notes::InIndex(index.tree(blobs::notes::TREE)?);
    let store = Store::open_with_notes(home.blobs(), home.config().storage.quota.0, Box::new(notes))?;
    let executor = start_executor(&home, &store)?;
    let config = protocol_config(&home, &key, seed.bytes(), executor.as_ref())?;
    let recovered = recover(&home, &lock, index, config, &store)?;
    drop(lock);

    let mut network_config = network_config(&options)?;
    network_config.seed = zeroize::Zeroizing::new(*seed.bytes());
    network_config.known = peers::load(&recovered.index.tree(peers::TREE)?);
    let (network, network_events) = pocketmesh_network::start(network_config).await?;
    let socket = home.place_socket()?;
    let listener = Listener::bind(&socket)?;

    let ready = Ready {
        peer: key.peer(),
        addresses: network.listen_addrs().iter().map(Multiaddr::to_string).collect(),
        socket,
    };
    let saboteur = options.sabotage.map(|kind| Saboteur::new(kind, key.peer()));
    let index = Arc::clone(&recovered.index);
    let (mut driver, mut sources, desk) =
        assemble(home, key, (network.clone(), network_events), store, executor, recovered, saboteur);
    let (end_serving, serving_ends) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(pocketmesh_api::serve(listener, Arc::new(desk), serving_ends.map(drop)));
    on_ready(&ready);
    let outcome = driver.run(&mut sources, stop.boxed()).await;
    driver.marker.leave();
    drop(end_serving);
    peers::save(network.clone(), index).await;
    network.shutdown().await;
    // Until here, because the network ends with the receiver of its events.
    drop((driver, sources));
    // The server's task ends with its channel; how does not matter any more.
    let _ = served.await;
    Ok(outcome?)
}

/// Locks the data folder. A daemon that was just killed, or told to stop, needs a moment to let go of it.
async fn lock(home: &Home) -> Result<FolderLock, LockError> {
    let patience = tokio::time::Instant::now() + LOCK_PATIENCE;
    loop {
        match FolderLock::acquire(home.dir()) {
            Err(LockError::InUse { .. }) if tokio::time::Instant::now() < patience => {
                tokio::time::sleep(LOCK_POLL).await;
            }
            result => return result,
        }
    }
}

/// Puts the parts of a daemon together: the loop, where its inputs come from, and who answers the control API.
fn assemble(
    home: Home,
    key: Key,
    (network, network_events): (pocketmesh_network::Handle, pocketmesh_network::Events),
    store: Store,
    executor: Arc<dyn Executor>,
    recovered: Recovered,
    saboteur: Option<Saboteur>,
) -> (Driver, Sources, Desk) {
    let (sandbox, finished) = Sandbox::new(Arc::clone(&executor), store.clone(), saboteur);
    let (exchange, fetched) = Exchange::new(store.clone(), network.clone(), uplink(&home));
    exchange.tell_of_kept();
    let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
    let (parts, parts_read) = mpsc::channel(PARTS_MAX);
    let (reduced, reductions) = mpsc::channel(QUESTIONS_MAX);
    let (ends, ended) = watch::channel(0);
    let shelf = Shelf::new(Home::proofs_of(home.dir()));
    let desk = Desk {
        home: Mutex::new(home.clone()),
        questions,
        network: network.clone(),
        store: store.clone(),
        exchange: exchange.clone(),
        results: recovered.results.clone(),
        shelf: shelf.clone(),
        executor: Arc::clone(&executor),
        ends: ended,
    };
    let sources = Sources {
        network: network_events,
        journal: recovered.events,
        finished,
        fetched,
        parts: parts_read,
        questions: asked,
        reduced: reductions,
    };
    let driver = Driver {
        home,
        peer: recovered.peer,
        key,
        clock: Clock::start(),
        network,
        cutter: Cutter::new(store.clone()),
        parts,
        store,
        exchange,
        sandbox,
        executor,
        journal: recovered.journal,
        marker: recovered.marker,
        till: recovered.till,
        damage: recovered.damage,
        index: recovered.index,
        results: recovered.results,
        claims: recovered.claims,
        shelf,
        ledger: recovered.ledger,
        replies: BTreeMap::new(),
        reduced,
        ends,
        pending: Pending::default(),
        commands: 0,
        stopping: false,
    };
    (driver, sources, desk)
}

fn uplink(home: &Home) -> Uplink {
    let rate = |rate: Option<Size>| rate.map(|rate| rate.0);
    let storage = &home.config().storage;
    Uplink::new(Rates { total: rate(storage.uplink), per_peer: rate(storage.uplink_per_peer) })
}

fn start_executor(home: &Home, store: &Store) -> Result<Arc<dyn Executor>, RunError> {
    let provide = &home.config().provide;
    let plan = sandbox::Plan {
        settings: home.config().sandbox,
        executors: NonZeroUsize::new(provide.cores() as usize).unwrap_or(NonZeroUsize::MIN),
        queue: QUEUE,
        cache_dir: Some(home.cache()),
        // Jobs of one's own may be larger than what is given to others.
        memory: limits::TASK_MEMORY_BYTES_MAX,
    };
    let loader_store = store.clone();
    let loader = Arc::new(move |id| {
        let (file, len) = loader_store.open_file(id).map_err(std::io::Error::other)?;
        Ok(Blob::new(len, file))
    });
    let saver_store = store.clone();
    let saver: Saver = Arc::new(move |mut bytes, len| {
        let id = saver_store.put_reader(&mut bytes, len, Durability::Refetchable).map_err(std::io::Error::other)?;
        Ok(Output { id, len })
    });
    Ok(sandbox::start(plan, loader, Some(saver))?)
}

fn protocol_config(home: &Home, key: &Key, seed: &[u8; 32], executor: &dyn Executor) -> Result<Config, RunError> {
    let provide = &home.config().provide;
    let mut dice = [0; 32];
    getrandom::fill(&mut dice).map_err(RunError::Entropy)?;
    Ok(Config {
        me: key.peer(),
        profile: executor.profile(),
        ask: provide.price,
        floor_per_gib: provide.floor_per_gib,
        slots: if provide.enabled { u16::try_from(provide.cores()).unwrap_or(u16::MAX) } else { 0 },
        arch: Arch::of_name(std::env::consts::ARCH),
        memory_max: provide.memory() / u64::from(provide.cores().max(1)),
        seed: dice,
        salt_key: Hash::of_parts("pocketmesh salt key 1", &[seed]).0,
        money: Money { unpaid: provide.unpaid.into(), ..Money::new(money::open_sealed) },
    })
}

fn network_config(options: &Options) -> Result<pocketmesh_network::Config, RunError> {
    let config = options.home.config();
    let listen = if options.listen.is_empty() { &config.listen } else { &options.listen };
    let mut network = pocketmesh_network::Config::new([0; 32], config.network.clone());
    network.listen = addresses(listen)?;
    network.bootstrap = addresses(options.bootstrap.iter().chain(&config.bootstrap))?;
    network.mdns = options.mdns;
    network.streams = vec![blobs::PROTOCOL];
    Ok(network)
}

fn addresses<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<Vec<Multiaddr>, RunError> {
    let parse = |text: &String| text.parse().map_err(|_| RunError::Address(text.chars().take(100).collect()));
    texts.into_iter().map(parse).collect()
}

fn open_index(lock: &FolderLock) -> Result<Index, RunError> {
    let (index, condition) = Index::open(lock, INDEX_CACHE_BYTES)?;
    if let index::Condition::Rebuilt { reason } = &condition {
        tracing::warn!(reason, "the index was damaged; it was moved aside and is made anew from the journal");
    }
    Ok(index)
}
