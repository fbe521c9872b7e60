//! A daemon without a mesh.

use futures::{StreamExt, stream};
use pocketmesh_api::*;
use pocketmesh_types::{BlobId, Credits, Fuel, Hash, JobId, Output, PeerId, PerGib, Price, ProfileId, UnixTime};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The quota of the fake.
pub const QUOTA: usize = 1 << 20;

#[derive(Default)]
pub struct Fake {
    pub blobs: Mutex<BTreeMap<BlobId, Vec<u8>>>,
    pub kept: Mutex<BTreeSet<BlobId>>,
    pub submitted: Mutex<Vec<SubmitJob>>,
    pub bootstrap: Mutex<Vec<String>>,
    pub stopped: Mutex<bool>,
    /// Whether an output breaks off in the middle.
    pub broken_disk: bool,
}

pub fn peer(n: u8) -> PeerId {
    PeerId([n; 32])
}

/// Two ids that share their first seven digits, and one on its own.
pub fn job_id(n: u8) -> JobId {
    let mut bytes = [n; 32];
    if n < 2 {
        bytes[..4].copy_from_slice(&[0xab, 0xcd, 0xef, 0x10 + n]);
    }
    JobId(Hash(bytes))
}

pub fn summary(n: u8) -> JobSummary {
    JobSummary {
        id: job_id(n),
        name: format!("job {n}"),
        state: JobState::Running,
        tasks: 10,
        done: 4,
        held: 3,
        running: 2,
        voided: 1,
        failed_tasks: 0,
        executions: 11,
        own_runs: 2,
        regime: Regime::Big,
        created: UnixTime(1_700_000_000_000),
        finished: None,
        message: "running on 3 peers".into(),
    }
}

pub fn worker() -> WorkerRow {
    WorkerRow {
        peer: peer(2),
        price: Price(100),
        done: 5,
        accepted: 4,
        voided: 1,
        running: 2,
        late: 0,
        owed: Credits(u128::MAX),
        state: WorkerState::Caught,
        note: Some("task 3: its output differs from ours".into()),
    }
}

pub fn promise() -> Promise {
    Promise {
        regime: Regime::Big,
        error: Some(0.001),
        clique_error: None,
        saboteurs: 0.2,
        auditors: Some(Auditors::Mesh),
        window: 1_000,
        audits: 101,
        executions: 1.101,
        text: "at most one in a thousand".into(),
    }
}

pub fn cost() -> Cost {
    let claims = vec![RefutedClaim { peer: peer(2), task: 3, proof: Some("proofs/x.cbor".into()) }];
    Cost {
        executions: 21,
        own_runs: 2,
        paid: 20,
        paid_per_result: 2.2,
        all_per_result: 2.3,
        audits: 4,
        windows_final: 2,
        windows_voided: 1,
        refuted: 1,
        workers: 3,
        saboteurs_seen: 1.0 / 3.0,
        since_restart: false,
        claims,
    }
}

pub fn reputation() -> Reputation {
    Reputation {
        peer: peer(2),
        claimed: 100,
        accepted: 90,
        refuted: 1,
        convicted: 1,
        served: 4,
        failed: 2,
        late: 3,
        windows_final: 5,
        windows_voided: 1,
        sent_bytes: 4_096,
        contested: 0,
        seconds: Some(0.25),
        delivers: 0.875,
        turned_away: true,
        proofs: vec!["proofs/x.cbor".into()],
    }
}

fn known(id: JobId) -> Result<JobSummary, Failure> {
    (0..3).map(summary).find(|job| job.id == id).ok_or_else(|| Failure::no_job(&id))
}

impl Control for Fake {
    async fn status(&self) -> Answer<Status> {
        Ok(Status {
            peer: peer(1),
            network: "main".into(),
            version: "0.1.0".into(),
            addresses: vec!["/ip4/127.0.0.1/tcp/4001".into()],
            uptime_ms: 5,
            peers: 2,
            provide: Provide {
                active: true,
                cores: 2,
                memory: 1 << 30,
                price: Price(7),
                floor_per_gib: PerGib(3),
                unpaid: "idle".into(),
                running: 0,
                reason: "idle".into(),
            },
            offers: Offers { heard: 3, bid: 2, won: 1 },
            work: Work { executed: 9, accepted: 8, voided: 1, waited: 2 },
            jobs: JobCounts { active: 1, finished: 0 },
            payments_stopped: None,
        })
    }

