//! Attackers: what a peer that is not honest does with its sandbox and with what its protocol would have said.
//!
//! The state machine stays the real one: only what goes in and comes out of it is tampered with.

use crate::{
    node::Task,
    plant::Plant,
    scenario::Behaviour,
    sealing, truth,
    world::{MS, SECOND, What, World},
};
use pocketmesh_protocol::Executed;
use pocketmesh_types::{Bytes, ClaimId, JobId, LeaseId, Outcome, Signed, Statement, TaskIndex, TaskInput};
use pocketmesh_wire::{
    Message, Payment, Verified,
    message::{Bid, Committed, EndReason, Void},
};
use std::collections::{BTreeMap, BTreeSet};

/// How long a member of the clique, or a copier, puts a result off in the hope of learning more.
const PATIENCE: u64 = 2 * SECOND;
/// The twist that all members of the clique agree on.
const CLIQUE_TWIST: u64 = 0xc11c;

/// What a sandbox does when a task has run.
#[derive(Debug)]
pub enum Conduct {
    /// Nothing, ever.
    Never,
    /// Looks again later.
    Wait(u64),
    /// This.
    Claims(Executed),
}

/// What one sees who sees every message on the wire. Kept while there are copiers, or a bug that needs it.
#[derive(Debug, Default)]
pub struct Wiretap {
    /// Whether anybody listens.
    pub on: bool,
    commits: BTreeMap<(JobId, TaskIndex), Committed>,
    claims: BTreeMap<(JobId, TaskIndex), Outcome>,
    twists: BTreeMap<(u32, TaskIndex), u64>,
    leaked: BTreeMap<(u32, TaskIndex), ()>,
    /// Results that a copier took from others.
    pub copied: BTreeSet<(u32, u32, TaskIndex)>,
}

impl Wiretap {
    /// What the first wrong result of a task was twisted by.
    pub fn first_twist(&self, job: u32, task: TaskIndex) -> Option<u64> {
        self.twists.get(&(job, task)).copied()
    }
}

/// What the members of the clique tell one another.
#[derive(Debug, Default)]
pub struct Clique {
    /// Who holds a seat of a task.
    holders: BTreeMap<(u32, TaskIndex), BTreeSet<u32>>,
    /// The jobs of the leases that members hold.
    leases: BTreeMap<LeaseId, u32>,
    /// What was decided for a task, by whoever had to say something first.
    decided: BTreeMap<(u32, TaskIndex), bool>,
}

impl World {
    /// What a peer's sandbox makes of a task that has run.
    pub(crate) fn conduct(&mut self, at: u32, task: &Task) -> Conduct {
        use Behaviour as B;
        let facts = &self.truth.jobs[task.job as usize];
        if facts.requester == at {
            // Its own runs serve nobody but itself.
            return Conduct::Claims(self.honest_result(at, task));
        }
        let own_twist = 1 + u64::from(at);
        let delivered = self.nodes[at as usize].delivered;
        let twist = match self.truth.peers[at as usize].behaviour {
            B::Wrong => own_twist,
            B::Sometimes(share) if self.dice.sandbox.chance(share) => own_twist,
            B::Sleeper(honest_for) if delivered >= honest_for => own_twist,
            B::Lazy => return Conduct::Claims(truth::result(facts, &[0; 32], 0)),
            B::NoShow => return Conduct::Never,
            B::Copier => return self.copy(at, task),
            B::Clique(share) => return self.collude(at, task, share),
            _ => 0,
        };
        if twist == 0 {
            return Conduct::Claims(self.honest_result(at, task));
        }
        self.wiretap.twists.entry((task.job, task.task)).or_insert(twist);
        Conduct::Claims(truth::result(&self.truth.jobs[task.job as usize], &task.seed, twist))
    }

    /// Takes what another has claimed; waits a while for it; then guesses.
    fn copy(&mut self, at: u32, task: &Task) -> Conduct {
        let facts = &self.truth.jobs[task.job as usize];
        let seen = self.wiretap.claims.get(&(facts.id, task.task));
        let leaked = self.plant == Some(Plant::OpenCommits) && self.wiretap.leaked.contains_key(&(task.job, task.task));
        if seen.is_some() || leaked {
            self.wiretap.copied.insert((at, task.job, task.task));
            return Conduct::Claims(truth::result(facts, &task.seed, 0));
        }
        let guess = || truth::result(facts, &task.seed, 1 + u64::from(at));
        if task.waited == 0 { Conduct::Wait(PATIENCE) } else { Conduct::Claims(guess()) }
    }

