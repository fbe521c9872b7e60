//! The worker's side of a lease: tasks in, commitments and claims out. specs/leases.md.
//!
//! A result is kept until the requester has acknowledged its claim, so anything that was lost on the way is sent again
//! when the requester is back or asks again: every message here may come twice.

pub mod defence;
pub mod earning;
pub mod lease;

use crate::{
    context::Context,
    effect::{Effect, Event},
    input::{Executed, Item, NoOutcome, RunId},
    offers::Held,
    settlement::Begin,
    timers::Timer,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;
use defence::Defences;
use lease::WorkLease;
use pocketmesh_types::{JobId, LeaseId, PeerId, limits};
use pocketmesh_wire::message::{
    Assign, ClaimAck, Decline, DeclineReason, HandBack, HandBackReason, Heartbeat, Lease, Reveal, Verdicts, Void,
};

/// Results wait this long for company, so that one signature serves many.
const FLUSH_AFTER: Duration = Duration::from_millis(10);
/// Executions handed to the sandbox beyond those that run, so that no slot waits for this event loop.
const QUEUED_PER_SLOT: usize = 1;
/// Heartbeats that may be missed.
pub const HEARTBEATS_MISSED_MAX: u32 = 3;
/// A requester that is gone is waited for no longer than this, whatever heartbeat it wants.
const GONE_MAX: Duration = Duration::from_secs(60);
/// A lease under which nothing is asked for so long is given up; the worker can bid for the job again. Guess.
const UNASKED_MAX: Duration = Duration::from_secs(120);

/// The working side of a peer.
#[derive(Debug, Default)]
pub struct Execution {
    leases: BTreeMap<LeaseId, WorkLease>,
    runs: BTreeMap<RunId, (LeaseId, u32)>,
    /// Whose turn it is: leases are served in turn.
    turn: LeaseId,
    defences: Defences,
    counters: Counters,
}

/// What the working side has done since the peer started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Tasks brought to an outcome.
    pub executed: u64,
    /// Tasks whose outcome a requester accepted.
    pub accepted: u64,
    /// Claims that a requester says it refuted.
    pub refuted: u64,
    /// Tasks that nothing but their input was waited for: it came when a slot had nothing to run.
    pub waited: u64,
}

impl Execution {
    /// What this side has done since the peer started.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many leases are held.
    pub fn leases(&self) -> usize {
        self.leases.len()
    }

    /// How many of them have tasks.
    pub fn busy(&self) -> usize {
        self.leases.values().filter(|lease| !lease.is_empty()).count()
    }

    /// Whether a lease of this job is held already.
    pub fn serves(&self, job: &JobId) -> bool {
        self.leases.values().any(|lease| lease.job_id == *job)
    }

    /// Executions under way.
    pub fn running(&self) -> usize {
        self.runs.len()
    }

    /// A lease for an offer that we bid for, or did not. Says which job is served now, if it is taken.
    pub fn on_lease(
        &mut self,
        context: &mut Context,
        from: PeerId,
        id: LeaseId,
        lease: Lease,
        held: Option<Held>,
    ) -> Option<JobId> {
        if self.leases.contains_key(&id) {
            return None;
        }
        let refusal = match &held {
            Some(held) if lease::is_as_offered(context, held, &lease) => {
                if !context.reputation.is_served(&from) {
                    Some(DeclineReason::Unjust)
                } else if context.slots == 0 {
                    Some(DeclineReason::DevicePaused)
                } else if self.leases.len() >= limits::LEASES_PER_WORKER_MAX {
                    Some(DeclineReason::Busy)
                } else {
                    earning::refusal(context, from, &lease)
                }
            }
            Some(_) | None => Some(DeclineReason::NotAsOffered),
        };
        if let Some(reason) = refusal {
            context.send(from, Decline { lease: id, reason });
            return None;
        }
        let Held { offer, fellows, .. } = held?;
        let (tariff, terms) = (lease.tariff(), earning::terms_of(&lease));
        context.money.on_taken(id, context.applicant(from), tariff, terms, lease.job.limits.fuel);
        let work = WorkLease::new(from, &offer, lease, context.now);
        let job = work.job_id;
        // All who won begin at once.
        let (program, files) = (Item::Blob(work.job.program), Item::Tree(work.job.files.id));
        let needed = [(program, work.job.program_len, 0), (files, work.job.files.len, work.job.limits.memory)];
        for (item, len, files_max) in needed.into_iter().filter(|&(_, len, _)| len > 0) {
            context.emit(Effect::Fetch { item, len, files_max, from: alloc::vec![from], fellows: fellows.clone() });
        }
        context.timers.set_sooner(Timer::Heartbeat, context.now + work.heartbeat);
        context.notify(Event::LeaseTaken { lease: id, requester: from });
        self.leases.insert(id, work);
        Some(job)
    }

