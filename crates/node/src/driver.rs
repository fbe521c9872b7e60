//! The event loop: one input at a time into the protocol, its effects carried out in order.

mod pay;

pub use pay::Till;

use crate::{
    blobs::{Exchange, Fetched, Holders},
    clock::{Clock, wall},
    executor::{Finished, Sandbox},
    gossip::{self, Pending},
    home::Home,
    jobs::{Ledger, line_of},
    journal::{Appender, Marker, Stored},
    parts::{self, Cutter, Read},
    peers,
    proofs::{Claims, Parts, Shelf},
    reduce::Reduced,
    results::{Results, pin_outputs},
};
use futures::future::BoxFuture;
use pocketmesh_blobs::Store;
use pocketmesh_network::{DisconnectReason, Event, Events, Handle, Prefix};
use pocketmesh_protocol::{Command, CommandId, Effect, Event as Notice, Input, Peer, Record, Reply};
use pocketmesh_sandbox::Executor;
use pocketmesh_store::{Index, journal};
use pocketmesh_types::{Bytes, ClaimId, Hash, JobId, OfferId, Output, PeerId, TaskIndex};
use pocketmesh_wire::{Envelope, Key, Message, OpenError, Signer, Verified, message::Void};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};

/// How often the protocol is told the wall clock, and known peers are saved.
const HOUSEKEEPING: Duration = Duration::from_secs(15);
/// The same once after the first connection, so that a short life is enough to be remembered.
const FIRST_SAVE: Duration = Duration::from_secs(2);
/// Inputs that were read and wait to be told of; then reading waits.
pub const PARTS_MAX: usize = 64;
/// Questions of the control API that wait.
pub const QUESTIONS_MAX: usize = 256;

/// Inputs of a job of ours that were read.
pub type PartsRead = (JobId, Read);

/// A claim that was kept: of which job, which, and about which tasks.
type Kept = (JobId, ClaimId, Vec<TaskIndex>);

/// Something that the control API wants to know or do, between two inputs; what it returns is carried out.
pub type Question = Box<dyn FnOnce(&mut Driver) -> Vec<Effect> + Send>;

/// Where everything that happens comes from.
pub struct Sources {
    /// The network.
    pub network: Events,
    /// The journal; nothing where it is damaged.
    pub journal: Option<journal::Events>,
    /// The sandbox.
    pub finished: mpsc::Receiver<Finished>,
    /// Fetches that ended.
    pub fetched: mpsc::Receiver<Fetched>,
    /// Inputs that were read.
    pub parts: mpsc::Receiver<PartsRead>,
    /// The control API.
    pub questions: mpsc::Receiver<Question>,
    /// Steps of reductions that were taken.
    pub reduced: mpsc::Receiver<Reduced>,
}

/// What the daemon works with.
pub struct Driver {
    /// The data folder.
    pub home: Home,
    /// The protocol.
    pub peer: Peer,
    /// Our identity.
    pub key: Key,
    /// Time since the start.
    pub clock: Clock,
    /// The network.
    pub network: Handle,
    /// The blobs on this disk.
    pub store: Store,
    /// The exchange of blobs.
    pub exchange: Exchange,
    /// What reads the inputs of our jobs.
    pub cutter: Cutter,
    /// Tells of inputs that were read.
    pub parts: mpsc::Sender<PartsRead>,
    /// What runs tasks.
    pub sandbox: Sandbox,
    /// The same, for the reduce step and for checks.
    pub executor: Arc<dyn Executor>,
    /// The journal.
    pub journal: Appender,
    /// How far it has come.
    pub marker: Marker,
    /// Money on its way.
    pub till: Till,
    /// Why money is stopped from the start, if it is.
    pub damage: Option<String>,
    /// The index.
    pub index: Arc<Index>,
    /// Results, final and held.
    pub results: Results,
    /// Claims that may still be refuted.
    pub claims: Claims,
    /// Fraud proofs.
    pub shelf: Shelf,
    /// Notes on our jobs.
    pub ledger: Ledger,
    /// Commands whose reply somebody waits for.
    pub replies: BTreeMap<CommandId, oneshot::Sender<Reply>>,
    /// Tells of steps of reductions that were taken.
    pub reduced: mpsc::Sender<Reduced>,
    /// Counts ends of jobs, and of their tasks, for whoever waits for one.
    pub ends: watch::Sender<u64>,
    /// Gossip that is being judged.
    pub pending: Pending,
    /// Numbers commands.
    pub commands: u64,
    /// Whether the daemon was asked to stop.
    pub stopping: bool,
}

/// Why the loop ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// The network's task ended.
    #[error("the network stopped unexpectedly; start the daemon again")]
    Network,
}

