//! Peers that break the rules, over real connections: dropped, scored, logged once, and nobody else is harmed.

mod lists;

use crate::rig::{self, Mesh, guest};
use pocketmesh_api::{Input, JobState};
use pocketmesh_network::{Config, Event, Events, Handle};
use pocketmesh_types::{BlobId, Hash, JobId, LeaseId, OfferId, Price, ProfileId, TaskInput, UnixTime, job::TaskLimits};
use pocketmesh_wire::{
    Envelope, Key, Message,
    message::{Assign, Assigned, Bid, Ext, Heartbeat, Offer, Reveal},
};
use std::{
    io::Write,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const SEED: [u8; 32] = [66; 32];

/// Everything that the daemons of this process have logged.
static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();

#[derive(Clone)]
struct Tee(Arc<Mutex<Vec<u8>>>);

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lines_about(text: &str) -> Vec<String> {
    let log = LOG.get().expect("started").lock().expect("the log").clone();
    let warns = |line: &&str| line.contains("WARN") && line.contains(text);
    String::from_utf8_lossy(&log).lines().filter(warns).map(str::to_owned).collect()
}

fn listen_to_the_log() {
    let log = LOG.get_or_init(Arc::default).clone();
    let writer = move || Tee(log.clone());
    // A second test finds the subscriber of the first, which is the same.
    let _ = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).try_init();
}

/// A peer that speaks the transport and then whatever the test wants, connected to the mesh's first daemon.
async fn stranger(mesh: &Mesh, seed: [u8; 32]) -> (Handle, Events) {
    let mut config = Config::new(seed, "test");
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    config.streams = vec!["blobs/2"];
    let (handle, mut events) = pocketmesh_network::start(config).await.expect("started");
    let address = mesh.daemons[0].ready.addresses[0].parse().expect("an address");
    assert_eq!(handle.dial(address).await.expect("connected"), mesh.peer(0));
    wait_for(&mut events, |event| matches!(event, Event::Connected { peer, .. } if *peer == mesh.peer(0))).await;
    (handle, events)
}

async fn wait_for(events: &mut Events, wanted: impl Fn(&Event) -> bool) {
    let found = async { while !wanted(&events.recv().await.expect("the network runs")) {} };
    tokio::time::timeout(rig::LIMIT, found).await.expect("the event comes");
}

fn hash(text: &str) -> Hash {
    Hash::of(text.as_bytes())
}

fn bid() -> Message {
    Bid {
        offer: OfferId(hash("no such offer")),
        price: Price(1),
        slots: 1,
        arch: Default::default(),
        expires: UnixTime(u64::MAX),
        ext: Ext::new(),
    }
    .into()
}

fn offer(expires: UnixTime) -> Message {
    Offer {
        job: JobId(hash("job")),
        program: BlobId::of(b"program"),
        program_len: 7,
        profile: ProfileId(hash("another profile")),
        tasks: 10,
        input_bytes: 0,
        limits: TaskLimits::default(),
        ceiling: Price(1_000),
        per_gib: pocketmesh_types::PerGib(0),
        expected_fuel: None,
        seats: 2,
        bids_wanted: 2,
        depth: 0,
        fraction: u64::MAX,
        contacts: Vec::new(),
        nonce_hash: hash("nonce"),
        closes_ms: 1000,
        expires,
        attempt: 0,
        ext: Ext::new(),
    }
    .into()
}

fn in_a_minute() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    UnixTime(since.as_millis() as u64 + 60_000)
}

/// The mesh's other members still get a job done.
async fn still_works(mesh: &Mesh) {
    let noop = mesh.upload(0, &guest("primes")).await;
    let (summary, _) = mesh.run(0, rig::job(noop, Input::Range { start: 0, end: 4 }, &["{index}", "10", "10"])).await;
    assert_eq!(summary.state, JobState::Complete, "{}", summary.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_costs_its_sender_the_connection_and_one_line_in_the_log() {
    listen_to_the_log();
    let mesh = Mesh::start(3).await;
    let wrong_signature = {
        let mut bytes = Envelope::seal(&bid(), vec![], &Key::from_seed(&[71; 32])).encode();
        let at = bytes.windows(3).position(|window| window == b"sig").expect("a signature") + 20;
        bytes[at] ^= 1;
        bytes
    };
    let foreign = Envelope::seal(&bid(), vec![], &Key::from_seed(&[67; 32])).encode();
    let misplaced = Envelope::seal(&offer(in_a_minute()), vec![], &Key::from_seed(&[73; 32])).encode();
    let cases = [(70, b"garbage".to_vec()), (71, wrong_signature), (72, foreign), (73, misplaced)];
    for (seed, bytes) in cases {
        let (handle, mut events) = stranger(&mesh, [seed; 32]).await;
        for _ in 0..5 {
            // The connection may be gone before the last of them.
            let _ = handle.send(mesh.peer(0), bytes.clone());
        }
        wait_for(&mut events, |event| matches!(event, Event::Disconnected { peer } if *peer == mesh.peer(0))).await;
        // A second connection of the same two peers may be open a moment longer than the first.
        let refused = async {
            let address = || mesh.daemons[0].ready.addresses[0].parse().expect("an address");
            while handle.dial(address()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(rig::LIMIT, refused).await.expect("refused for a while");
        let lines = lines_about(&handle.peer_id().to_string());
        assert_eq!(lines.len(), 1, "logged once: {lines:#?}");
        handle.shutdown().await;
    }
    still_works(&mesh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_offer_is_not_heard_and_a_current_one_is() {
    let mesh = Mesh::start(3).await;
    let (handle, _events) = stranger(&mesh, SEED).await;
    let key = Key::from_seed(&SEED);
    for gossip in [offer(UnixTime(1)), bid(), offer(in_a_minute())] {
        handle.publish([0; 32], 0, Envelope::seal(&gossip, vec![], &key).encode()).await.expect("published");
    }
    handle.publish([0; 32], 0, b"not even an envelope".to_vec()).await.expect("published");
    let heard = async {
        while mesh.client(2).status().await.expect("a status").offers.heard == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(rig::LIMIT, heard).await.expect("the current offer crosses the mesh");
    for number in 0..3 {
        let offers = mesh.client(number).status().await.expect("a status").offers;
        assert!(offers.heard <= 1, "the expired one was counted");
        assert_eq!(offers.bid, 0, "another profile's offer was bid for");
    }
    still_works(&mesh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_about_nothing_are_harmless() {
    let mesh = Mesh::start(3).await;
    let (handle, _events) = stranger(&mesh, SEED).await;
    let lease = LeaseId(hash("no such lease"));
    let assigned = Assigned { task: 0, input: TaskInput::Blob(BlobId::of(b"nowhere"), 10_000) };
    let messages: [Message; 4] = [
        bid(),
        Heartbeat { leases: vec![(lease, 1)] }.into(),
        Reveal { lease, tasks: vec![1, 2, 3], bare: false }.into(),
        Assign { lease, tasks: vec![assigned] }.into(),
    ];
    for message in messages.iter().cycle().take(400) {
        let bytes = Envelope::seal(message, vec![], &Key::from_seed(&SEED)).encode();
        handle.send(mesh.peer(0), bytes).expect("sent");
    }
    still_works(&mesh).await;
}
