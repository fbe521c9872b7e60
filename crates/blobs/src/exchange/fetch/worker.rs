//! One provider's part in a fetch: asks it for parts a few ahead, has them checked and stored, one behind.

use super::{
    Connect, Fault, Job,
    talk::{Reply, Talk},
};
use crate::store::{PutError, partial::AcceptError, portion::Ask};
use pocketmesh_types::PeerId;
use std::{collections::VecDeque, ops::Range, sync::Arc};
use tokio::{task::JoinHandle, time::Instant};

/// Parts that a provider has been asked for and that are not stored yet: enough to keep a line busy, and the most that
/// is fetched again if we are killed.
const ASKED_MAX: usize = 4;

/// How one provider's part ended.
#[derive(Debug)]
pub enum End {
    /// The fetch is done.
    Done,
    /// It failed us, perhaps for now.
    Failed(Fault),
    /// We failed.
    Store(PutError),
}

/// A question without an answer so far.
#[derive(Debug, Clone)]
enum Asked {
    Parts,
    Part(u32, Range<u32>),
}

impl Asked {
    fn ask(&self) -> Ask {
        match self {
            Self::Parts => Ask::Parts,
            Self::Part(_, groups) => Ask::Groups { first: groups.start, count: groups.end - groups.start },
        }
    }
}

type Storing = (u32, JoinHandle<Result<(), AcceptError>>);

/// See the module.
pub struct Worker<C: Connect> {
    job: Arc<Job>,
    connect: C,
    peer: PeerId,
    talk: Option<Talk<C::Stream>>,
    asked: VecDeque<Asked>,
    storing: Option<Storing>,
    /// When the provider last said which parts it has.
    told: Instant,
    /// When it last began to answer, for all we know.
    busy_since: Instant,
}

impl<C: Connect> Worker<C> {
    pub fn new(job: Arc<Job>, connect: C, peer: PeerId) -> Self {
        let now = Instant::now();
        Self { job, connect, peer, talk: None, asked: VecDeque::new(), storing: None, told: now, busy_since: now }
    }

    /// Runs until the fetch is done or this provider is of no use.
    pub async fn run(mut self) -> (PeerId, End) {
        self.job.plan().join(self.peer);
        let mut end = self.work(false).await;
        // A stream that was left open by an earlier fetch may have died meanwhile: that says nothing about the peer.
        if let Err(End::Failed(Fault::Stream(_) | Fault::CutShort)) = &end
            && self.talk.take().is_some_and(|talk| !talk.answered)
        {
            self.abandon().await;
            self.job.plan().join(self.peer);
            end = self.work(true).await;
        }
        self.abandon().await;
        let end = end.err().unwrap_or(End::Done);
        if matches!(end, End::Done)
            && let Some(stream) = self.talk.take().and_then(Talk::into_stream)
        {
            self.connect.keep(self.peer, stream);
        }
        (self.peer, end)
    }

    /// Gives back what was asked for, and lets what is being stored come to its end.
    async fn abandon(&mut self) {
        self.asked.clear();
        if let Some((part, storing)) = self.storing.take()
            && matches!(storing.await, Ok(Ok(())))
        {
            self.job.part_done(part);
        }
        self.job.plan().leave(self.peer);
        self.job.wake.notify_waiters();
    }

    async fn work(&mut self, fresh: bool) -> Result<(), End> {
        loop {
            self.ask_ahead(fresh).await?;
            if let Some(asked) = self.asked.pop_front() {
                self.take_answer(asked).await?;
                continue;
            }
            self.settle().await?;
            if self.job.plan().is_done() {
                return Ok(());
            }
            self.wait_for_work(fresh).await?;
        }
    }

    /// Asks for parts until enough are under way or none is left for this provider.
    async fn ask_ahead(&mut self, fresh: bool) -> Result<(), End> {
        let ahead = self.job.plan().ahead(self.peer, ASKED_MAX);
        while self.asked.is_empty() || self.asked.len() + usize::from(self.storing.is_some()) < ahead {
            let Some(part) = self.job.plan().next(self.peer, Instant::now()) else { return Ok(()) };
            match self.job.target.missing(part) {
                Some(groups) => self.ask(Asked::Part(part, groups), fresh).await?,
                None => self.job.part_done(part),
            }
        }
        Ok(())
    }

    async fn ask(&mut self, asked: Asked, fresh: bool) -> Result<(), End> {
        if self.talk.is_none() {
            let stream = self.connect.open(self.peer, fresh).await.map_err(|error| fault(Fault::Unreachable(error)))?;
            self.talk = Some(Talk::new(stream, self.job.subject, self.job.options.patience, self.job.buffers.clone()));
        }
        let Some(talk) = &mut self.talk else { return Ok(()) };
        talk.ask(asked.ask()).await.map_err(fault)?;
        if self.asked.is_empty() {
            self.busy_since = Instant::now();
        }
        self.asked.push_back(asked);
        Ok(())
    }

    async fn take_answer(&mut self, asked: Asked) -> Result<(), End> {
        let Some(talk) = &mut self.talk else { return Ok(()) };
        let reply = talk.answer(asked.ask()).await.map_err(fault)?;
        let now = Instant::now();
        match (reply, asked) {
            (Reply::Given { encoded, .. }, Asked::Part(part, groups)) => {
                self.job.received(self.peer, encoded.len(), now.duration_since(self.busy_since));
                self.busy_since = now;
                self.settle().await?;
                let job = Arc::clone(&self.job);
                let held = Arc::clone(&job.storing).read_owned().await;
                let storing = move || {
                    let accepted = job.target.accept(&groups, &encoded);
                    drop(held);
                    accepted
                };
                self.storing = Some((part, tokio::task::spawn_blocking(storing)));
            }
            (Reply::Held { parts }, asked) => {
                self.busy_since = now;
                self.told = now;
                let mut plan = self.job.plan();
                plan.learn(self.peer, parts);
                if let Asked::Part(part, _) = asked {
                    plan.put_back(self.peer, part);
                }
                drop(plan);
                self.job.wake.notify_waiters();
            }
            (Reply::Given { .. }, Asked::Parts) => return Err(fault(Fault::Malformed)),
        }
        Ok(())
    }

    /// Waits for what is being stored.
    async fn settle(&mut self) -> Result<(), End> {
        let Some((part, storing)) = self.storing.take() else { return Ok(()) };
        match storing.await {
            Ok(Ok(())) => self.job.part_done(part),
            Ok(Err(AcceptError::Wrong(wrong))) => return Err(fault(Fault::WrongBytes { group: wrong.group })),
            Ok(Err(AcceptError::Put(error))) => return Err(End::Store(error)),
            Err(error) => return Err(End::Store(std::io::Error::other(error).into())),
        }
        Ok(())
    }

    /// There is nothing to ask this provider for. Others may fail, it may get more parts, or a part may become overdue.
    async fn wait_for_work(&mut self, fresh: bool) -> Result<(), End> {
        let refresh = self.job.options.refresh;
        if self.job.plan().is_partial(self.peer) && self.told.elapsed() >= refresh {
            return self.ask(Asked::Parts, fresh).await;
        }
        let woken = self.job.wake.notified();
        if !self.job.plan().is_done() {
            // Whether woken or not, there is a new look to be taken.
            let _ = tokio::time::timeout(refresh, woken).await;
        }
        Ok(())
    }
}

fn fault(fault: Fault) -> End {
    End::Failed(fault)
}