impl Driver {
    /// Runs until `stop`, or until a question asks for the end.
    pub async fn run(&mut self, sources: &mut Sources, mut stop: BoxFuture<'_, ()>) -> Result<(), LoopError> {
        let effects = self.peer.handle(self.clock.now(), Input::WallClock(wall()));
        self.perform(effects).await?;
        self.look_around().await?;
        if let Some(reason) = self.damage.take() {
            self.tell(Input::MoneyFailed { reason }).await?;
        }
        let effects = self.peer.resume(self.clock.now());
        self.perform(effects).await?;
        self.resume_reductions();
        let mut housekeeping = tokio::time::interval_at(tokio::time::Instant::now() + FIRST_SAVE, HOUSEKEEPING);
        while !self.stopping {
            if let Some(failed) = self.on_journal_failure() {
                self.tell(failed).await?;
            }
            let deadline = self.peer.next_deadline().map(|at| self.clock.at(at));
            tokio::select! {
                () = &mut stop => return Ok(()),
                event = sources.network.recv() => self.on_network(event.ok_or(LoopError::Network)?).await?,
                event = next_of(&mut sources.journal), if !self.journal.is_broken() => self.on_journal(event).await?,
                Some((run, result)) = sources.finished.recv() => {
                    self.tell(Input::ExecutionFinished { run, result }).await?;
                }
                Some(read) = sources.parts.recv() => self.on_parts_read(read).await?,
                Some((item, found)) = sources.fetched.recv() => self.tell(Input::Fetched { item, found }).await?,
                Some(question) = sources.questions.recv() => {
                    let effects = question(self);
                    self.perform(effects).await?;
                }
                Some(reduced) = sources.reduced.recv() => {
                    let effects = self.on_stage(reduced);
                    self.perform(effects).await?;
                }
                () = sleep_until(deadline) => self.tell(Input::DeadlineReached).await?,
                _ = housekeeping.tick() => self.keep_house().await?,
            }
        }
        Ok(())
    }

    /// Tells the protocol something and does what it says.
    pub async fn tell(&mut self, input: Input) -> Result<(), LoopError> {
        let effects = self.peer.handle(self.clock.now(), input);
        self.perform(effects).await
    }

    async fn perform(&mut self, effects: Vec<Effect>) -> Result<(), LoopError> {
        for effect in effects {
            match effect {
                Effect::Send { to, message, attached } => {
                    let bytes = Envelope::seal(&message, attached, &self.key).encode();
                    if let Message::Void(void) = &message {
                        self.prove(to, void, &bytes);
                    }
                    if let Err(error) = self.network.send(to, bytes) {
                        tracing::debug!(peer = %to, %error, "a message was not sent");
                    }
                }
                Effect::Publish { message, near, depth } => self.publish(&message, near, depth).await,
                Effect::Reach { peer, contacts } => {
                    let contacts = contacts.into_iter().map(|contact| contact.0).collect();
                    // It fails only when the network has ended, which the loop sees by itself.
                    let _ = self.network.reach(peer, contacts).await;
                }
                Effect::Judge { token, judgement } => {
                    if let Some(token) = self.pending.take(token) {
                        // It fails only when the network has ended, which the loop sees by itself.
                        let _ = self.network.report(token, gossip::verdict_of(judgement)).await;
                    }
                }
                Effect::Execute(run) => self.sandbox.execute(run),
                Effect::Cancel(run) => self.sandbox.cancel(run),
                Effect::Fetch { item, len, files_max, from, fellows } => {
                    self.exchange.fetch(item, len, files_max, Holders { from, fellows });
                }
                Effect::ReadParts { job, table, tasks } => self.read_parts(job, table, tasks),
                Effect::ReleaseParts { job, blobs } => {
                    let owner = parts::owner(&job);
                    blobs.into_iter().for_each(|blob| self.store.unpin(blob, owner));
                }
                Effect::Store { id, record } => self.store_record(id, record),
                Effect::Pay { id, receipts, voucher } => self.pay(id, receipts, voucher),
                Effect::Keep { id, content } => self.keep(id, content),
                Effect::Quit(quittance) => self.quit(quittance),
                Effect::Reply { command, reply } => {
                    if let Some(waiting) = self.replies.remove(&command) {
                        // Whoever asked may have gone meanwhile.
                        let _ = waiting.send(reply);
                    }
                }
                Effect::Disconnect { peer, reason } => self.shun(peer, reason).await,
                Effect::Notify(event) => self.on_notice(event),
            }
        }
        Ok(())
    }

    /// Reads inputs of a job of ours beside the loop.
    fn read_parts(&self, job: JobId, table: Output, tasks: Vec<TaskIndex>) {
        let (cutter, done) = (self.cutter.clone(), self.parts.clone());
        // The receiver is gone only when the daemon stops.
        let tell = async move |read| drop(done.send((job, read)).await);
        tokio::spawn(cutter.bring(parts::owner(&job), table, tasks, tell));
    }

