//! From claims to a decision, one task at a time. specs/verification.md.
//!
//! A [`Ballot`] holds what is known of a task: who has a seat, who has committed, who has claimed what, what our own
//! run came to. A [`Rule`] looks at it and says what is to be done next. What is decided by one seat alone goes into a
//! [window](windows) and is audited after delivery. Nothing here talks to anybody.

pub mod sizing;
pub mod windows;

use crate::input::Item;
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use pocketmesh_types::{BlobId, Bytes, ClaimId, Hash, Instant, JobId, LeaseId, Outcome, PeerId, Policy, limits};
use pocketmesh_wire::message::{Claimed, verdict::commitment};
use windows::WindowId;

/// What is known of one task.
#[derive(Debug, Default)]
pub struct Ballot {
    /// Who has a seat.
    pub seats: BTreeMap<LeaseId, Seat>,
    /// What our own run came to, if there was one.
    pub own: Option<Outcome>,
    /// What was decided, if it was.
    pub decided: Option<Outcome>,
    /// What went to disk, or is on its way there.
    pub settled: Option<Outcome>,
    /// Small outputs that came with claims, by their hash.
    pub inline: BTreeMap<BlobId, Bytes>,
    /// Whether our own run is under way, or waits its turn.
    pub checking: bool,
    /// How often it came back undone for want of an input or an outcome.
    pub undone: u8,
    /// How often our own run came to no outcome.
    pub own_failures: u8,
    /// Whether anybody was asked to show a claim that others must agree with.
    pub is_shown: bool,
    /// Whether who was bound after that may decide all the same, because we cannot run it here.
    pub hears_late: bool,
    /// What this execution is to be compared with, if it is an audit.
    pub audit: Option<Audit>,
}

/// A result that was drawn from its window, to be executed once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// The window.
    pub window: WindowId,
    /// Whose result it is: somebody else has to audit it.
    pub owner: PeerId,
    /// What it is said to be.
    pub outcome: Outcome,
    /// Whether we run it ourselves.
    pub own: bool,
    /// Whether it was found to be so.
    pub agreed: bool,
    /// Since when it is to be done.
    pub since: Instant,
}

/// One worker's part in a task.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Whose.
    pub worker: PeerId,
    /// Since when.
    pub assigned: Instant,
    /// How far it is.
    pub stage: Stage,
    /// Whether it was accepted, and is owed for.
    pub paid: bool,
    /// Whether it was asked for its claim alone, without what it could attach.
    pub bare: bool,
    /// Whether it was bound only when another had been asked to show its claim.
    pub late: bool,
}

/// How far a seat is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// At work.
    Running,
    /// Done, and bound to a digest that we do not know yet.
    Committed(Hash),
    /// Asked, since then, for what it committed to.
    Asked(Hash, Instant),
    /// Stated for good.
    Claimed(ClaimId, Outcome),
}

/// What is to be done with a task next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing now.
    Wait,
    /// Another seat is needed.
    Seat,
    /// Ask these leases for what they committed to.
    Ask(Vec<LeaseId>),
    /// Claims differ: run the task here.
    RunHere,
    /// This is the outcome.
    Decide(Outcome),
    /// The audit agrees with the result.
    Agree,
}

/// How large a job is, for the way in which its results are audited. specs/verification.md §4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Regime {
    /// Not known before the first auction has brought workers.
    #[default]
    Unknown,
    /// All of it can be run here: every result is confirmed by our own run.
    Small,
    /// Two seats for every task, and a few audits.
    Middle,
    /// One seat for every task, and as many audits as the target needs.
    Big,
}

/// What makes an outcome of what workers say about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Seats that must agree; where they do not, our own run decides.
    pub seats: u8,
    /// Whether our own run must agree with them in any case.
    pub confirms: bool,
    /// Whether digests are committed before any is shown.
    pub commits_first: bool,
}

impl Rule {
    /// A fixed number of seats.
    pub fn replicas(seats: u8) -> Self {
        Self { seats, confirms: false, commits_first: seats > 1 }
    }

    /// The rule of a policy. What is small may turn out not to be, so its workers commit first in any case.
    pub fn of(policy: Policy, regime: Regime) -> Self {
        match (policy, regime) {
            (Policy::Replicas(seats), _) => Self::replicas(seats),
            (Policy::Audited(_), Regime::Big) => Self::replicas(1),
            (Policy::Audited(_), Regime::Middle) => Self::replicas(2),
            (Policy::Audited(_), Regime::Small | Regime::Unknown) => {
                Self { seats: 1, confirms: true, commits_first: true }
            }
        }
    }