    /// Cheats where the clique holds every seat that counts; the first who has to speak decides for all.
    fn collude(&mut self, at: u32, task: &Task, share: f64) -> Conduct {
        let key = (task.job, task.task);
        let facts = &self.truth.jobs[task.job as usize];
        let seats = facts.policy.seats();
        let held = self.clique.holders.get(&key).map_or(0, BTreeSet::len);
        let cheats = match self.clique.decided.get(&key) {
            Some(&decided) => decided,
            None if held >= seats => self.dice.sandbox.chance(share),
            None if task.waited == 0 => return Conduct::Wait(PATIENCE),
            None => false,
        };
        self.clique.decided.insert(key, cheats);
        let facts = &self.truth.jobs[task.job as usize];
        let executed =
            if cheats { truth::result(facts, &task.seed, CLIQUE_TWIST) } else { self.honest_result(at, task) };
        Conduct::Claims(executed)
    }

    /// What a peer really says when its protocol says this.
    pub(crate) fn tamper(
        &mut self,
        from: u32,
        message: Message,
        attached: Vec<Bytes>,
    ) -> Option<(Message, Vec<Bytes>)> {
        match (self.truth.peers[from as usize].behaviour, message) {
            (Behaviour::Withholder, Message::Claim(_)) | (Behaviour::NeverPays, Message::Verdicts(_)) => None,
            (Behaviour::NeverPays, Message::Payment(payment)) if !is_quittance(&payment) => None,
            (Behaviour::Voider, Message::Verdicts(verdicts)) => {
                let task = *verdicts.accepted.first()?;
                let number = self.truth.number_of(&verdicts.job)?;
                let outcome = truth::result(&self.truth.jobs[number as usize], &[2; 32], 0).outcome;
                let claim = ClaimId::default();
                let input = TaskInput::None;
                let void = Void { job: verdicts.job, lease: verdicts.lease, task, claim, input, outcome };
                Some((void.into(), attached))
            }
            (Behaviour::Copier, Message::Commit(mut commit)) => {
                for row in &mut commit.commits {
                    let number = self.truth.number_of(&commit.job).unwrap_or_default();
                    if !self.wiretap.copied.contains(&(from, number, row.task))
                        && let Some(seen) = self.wiretap.commits.get(&(commit.job, row.task))
                    {
                        *row = *seen;
                    }
                }
                Some((commit.into(), attached))
            }
            (_, message) => Some((message, attached)),
        }
    }

    /// Copiers see everything; the clique sees what concerns its members.
    pub(crate) fn eavesdrop(&mut self, from: u32, message: &Message) {
        if !self.wiretap.on || matches!(self.truth.peers[from as usize].behaviour, Behaviour::Copier) {
            return;
        }
        match message {
            Message::Commit(commit) => {
                let number = self.truth.number_of(&commit.job).unwrap_or_default();
                for &row in &commit.commits {
                    self.wiretap.commits.entry((commit.job, row.task)).or_insert(row);
                    self.wiretap.leaked.insert((number, row.task), ());
                }
            }
            Message::Claim(claim) => {
                for row in &claim.results {
                    self.wiretap.claims.entry((claim.job, row.task)).or_insert(row.outcome);
                }
            }
            _ => {}
        }
    }

    /// What a peer learns from a message beside what its protocol makes of it: a member of the clique which seats it has;
    /// a whitewasher that its name is burnt.
    pub(crate) fn overhear(&mut self, at: u32, message: &Verified<Message>) {
        let who = &self.truth.peers[at as usize];
        let is_member = matches!(who.behaviour, Behaviour::Clique(_));
        match &message.content {
            Message::Lease(lease) if is_member => {
                let number = lease.job.name.parse().expect("jobs are named by their number");
                self.clique.leases.insert(LeaseId(message.id), number);
            }
            Message::Assign(assign) if is_member => {
                let Some(&job) = self.clique.leases.get(&assign.lease) else { return };
                for assigned in &assign.tasks {
                    self.clique.holders.entry((job, assigned.task)).or_default().insert(at);
                }
            }
            Message::Void(_) if who.whitewash || self.plant == Some(Plant::FreshName) => self.burn(at),
            Message::LeaseEnd(end) if who.whitewash && end.reason == EndReason::Refuted => self.burn(at),
            _ => {}
        }
    }

    fn burn(&mut self, at: u32) {
        let life = self.nodes[at as usize].life;
        self.later(100 * MS, What::Rename { at, life });
    }

    /// The planted bug that gives each bid a twin.
    pub(crate) fn phantom_bid(&mut self, to: u32, from: u32, bid: Bid) {
        let mut name = self.nodes[from as usize].id;
        name.0[0] ^= 0xff;
        let message = Verified {
            signer: name,
            id: pocketmesh_wire::envelope::id(&bid.clone().into()),
            content: bid.into(),
            attached: Vec::new(),
        };
        self.tell(to, pocketmesh_protocol::Input::MessageReceived { from: name, message });
    }
}

fn is_quittance(payment: &Payment) -> bool {
    let opened = payment.statements.last().map(|last| sealing::open(last));
    matches!(opened, Some(Ok(Signed { statement: Statement::Quittance(_), .. })))
}