    async fn on_parts_read(&mut self, read: PartsRead) -> Result<(), LoopError> {
        let (job, Read { parts, problem, .. }) = read;
        if let Some(problem) = problem {
            self.ledger.note_once(job, format!("tasks cannot be run, because their input is not to be had: {problem}"));
        }
        self.tell(Input::PartsRead { job, parts }).await
    }

    async fn publish(&self, message: &Message, near: OfferId, depth: u8) {
        let bytes = Envelope::seal(message, Vec::new(), &self.key).encode();
        if let Err(error) = self.network.publish(near.0.0, depth, bytes).await {
            tracing::warn!(%error, "an offer was not gossiped");
        }
    }

    /// Results go to the index too, from where they are read; it can be made anew from the journal.
    fn store_record(&mut self, id: pocketmesh_protocol::RecordId, record: Record) {
        if let Record::Final { job, tasks } | Record::Delivered { job, tasks, .. } = &record {
            pin_outputs(&self.store, job, tasks);
            if let Err(error) = self.results.put(job, tasks) {
                tracing::error!(%error, "results could not be indexed");
            }
        }
        self.journal.append_record(id, record);
    }

    async fn on_network(&mut self, event: Event) -> Result<(), LoopError> {
        match event {
            Event::Connected { peer, prefix, .. } => {
                let prefix = prefix.map(bytes_of);
                self.tell(Input::PeerConnected { peer, prefix }).await
            }
            Event::Disconnected { peer } => {
                self.exchange.forget(&peer);
                self.tell(Input::PeerDisconnected { peer }).await
            }
            Event::Message { from, bytes } => match gossip::open_direct(from, &bytes) {
                Ok(message) => {
                    let kept = self.keep_claim(from, &bytes, &message);
                    self.tell(Input::MessageReceived { from, message }).await?;
                    self.drop_unless_open(kept);
                    Ok(())
                }
                Err(error) => {
                    self.shun(from, fault_of(&error)).await;
                    Ok(())
                }
            },
            Event::Gossip { token, depth, bytes, .. } => match gossip::open_gossip(&bytes) {
                Ok(message) if gossip::is_for(self.key.peer(), depth, &message) => {
                    let token = self.pending.put(token);
                    self.tell(Input::GossipHeard { token, depth, message }).await
                }
                unfit => {
                    tracing::debug!(error = ?unfit.err(), depth, "gossip was rejected");
                    let _ = self.network.report(token, pocketmesh_network::Verdict::Reject).await;
                    Ok(())
                }
            },
            Event::Stream { peer, stream, .. } => {
                self.exchange.serve(peer, stream);
                Ok(())
            }
            Event::Learned { peer, via } => {
                tracing::info!(%peer, ?via, "learned of a peer");
                Ok(())
            }
            Event::Misbehaved { .. } => Ok(()),
            Event::Listening(address) => {
                tracing::info!(%address, "listening");
                Ok(())
            }
        }
    }

    async fn on_journal(&mut self, event: Option<journal::Event>) -> Result<(), LoopError> {
        match event {
            Some(journal::Event::Stored(tokens)) => {
                self.marker.advance(tokens.len());
                self.journal.push_waiting();
                for stored in Appender::stored(&tokens) {
                    let input = match stored {
                        Stored::Record(record) => Input::Stored { record },
                        Stored::Money(id) => {
                            self.marker.leave();
                            self.on_money_stored(id)
                        }
                    };
                    self.tell(input).await?;
                }
            }
            Some(journal::Event::Failed(failure)) => self.journal.fail(failure),
            None => self.journal.fail(journal::Failure {
                step: "written",
                reason: "its writer has ended".into(),
                disk_full: false,
            }),
        }
        Ok(())
    }

    async fn shun(&self, peer: PeerId, reason: &'static str) {
        let _ = self.network.disconnect(peer, DisconnectReason::Misbehaved(reason)).await;
    }

    fn on_notice(&mut self, event: Notice) {
        if let Some((job, text)) = line_of(&event) {
            self.ledger.note(job, text);
        }
        match event {
            Notice::JobClosed { job, .. } => {
                self.claims.sweep(self.peer.jobs());
                self.store.unpin_all(parts::owner(&job));
                self.reduce_after(job);
                self.ends.send_modify(|ends| *ends += 1);
            }
            Notice::BidAnswered { offer, standing, honest } => {
                tracing::info!(offer = %offer.short(), ?standing, "bid answered");
                if !honest {
                    tracing::warn!(offer = %offer.short(), "the auction's disclosure does not add up");
                }
            }
            Notice::Accused { requester, job, task } => {
                tracing::warn!(%requester, job = %job.short(), task, "a requester says that it refuted our result");
            }
            Notice::Contested { requester, job, task } => {
                tracing::warn!(%requester, job = %job.short(), task, "our second run stands by our result: this requester is not served any more");
            }
            Notice::Erred { job, task } => {
                tracing::error!(job = %job.short(), task, "this device came to two outcomes of one task: `pocketmesh doctor` says more");
            }
            Notice::Money(event) => self.on_money_event(event),
            other => tracing::debug!(?other, "protocol"),
        }
    }

