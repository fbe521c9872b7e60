//! What a worker does about a void: it runs the task again, and believes itself. specs/verification.md §6.
//!
//! No evidence, no void: it must be about the input that we ran the task on, and say something else than we claimed. If
//! our second run stands by the claim, the requester is not served any more.

use crate::{
    context::Context,
    effect::{Effect, Event, Run},
    execution::lease::Stated,
    input::{Executed, Item, NoOutcome, RunId},
    record::Record,
};
use alloc::{collections::BTreeMap, vec::Vec};
use pocketmesh_types::{JobId, Outcome, PeerId, TaskIndex, TaskInput};
use pocketmesh_wire::message::Void;

/// Voids that are looked into at once: one shows what there is to know about a requester.
const DEFENCES_MAX: usize = 4;

/// A void that is looked into.
#[derive(Debug)]
pub struct Defence {
    requester: PeerId,
    job: JobId,
    task: TaskIndex,
    /// What we had claimed.
    ours: Outcome,
    run: Run,
}

/// Voids that are looked into.
#[derive(Debug, Default)]
pub struct Defences {
    running: BTreeMap<RunId, Defence>,
    /// Those whose input is still to come.
    waiting: Vec<(Item, Defence)>,
}

impl Defences {
    /// A void for something that we have claimed; nothing is done about what we do not know of (any more). Says whether it
    /// is known at once to be unfounded.
    pub fn on_void(
        &mut self,
        context: &mut Context,
        requester: PeerId,
        void: &Void,
        stated: Option<Stated>,
        run: impl FnOnce(RunId) -> Run,
    ) -> bool {
        let Some(stated) = stated else { return false };
        if stated.outcome == void.outcome || stated.input.id != void.input.id() {
            contest(context, requester, void.job, void.task);
            return true;
        }
        if self.running.len() + self.waiting.len() >= DEFENCES_MAX {
            return false;
        }
        let id = context.next_run();
        let defence = Defence { requester, job: void.job, task: void.task, ours: stated.outcome, run: run(id) };
        match void.input {
            TaskInput::Blob(blob, len) => {
                context.fetch(blob, len, alloc::vec![requester]);
                self.waiting.push((Item::Blob(blob), defence));
            }
            TaskInput::None | TaskInput::Inline(_) => self.start(context, defence),
        }
        false
    }

    fn start(&mut self, context: &mut Context, defence: Defence) {
        context.emit(Effect::Execute(defence.run.clone()));
        self.running.insert(defence.run.run, defence);
    }

    /// An input is here; without it there is no second run, and no evidence either. Says who accuses without any.
    pub fn on_fetched(&mut self, context: &mut Context, item: Item, found: bool) -> Vec<PeerId> {
        let mut unfounded = Vec::new();
        while let Some(at) = self.waiting.iter().position(|(wanted, _)| *wanted == item) {
            let (_, defence) = self.waiting.swap_remove(at);
            if found {
                self.start(context, defence);
            } else {
                contest(context, defence.requester, defence.job, defence.task);
                unfounded.push(defence.requester);
            }
        }
        unfounded
    }

    /// Whether this run was a second one; if it stands by our claim, who accuses us wrongly.
    pub fn on_finished(
        &mut self,
        context: &mut Context,
        run: RunId,
        result: &Result<Executed, NoOutcome>,
    ) -> Option<Option<PeerId>> {
        let Defence { requester, job, task, ours, .. } = self.running.remove(&run)?;
        let Ok(executed) = result else { return Some(None) };
        if executed.outcome == ours {
            contest(context, requester, job, task);
            return Some(Some(requester));
        }
        context.notify(Event::Erred { job, task });
        Some(None)
    }
}

/// This requester is not served any more, not after a restart either.
fn contest(context: &mut Context, requester: PeerId, job: JobId, task: TaskIndex) {
    context.reputation.contested(requester);
    context.store(Record::Contested { requester, job, task });
    context.notify(Event::Contested { requester, job, task });
}