    /// More tasks; known ones are answered again.
    pub fn on_assign(&mut self, context: &mut Context, from: PeerId, assign: Assign) {
        let Some(lease) = self.asked_of(context, from, &assign.lease) else { return };
        if lease.leaving.is_some() {
            let reason = match lease.leaving {
                Some(DeclineReason::DearerThanOffered) => HandBackReason::DearerThanOffered,
                _ => HandBackReason::DevicePaused,
            };
            let tasks = assign.tasks.iter().map(|assigned| assigned.task).collect();
            context.send(from, HandBack { lease: assign.lease, tasks, reason });
            return;
        }
        let fetches = lease.take_tasks(assign.tasks);
        for (blob, len) in fetches {
            context.fetch(blob, len, alloc::vec![from]);
        }
        context.timers.set_sooner(Timer::Flush(assign.lease), context.now + FLUSH_AFTER);
        self.start_runs(context);
    }

    /// A program, a job's files or an input is here, or is not to be had.
    pub fn on_fetched(&mut self, context: &mut Context, item: Item, found: bool) {
        for unjust in self.defences.on_fetched(context, item, found) {
            self.leave(context, unjust);
        }
        let ids: Vec<LeaseId> = self.leases.keys().copied().collect();
        let mut idle = self.idle_slots(context);
        for id in ids {
            let Some(lease) = self.leases.get_mut(&id) else { continue };
            if lease.missing.contains(&item) {
                if !found {
                    self.give_up(context, id, DeclineReason::ProgramUnavailable);
                    continue;
                }
                lease.missing.remove(&item);
            }
            if let Item::Blob(blob) = item {
                let waited = if found { lease.held_up_by(&blob).min(idle) } else { 0 };
                idle -= waited;
                self.counters.waited += waited as u64;
                let lost = lease.on_input(&blob, found);
                self.hand_back(context, id, lost, HandBackReason::InputUnavailable);
            }
        }
        self.start_runs(context);
    }

    /// Slots that have nothing to run, although they could.
    fn idle_slots(&self, context: &Context) -> usize {
        let has_ready = self.leases.values().any(|lease| lease.next_ready().is_some());
        if has_ready { 0 } else { usize::from(context.slots).saturating_sub(self.runs.len()) }
    }

    /// Keeps the sandbox busy: whose requester has the most credit first, and among equals in turn.
    pub fn start_runs(&mut self, context: &mut Context) {
        let slots = usize::from(context.slots) * (1 + QUEUED_PER_SLOT);
        let mut waiting = BTreeSet::new();
        while self.runs.len() < slots {
            let Some((id, task)) = self.next_to_run(context, &waiting) else { return };
            match context.money.on_begin(&id, task, context.now) {
                Begin::Now => self.start_run(context, id),
                Begin::Wait => drop(waiting.insert(id)),
                Begin::Never => self.give_up(context, id, DeclineReason::NoCredit),
            }
        }
    }

    /// The lease whose turn it is, and its next task.
    fn next_to_run(&self, context: &Context, waiting: &BTreeSet<LeaseId>) -> Option<(LeaseId, u32)> {
        let mut priorities = BTreeMap::new();
        let ready = |(&id, lease): (&LeaseId, &WorkLease)| {
            let task = lease.next_ready().filter(|_| !waiting.contains(&id))?;
            let rank = || context.money.rank(&lease.requester).0;
            Some((*priorities.entry(lease.requester).or_insert_with(rank), id < self.turn, id, task))
        };
        let (_, _, id, task) = self.leases.iter().filter_map(ready).min()?;
        Some((id, task))
    }