    async fn keep_house(&mut self) -> Result<(), LoopError> {
        tokio::spawn(peers::save(self.network.clone(), Arc::clone(&self.index)));
        self.marker.leave();
        // Where the journal is damaged the jobs are not known, and what is kept for them is not to be swept.
        if !self.journal.is_broken() {
            self.claims.sweep(self.peer.jobs());
        }
        self.tell(Input::WallClock(wall())).await?;
        self.look_around().await
    }

    /// Tells the protocol how large the mesh is, where we can be reached, and what we had to send.
    async fn look_around(&mut self) -> Result<(), LoopError> {
        for (peer, bytes) in self.exchange.sent() {
            self.tell(Input::Sent { peer, bytes }).await?;
        }
        let peers = self.network.mesh_size().await.unwrap_or_default();
        let contacts = self.network.contacts().into_iter().map(Bytes).collect();
        self.tell(Input::Mesh { peers, contacts }).await
    }

    /// Keeps a claim under one of our leases as it was received; which, and about which tasks.
    fn keep_claim(&mut self, from: PeerId, bytes: &[u8], message: &Verified<Message>) -> Option<Kept> {
        let Message::Claim(claim) = &message.content else { return None };
        let active = self.peer.jobs().get(&claim.job)?;
        let envelope = Envelope::decode(bytes).ok().filter(|_| active.holds_lease(&claim.lease, &from))?;
        let id = ClaimId(message.id);
        self.claims.keep(claim.job, id, &envelope.bare().encode());
        Some((claim.job, id, claim.results.iter().map(|row| row.task).collect()))
    }

    /// What the protocol had no use for need not be kept.
    fn drop_unless_open(&mut self, kept: Option<Kept>) {
        let Some((job, claim, tasks)) = kept else { return };
        if self.peer.jobs().get(&job).is_none_or(|active| !active.is_open(claim, tasks)) {
            self.claims.drop(job, claim);
        }
    }

    /// A claim was refuted: whoever wants to see for himself finds a proof.
    fn prove(&mut self, worker: PeerId, void: &Void, sealed: &[u8]) {
        let Some(job) = self.peer.jobs().get(&void.job).map(|active| active.job.clone()) else { return };
        let place = self.shelf.place(&void.job, void.task, &worker);
        let Some(place) = self.ledger.of_mut(void.job).refute(worker, void.task, place).cloned() else { return };
        let Some(claim) = self.claims.get(void.job, void.claim) else {
            tracing::warn!(%worker, task = void.task, "a refuted claim was not kept, so there is no proof of it");
            return;
        };
        let parts = Parts { job, claim, void: sealed.to_vec(), input: void.input.clone() };
        let (shelf, store) = (self.shelf.clone(), self.store.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = shelf.write(&place, &store, parts) {
                tracing::warn!(%error, "a fraud proof was not written");
            }
        });
    }

    /// Gives the protocol a command; the reply comes through the returned channel, once the effects, which a
    /// [`Question`] hands back to the loop, are carried out.
    pub fn command(&mut self, command: Command) -> (oneshot::Receiver<Reply>, Vec<Effect>) {
        self.commands += 1;
        let id = CommandId(self.commands);
        let (sender, receiver) = oneshot::channel();
        self.replies.insert(id, sender);
        (receiver, self.peer.handle(self.clock.now(), Input::Command { id, command }))
    }
}

fn bytes_of(prefix: Prefix) -> [u8; 6] {
    match prefix {
        Prefix::V4([a, b, c]) => [4, a, b, c, 0, 0],
        Prefix::V6(bytes) => bytes,
    }
}

/// What a peer did wrong, for the log.
fn fault_of(error: &OpenError) -> &'static str {
    match error {
        OpenError::Decode(_) => "sent what cannot be decoded",
        OpenError::Version(_) => "speaks another version of the wire format",
        OpenError::Seal(_) => "sent a message without the seal of its kind",
        OpenError::Signature => "sent a wrong signature",
        OpenError::Signer => "sent a message sealed by somebody else",
        OpenError::Bounds(_) => "sent a message out of bounds",
    }
}

async fn next_of(events: &mut Option<journal::Events>) -> Option<journal::Event> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The journal's context: a data folder belongs to one network and one peer.
pub fn journal_context(network: &str, peer: &PeerId) -> Hash {
    Hash::of_parts("pocketmesh journal 1", &[network.as_bytes(), &peer.0])
}
