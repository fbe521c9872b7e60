//! A requester whose lists of files and whose inputs are not what they should be: it auctions, leases and serves blobs by the
//! rules, and every daemon of the mesh takes its lease.

use super::{hash, in_a_minute, lines_about, listen_to_the_log, offer, stranger, wait_for};
use crate::rig::{self, Mesh, guest};
use pocketmesh_api::{Input, JobState};
use pocketmesh_blobs::{Store, Uplink, serve};
use pocketmesh_network::{Event, Events, Handle};
use pocketmesh_sandbox::{Config, Engine};
use pocketmesh_types::{
    BlobId, Bytes, Job, JobId, LeaseId, OfferId, Output, PeerId, Price, TaskInput, UnixTime,
    job::{Policy, TaskLimits},
    limits,
};
use pocketmesh_wire::{
    Envelope, Key, Message, Strict, envelope,
    message::{
        Assign, Assigned, Claim, Decline, DeclineReason, EndReason, Ext, HandBack, HandBackReason, Lease, LeaseEnd,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use tempfile::TempDir;

/// What a task of the hostile job may use, and so what all of its files may have together.
const MEMORY: u64 = 64 << 20;
/// The most that may be sent where a list is refused before a byte of it is taken: programs and small lists, not a long one.
const FEW_BYTES: u64 = 4 << 20;
const PRICE: Price = Price(500);

/// What is sent, and how.
type Case<'a> = (&'a str, &'a dyn Fn(&Requester));

/// See the module.
struct Requester {
    handle: Handle,
    events: Events,
    key: Key,
    store: Store,
    uplink: Uplink,
    folder: TempDir,
    workers: BTreeSet<PeerId>,
    offers: u32,
}

impl Requester {
    /// One that is connected to all daemons.
    async fn start(mesh: &Mesh, seed: u8) -> Self {
        let (handle, events) = stranger(mesh, [seed; 32]).await;
        for daemon in &mesh.daemons[1..] {
            handle.dial(daemon.ready.addresses[0].parse().expect("an address")).await.expect("connected");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), 1 << 30).expect("a store");
        let workers = (0..mesh.daemons.len()).map(|number| mesh.peer(number)).collect();
        let key = Key::from_seed(&[seed; 32]);
        Self { handle, events, key, store, uplink: Uplink::default(), folder, workers, offers: 0 }
    }

    fn keep(&self, bytes: &[u8]) -> Output {
        self.store.put(bytes).expect("stored");
        Output::of(bytes)
    }

    /// A job of one of our programs.
    fn job(&self, program: &str, files: Output) -> Job {
        let program = self.keep(&guest(program));
        let profile = Engine::new(&Config::default()).expect("an engine").profile();
        Job {
            program: program.id,
            program_len: program.len,
            name: "hostile".into(),
            args: Vec::new(),
            env: Vec::new(),
            files,
            inputs: Output::default(),
            input_name: String::new(),
            tasks: 8,
            first_index: 0,
            limits: TaskLimits { memory: MEMORY, ..TaskLimits::default() },
            policy: Policy::Replicas(1),
            max_price: PRICE,
            per_gib: Default::default(),
            budget: None,
            profile,
            epoch: UnixTime(0),
            nonce: [0; 16],
        }
    }

    fn send(&self, to: PeerId, message: &Message) {
        self.handle.send(to, Envelope::seal(message, vec![], &self.key).encode()).expect("sent");
    }

    /// The next message; blobs are given meanwhile to whoever asks for them.
    async fn hear(&mut self) -> (PeerId, Message) {
        loop {
            match self.events.recv().await.expect("the network runs") {
                Event::Stream { peer, mut stream, .. } => {
                    let (store, uplink) = (self.store.clone(), self.uplink.clone());
                    // However it ends: what matters is what its other end makes of it.
                    tokio::spawn(async move {
                        drop(serve(&mut stream, peer, &store, &uplink, |_| true, rig::LIMIT).await);
                    });
                }
                Event::Message { from, bytes } => {
                    let envelope = Envelope::decode(&bytes).expect("an envelope");
                    return (from, envelope.open_direct(from, &Strict).expect("a message").content);
                }
                _ => {}
            }
        }
    }

    /// Waits until all workers have said what is wanted.
    async fn hear_all<T>(&mut self, wanted: impl Fn(PeerId, Message) -> Option<T>) -> BTreeMap<PeerId, T> {
        let all = async {
            let mut heard = BTreeMap::new();
            while heard.len() < self.workers.len() {
                let (from, message) = self.hear().await;
                heard.extend(wanted(from, message).map(|what| (from, what)));
            }
            heard
        };
        tokio::time::timeout(rig::LIMIT, all).await.expect("all workers answer")
    }

    /// Offers a job, and grants a lease to all.
    async fn grant(&mut self, job: &Job) -> BTreeMap<PeerId, LeaseId> {
        let Message::Offer(offer) = offer(in_a_minute()) else { unreachable!("it is one") };
        self.offers += 1;
        let offer = Message::from(pocketmesh_wire::message::Offer {
            job: JobId(envelope::id(&job.clone().into())),
            program: job.program,
            program_len: job.program_len,
            profile: job.profile,
            tasks: job.tasks,
            limits: job.limits,
            ceiling: PRICE,
            attempt: self.offers,
            ..offer
        });
        let id = OfferId(envelope::id(&offer));
        self.handle.publish(id.0.0, 0, Envelope::seal(&offer, vec![], &self.key).encode()).await.expect("published");
        let bids =
            self.hear_all(|_, message| matches!(message, Message::Bid(bid) if bid.offer == id).then_some(())).await;
        bids.into_keys().map(|worker| (worker, self.lease(worker, id, job))).collect()
    }

    fn lease(&self, worker: PeerId, offer: OfferId, job: &Job) -> LeaseId {
        let lease = Message::from(Lease {
            offer,
            worker,
            job: job.clone(),
            price: PRICE,
            heartbeat_ms: 5_000,
            commit_first: false,
            slice_tasks: limits::SLICE_TASKS_DEFAULT,
            hold_back_tasks: limits::HOLD_BACK_TASKS,
            fee: PRICE.fee(job.program_len),
            ext: Ext::new(),
        });
        self.send(worker, &lease);
        LeaseId(envelope::id(&lease))
    }

    /// Grants leases, and returns why each worker turns its own down.
    async fn declined(&mut self, job: &Job) -> Vec<DeclineReason> {
        let leases = self.grant(job).await;
        let declines = self.hear_all(|from, message| match message {
            Message::Decline(Decline { lease, reason }) if leases[&from] == lease => Some(reason),
            _ => None,
        });
        declines.await.into_values().collect()
    }
}

fn line(content: Output, path: &str) -> String {
    format!("{} {} {path}\n", content.id, content.len)
}

/// The names of all files of a daemon.
fn names_of(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        names.insert(entry.file_name().to_string_lossy().into_owned());
        if entry.file_type().expect("a type").is_dir() {
            names.extend(names_of(&entry.path()));
        }
    }
    names
}