    /// What is to be done with a task next.
    pub fn step(&self, ballot: &Ballot) -> Step {
        match &ballot.audit {
            Some(audit) => step_of_audit(ballot, audit),
            None => self.step_of_seats(ballot),
        }
    }

    /// Whether fewer are left than must agree of those who could not have repeated what another has shown: no seat that is
    /// bound from now on makes up for those that were lost. specs/verification.md §2.
    fn is_short(&self, ballot: &Ballot) -> bool {
        let is_timely = |seat: &&Seat| seat.stage != Stage::Running && !seat.late;
        self.seats > 1
            && ballot.is_shown
            && !ballot.hears_late
            && ballot.seats.values().filter(is_timely).count() < usize::from(self.seats)
    }

    fn step_of_seats(&self, ballot: &Ballot) -> Step {
        let wanted = usize::from(self.seats);
        let committed: Vec<LeaseId> = ballot.in_stage(|stage| matches!(stage, Stage::Committed(_)));
        let asked = ballot.count(|stage| matches!(stage, Stage::Asked(..)));
        let claims: Vec<Outcome> = ballot.claims().map(|(_, _, outcome)| outcome).collect();
        // specs/verification.md §2: nothing is shown before as many as are wanted are bound; a later one may follow.
        let bound = committed.len() + asked + claims.len();
        if !committed.is_empty() && (bound >= wanted || ballot.decided.is_some()) {
            return Step::Ask(committed);
        }
        match (ballot.own, ballot.decided) {
            (Some(own), Some(decided)) if own == decided => return Step::Wait,
            (Some(own), _) => return Step::Decide(own),
            (None, _) if asked > 0 => return Step::Wait,
            (None, _) => {}
        }
        let mut said = ballot.decided.iter().chain(&claims);
        let first = said.next();
        match (said.all(|outcome| Some(outcome) == first), ballot.decided) {
            (false, _) => Step::RunHere,
            (true, Some(_)) => Step::Wait,
            (true, None) if self.is_short(ballot) => Step::RunHere,
            (true, None) if claims.len() >= wanted && self.confirms => Step::RunHere,
            (true, None) if claims.len() >= wanted => Step::Decide(claims[0]),
            (true, None) if ballot.seats.len() < wanted => Step::Seat,
            (true, None) => Step::Wait,
        }
    }
}

/// An audit: one seat of somebody else, or our own run. Where they differ, our own run decides.
fn step_of_audit(ballot: &Ballot, audit: &Audit) -> Step {
    let committed: Vec<LeaseId> = ballot.in_stage(|stage| matches!(stage, Stage::Committed(_)));
    let mut claims = ballot.claims().map(|(_, _, outcome)| outcome).peekable();
    let is_said = claims.peek().is_some();
    match ballot.own {
        _ if !committed.is_empty() => Step::Ask(committed),
        Some(own) if !audit.agreed || own != audit.outcome => Step::Decide(own),
        Some(_) => Step::Wait,
        None if claims.any(|outcome| outcome != audit.outcome) => Step::RunHere,
        None if audit.agreed => Step::Wait,
        None if audit.own => Step::RunHere,
        None if is_said => Step::Agree,
        None if ballot.seats.is_empty() => Step::Seat,
        None => Step::Wait,
    }
}

/// What became of a commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committing {
    /// It binds its worker from now on.
    Taken,
    /// It is not due, or was taken before.
    Known,
    /// The worker is bound to another digest.
    Equivocates,
}

/// A claim does not fit what was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimError {
    /// No seat, or not at the point where a claim is due.
    NotDue,
    /// It does not open the commitment.
    NotAsCommitted,
    /// It says something else than an earlier claim of the same seat.
    Equivocates,
    /// It is about outputs larger than the job allows.
    TooLarge,
    /// It is about another input than the task has.
    OtherInput,
}

/// What matters to who is asked for content.
#[derive(Debug, Clone, Copy)]
pub struct AskTerms {
    /// How many must agree.
    pub wanted: usize,
    /// Whether the content is here to stay, with a final result.
    pub is_here: bool,
    /// When they are asked.
    pub now: Instant,
}

