//! The workers of one fetch: starts them, asks those that failed again later, sees when all is done or hopeless.

use super::{
    Connect, Fault, FetchError, Job, Providers,
    worker::{End, Worker},
};
use crate::{Store, store::PutError, tree};
use pocketmesh_types::PeerId;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

/// Providers that are asked at a time.
const WORKERS_MAX: usize = 16;
/// Providers of which a fetch takes note.
const PROVIDERS_MAX: usize = 64;
/// A provider that failed is asked again after this, twice it, four times it.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Doublings of it.
const RETRIES_MAX: u32 = 8;
/// How often a provider that has nothing of the blob is asked whether it has something now.
const BEGINS_MAX: u32 = 50;
/// How long the others have to give their streams back when all is done.
const FAREWELL: Duration = Duration::from_millis(20);

/// See the module.
pub struct Crew<C: Connect> {
    job: Arc<Job>,
    connect: C,
    running: JoinSet<(PeerId, End)>,
    /// To be asked when there is room.
    waiting: VecDeque<PeerId>,
    /// To be asked again at some time.
    later: Vec<(Instant, PeerId)>,
    more: Option<mpsc::Receiver<PeerId>>,
    known: BTreeSet<PeerId>,
    attempts: BTreeMap<PeerId, u32>,
    faults: BTreeMap<PeerId, Fault>,
    /// Workers that may run now: one for each part at first, another one whenever nothing came for a while.
    room: usize,
    /// When something was last received, and how much it had been by then.
    alive: (Instant, u64),
}

impl<C: Connect> Crew<C> {
    pub fn new(job: Arc<Job>, connect: C, providers: Providers, faults: BTreeMap<PeerId, Fault>) -> Self {
        let known: BTreeSet<PeerId> = providers.known.iter().copied().take(PROVIDERS_MAX).collect();
        let mut seen = BTreeSet::new();
        let untried = |peer: &PeerId| known.contains(peer) && faults.get(peer).is_none_or(|fault| !fault.is_lie());
        let waiting = providers.known.into_iter().filter(|peer| untried(peer) && seen.insert(*peer)).collect();
        let parts = job.subject.len.map_or(1, tree::parts_of) as usize;
        Self {
            job,
            connect,
            running: JoinSet::new(),
            waiting,
            later: Vec::new(),
            more: providers.more,
            known,
            attempts: BTreeMap::new(),
            faults,
            room: parts.min(WORKERS_MAX),
            alive: (Instant::now(), 0),
        }
    }

    /// Returns the faults when every part is here. No worker runs any more then, nor after an error.
    pub async fn run(mut self, store: &Store) -> Result<BTreeMap<PeerId, Fault>, FetchError> {
        let outcome = self.work(store).await;
        if outcome.is_ok() {
            let _ = timeout(FAREWELL, async { while self.running.join_next().await.is_some() {} }).await;
        }
        self.running.shutdown().await;
        outcome.map(|()| self.faults)
    }

    async fn work(&mut self, store: &Store) -> Result<(), FetchError> {
        while !self.job.plan().is_done() {
            self.start_waiting();
            if self.is_hopeless() {
                return Err(self.not_here());
            }
            let wake_at = self.wake_at();
            let listening = self.more.is_some();
            tokio::select! {
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => match ended {
                    Ok((peer, end)) => self.on_end(peer, end, store)?,
                    Err(error) => return Err(PutError::from(std::io::Error::other(error)).into()),
                },
                found = next(&mut self.more), if listening => self.on_found(found),
                () = sleep_until(wake_at) => self.on_tick(),
            }
            if self.is_barren() {
                return Err(self.not_here());
            }
        }
        Ok(())
    }

    fn start_waiting(&mut self) {
        while self.running.len() < self.room
            && let Some(peer) = self.waiting.pop_front()
        {
            self.running.spawn(Worker::new(Arc::clone(&self.job), self.connect.clone(), peer).run());
        }
    }

    fn on_end(&mut self, peer: PeerId, end: End, store: &Store) -> Result<(), FetchError> {
        match end {
            End::Done => {}
            // Another fetch of the same blob was the first to finish.
            End::Store(PutError::Removed(id)) if store.contains(id) => self.job.plan().clear(),
            End::Store(error) => return Err(error.into()),
            End::Failed(fault) => {
                if fault.is_lie() {
                    tracing::warn!(%peer, blob = %self.job.subject.id, %fault, "a peer gave wrong data for a blob");
                }
                let attempts = self.attempts.entry(peer).or_default();
                *attempts += 1;
                // Who has nothing yet may be about to begin, as we were; what fails otherwise is given ever more time.
                let (retries, wait) = match fault {
                    Fault::NotHere => (BEGINS_MAX, self.job.options.refresh),
                    _ => (RETRIES_MAX, RETRY_AFTER * (1 << (*attempts - 1).min(RETRIES_MAX))),
                };
                if fault.may_pass() && *attempts <= retries {
                    self.later.push((Instant::now() + wait, peer));
                }
                self.faults.insert(peer, fault);
            }
        }
        Ok(())
    }

    fn on_found(&mut self, found: Option<PeerId>) {
        match found {
            Some(peer) if self.known.len() < PROVIDERS_MAX && self.known.insert(peer) => self.waiting.push_back(peer),
            Some(_) => {}
            None => self.more = None,
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        let due = self.later.extract_if(.., |(at, _)| *at <= now);
        self.waiting.extend(due.map(|(_, peer)| peer));
        if self.room < WORKERS_MAX && now.duration_since(self.alive.0) >= self.job.options.overdue {
            self.room += 1;
        }
    }

    fn wake_at(&self) -> Instant {
        let retry = self.later.iter().map(|&(at, _)| at).min();
        let look = Instant::now() + self.job.options.overdue.max(Duration::from_millis(1));
        retry.map_or(look, |at| at.min(look))
    }

    /// Nobody is being asked or will be found, and who failed has said that it has nothing.
    fn is_hopeless(&self) -> bool {
        let lost = |peer| self.faults.get(peer).is_some_and(|fault| !matches!(fault, Fault::NotHere));
        self.running.is_empty()
            && self.waiting.is_empty()
            && self.more.is_none()
            && !self.later.iter().any(|(_, peer)| lost(peer))
    }

    /// Nothing has come from anybody for too long.
    fn is_barren(&mut self) -> bool {
        let received = self.job.progress.received();
        if received != self.alive.1 {
            self.alive = (Instant::now(), received);
        }
        self.alive.0.elapsed() >= self.job.options.give_up
    }

    fn not_here(&mut self) -> FetchError {
        FetchError::NotHere { id: self.job.subject.id, faults: std::mem::take(&mut self.faults) }
    }
}

async fn next(more: &mut Option<mpsc::Receiver<PeerId>>) -> Option<PeerId> {
    match more {
        Some(more) => more.recv().await,
        None => None,
    }
}
