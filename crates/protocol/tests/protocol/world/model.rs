//! How peers behave: what their sandboxes come to, and what they do with what they were to say.

use super::{World, fuel, millis};
use pocketmesh_protocol::{Executed, Inputs, Item, NoOutcome, Run, RunId, execution::lease};
use pocketmesh_types::{
    BlobId, Bytes, Exit, Fuel, Hash, Job, LeaseId, Outcome, Output, PeerId, TaskIndex, TaskInput, limits,
};
use pocketmesh_wire::{
    Message, envelope,
    message::{Claimed, Committed, Decline, DeclineReason, HandBack, HandBackReason},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What kind of peer it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Behaviour {
    Honest,
    /// Every result is wrong, in a way of its own.
    Wrong,
    /// Every result is wrong, in the way of all of its kind.
    Colluding,
    /// This share of the results is wrong.
    Sometimes(f64),
    /// Says nothing any more, once it has a lease.
    Silent,
    /// Alive and well, but its tasks never end.
    Sleeper,
    /// Commits and never says to what.
    Withholds,
    /// Claims something else than it has committed to.
    Reneges,
    /// Commits twice, to two different outcomes.
    Equivocates,
    /// Sends the commitments and claims of others as its own.
    Copies,
    /// Comes to no outcome.
    NoOutcome,
    /// The program is not for it.
    RefusesProgram,
    /// Hands every task back, as its device is paused.
    HandsBack,
    /// Declines every lease.
    Declines,
    /// Right, but does not give its large outputs.
    KeepsOutputs,
    /// Right, but attaches nothing to its claims, whatever it is asked.
    Mute,
    /// The host that fails every execution of our own.
    BrokenHost,
    /// A requester that pays less than its auction says.
    Underpays,
    /// Half of its tasks take a hundred times as long.
    Moody,
}

impl Behaviour {
    pub fn serves(self) -> bool {
        self != Self::KeepsOutputs
    }
}

/// What copiers have seen of others.
#[derive(Debug, Default)]
pub struct Tampering {
    commits: BTreeMap<TaskIndex, Committed>,
    claims: BTreeMap<TaskIndex, Claimed>,
    /// All leases granted so far.
    pub leases: Vec<LeaseId>,
    leased: BTreeSet<PeerId>,
}

/// The run of a task without an input, as every peer would have it.
pub fn run_of(job: &Job, task: TaskIndex, inputs: &Inputs) -> Run {
    assert_eq!(*inputs, Inputs::None, "the world knows the others");
    lease::run_of(RunId(0), job, &super::id_of(job), task, TaskInput::None)
}

/// The task's index, from its arguments.
pub fn index_of(run: &Run) -> TaskIndex {
    run.args[0].parse().unwrap()
}

pub fn blob_of(input: &TaskInput) -> Option<BlobId> {
    match input {
        TaskInput::Blob(blob, _) => Some(*blob),
        TaskInput::None | TaskInput::Inline(_) => None,
    }
}

/// What a run comes to: its index and a hash of everything it may depend on. It burns as many times as much as usual as its second
/// argument says. Jobs named `large…` have large outputs, those named `wordy…` as much as may be attached, and jobs with files leave
/// files.
pub fn right(run: &Run) -> (Executed, Vec<Item>) {
    let mut text = format!("{}:{:?}:{:?}:{:?}", index_of(run), run.stdin, run.epoch, run.seed);
    if run.name.starts_with("wordy") {
        text.extend(core::iter::repeat_n('.', limits::INLINE_BYTES_MAX - text.len()));
    }
    result(run, text)
}

fn result(run: &Run, text: String) -> (Executed, Vec<Item>) {
    let exit = if run.name.starts_with("failing") { Exit::Code(1) } else { Exit::Code(0) };
    let (stdout, empty) = (Output::of(text.as_bytes()), Output::of(b""));
    let times = run.args.get(1).map_or(1, |times| times.parse().unwrap());
    let burnt = Fuel(fuel().0 * times);
    let mut outcome = Outcome { exit, fuel: burnt, stdout, stderr: empty, files: empty, files_bytes: 0 };
    if run.name.starts_with("large") {
        outcome.stdout.len = 1 << 20;
        return (Executed { outcome, inline: Vec::new() }, vec![Item::Blob(outcome.stdout.id)]);
    }
    let mut items = Vec::new();
    if run.files.len > 0 {
        outcome.files = Output::of(format!("files of {text}").as_bytes());
        items.push(Item::Tree(outcome.files.id));
    }
    (Executed { outcome, inline: vec![Bytes(text.into_bytes())] }, items)
}

fn wrong(run: &Run, whose: &str) -> (Executed, Vec<Item>) {
    result(run, format!("{} {whose} is wrong", index_of(run)))
}

impl World {
    /// What a run comes to in this peer's sandbox, and when; nothing if it never ends.
    pub fn sandbox(&mut self, at: PeerId, run: &Run) -> Option<(Result<Executed, NoOutcome>, Duration)> {
        let (behaviour, mut span) = (self.node(at).behaviour, self.node(at).speed);
        let dice = self.chance();
        let (executed, items) = match behaviour {
            Behaviour::Wrong => wrong(run, &at.to_string()),
            Behaviour::Colluding => wrong(run, "the clique"),
            Behaviour::Sometimes(share) if dice < share => wrong(run, &at.to_string()),
            _ => right(run),
        };
        if behaviour == Behaviour::Moody && index_of(run) % 2 == 1 {
            span *= 100;
        }
        self.node_mut(at).items.extend(items);
        let jitter = millis(1) + span.mul_f64(0.2 * dice);
        match behaviour {
            Behaviour::Sleeper => None,
            Behaviour::NoOutcome | Behaviour::BrokenHost => Some((Err(NoOutcome::HostFailed), span + jitter)),
            Behaviour::RefusesProgram => Some((Err(NoOutcome::ProgramRefused), span + jitter)),
            _ => Some((Ok(executed), span + jitter)),
        }
    }

    /// What a peer really says when its protocol says this.
    pub fn tamper(
        &mut self,
        from: PeerId,
        to: PeerId,
        message: Message,
        attached: Vec<Bytes>,
    ) -> Option<(Message, Vec<Bytes>)> {
        if let Message::Lease(_) = &message {
            self.tampering.leases.push(LeaseId(envelope::id(&message)));
            self.tampering.leased.insert(to);
        }
        let leased = self.tampering.leased.contains(&from);
        match (self.node(from).behaviour, message) {
            (Behaviour::Silent, _) if leased => None,
            (Behaviour::Withholds, Message::Claim(_)) => None,
            (Behaviour::Underpays, Message::Lease(mut lease)) => {
                lease.price.0 -= 1;
                Some((lease.into(), attached))
            }
            (Behaviour::Reneges, Message::Claim(mut claim)) => {
                claim.results.iter_mut().for_each(|row| row.outcome.fuel = Fuel(row.outcome.fuel.0 + 1));
                Some((claim.into(), attached))
            }
            (Behaviour::Equivocates, Message::Commit(mut commit)) => {
                let again: Vec<Committed> =
                    commit.commits.iter().map(|row| Committed { commitment: Hash::of(b""), ..*row }).collect();
                commit.commits.extend(again);
                Some((commit.into(), attached))
            }
            (Behaviour::Copies, Message::Commit(mut commit)) => {
                for row in &mut commit.commits {
                    *row = self.tampering.commits.get(&row.task).copied().unwrap_or(*row);
                }
                Some((commit.into(), attached))
            }
            (Behaviour::Copies, Message::Claim(mut claim)) => {
                for row in &mut claim.results {
                    *row = self.tampering.claims.get(&row.task).copied().unwrap_or(*row);
                }
                Some((claim.into(), attached))
            }
            (_, Message::Commit(commit)) => {
                self.tampering.commits.extend(commit.commits.iter().map(|row| (row.task, *row)));
                Some((commit.into(), attached))
            }
            (behaviour, Message::Claim(claim)) => {
                let attached = if behaviour == Behaviour::Mute { Vec::new() } else { attached };
                self.tampering.claims.extend(claim.results.iter().map(|row| (row.task, *row)));
                Some((claim.into(), attached))
            }
            (Behaviour::HandsBack, Message::Heartbeat(_)) => None,
            (_, message) => {
                self.react(from, to, &message);
                Some((message, attached))
            }
        }
    }

    /// Workers that turn down what they are given, as soon as it is on its way to them.
    fn react(&mut self, from: PeerId, to: PeerId, message: &Message) {
        match (self.node(to).behaviour, message) {
            (Behaviour::HandsBack, Message::Assign(assign)) => {
                let tasks = assign.tasks.iter().map(|assigned| assigned.task).collect();
                let back = HandBack { lease: assign.lease, tasks, reason: HandBackReason::DevicePaused };
                self.say(to, from, back.into());
            }
            (Behaviour::Declines, Message::Lease(_)) => {
                let lease = LeaseId(envelope::id(message));
                self.say(to, from, Decline { lease, reason: DeclineReason::Busy }.into());
            }
            _ => {}
        }
    }
}