    async fn peers(&self) -> Answer<Vec<Peer>> {
        let via = Via::Kademlia { from: Some(peer(3)) };
        Ok(vec![Peer {
            peer: peer(2),
            address: "/ip4/10.0.0.2/tcp/4001".into(),
            direction: Direction::Outbound,
            via,
            rtt_ms: Some(0.25),
            agent: None,
            since: UnixTime(1),
        }])
    }

    async fn connect(&self, address: String) -> Answer<Connected> {
        match address.as_str() {
            "/ip4/127.0.0.1/tcp/1" => Err(Failure::new(Code::Unreachable, "nobody answers at /ip4/127.0.0.1/tcp/1")),
            _ => Ok(Connected { peer: peer(2) }),
        }
    }

    async fn put_blob(&self, mut bytes: Chunks) -> Answer<Blob> {
        let mut all = Vec::new();
        while let Some(chunk) = bytes.next().await {
            all.extend_from_slice(&chunk.map_err(Failure::internal)?);
            if all.len() > QUOTA {
                return Err(Failure::new(Code::Quota, "the storage quota is used up"));
            }
        }
        let blob = Blob { id: BlobId::of(&all), len: all.len() as u64 };
        self.blobs.lock().expect("not poisoned").insert(blob.id, all);
        Ok(blob)
    }

    async fn get_blob(&self, id: BlobId) -> Answer<Chunks> {
        let blob = self.blobs.lock().expect("not poisoned").get(&id).cloned();
        let blob = blob.ok_or_else(|| Failure::new(Code::NotFound, "no such blob"))?;
        Ok(stream::iter([Ok(Chunk::from(blob))]).boxed())
    }

    async fn submit(&self, job: SubmitJob) -> Answer<Submitted> {
        if let Input::Range { start, end } = job.input
            && start >= end
        {
            return Err(Refusal::EmptyRange { start, end }.into());
        }
        self.submitted.lock().expect("not poisoned").push(job);
        Ok(Submitted { id: job_id(0), tasks: 10, promise: promise(), spending: spending() })
    }

    async fn jobs(&self) -> Answer<Vec<JobSummary>> {
        Ok((0..3).map(summary).collect())
    }

    async fn job(&self, id: JobId) -> Answer<JobDetail> {
        let offers = vec![OfferRow { attempt: 1, bids: 4, leases: 2, waited_ms: 210 }];
        let events = vec![JobEvent { time: UnixTime(2), text: "offered".into() }];
        Ok(JobDetail {
            summary: known(id)?,
            files: Some(3),
            promise: promise(),
            cost: cost(),
            spending: spending(),
            workers: vec![worker()],
            offers,
            events,
        })
    }

    async fn job_events(&self, id: JobId) -> Answer<Updates> {
        let first = known(id)?;
        let last = JobSummary { state: JobState::Complete, done: 10, running: 0, ..first.clone() };
        let event = JobEvent { time: UnixTime(2), text: "a line\nwith a break and \"quotes\"".into() };
        Ok(stream::iter([Update::Progress(first), Update::Event(event), Update::Progress(last)]).boxed())
    }

    async fn job_stdout(&self, id: JobId, which: Which) -> Answer<Chunks> {
        known(id)?;
        if which == Which::Provisional {
            return Ok(stream::iter([Ok(Chunk::from("held"))]).boxed());
        }
        if which == Which::SoFar {
            return Ok(stream::iter([Ok(Chunk::from("so far"))]).boxed());
        }
        let mut chunks: Vec<std::io::Result<Chunk>> = (0..100u8).map(|n| Ok(Chunk::from(vec![n; 100_000]))).collect();
        if self.broken_disk {
            chunks.insert(50, Err(std::io::Error::other("bad sector")));
        }
        Ok(stream::iter(chunks).boxed())
    }

    async fn job_files(&self, id: JobId, _which: Which) -> Answer<FileLists> {
        known(id)?;
        let mut lists: Vec<std::io::Result<TaskFiles>> = (0..3).map(|task| Ok(task_files(100 + task))).collect();
        if self.broken_disk {
            lists.insert(2, Err(std::io::Error::other("bad sector")));
        }
        Ok(stream::iter(lists).boxed())
    }

    async fn job_report(&self, id: JobId, _which: Which) -> Answer<Report> {
        let job = known(id)?;
        if id == job_id(1) {
            return Err(Failure::new(Code::NotFinished, "the job is still running"));
        }
        Ok(report(job))
    }