/// What a claim has to keep.
#[derive(Debug, Clone, Copy)]
pub struct ClaimTerms {
    /// The name of the task's input.
    pub input: Option<BlobId>,
    /// What standard output and error may have together, in bytes.
    pub output_max: u64,
    /// Whether there must be a commitment that it opens.
    pub commits_first: bool,
}

impl Ballot {
    /// Whether this worker has, or had and did not lose, a seat here.
    pub fn has(&self, worker: &PeerId) -> bool {
        self.seats.values().any(|seat| seat.worker == *worker)
    }

    /// Takes note of a commitment. Only the first of a seat counts.
    pub fn commit(&mut self, lease: LeaseId, commitment: Hash) -> Committing {
        let Some(seat) = self.seats.get_mut(&lease) else { return Committing::Known };
        match seat.stage {
            Stage::Running => {
                seat.stage = Stage::Committed(commitment);
                seat.late = self.is_shown;
                Committing::Taken
            }
            Stage::Committed(bound) | Stage::Asked(bound, _) if bound != commitment => Committing::Equivocates,
            _ => Committing::Known,
        }
    }

    /// Takes note that these leases are asked for their claims; says which of them bare. One brings the content for all,
    /// and fewer are bare than must agree: whatever they come to, one who agrees was asked to bring it.
    pub fn ask(&mut self, leases: &[LeaseId], terms: &AskTerms) -> BTreeSet<LeaseId> {
        let asked = self.seats.values().filter(|seat| matches!(seat.stage, Stage::Asked(..) | Stage::Claimed(..)));
        let (bare, full): (Vec<&Seat>, Vec<&Seat>) = asked.partition(|seat| seat.bare);
        let (mut bare, mut is_brought) = (bare.len(), !full.is_empty());
        let is_here = terms.is_here || self.own.is_some();
        let mut spared = BTreeSet::new();
        for lease in leases {
            let Some(seat) = self.seats.get_mut(lease) else { continue };
            let Stage::Committed(commitment) = seat.stage else { continue };
            seat.stage = Stage::Asked(commitment, terms.now);
            self.is_shown |= terms.wanted > 1;
            seat.bare = is_here || (is_brought && bare + 1 < terms.wanted);
            if seat.bare {
                bare += 1;
                spared.insert(*lease);
            } else {
                is_brought = true;
            }
        }
        spared
    }

    /// Takes a claim, if it is due and opens its commitment.
    pub fn claim(
        &mut self,
        job: &JobId,
        lease: LeaseId,
        claim: ClaimId,
        row: &Claimed,
        terms: &ClaimTerms,
    ) -> Result<(), ClaimError> {
        let &ClaimTerms { input, output_max, commits_first } = terms;
        let seat = self.seats.get_mut(&lease).ok_or(ClaimError::NotDue)?;
        let outcome = row.outcome;
        if row.input != input {
            return Err(ClaimError::OtherInput);
        }
        // Whether the files are as long as that shows when their list is here, or their task is run once more.
        let written = outcome.bytes().saturating_sub(outcome.files.len);
        if written > output_max || outcome.files.len > limits::TREE_BYTES_MAX {
            return Err(ClaimError::TooLarge);
        }
        match (&seat.stage, commits_first) {
            (Stage::Running, false) => {}
            // Who was bound stays so, also if the job has turned out to be one without commitments.
            (Stage::Asked(bound, _), _) => {
                let opened = row.salt.map(|salt| commitment(&salt, job, &seat.worker, row.task, &outcome));
                if opened != Some(*bound) {
                    return Err(ClaimError::NotAsCommitted);
                }
            }
            (Stage::Claimed(_, said), _) if *said != outcome => return Err(ClaimError::Equivocates),
            _ => return Err(ClaimError::NotDue),
        }
        seat.stage = Stage::Claimed(claim, outcome);
        Ok(())
    }

    /// Keeps those of the attached blobs that a claim here names.
    pub fn keep_inline(&mut self, outcome: &Outcome, attached: &BTreeMap<BlobId, Bytes>) {
        for output in [outcome.stdout, outcome.stderr] {
            if output.len <= limits::INLINE_BYTES_MAX as u64
                && let Some(bytes) = attached.get(&output.id)
            {
                self.inline.insert(output.id, bytes.clone());
            }
        }
    }

