//! The daemon as its owner's tools see it: the control API's requests, answered from the loop.

mod blobs;
mod bring;
mod files;
mod paid;
mod submit;

pub(crate) use files::memory_left;
pub(crate) use submit::program_refusal;

use crate::{
    blobs::Exchange,
    detail,
    driver::{Driver, Question},
    home::Home,
    proofs::Shelf,
    reputation,
    results::{Results, Shown, stdout_of},
    wallet,
};
use futures::{StreamExt, stream};
use pocketmesh_api::{
    Answer, Blob, Bootstrap, Chunk, Chunks, Code, Connected, Control, Direction, Failure, FileLists, JobCounts,
    JobDetail, JobState, JobSummary, Offers, Peer, Provide, Report, Reputation, Status, SubmitJob, Submitted, Update,
    Updates, Via, Wallet, Which, Work,
};
use pocketmesh_blobs::{
    Durability, Store,
    store::{GetError, PutError},
};
use pocketmesh_network::{Handle, Multiaddr, PeerInfo};
use pocketmesh_protocol::{Command, Effect};
use pocketmesh_sandbox::Executor;
use pocketmesh_types::{BlobId, JobId, UnixTime, limits, outcome::Output};
use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};

/// Who watches a job is told of changes at most this often; of its end at once.
const UPDATE_EVERY: Duration = Duration::from_millis(50);
/// How long a stopped job's end may take to be on disk before the answer goes out without it.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// A blob passes the socket in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// Answers the control API.
pub struct Desk {
    /// The data folder; its configuration can be edited.
    pub home: Mutex<Home>,
    /// The way to the loop.
    pub questions: mpsc::Sender<Question>,
    /// The network.
    pub network: Handle,
    /// The blobs on this disk.
    pub store: Store,
    /// The exchange of blobs.
    pub exchange: Exchange,
    /// Results, final and held.
    pub results: Results,
    /// Fraud proofs.
    pub shelf: Shelf,
    /// The sandbox, to check programs with.
    pub executor: Arc<dyn Executor>,
    /// Counts ends of jobs, and of their tasks.
    pub ends: watch::Receiver<u64>,
}

fn stopping() -> Failure {
    Failure::new(Code::Busy, "the daemon is stopping")
}

impl Desk {
    /// Asks the loop something between two of its inputs.
    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Driver) -> T + Send + 'static) -> Answer<T> {
        self.ask_and_act(|driver| (question(driver), Vec::new())).await
    }

    /// The same; the effects are carried out.
    async fn ask_and_act<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Driver) -> (T, Vec<Effect>) + Send + 'static,
    ) -> Answer<T> {
        let (sender, receiver) = oneshot::channel();
        let question: Question = Box::new(move |driver| {
            let (answer, effects) = question(driver);
            // Whoever asked may have gone meanwhile.
            let _ = sender.send(answer);
            effects
        });
        self.questions.send(question).await.map_err(|_| stopping())?;
        receiver.await.map_err(|_| stopping())
    }

    async fn summary(&self, id: JobId) -> Answer<JobSummary> {
        self.ask(move |driver| detail::summary(driver, &id)).await?.ok_or_else(|| Failure::no_job(&id))
    }

    /// The job, and which of its results may be shown, if it has such a result.
    async fn with_result(&self, id: JobId, which: Which) -> Answer<(JobSummary, Shown)> {
        let look = move |driver: &mut Driver| {
            let finals = Shown::finals(&driver.peer.jobs().get(&id)?.finals);
            Some((detail::summary(driver, &id)?, finals))
        };
        let (summary, finals) = self.ask(look).await?.ok_or_else(|| Failure::no_job(&id))?;
        let not_finished = |why: String| Failure::new(Code::NotFinished, why);
        match (summary.state.is_final(), which) {
            (true, _) if summary.state.has_result() => Ok((summary, finals)),
            (true, _) => {
                let message = format!("job {} has no result: {}", id.short(), summary.message);
                Err(Failure::new(Code::NoResult, message))
            }
            (false, Which::SoFar) => Ok((summary, finals)),
            (false, Which::Provisional) if summary.done + summary.held == summary.tasks => Ok((summary, Shown::all())),
            (false, Which::Provisional) => {
                let here = summary.done + summary.held;
                Err(not_finished(format!(
                    "only {here} of the {} tasks of job {} have a result",
                    summary.tasks,
                    id.short()
                )))
            }
            (false, Which::Final) => {
                Err(not_finished(format!("job {} is not finished: {}", id.short(), summary.message)))
            }
        }
    }

    fn home(&self) -> std::sync::MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn addresses(&self) -> Bootstrap {
        Bootstrap { addresses: self.home().config().bootstrap.clone() }
    }
}