    fn start_run(&mut self, context: &mut Context, id: LeaseId) {
        self.turn = next_after(id);
        let run = context.next_run();
        let Some((task, effect)) = self.leases.get_mut(&id).and_then(|lease| lease.start(run)) else { return };
        self.runs.insert(run, (id, task));
        context.emit(Effect::Execute(effect));
    }

    /// Whether this run was ours; if so it is dealt with.
    pub fn on_finished(&mut self, context: &mut Context, run: RunId, result: &Result<Executed, NoOutcome>) -> bool {
        if let Some(unjust) = self.defences.on_finished(context, run, result) {
            unjust.into_iter().for_each(|requester| self.leave(context, requester));
            return true;
        }
        let Some((id, task)) = self.runs.remove(&run) else { return false };
        match result {
            Ok(executed) => {
                self.counters.executed += 1;
                let Some(lease) = self.leases.get_mut(&id) else { return true };
                lease.finish(task, executed.clone());
                if lease.leaving.is_none() && lease.is_dearer_than_offered() {
                    let not_begun = lease.not_begun();
                    lease.leaving = Some(DeclineReason::DearerThanOffered);
                    self.hand_back(context, id, not_begun, HandBackReason::DearerThanOffered);
                }
                let Some(lease) = self.leases.get_mut(&id) else { return true };
                if lease.is_idle() || lease.has_full_batch() {
                    self.flush(context, id);
                } else {
                    context.timers.set_sooner(Timer::Flush(id), context.now + FLUSH_AFTER);
                }
            }
            Err(NoOutcome::ProgramRefused) => self.give_up(context, id, DeclineReason::ProgramRefused),
            Err(NoOutcome::HostFailed) => {
                self.hand_back(context, id, alloc::vec![task], HandBackReason::NoOutcome);
            }
        }
        self.start_runs(context);
        true
    }

    /// Sends what has come together: commitments, or claims where none were asked for.
    pub fn flush(&mut self, context: &mut Context, id: LeaseId) {
        context.timers.cancel(Timer::Flush(id));
        let Some(lease) = self.leases.get_mut(&id) else { return };
        while let Some((message, attached)) = lease.next_batch(id, context) {
            earning::note_claimed(context, lease, &message);
            context.send_with(lease.requester, message, attached);
        }
    }

    /// The requester asks for what was committed to.
    pub fn on_reveal(&mut self, context: &mut Context, from: PeerId, reveal: Reveal) {
        let Some(lease) = self.asked_of(context, from, &reveal.lease) else { return };
        lease.reveal(&reveal.tasks, reveal.bare);
        self.flush(context, reveal.lease);
    }

    /// The requester has a claim.
    pub fn on_ack(&mut self, context: &mut Context, from: PeerId, ack: &ClaimAck) {
        let Some(lease) = self.leases.get_mut(&ack.lease).filter(|lease| lease.requester == from) else { return };
        lease.on_ack(&ack.claim);
        self.leave_if_done(context, ack.lease);
    }

    /// The requester has accepted results.
    pub fn on_verdicts(&mut self, context: &mut Context, from: PeerId, verdicts: &Verdicts) {
        let Some(lease) = self.leases.get_mut(&verdicts.lease).filter(|lease| lease.requester == from) else { return };
        self.counters.accepted += lease.settle(&verdicts.accepted);
        self.leave_if_done(context, verdicts.lease);
    }

    /// The requester says that it refuted a claim of ours. What is said about a job of which no lease is held (any
    /// more) cannot be looked into, and costs nothing.
    pub fn on_void(&mut self, context: &mut Context, from: PeerId, void: &Void) {
        let is_meant = |lease: &&WorkLease| lease.requester == from && lease.job_id == void.job;
        let Some(lease) = self.leases.values().find(is_meant) else { return };
        self.counters.refuted += 1;
        context.notify(Event::Accused { requester: from, job: void.job, task: void.task });
        let run = |run| lease::run_of(run, &lease.job, &lease.job_id, void.task, void.input.clone());
        if self.defences.on_void(context, from, void, lease.stated(void.task), run) {
            self.leave(context, from);
        }
    }