/// No daemon has anything of these blobs, nor a file of this name.
fn nothing_is_left(mesh: &Mesh, blobs: &[BlobId], stray: &str, case: &str) {
    for daemon in &mesh.daemons {
        let names = names_of(daemon.folder.path());
        for blob in blobs.iter().map(BlobId::to_string) {
            let left: Vec<&String> = names.iter().filter(|name| name.starts_with(&blob)).collect();
            assert_eq!(left, Vec::<&String>::new(), "{case}");
        }
        assert!(!names.contains(stray), "{case}");
    }
}

/// Each of these daemons gets a job done by all the others.
async fn all_serve(mesh: &Mesh, requesters: &[usize]) {
    for &requester in requesters {
        let primes = mesh.upload(requester, &guest("primes")).await;
        let job = rig::job(primes, Input::Range { start: 0, end: 40 }, &["{index}", "1000", "100"]);
        let (summary, _) = mesh.run(requester, job).await;
        assert_eq!(summary.state, JobState::Complete, "{}", summary.message);
        let detail = mesh.client(requester).job(&summary.id.to_string()).await.expect("the job");
        let worked: BTreeSet<PeerId> = detail.workers.iter().filter(|row| row.done > 0).map(|row| row.peer).collect();
        let others = (0..mesh.daemons.len()).filter(|&number| number != requester).map(|number| mesh.peer(number));
        assert_eq!(worked, others.collect(), "with two replicas, both others work");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_list_of_files_is_none_is_declined_and_nothing_of_it_stays() {
    listen_to_the_log();
    let mesh = Mesh::start(3).await;
    let mut requester = Requester::start(&mesh, 80).await;
    let file = requester.keep(b"a file that no honest list names");
    let absolute = requester.folder.path().join("escaped").display().to_string();
    let many = |count: usize| (0..count).map(|number| line(file, &format!("{number:07}"))).collect::<String>();
    let large = Output { len: MEMORY + 1, ..file };
    let (good, million) = (line(file, "a"), many(1_000_000));
    // Lists that are read, and what each worker then warns of.
    let cases = [
        ("a path that leads out", line(file, "a/../../escaped"), Some("is no path")),
        ("an absolute path", line(file, &absolute), Some("is no path")),
        ("too many files", many(limits::TREE_FILES_MAX + 1), Some("more than 4096 files")),
        ("no text", "\u{0}".to_owned(), Some("line 1")),
        ("files of too many bytes", line(large, "a"), None),
    ];
    for (case, text, reason) in cases {
        let list = requester.keep(text.as_bytes());
        let job = requester.job("noop", list);
        assert_eq!(requester.declined(&job).await, [DeclineReason::ProgramUnavailable; 3], "{case}");
        nothing_is_left(&mesh, &[list.id, file.id], "escaped", case);
        let lines = lines_about(&list.id.to_string());
        let told = lines.iter().filter(|line| reason.is_some_and(|reason| line.contains(reason)));
        assert_eq!(told.count(), if reason.is_some() { mesh.daemons.len() } else { 0 }, "{case}: {lines:#?}");
    }
    // Lists that are not as long as the job says: not a byte of them is taken.
    for (case, text, len) in [
        ("a million files", &million, limits::TREE_BYTES_MAX),
        ("a byte more", &good, good.len() as u64 + 1),
        ("a byte less", &good, good.len() as u64 - 1),
    ] {
        let list = requester.keep(text.as_bytes());
        let before: u64 = requester.uplink.sent().values().sum();
        let job = requester.job("noop", Output { len, ..list });
        assert_eq!(requester.declined(&job).await, [DeclineReason::ProgramUnavailable; 3], "{case}");
        nothing_is_left(&mesh, &[list.id, file.id], "escaped", case);
        let sent = requester.uplink.sent().values().sum::<u64>() - before;
        assert!(sent < FEW_BYTES, "{case}: {sent} bytes were sent");
    }
    // Lists that are good by themselves, of files that are not as long as they say; the last file is on every daemon already.
    let program = requester.keep(&guest("noop"));
    for (case, content, unknown) in [
        ("a file that is longer", Output { len: file.len - 1, ..file }, Some(file.id)),
        ("a file that is shorter", Output { len: file.len + 1, ..file }, Some(file.id)),
        ("a file that is here, and longer", Output { len: program.len - 1, ..program }, None),
    ] {
        let list = requester.keep(line(content, "a").as_bytes());
        let job = requester.job("noop", list);
        assert_eq!(requester.declined(&job).await, [DeclineReason::ProgramUnavailable; 3], "{case}");
        nothing_is_left(&mesh, unknown.as_slice(), "escaped", case);
    }
    assert!(!Path::new(&absolute).exists());
    all_serve(&mesh, &[0, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_whose_input_is_not_what_was_said_go_back_and_the_others_of_the_lease_are_done() {
    let mesh = Mesh::start(3).await;
    let mut requester = Requester::start(&mesh, 81).await;
    let (short, nowhere) = (requester.keep(&[7; 10_000]), BlobId(hash("an input that cannot be")));
    let job = requester.job("noop", Output::default());
    let leases = requester.grant(&job).await;
    let inputs = [
        TaskInput::Blob(short.id, short.len + 1),
        TaskInput::Blob(nowhere, u64::MAX),
        TaskInput::Inline(Bytes(vec![1; 64])),
    ];
    // The last of these tasks is none of the job's.
    let tasks = [0, 1, 2].into_iter().chain([job.tasks]).zip(inputs.iter().cycle());
    let tasks: Vec<Assigned> = tasks.map(|(task, input)| Assigned { task, input: input.clone() }).collect();
    for (&worker, &lease) in &leases {
        requester.send(worker, &Assign { lease, tasks: tasks.clone() }.into());
    }
    let (mut returned, mut done) = (BTreeSet::new(), BTreeSet::new());
    let all = async {
        while returned.len() < 2 * leases.len() || done.len() < leases.len() {
            match requester.hear().await {
                (from, Message::HandBack(HandBack { lease, tasks, reason })) if leases[&from] == lease => {
                    assert_eq!(reason, HandBackReason::InputUnavailable);
                    returned.extend(tasks.into_iter().map(|task| (from, task)));
                }
                (from, Message::Claim(Claim { lease, results, .. })) if leases[&from] == lease => {
                    assert!(results.iter().all(|row| row.outcome.is_success()));
                    done.extend(results.into_iter().map(|row| (from, row.task)));
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(rig::LIMIT, all).await.expect("all workers answer");
    let of_all =
        |tasks: &[u32]| leases.keys().flat_map(|&worker| tasks.iter().map(move |&task| (worker, task))).collect();
    assert_eq!((returned, done), (of_all(&[0, 1]), of_all(&[2])));
    nothing_is_left(&mesh, &[short.id, nowhere], "escaped", "inputs");
    for (&worker, &lease) in &leases {
        requester.send(worker, &LeaseEnd { lease, reason: EndReason::JobDone }.into());
    }
    all_serve(&mesh, &[0, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_lease_and_no_assignment_may_say_costs_its_sender_the_connection() {
    listen_to_the_log();
    let mesh = Mesh::start(3).await;
    let long_list = Output { id: BlobId(hash("a list")), len: limits::TREE_BYTES_MAX + 1 };
    let odd_table = Output { id: BlobId(hash("a table")), len: 7 };
    let long_input = Assigned { task: 0, input: TaskInput::Inline(Bytes(vec![0; limits::INLINE_BYTES_MAX + 1])) };
    let lease = |requester: &Requester, job: Job| {
        requester.lease(mesh.peer(0), OfferId(hash("no offer")), &job);
    };
    let cases: [Case; 3] = [
        ("a list of a million files", &|requester| lease(requester, requester.job("noop", long_list))),
        ("a table of inputs that is none", &|requester| {
            lease(requester, Job { inputs: odd_table, ..requester.job("noop", Output::default()) });
        }),
        ("an input that should be a blob", &|requester| {
            let tasks = vec![long_input.clone()];
            requester.send(mesh.peer(0), &Assign { lease: LeaseId(hash("no lease")), tasks }.into());
        }),
    ];
    for (seed, (case, send)) in (82..).zip(cases) {
        let mut requester = Requester::start(&mesh, seed).await;
        send(&requester);
        let gone = |event: &Event| matches!(event, Event::Disconnected { peer } if *peer == mesh.peer(0));
        wait_for(&mut requester.events, gone).await;
        let lines = lines_about(&requester.handle.peer_id().to_string());
        assert!(lines.len() == 1 && lines[0].contains("out of bounds"), "{case}: {lines:#?}");
        nothing_is_left(&mesh, &[long_list.id, odd_table.id], "escaped", case);
        requester.handle.shutdown().await;
    }
    all_serve(&mesh, &[1]).await;
}