impl Control for Desk {
    async fn status(&self) -> Answer<Status> {
        let network = self.home().config().network.clone();
        self.ask(move |driver| status_of(driver, network)).await
    }

    async fn peers(&self) -> Answer<Vec<Peer>> {
        let peers = self.network.peers().await.map_err(|_| stopping())?;
        Ok(peers.into_iter().map(peer_of).collect())
    }

    async fn connect(&self, address: String) -> Answer<Connected> {
        let address = parse(&address)?;
        let peer = self.network.dial(address).await;
        peer.map(|peer| Connected { peer }).map_err(|error| Failure::new(Code::Unreachable, error.to_string()))
    }

    async fn put_blob(&self, mut bytes: Chunks) -> Answer<Blob> {
        let mut writer = self.store.writer(limits::BLOB_BYTES_MAX).map_err(|error| put_failure(&error))?;
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|error| Failure::new(Code::Invalid, format!("the upload broke off: {error}")))?;
            let written = tokio::task::spawn_blocking(move || writer.write(&chunk).map(|()| writer)).await;
            writer = written.map_err(Failure::internal)?.map_err(|error| put_failure(&error))?;
        }
        let finished = tokio::task::spawn_blocking(move || {
            let len = writer.len();
            writer.finish(Durability::Durable).map(|id| Blob { id, len })
        });
        finished.await.map_err(Failure::internal)?.map_err(|error| put_failure(&error))
    }

    async fn get_blob(&self, id: BlobId) -> Answer<Chunks> {
        blob_chunks(&self.store, id).map_err(|error| match error {
            GetError::Missing(_) => Failure::new(Code::NotFound, format!("no blob {id} here")),
            error => Failure::internal(error),
        })
    }

    async fn submit(&self, job: SubmitJob) -> Answer<Submitted> {
        submit::submit(self, job).await
    }

    async fn jobs(&self) -> Answer<Vec<JobSummary>> {
        let list = |driver: &mut Driver| -> Vec<JobSummary> {
            driver.peer.jobs().iter().filter_map(|job| detail::summary(driver, &job.id)).collect()
        };
        let mut jobs = self.ask(list).await?;
        jobs.sort_by_key(|job| std::cmp::Reverse((job.created, job.id)));
        Ok(jobs)
    }

    async fn job(&self, id: JobId) -> Answer<JobDetail> {
        let detail = self.ask(move |driver| detail::detail(driver, &id)).await?;
        let detail = detail.ok_or_else(|| Failure::no_job(&id))?;
        if !detail.summary.state.has_result() {
            return Ok(detail);
        }
        let (_, finals) = self.with_result(id, Which::Final).await?;
        let results = (self.results.clone(), finals);
        let files = files::count(results, self.store.clone(), id, detail.summary.tasks).await?;
        Ok(JobDetail { files, ..detail })
    }

    async fn job_events(&self, id: JobId) -> Answer<Updates> {
        self.summary(id).await?;
        let watch = Watch {
            id,
            questions: self.questions.clone(),
            ends: self.ends.clone(),
            ends_seen: 0,
            seen: 0,
            over: false,
        };
        Ok(stream::unfold(watch, Watch::next).flat_map(stream::iter).boxed())
    }

    async fn job_stdout(&self, id: JobId, which: Which) -> Answer<Chunks> {
        let (summary, shown) = self.with_result(id, which).await?;
        let reduced = self.ask(move |driver| reduced_output(driver, &id)).await?;
        match reduced {
            Some(output) => self.get_blob(output.id).await,
            None => Ok(joined((self.results.clone(), shown), self.store.clone(), id, summary.tasks)),
        }
    }

    async fn job_files(&self, id: JobId, which: Which) -> Answer<FileLists> {
        let (summary, shown) = self.with_result(id, which).await?;
        let first_index = self.ask(move |driver| driver.peer.jobs().get(&id).map(|job| job.job.first_index));
        let first_index = first_index.await?.ok_or_else(|| Failure::no_job(&id))?;
        Ok(files::lists((self.results.clone(), shown), self.store.clone(), id, summary.tasks, first_index))
    }

    async fn job_report(&self, id: JobId, which: Which) -> Answer<Report> {
        let (_, shown) = self.with_result(id, which).await?;
        let report = self.ask(move |driver| detail::report(driver, &id)).await?;
        let report = report.ok_or_else(|| Failure::no_job(&id))?;
        let (results, store) = (self.results.clone(), self.store.clone());
        let completed = tokio::task::spawn_blocking(move || detail::complete(report, (&results, shown), &store)).await;
        completed.map_err(Failure::internal)?.map_err(Failure::internal)
    }

    async fn job_receipts(&self, id: JobId) -> Answer<Chunks> {
        paid::receipts(self, id).await
    }

    async fn wallet(&self) -> Answer<Wallet> {
        self.ask(|driver| wallet::wallet(driver)).await
    }

    async fn reputation(&self) -> Answer<Vec<Reputation>> {
        let shelf = self.shelf.clone();
        let listed = tokio::task::spawn_blocking(move || shelf.list()).await.map_err(Failure::internal)?;
        let proofs = listed.map_err(Failure::internal)?;
        self.ask(move |driver| reputation::list(driver, &proofs)).await
    }

    async fn job_stop(&self, id: JobId) -> Answer<JobSummary> {
        self.summary(id).await?;
        let mut ends = self.ends.clone();
        let before = *ends.borrow();
        // Where only its reduction is under way, that is what ends.
        let target =
            self.ask(move |driver| driver.ledger.level_under_way(&id, driver.peer.jobs()).unwrap_or(id)).await?;
        let reply = self.ask_and_act(move |driver| driver.command(Command::Stop(target))).await?;
        reply.await.map_err(|_| stopping())?;
        let summary = self.summary(id).await?;
        if summary.state.is_final() {
            return Ok(summary);
        }
        // Its end is on its way to the disk; if the disk is slow, the answer is that the job is still there.
        let _ = tokio::time::timeout(STOP_WITHIN, ends.wait_for(|&ends| ends != before)).await;
        self.summary(id).await
    }

    async fn bootstrap_list(&self) -> Answer<Bootstrap> {
        Ok(self.addresses())
    }

    async fn bootstrap_add(&self, address: String) -> Answer<Bootstrap> {
        let target = parse(&address)?;
        self.home().bootstrap_add(&address).map_err(|error| Failure::new(Code::Invalid, error.to_string()))?;
        let network = self.network.clone();
        tokio::spawn(async move {
            if let Err(error) = network.dial(target).await {
                tracing::warn!(%error, "a new bootstrap address does not answer");
            }
        });
        Ok(self.addresses())
    }

    async fn bootstrap_rm(&self, address: String) -> Answer<Bootstrap> {
        self.home().bootstrap_rm(&address).map_err(|error| Failure::new(Code::NotFound, error.to_string()))?;
        Ok(self.addresses())
    }

    async fn stop(&self) -> Answer<()> {
        self.ask(|driver| driver.stopping = true).await
    }
}