    /// Serves a requester no more.
    fn leave(&mut self, context: &mut Context, requester: PeerId) {
        let held = self.leases.iter().filter(|(_, lease)| lease.requester == requester);
        let ids: Vec<LeaseId> = held.map(|(&id, _)| id).collect();
        ids.into_iter().for_each(|id| self.give_up(context, id, DeclineReason::Unjust));
        self.start_runs(context);
    }

    /// The requester has ended a lease.
    pub fn on_end(&mut self, context: &mut Context, from: PeerId, id: LeaseId) {
        if self.leases.get(&id).is_some_and(|lease| lease.requester == from) {
            self.drop_lease(context, id);
            self.start_runs(context);
        }
    }

    /// A requester is gone: its leases wait for it a while, and we try to find it.
    pub fn on_disconnected(&mut self, context: &mut Context, peer: PeerId) {
        self.look_for(context, peer);
        for (&id, lease) in self.leases.iter().filter(|(_, lease)| lease.requester == peer) {
            let wait = (lease.heartbeat * HEARTBEATS_MISSED_MAX).min(GONE_MAX);
            context.timers.set(Timer::RequesterGone(id), context.now + wait);
        }
    }

    fn look_for(&self, context: &mut Context, requester: PeerId) {
        if let Some(lease) = self.leases.values().find(|lease| lease.requester == requester) {
            context.emit(Effect::Reach { peer: requester, contacts: lease.contacts.clone() });
        }
    }