    /// All claims: whose, which, and what they say.
    pub fn claims(&self) -> impl Iterator<Item = (PeerId, ClaimId, Outcome)> + '_ {
        self.seats.values().filter_map(|seat| match seat.stage {
            Stage::Claimed(claim, outcome) => Some((seat.worker, claim, outcome)),
            _ => None,
        })
    }

    /// Whether two peers say different things, or one says something else than what was decided or is audited.
    pub fn is_disputed(&self) -> bool {
        let audited = self.audit.map(|audit| audit.outcome);
        let claims = self.claims().map(|(_, _, outcome)| outcome);
        let mut said = self.decided.into_iter().chain(audited).chain(claims);
        let first = said.next();
        said.any(|outcome| Some(outcome) != first)
    }

    /// Leases that claim something other than `outcome`, and the claims.
    pub fn dissenters(&self, outcome: &Outcome) -> Vec<(LeaseId, ClaimId, Outcome)> {
        let dissents = |(&lease, seat): (&LeaseId, &Seat)| match seat.stage {
            Stage::Claimed(claim, said) if said != *outcome => Some((lease, claim, said)),
            _ => None,
        };
        self.seats.iter().filter_map(dissents).collect()
    }

    /// Leases whose claim is `outcome`, in order of their peers' names.
    pub fn agreeing(&self, outcome: &Outcome) -> Vec<(LeaseId, PeerId)> {
        let agrees = |(&lease, seat): (&LeaseId, &Seat)| match seat.stage {
            Stage::Claimed(_, said) if said == *outcome => Some((lease, seat.worker)),
            _ => None,
        };
        self.seats.iter().filter_map(agrees).collect()
    }

    /// Who has this output of what they claim: all of them if it is large; what is small, those who were asked for it, since the
    /// others have forgotten it.
    pub fn holders(&self, outcome: &Outcome, item: &Item, len: u64) -> Vec<PeerId> {
        let is_small = matches!(item, Item::Blob(_)) && len <= limits::INLINE_BYTES_MAX as u64;
        let is_bare = |lease: &LeaseId| self.seats.get(lease).is_some_and(|seat| seat.bare);
        let agreeing = self.agreeing(outcome).into_iter();
        agreeing.filter(|(lease, _)| !is_small || !is_bare(lease)).map(|(_, worker)| worker).collect()
    }

    /// Whose claim delivers this outcome, unless our own run has decided it: the first that says so.
    pub fn delivery(&self, outcome: &Outcome) -> Option<(LeaseId, PeerId, ClaimId)> {
        let mut seats = self.seats.iter().filter(|_| self.own.is_none());
        seats.find_map(|(&lease, seat)| match seat.stage {
            Stage::Claimed(claim, said) if said == *outcome => Some((lease, seat.worker, claim)),
            _ => None,
        })
    }

    /// Marks the seats that agree with the decision as owed for; says which of them were not before.
    pub fn pay(&mut self) -> Vec<(LeaseId, Outcome)> {
        let Some(decided) = self.decided else { return Vec::new() };
        let agrees = |seat: &Seat| matches!(seat.stage, Stage::Claimed(_, said) if said == decided);
        let unpaid = self.seats.iter_mut().filter(|(_, seat)| agrees(seat) && !seat.paid);
        let pay = |(&lease, seat): (&LeaseId, &mut Seat)| {
            seat.paid = true;
            (lease, decided)
        };
        unpaid.map(pay).collect()
    }

    /// Since when the longest-running seat has been at work.
    pub fn running_since(&self) -> Option<Instant> {
        let running = |seat: &&Seat| seat.stage == Stage::Running;
        self.seats.values().filter(running).map(|seat| seat.assigned).min()
    }

    /// Whether somebody is still to be heard or to be paid, or our own run to end.
    pub fn is_open(&self) -> bool {
        let unheard = |seat: &Seat| !matches!(seat.stage, Stage::Claimed(..));
        let unpaid =
            |seat: &Seat| !seat.paid && matches!(seat.stage, Stage::Claimed(_, said) if Some(said) == self.decided);
        self.decided.is_none() || self.checking || self.seats.values().any(|seat| unheard(seat) || unpaid(seat))
    }

    fn count(&self, holds: impl Fn(&Stage) -> bool) -> usize {
        self.seats.values().filter(|seat| holds(&seat.stage)).count()
    }

    fn in_stage(&self, holds: impl Fn(&Stage) -> bool) -> Vec<LeaseId> {
        self.seats.iter().filter(|(_, seat)| holds(&seat.stage)).map(|(&lease, _)| lease).collect()
    }
}