fn parse(address: &str) -> Answer<Multiaddr> {
    address.parse().map_err(|_| {
        let shown: String = address.chars().take(100).collect();
        Failure::new(
            Code::Invalid,
            format!("{shown:?} is no address: give /ip4/ADDRESS/tcp/PORT, with or without /p2p/PEER"),
        )
    })
}

fn put_failure(error: &PutError) -> Failure {
    let code = match error {
        PutError::TooLong { .. } => Code::TooLarge,
        PutError::QuotaExceeded { .. } => Code::Quota,
        _ => Code::Internal,
    };
    Failure::new(code, error.to_string())
}

fn status_of(driver: &mut Driver, network: String) -> Status {
    let provide = &driver.home.config().provide;
    let (offers, work) = (driver.peer.bidding(), driver.peer.execution());
    let (leases, running) = driver.peer.load();
    let finished = |job: &JobId| detail::summary(driver, job).is_some_and(|summary| summary.state.is_final());
    let ids: Vec<JobId> = driver.peer.jobs().iter().map(|job| job.id).collect();
    let over = ids.iter().filter(|job| finished(job)).count();
    let stopped = driver.money_stopped();
    Status {
        peer: driver.network.peer_id(),
        network,
        version: env!("CARGO_PKG_VERSION").into(),
        addresses: driver.network.listen_addrs().iter().map(Multiaddr::to_string).collect(),
        uptime_ms: driver.clock.now().0 / 1000,
        peers: u32::try_from(driver.peer.peers().count()).unwrap_or(u32::MAX),
        provide: Provide {
            active: provide.enabled && stopped.is_none(),
            cores: provide.cores(),
            memory: provide.memory(),
            price: provide.price,
            floor_per_gib: provide.floor_per_gib,
            unpaid: provide.unpaid.name().into(),
            running: u32::try_from(running).unwrap_or(u32::MAX),
            reason: match (provide.enabled, leases) {
                (false, _) => "switched off in the configuration: provide.enabled = false".into(),
                _ if stopped.is_some() => "nobody is served while payments are stopped".into(),
                (true, 0) => "ready: no lease at present".into(),
                (true, leases) => format!("working under {leases} leases"),
            },
        },
        offers: Offers { heard: offers.heard, bid: offers.bid, won: offers.won },
        work: Work { executed: work.executed, accepted: work.accepted, voided: work.refuted, waited: work.waited },
        jobs: JobCounts {
            active: u32::try_from(ids.len() - over).unwrap_or(u32::MAX),
            finished: u32::try_from(over).unwrap_or(u32::MAX),
        },
        payments_stopped: stopped,
    }
}