    /// A requester is back: it learns which leases we hold, and what it may have missed.
    pub fn on_connected(&mut self, context: &mut Context, peer: PeerId) {
        let ids: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| lease.requester == peer).map(|(&id, _)| id).collect();
        if ids.is_empty() {
            return;
        }
        let backlog = |id: &LeaseId| (*id, self.leases.get(id).map_or(0, WorkLease::backlog));
        context.send(peer, Heartbeat { leases: ids.iter().map(backlog).collect() });
        for id in ids {
            context.timers.cancel(Timer::RequesterGone(id));
            if let Some(lease) = self.leases.get_mut(&id) {
                lease.claim_again();
            }
            self.flush(context, id);
        }
    }

    /// A requester did not come back.
    pub fn on_requester_gone(&mut self, context: &mut Context, id: LeaseId) {
        self.drop_lease(context, id);
        self.start_runs(context);
    }

    /// Tells all requesters that we are alive. Leases under which nothing is asked any more are given up.
    pub fn heartbeat(&mut self, context: &mut Context) {
        let unasked = |lease: &WorkLease| lease.is_empty() && context.now.since(lease.asked) > UNASKED_MAX;
        let idle: Vec<LeaseId> = self.leases.iter().filter(|(_, lease)| unasked(lease)).map(|(&id, _)| id).collect();
        for id in idle {
            self.give_up(context, id, DeclineReason::Busy);
        }
        for id in earning::unpaid_too_long(context, self.leases.keys()) {
            self.give_up(context, id, DeclineReason::NoCredit);
        }
        let mut by_requester: BTreeMap<PeerId, Vec<(LeaseId, u32)>> = BTreeMap::new();
        for (&id, lease) in &self.leases {
            by_requester.entry(lease.requester).or_default().push((id, lease.backlog()));
        }
        for (requester, leases) in by_requester {
            if context.peers.contains_key(&requester) {
                context.send(requester, Heartbeat { leases });
            } else {
                self.look_for(context, requester);
            }
        }
        if let Some(every) = self.leases.values().map(|lease| lease.heartbeat).min() {
            context.timers.set(Timer::Heartbeat, context.now + every);
        }
    }

    /// The device may work more or less than it did. With no slots left, everything unfinished goes back at once, and
    /// each lease once its results are delivered.
    pub fn on_device_changed(&mut self, context: &mut Context) {
        if context.slots == 0 {
            let ids: Vec<LeaseId> = self.leases.keys().copied().collect();
            for id in ids {
                let undone = self.leases.get(&id).map(WorkLease::undone).unwrap_or_default();
                self.hand_back(context, id, undone, HandBackReason::DevicePaused);
                self.flush(context, id);
                if let Some(lease) = self.leases.get_mut(&id) {
                    lease.leaving = Some(DeclineReason::DevicePaused);
                }
                self.leave_if_done(context, id);
            }
        }
        self.start_runs(context);
    }

    fn leave_if_done(&mut self, context: &mut Context, id: LeaseId) {
        if let Some(lease) = self.leases.get(&id).filter(|lease| lease.is_empty())
            && let Some(reason) = lease.leaving
        {
            self.give_up(context, id, reason);
        }
    }

    /// Gives tasks back; executions of theirs that run are not finished.
    fn hand_back(&mut self, context: &mut Context, id: LeaseId, tasks: Vec<u32>, reason: HandBackReason) {
        let Some(lease) = self.leases.get_mut(&id).filter(|_| !tasks.is_empty()) else { return };
        let given: BTreeSet<u32> = tasks.iter().copied().collect();
        lease.forget(&given);
        given.iter().for_each(|&task| context.money.on_abandoned(&id, task));
        for chunk in tasks.chunks(limits::TASKS_PER_MESSAGE_MAX) {
            context.send(lease.requester, HandBack { lease: id, tasks: chunk.to_vec(), reason });
        }
        self.cancel_runs(context, |lease, task| lease == id && given.contains(&task));
    }

    /// Gives a whole lease up: what it holds undone goes back with it.
    fn give_up(&mut self, context: &mut Context, id: LeaseId, reason: DeclineReason) {
        if let Some(lease) = self.leases.get(&id) {
            context.send(lease.requester, Decline { lease: id, reason });
            self.drop_lease(context, id);
        }
    }

    fn drop_lease(&mut self, context: &mut Context, id: LeaseId) {
        self.leases.remove(&id);
        context.money.on_lease_over(&id);
        context.timers.cancel(Timer::Flush(id));
        context.timers.cancel(Timer::RequesterGone(id));
        self.cancel_runs(context, |lease, _| lease == id);
    }

    fn cancel_runs(&mut self, context: &mut Context, which: impl Fn(LeaseId, u32) -> bool) {
        self.runs.retain(|&run, &mut (lease, task)| {
            let cancelled = which(lease, task);
            if cancelled {
                context.emit(Effect::Cancel(run));
            }
            !cancelled
        });
    }

    /// The lease under which `from` asks something; if there is none (any more), it is told so.
    fn asked_of(&mut self, context: &mut Context, from: PeerId, id: &LeaseId) -> Option<&mut WorkLease> {
        match self.leases.get_mut(id).filter(|lease| lease.requester == from) {
            Some(lease) => {
                lease.asked = context.now;
                Some(lease)
            }
            None => {
                context.send(from, Decline { lease: *id, reason: DeclineReason::Unknown });
                None
            }
        }
    }
}

/// The smallest id above this one; after the last comes the first again.
fn next_after(id: LeaseId) -> LeaseId {
    let mut bytes = id.0.0;
    for byte in bytes.iter_mut().rev() {
        let (next, carried) = byte.overflowing_add(1);
        *byte = next;
        if !carried {
            break;
        }
    }
    LeaseId(pocketmesh_types::Hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::next_after;
    use pocketmesh_types::{Hash, LeaseId};

    #[test]
    fn after_the_last_lease_comes_the_first_again() {
        let lease = |last: u8, before: u8| {
            let mut bytes = [0; 32];
            (bytes[31], bytes[30]) = (last, before);
            LeaseId(Hash(bytes))
        };
        assert_eq!(next_after(lease(7, 0)), lease(8, 0));
        assert_eq!(next_after(lease(255, 3)), lease(0, 4));
        assert_eq!(next_after(LeaseId(Hash([255; 32]))), lease(0, 0));
    }
}