    async fn job_stop(&self, id: JobId) -> Answer<JobSummary> {
        Ok(JobSummary { state: JobState::Stopped, ..known(id)? })
    }

    async fn job_receipts(&self, id: JobId) -> Answer<Chunks> {
        known(id)?;
        Ok(stream::iter([Ok(Chunk::from("receipts"))]).boxed())
    }

    async fn wallet(&self) -> Answer<Wallet> {
        Ok(wallet())
    }

    async fn reputation(&self) -> Answer<Vec<Reputation>> {
        Ok(vec![reputation()])
    }

    async fn bootstrap_list(&self) -> Answer<Bootstrap> {
        Ok(Bootstrap { addresses: self.bootstrap.lock().expect("not poisoned").clone() })
    }

    async fn bootstrap_add(&self, address: String) -> Answer<Bootstrap> {
        self.bootstrap.lock().expect("not poisoned").push(address);
        self.bootstrap_list().await
    }

    async fn bootstrap_rm(&self, address: String) -> Answer<Bootstrap> {
        self.bootstrap.lock().expect("not poisoned").retain(|known| *known != address);
        self.bootstrap_list().await
    }

    async fn stop(&self) -> Answer<()> {
        *self.stopped.lock().expect("not poisoned") = true;
        Ok(())
    }
}

/// The longest list that a task may have, in paths that JSON must escape.
pub fn task_files(index: u64) -> TaskFiles {
    let path = |n: usize| format!("{n:04}{}", "\"".repeat(160));
    let files = (0..4096).map(|n| OutputFile { path: path(n), blob: BlobId::of(b"f"), len: u64::MAX });
    TaskFiles { index, files: files.collect() }
}

pub fn spending() -> Spending {
    Spending {
        max_price: Price(10),
        per_gib: PerGib(20),
        budget: Some(Credits(u128::MAX)),
        owed: Credits(1_234_500),
        paid: Credits(1_000_000),
        levels: Credits(3),
        per_result: Some(Credits(123_450)),
        expected: None,
    }
}

pub fn wallet() -> Wallet {
    let none = Credits(0);
    let account = Account {
        peer: peer(2),
        owes_us: Credits(1 << 100),
        owed_by_us: none,
        done_for_us: Credits(5),
        done_by_us: Credits((1 << 100) + 5),
        settled: none,
        reserved_by_us: Credits(7),
        reserved_for_it: none,
    };
    let remarks = vec![JobEvent { time: UnixTime(9), text: "a payment was not taken".into() }];
    Wallet {
        peer: peer(1),
        accounts: vec![account],
        owed_to_us: account.owes_us,
        owed_by_us: none,
        stopped: Some("the journal could not be synced".into()),
        remarks,
    }
}

pub fn report(job: JobSummary) -> Report {
    Report {
        job: job.id,
        name: job.name,
        state: JobState::Complete,
        message: "all tasks verified".into(),
        requester: peer(1),
        program: BlobId::of(b"p"),
        args: vec!["{index}".into()],
        reduce: None,
        profile: ProfileId(Hash::of(b"det-1")),
        provisional: false,
        promise: promise(),
        cost: cost(),
        spending: spending(),
        tasks: 10,
        done: 10,
        held: 0,
        voided: 1,
        executions: 21,
        fuel: Fuel(12_345),
        owed: Credits(1_234_500),
        created: job.created,
        finished: UnixTime(3),
        stdout: Output::of(b"out"),
        files: 3,
        workers: vec![worker()],
        failed: vec![FailedTask { index: 3, exit: "trapped".into() }],
    }
}

/// A server on a socket of its own, gone with the value.
pub struct Running {
    pub control: Arc<Fake>,
    pub socket: PathBuf,
    pub client: Client,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Running {
    pub fn start() -> Self {
        Self::with(Fake::default())
    }

    pub fn with(fake: Fake) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("api.sock");
        let listener = Listener::bind(&socket).expect("bound");
        let control = Arc::new(fake);
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let server = tokio::spawn(serve(listener, control.clone(), shutdown));
        let client = Client::new(&socket, folder.path());
        Self { control, socket, client, stop: Some(stop), server, _folder: folder }
    }

    pub async fn stop(&mut self) {
        drop(self.stop.take());
        (&mut self.server).await.expect("the server ends");
    }
}