fn peer_of(info: PeerInfo) -> Peer {
    let connected_for = u64::try_from(info.connected_for.as_millis()).unwrap_or(u64::MAX);
    Peer {
        peer: info.peer,
        address: info.address.to_string(),
        direction: match info.direction {
            pocketmesh_network::Direction::Inbound => Direction::Inbound,
            pocketmesh_network::Direction::Outbound => Direction::Outbound,
        },
        via: match info.via {
            pocketmesh_network::Via::Bootstrap => Via::Bootstrap,
            pocketmesh_network::Via::Kademlia { from } => Via::Kademlia { from },
            pocketmesh_network::Via::Mdns => Via::Mdns,
            pocketmesh_network::Via::Inbound => Via::Inbound,
            pocketmesh_network::Via::Saved => Via::Saved,
            pocketmesh_network::Via::Manual => Via::Manual,
        },
        rtt_ms: info.round_trip.map(|time| time.as_secs_f64() * 1e3),
        agent: Some(info.agent).filter(|agent| !agent.is_empty()),
        since: UnixTime(crate::clock::wall().0.saturating_sub(connected_for)),
    }
}

fn reduced_output(driver: &mut Driver, id: &JobId) -> Option<Output> {
    match &driver.ledger.of(id)?.reduce.as_ref()?.outcome {
        Some(Ok(outcome)) => Some(outcome.stdout),
        _ => None,
    }
}

