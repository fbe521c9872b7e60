//! Lending the protocol a sandbox: runs in, outcomes out.

use crate::{sabotage::Saboteur, trees};
use pocketmesh_blobs::{Store, store::PutError};
use pocketmesh_protocol::{Executed, NoOutcome, Run, RunId};
use pocketmesh_sandbox::{self as sandbox, Executor, Failure, Kept, Stdin, Submission, Task, Ticket};
use pocketmesh_types::{BlobId, Bytes, Output, TaskInput, Tree, limits};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc;

/// Results on their way to the event loop: as many as may run or wait, so that no executor thread ever waits for room.
pub const QUEUE: usize = 4096;

/// Standard input up to this is read here, so that many tasks can be handed to an executor together; larger ones pass
/// through in pieces, each alone.
const STDIN_HELD_BYTES: u64 = 64 << 10;

/// How an execution ended.
pub type Finished = (RunId, Result<Executed, NoOutcome>);

/// A tree and the name of its list.
type NamedTree = (BlobId, Arc<Tree>);

/// What runs tasks for this peer. Clones share everything: a run takes one along through other threads.
#[derive(Clone)]
pub struct Sandbox {
    executor: Arc<dyn Executor>,
    store: Store,
    finished: mpsc::Sender<Finished>,
    tickets: Arc<Mutex<BTreeMap<RunId, Ticket>>>,
    last_tree: Arc<Mutex<Option<NamedTree>>>,
    /// A test aid: results are replaced by wrong ones.
    saboteur: Option<Arc<Saboteur>>,
}

impl Sandbox {
    /// Runs tasks on `executor`, whose outputs go to `store` when they are large.
    pub fn new(
        executor: Arc<dyn Executor>,
        store: Store,
        saboteur: Option<Saboteur>,
    ) -> (Self, mpsc::Receiver<Finished>) {
        let (finished, receiver) = mpsc::channel(QUEUE);
        let saboteur = saboteur.map(Arc::new);
        (Self { executor, store, finished, tickets: Arc::default(), last_tree: Arc::default(), saboteur }, receiver)
    }

    /// Runs a task; how it ended comes through the channel.
    pub fn execute(&self, run: Run) {
        match (&run.stdin, self.known_tree(run.files)) {
            (TaskInput::Inline(bytes), Some(files)) => {
                let stdin = bytes.to_vec().into();
                self.submit(run, stdin, files);
            }
            (TaskInput::None, Some(files)) => self.submit(run, Stdin::default(), files),
            _ => {
                let this = self.clone();
                tokio::task::spawn_blocking(move || this.read_and_submit(run));
            }
        }
    }

    fn read_and_submit(&self, run: Run) {
        let stdin = match &run.stdin {
            TaskInput::None => Some(Stdin::default()),
            TaskInput::Inline(bytes) => Some(bytes.to_vec().into()),
            &TaskInput::Blob(blob, len) if len <= STDIN_HELD_BYTES => self.store.get(blob, len).ok().map(Stdin::Here),
            &TaskInput::Blob(id, len) => Some(Stdin::Blob(Output { id, len })),
        };
        match stdin.zip(self.read_tree(run.files)) {
            Some((stdin, files)) => self.submit(run, stdin, files),
            None => self.finish(run.run, Err(NoOutcome::HostFailed)),
        }
    }

    /// The tree of this list, if it is empty or was the last to be read: the tasks of a job have it in common.
    fn known_tree(&self, list: Output) -> Option<Arc<Tree>> {
        if list.len == 0 {
            return Some(Arc::default());
        }
        let last = self.last_tree.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(id, _)| *id == list.id).map(|(_, tree)| Arc::clone(tree))
    }

    fn read_tree(&self, list: Output) -> Option<Arc<Tree>> {
        if let Some(tree) = self.known_tree(list) {
            return Some(tree);
        }
        let read = trees::read(&self.store, list).inspect_err(|error| tracing::warn!(%error, "input files"));
        let tree = Arc::new(read.ok()?);
        *self.last_tree.lock().unwrap_or_else(PoisonError::into_inner) = Some((list.id, Arc::clone(&tree)));
        Some(tree)
    }

    /// Stops a run; that it ended is still told.
    pub fn cancel(&self, run: RunId) {
        let ticket = self.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        if let Some(ticket) = ticket {
            ticket.stop();
        }
    }

    fn submit(&self, run: Run, stdin: Stdin, files: Arc<Tree>) {
        let (id, seed) = (run.run, run.seed);
        let task = task_of(run, stdin, files);
        let done = self.clone();
        let on_done = Box::new(move |result| done.on_done(id, &seed, result));
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

    fn on_done(&self, run: RunId, seed: &[u8; 32], result: Result<sandbox::Executed<Kept>, Failure>) {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        let result = match result {
            Ok(executed) => {
                self.tamper(seed, executed).and_then(|executed| self.keep_outputs(executed)).map_err(|error| {
                    tracing::warn!(%error, "an output could not be stored");
                    NoOutcome::HostFailed
                })
            }
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

    /// What is small of the streams goes along; the rest, and files with their list, go into the store, where others
    /// can fetch them, if they are not there already.
    fn keep_outputs(&self, executed: sandbox::Executed<Kept>) -> Result<Executed, PutError> {
        let sandbox::Executed { outcome, written } = executed;
        let list = written.tree().map(|tree| tree.to_text()).unwrap_or_default();
        let mut inline = Vec::new();
        for kept in [written.stdout, written.stderr] {
            match kept {
                Kept::Here(bytes) if bytes.is_empty() => {}
                Kept::Here(bytes) if bytes.len() <= limits::INLINE_BYTES_MAX => inline.push(Bytes(bytes)),
                kept => self.keep(&kept)?,
            }
        }
        if !list.is_empty() {
            self.store.put(list.as_bytes())?;
            written.files.iter().try_for_each(|file| self.keep(&file.bytes))?;
        }
        Ok(Executed { outcome, inline })
    }

    fn keep(&self, kept: &Kept) -> Result<(), PutError> {
        match kept {
            Kept::Here(bytes) => self.store.put(bytes).map(drop),
            Kept::Saved(_) => Ok(()),
        }
    }

    /// The test aid: what a saboteur makes of a result.
    fn tamper(
        &self,
        seed: &[u8; 32],
        mut executed: sandbox::Executed<Kept>,
    ) -> Result<sandbox::Executed<Kept>, PutError> {
        let Some(saboteur) = self.saboteur.as_ref().filter(|saboteur| saboteur.cheats(seed)) else {
            return Ok(executed);
        };
        let stdout = match executed.written.stdout {
            Kept::Here(bytes) => bytes,
            Kept::Saved(output) => self.store.get(output.id, output.len).map_err(io::Error::other)?,
        };
        let stdout = saboteur.spoil(stdout);
        executed.outcome.stdout = Output::of(&stdout);
        executed.written.stdout = Kept::Here(stdout);
        Ok(executed)
    }

    fn finish(&self, run: RunId, result: Result<Executed, NoOutcome>) {
        // The channel holds as much as the executor takes on, and its receiver lives as long as the daemon.
        if self.finished.try_send((run, result)).is_err() {
            tracing::error!("a finished task found no room on its way to the event loop");
        }
    }
}

/// A run of the protocol as the sandbox takes it.
pub fn task_of(run: Run, stdin: Stdin, files: Arc<Tree>) -> Task {
    Task {
        program: run.program,
        name: run.name,
        args: run.args,
        env: run.env,
        stdin,
        files,
        input_name: run.input_name,
        limits: run.limits,
        epoch: run.epoch,
        seed: run.seed,
    }
}
