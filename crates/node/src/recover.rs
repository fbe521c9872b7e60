//! What the run before has left: the journal read into a peer, its jobs' notes, the index and the pins.

use crate::{
    driver::{Till, journal_context},
    home::Home,
    jobs::Ledger,
    journal::{Appender, Entry, Marker},
    pins,
    proofs::{Claims, Shelf, claims},
    reduce::{FanIn, Plan},
    results::{Results, pin_outputs},
    run::RunError,
    trees,
};
use pocketmesh_blobs::Store;
use pocketmesh_ledger::journal::ReadError;
use pocketmesh_protocol::{Config, Peer, Record};
use pocketmesh_store::{FolderLock, Index, Journal, index, journal};
use pocketmesh_types::JobId;
use std::{error::Error, sync::Arc};

/// What was read back from the disk.
pub struct Recovered {
    /// The peer, with its jobs and its accounts.
    pub peer: Peer,
    /// Notes on its jobs.
    pub ledger: Ledger,
    /// Results, final and held.
    pub results: Results,
    /// Claims that may still be refuted.
    pub claims: Claims,
    /// To append with.
    pub journal: Appender,
    /// How far it has come.
    pub marker: Marker,
    /// To hear of what is stored; nothing where the journal is damaged.
    pub events: Option<journal::Events>,
    /// The index.
    pub index: Arc<Index>,
    /// What was paid.
    pub till: Till,
    /// Why no money may move, if that is so.
    pub damage: Option<String>,
}

/// What the journal's records are read into.
struct Reading<'a> {
    peer: Peer,
    ledger: Ledger,
    results: &'a Results,
    store: &'a Store,
    shelf: Shelf,
    till: Till,
    damage: Option<String>,
}

/// Reads the journal. A damaged one does not keep the daemon from starting: it knows no jobs then, takes none on, works for nobody and moves
/// no money, but what it has can be had, and it says why.
pub fn recover(
    home: &Home,
    lock: &FolderLock,
    index: Index,
    config: Config,
    store: &Store,
) -> Result<Recovered, RunError> {
    let results = Results::new(index.tree("results")?);
    let mut claims = Claims::open(index.tree(claims::TREE)?)?;
    let marks = index.tree(Marker::TREE)?;
    let context = journal_context(&home.config().network, &config.me);
    let shelf = Shelf::new(Home::proofs_of(home.dir()));
    let (peer, ledger) = (Peer::new(config.clone()), Ledger::default());
    let mut reading = Reading { peer, ledger, results: &results, store, shelf, till: Till::default(), damage: None };
    let opened = Journal::open(lock, context, |sequence, payload| reading.take(sequence, Entry::decode(payload)?));
    let Reading { mut peer, mut ledger, till, mut damage, .. } = reading;
    let (journal, events, marker) = match opened {
        Ok(opened) => {
            if opened.recovered.truncated_bytes > 0 {
                let bytes = opened.recovered.truncated_bytes;
                tracing::warn!(bytes, "the journal's last batch was torn; it had not been acknowledged");
            }
            let (marker, behind) = Marker::check(marks, &opened.recovered)?;
            let advice = "if there is no newer one, remove the folder `index`: payments then go on from what is there";
            damage = damage.or_else(|| Some(format!("{}; {advice}", behind?)));
            claims.sweep(peer.jobs());
            for active in peer.jobs().iter() {
                pins::release(
                    store,
                    peer.jobs(),
                    active,
                    ledger.of(&active.id).and_then(|notes| notes.reduce.as_ref()),
                );
            }
            (Appender::new(opened.journal), Some(opened.events), marker)
        }
        Err(error @ journal::OpenError::Unreadable { source: ReadError::Damage(_), .. }) => {
            peer = Peer::new(config);
            ledger = Ledger::default();
            damage = Some(error.to_string());
            (Appender::broken(), None, Marker::blind(marks))
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(reason) = &damage {
        tracing::error!("PAYMENTS ARE STOPPED: {reason}");
    }
    Ok(Recovered { peer, ledger, results, claims, journal, marker, events, index: Arc::new(index), till, damage })
}

impl Reading<'_> {
    fn take(&mut self, sequence: u64, entry: Entry) -> Result<(), Box<dyn Error + Send + Sync>> {
        match entry {
            Entry::Protocol(record) => {
                if let Record::Refuted { job, task, worker, .. } = &*record {
                    let place = self.shelf.place(job, *task, worker);
                    self.ledger.of_mut(*job).refute(*worker, *task, place);
                }
                self.peer.restore(keep(*record, self.results, self.store)?);
            }
            // After the first bad record none is believed.
            Entry::Money { record, .. } if self.damage.is_none() => match self.peer.restore_money(&record) {
                Ok(()) => self.till.note(&record.content),
                Err(why) => {
                    let advice = "`pocketmesh ledger audit` says more; restore the journal from a backup";
                    self.damage = Some(format!("record {sequence} of the journal is bad: {why}; {advice}"));
                }
            },
            Entry::Money { .. } => {}
            Entry::Reduce { job, program, args, fan_in } => {
                self.store.pin(program, pins::inputs_of(&job));
                self.ledger.of_mut(job).reduce = Some(Plan::new(program, args, FanIn::of(fan_in)));
            }
            Entry::ReduceLevel { job, level } => self.ledger.add_level(job, level),
            Entry::Reduced { job, outcome } => {
                if let Ok(outcome) = &outcome {
                    pins::pin_outcome(self.store, outcome, &job);
                }
                if let Some(plan) = &mut self.ledger.of_mut(job).reduce {
                    plan.outcome = Some(outcome);
                }
            }
        }
        Ok(())
    }
}

/// What a record of the journal keeps here: pins, and results in the index. A result whose bytes are gone is final no
/// more: its task runs again.
fn keep(mut record: Record, results: &Results, store: &Store) -> Result<Record, index::UseError> {
    match &mut record {
        Record::Submitted { job, .. } => {
            let id = JobId(pocketmesh_wire::envelope::id(&job.clone().into()));
            pins::pin_inputs(store, job, &id);
        }
        Record::Final { job, tasks } | Record::Delivered { job, tasks, .. } => {
            tasks.retain(|task| {
                let outcome = task.outcome.into_iter();
                let outputs =
                    outcome.flat_map(|o| [(o.stdout, task.stdout.is_some()), (o.stderr, task.stderr.is_some())]);
                let mut missing =
                    outputs.filter(|(output, inline)| output.len > 0 && !inline && !store.contains(output.id));
                missing.next().is_none() && task.outcome.is_none_or(|outcome| trees::is_whole(store, outcome.files))
            });
            pin_outputs(store, job, tasks);
            for task in tasks.iter() {
                if results.get(job, task.task)?.as_ref() != Some(task) {
                    results.put(job, std::slice::from_ref(task))?;
                }
            }
        }
        Record::Granted { .. }
        | Record::Drawn { .. }
        | Record::Agreed { .. }
        | Record::WindowFinal { .. }
        | Record::Refuted { .. }
        | Record::BrokeOff { .. }
        | Record::Convicted { .. }
        | Record::Contested { .. }
        | Record::Closed { .. } => {}
    }
    Ok(record)
}