/// A blob in pieces.
fn blob_chunks(store: &Store, id: BlobId) -> Result<Chunks, GetError> {
    let (file, _) = store.open_file(id)?;
    Ok(pieces(Box::new(move || Ok(Box::new(file)))))
}

/// All tasks' standard output, in task order, read as it is sent.
fn joined((results, shown): (Results, Shown), store: Store, id: JobId, tasks: u32) -> Chunks {
    let stdout = move |task| {
        let (results, shown, store) = (results.clone(), shown.clone(), store.clone());
        pieces(Box::new(move || match results.shown(&id, task, &shown).map_err(io::Error::other)? {
            Some(done) => stdout_of(&done, &store).map_err(io::Error::other),
            None => Ok(Box::new(io::empty())),
        }))
    };
    stream::iter(0..tasks).flat_map(stdout).boxed()
}

/// Opens what is to be read to its end.
type Open = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send>;

/// What `open` opens, in pieces, read as it is sent.
fn pieces(open: Open) -> Chunks {
    let pieces = stream::try_unfold(Some(open), |open| async move {
        let Some(open) = open else { return Ok(None) };
        let read = tokio::task::spawn_blocking(move || {
            let (mut from, mut piece) = (open()?, Vec::new());
            from.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
            io::Result::Ok((piece, from))
        });
        let (piece, from) = read.await.map_err(io::Error::other)??;
        let rest = (piece.len() == PIECE_BYTES).then(|| Box::new(move || Ok(from)) as Open);
        Ok(if piece.is_empty() { None } else { Some((Chunk::from(piece), rest)) })
    });
    pieces.boxed()
}

/// One reader of a job's updates.
struct Watch {
    id: JobId,
    questions: mpsc::Sender<Question>,
    ends: watch::Receiver<u64>,
    ends_seen: u64,
    seen: usize,
    over: bool,
}

impl Watch {
    /// The next updates: a snapshot and the events since the last one; none after the final snapshot.
    async fn next(mut self) -> Option<(Vec<Update>, Self)> {
        if self.over {
            return None;
        }
        if self.seen > 0 {
            let ended = self.ends.wait_for(|&ends| ends != self.ends_seen);
            // Whether the time is up or a job has ended, it is time to look again.
            let _ = tokio::time::timeout(UPDATE_EVERY, ended).await;
        }
        self.ends_seen = *self.ends.borrow();
        let (id, seen) = (self.id, self.seen);
        let (sender, receiver) = oneshot::channel();
        let question: Question = Box::new(move |driver| {
            let _ = sender.send(look(driver, &id, seen));
            Vec::new()
        });
        self.questions.send(question).await.ok()?;
        let (updates, seen, state) = receiver.await.ok()??;
        (self.seen, self.over) = (seen, state.is_final());
        Some((updates, self))
    }
}

/// A job's events after the first `seen`, and its progress; last, so that a final snapshot ends it all.
fn look(driver: &mut Driver, id: &JobId, seen: usize) -> Option<(Vec<Update>, usize, JobState)> {
    let summary = detail::summary(driver, id)?;
    let state = summary.state;
    let mut updates = Vec::new();
    let mut total = 0;
    if let Some(notes) = driver.ledger.of(id) {
        total = notes.dropped + notes.events.len();
        let fresh = total.saturating_sub(seen).min(notes.events.len());
        let events = notes.events.iter().skip(notes.events.len() - fresh);
        updates.extend(events.cloned().map(Update::Event));
    }
    updates.push(Update::Progress(summary));
    Some((updates, total.max(1), state))
}
