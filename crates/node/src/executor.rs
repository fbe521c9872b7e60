//! Lending the protocol a sandbox: runs in, outcomes out.

use pocketmesh_blobs::Store;
use pocketmesh_protocol::{Executed, NoOutcome, Run, RunId};
use pocketmesh_sandbox::{self as sandbox, Executor, Failure, Submission, Task, Ticket};
use pocketmesh_types::{Bytes, Output, PeerId, TaskInput, limits};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc;

/// Results on their way to the event loop: as many as may run or wait, so that no executor thread ever waits for room.
pub const QUEUE: usize = 4096;

/// How an execution ended.
pub type Finished = (RunId, Result<Executed, NoOutcome>);

/// What runs tasks for this peer. Clones share everything: a run takes one along through other threads.
#[derive(Clone)]
pub struct Sandbox {
    executor: Arc<dyn Executor>,
    store: Store,
    finished: mpsc::Sender<Finished>,
    tickets: Arc<Mutex<BTreeMap<RunId, Ticket>>>,
    /// A test aid: every result is replaced by a wrong one.
    sabotage: Option<PeerId>,
}

impl Sandbox {
    /// Runs tasks on `executor`, whose outputs go to `store` when they are large.
    pub fn new(
        executor: Arc<dyn Executor>,
        store: Store,
        sabotage: Option<PeerId>,
    ) -> (Self, mpsc::Receiver<Finished>) {
        let (finished, receiver) = mpsc::channel(QUEUE);
        (Self { executor, store, finished, tickets: Arc::default(), sabotage }, receiver)
    }

    /// Runs a task; how it ended comes through the channel.
    pub fn execute(&self, run: Run) {
        match run.stdin {
            TaskInput::Blob(blob, len) => {
                let (store, this) = (self.store.clone(), self.clone());
                tokio::task::spawn_blocking(move || match store.get(blob, len) {
                    Ok(stdin) => this.submit(run, stdin),
                    Err(_) => this.finish(run.run, Err(NoOutcome::HostFailed)),
                });
            }
            TaskInput::Inline(ref bytes) => {
                let stdin = bytes.to_vec();
                self.submit(run, stdin);
            }
            TaskInput::None => self.submit(run, Vec::new()),
        }
    }

    /// Stops a run; that it ended is still told.
    pub fn cancel(&self, run: RunId) {
        let ticket = self.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        if let Some(ticket) = ticket {
            ticket.stop();
        }
    }

    fn submit(&self, run: Run, stdin: Vec<u8>) {
        let id = run.run;
        let task = Task {
            program: run.program,
            name: run.name,
            args: run.args,
            env: run.env,
            stdin,
            limits: run.limits,
            epoch: run.epoch,
            seed: run.seed,
        };
        let done = self.clone();
        let on_done = Box::new(move |result| done.on_done(id, result));
        // The ticket is noted under the lock that `on_done` takes, so that it cannot be noted after the end.
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        match self.executor.submit(Submission { task, on_done }) {
            Ok(ticket) => drop(tickets.insert(id, ticket)),
            Err(_) => {
                drop(tickets);
                self.finish(id, Err(NoOutcome::HostFailed));
            }
        }
    }

    fn on_done(&self, run: RunId, result: Result<sandbox::Executed, Failure>) {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        let result = match result {
            Ok(executed) => self.keep_outputs(self.tamper(executed)),
            Err(Failure::Load(sandbox::LoadError::Program(error))) => {
                tracing::warn!(%error, "a program was refused");
                Err(NoOutcome::ProgramRefused)
            }
            Err(error) => {
                tracing::debug!(%error, "a task came to no outcome");
                Err(NoOutcome::HostFailed)
            }
        };
        self.finish(run, result);
    }

    /// Small outputs go along, large ones into the store, where others can fetch them.
    fn keep_outputs(&self, executed: sandbox::Executed) -> Result<Executed, NoOutcome> {
        let mut inline = Vec::new();
        for bytes in [executed.stdout, executed.stderr] {
            if bytes.is_empty() {
                continue;
            }
            if bytes.len() <= limits::INLINE_BYTES_MAX {
                inline.push(Bytes(bytes));
            } else if let Err(error) = self.store.put(&bytes) {
                tracing::warn!(%error, "an output could not be stored");
                return Err(NoOutcome::HostFailed);
            }
        }
        Ok(Executed { outcome: executed.outcome, inline })
    }

    /// The test aid: a wrong result, wrong in a way of its own, so that two saboteurs never agree.
    fn tamper(&self, mut executed: sandbox::Executed) -> sandbox::Executed {
        if let Some(me) = self.sabotage {
            executed.stdout.extend(me.0);
            executed.stdout.rotate_right(me.0.len());
            executed.stdout.truncate(executed.outcome.stdout.len.max(1) as usize);
            executed.outcome.stdout = Output::of(&executed.stdout);
        }
        executed
    }

    fn finish(&self, run: RunId, result: Result<Executed, NoOutcome>) {
        // The channel holds as much as the executor takes on, and its receiver lives as long as the daemon.
        if self.finished.try_send((run, result)).is_err() {
            tracing::error!("a finished task found no room on its way to the event loop");
        }
    }
}
