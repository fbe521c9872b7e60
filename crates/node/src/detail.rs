//! Jobs as people see them: the protocol's numbers and the daemon's notes, in the control API's words.

use crate::{
    clock::wall,
    driver::Driver,
    jobs::Notes,
    promise,
    results::{Results, Shown},
    wallet,
};
use pocketmesh_api::{FailedTask, JobDetail, JobState, JobSummary, OfferRow, Report, WorkerRow, WorkerState};
use pocketmesh_protocol::{
    End,
    jobs::{
        active::{Active, Auctioned, Counts, Phase},
        view::WorkerView,
    },
};
use pocketmesh_types::{Credits, Fuel, JobId, outcome::Output};
use std::io::{self, Read};

/// Failed tasks listed in a report.
const FAILED_MAX: usize = 1000;
/// Of an output, read at once: few, as most are shorter.
const PIECE_BYTES: usize = 8 << 10;

/// A count for people: large ones end at what fits.
fn count(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

/// One row for a job.
pub fn summary(driver: &Driver, id: &JobId) -> Option<JobSummary> {
    let active = driver.peer.jobs().get(id)?;
    let notes = driver.ledger.of(id);
    let progress = active.progress();
    let state = state_of(active, notes);
    Some(JobSummary {
        id: *id,
        name: active.job.name.clone(),
        state,
        tasks: active.job.tasks,
        done: progress.done,
        held: progress.held,
        running: count(progress.running),
        voided: count(progress.counts.refuted + progress.counts.dropped),
        failed_tasks: progress.counts.unsuccessful + progress.counts.unresolved,
        executions: progress.counts.executions,
        own_runs: progress.counts.own_runs,
        regime: promise::regime_of(active),
        created: active.submitted_at,
        finished: active.closed_at.filter(|_| state.is_final()),
        message: message_of(driver, active, notes, state),
    })
}

fn state_of(active: &Active, notes: Option<&Notes>) -> JobState {
    let reduce = notes.and_then(|notes| notes.reduce.as_ref());
    match active.phase {
        Phase::Over(End::Stopped) => JobState::Stopped,
        Phase::Over(end) => match reduce.map(|plan| &plan.outcome) {
            Some(None) => JobState::Reducing,
            Some(Some(Err(_))) => JobState::Failed,
            _ if end == End::Complete && active.counts.unsuccessful == 0 => JobState::Complete,
            _ => JobState::Partial,
        },
        _ if active.live().next().is_none() && active.finals.is_empty() && active.held.is_empty() => JobState::Waiting,
        _ => JobState::Running,
    }
}

fn message_of(driver: &Driver, active: &Active, notes: Option<&Notes>, state: JobState) -> String {
    let workers = active.live().count();
    let seats = usize::from(active.rule().seats);
    match state {
        JobState::Waiting if driver.peer.peers().next().is_none() => {
            "no peer is connected: `pocketmesh peers connect ADDRESS` or `bootstrap add ADDRESS`".into()
        }
        JobState::Waiting if active.offering.is_some() => {
            format!("waiting for bids: {} neighbours heard the offer", driver.peer.peers().count())
        }
        JobState::Waiting => waiting_after(active.auctions.last(), active.auctions.len()),
        JobState::Running if workers < seats => {
            format!("{workers} of the {seats} workers that each task needs; waiting for more")
        }
        JobState::Running if !active.held.is_empty() => {
            format!("{workers} workers; {} results are here and held until their audits agree", active.held.len())
        }
        JobState::Running => format!("{workers} workers"),
        JobState::Reducing => reducing(driver, notes),
        JobState::Complete => "every task has a verified result".into(),
        JobState::Partial => partial(active),
        JobState::Failed => match notes.and_then(|notes| notes.reduce.as_ref()).map(|plan| &plan.outcome) {
            Some(Some(Err(reason))) => format!("the reduce program failed: {reason}"),
            _ => "failed".into(),
        },
        JobState::Stopped => "stopped by its owner".into(),
    }
}

fn partial(active: &Active) -> String {
    let left = active.job.tasks.saturating_sub(active.finals.len());
    if active.job.budget.is_some() && left > 0 {
        return format!(
            "the budget does not cover {left} tasks: more of it does, or less that a task may take (`--fuel`, `--output-limit`)"
        );
    }
    let Counts { unsuccessful, unresolved, .. } = active.counts;
    format!("{unsuccessful} tasks did not end well, {unresolved} could not be decided")
}

fn reducing(driver: &Driver, notes: Option<&Notes>) -> String {
    let levels = notes.and_then(|notes| notes.reduce.as_ref()).map(|plan| plan.levels.as_slice()).unwrap_or_default();
    let level = levels.last().and_then(|level| driver.peer.jobs().get(level)).filter(|level| level.closed_at.is_none());
    match level {
        None => "all tasks are done; the reduce program runs".into(),
        Some(level) => format!(
            "all tasks are done; level {} of the reduce tree is job {}: {} of {} runs are done",
            levels.len(),
            level.id.short(),
            level.progress().done,
            level.job.tasks
        ),
    }
}

fn waiting_after(last: Option<&Auctioned>, offers: usize) -> String {
    match last {
        None => "about to be offered".into(),
        Some(last) if last.bids == 0 => {
            format!("nobody has bid in {offers} offers: peers may be busy, or ask more than the job's --max-price")
        }
        Some(_) => "waiting for the next offer".into(),
    }
}

/// All about a job.
pub fn detail(driver: &Driver, id: &JobId) -> Option<JobDetail> {
    let active = driver.peer.jobs().get(id)?;
    let offers = (1..).zip(&active.auctions).map(|(attempt, auctioned)| OfferRow {
        attempt,
        bids: count(auctioned.bids),
        leases: count(auctioned.leases),
        waited_ms: u64::try_from(auctioned.open_for.as_millis()).unwrap_or(u64::MAX),
    });
    Some(JobDetail {
        summary: summary(driver, id)?,
        files: None,
        promise: promise::promise(driver, active),
        cost: promise::cost(driver, active),
        spending: wallet::spending(driver, active),
        workers: active.workers().into_iter().map(row_of).collect(),
        offers: offers.collect(),
        events: driver.ledger.of(id).map(|notes| notes.events.iter().cloned().collect()).unwrap_or_default(),
    })
}

fn row_of(view: WorkerView) -> WorkerRow {
    let state = match (view.voided > 0, view.leased) {
        (true, _) => WorkerState::Caught,
        (false, true) => WorkerState::Active,
        (false, false) if view.excluded || (view.accepted == 0 && view.done > 0) => WorkerState::Gone,
        (false, false) => WorkerState::Finished,
    };
    let note = match state {
        WorkerState::Caught => Some("returned wrong results: refuted by our own run".to_owned()),
        WorkerState::Gone => Some("left before it had delivered".to_owned()),
        WorkerState::Active | WorkerState::Finished => None,
    };
    WorkerRow {
        peer: view.worker,
        price: view.price,
        // Whoever was heard as a witness was paid for it, too.
        done: count(view.done.max(view.accepted)),
        accepted: count(view.accepted),
        voided: count(view.voided),
        running: count(view.running),
        late: count(view.late),
        owed: view.owed,
        state,
        note,
    }
}

/// The parts of a report that the loop knows; [`complete`] adds what is read from the results.
pub fn report(driver: &Driver, id: &JobId) -> Option<Report> {
    let active = driver.peer.jobs().get(id)?;
    let summary = summary(driver, id)?;
    let reduce = driver.ledger.of(id).and_then(|notes| notes.reduce.as_ref());
    let workers: Vec<WorkerRow> = active.workers().into_iter().map(row_of).collect();
    let owed = workers.iter().try_fold(Credits::default(), |sum, row| sum.checked_add(row.owed));
    Some(Report {
        job: *id,
        name: summary.name,
        state: summary.state,
        message: summary.message,
        requester: driver.network.peer_id(),
        program: active.job.program,
        args: active.job.args.clone(),
        reduce: reduce.map(|plan| plan.program),
        profile: active.job.profile,
        provisional: !summary.state.is_final(),
        promise: promise::promise(driver, active),
        cost: promise::cost(driver, active),
        spending: wallet::spending(driver, active),
        tasks: summary.tasks,
        done: summary.done,
        held: summary.held,
        voided: summary.voided,
        executions: summary.executions,
        fuel: Fuel(0),
        owed: owed.unwrap_or_default(),
        created: summary.created,
        finished: summary.finished.unwrap_or_else(wall),
        stdout: match reduce.and_then(|plan| plan.outcome.clone()) {
            Some(Ok(outcome)) => outcome.stdout,
            _ => Output::default(),
        },
        files: 0,
        workers,
        failed: Vec::new(),
    })
}

/// Hashes all that can be read; how many bytes that was.
fn hash(mut from: impl Read, hasher: &mut blake3::Hasher) -> io::Result<u64> {
    let (mut piece, mut len) = (vec![0; PIECE_BYTES], 0);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(len);
        }
        hasher.update(&piece[..read]);
        len += read as u64;
    }
}

/// Adds to a report what is read from the results: fuel, failures, the number of files, and the standard output's name.
pub fn complete(
    mut report: Report,
    (results, shown): (&Results, Shown),
    store: &pocketmesh_blobs::Store,
) -> Result<Report, String> {
    let joined = report.reduce.is_none();
    let (mut hasher, mut len, mut fuel) = (blake3::Hasher::new(), 0u64, 0u64);
    for task in results.of_job(&report.job, shown) {
        let task = task.map_err(|error| error.to_string())?;
        if let Some(outcome) = task.outcome {
            fuel = fuel.saturating_add(outcome.fuel.0);
            let files = crate::trees::read(store, outcome.files).map_err(|error| error.to_string())?;
            report.files += files.files().len() as u64;
            if joined {
                let stdout = crate::results::stdout_of(&task, store).map_err(|error| error.to_string())?;
                len += hash(stdout, &mut hasher).map_err(|error| error.to_string())?;
            }
            if outcome.is_success() {
                continue;
            }
        }
        if report.failed.len() < FAILED_MAX {
            let exit = task.outcome.map_or_else(|| "could not be decided".to_owned(), |o| o.exit.to_string());
            report.failed.push(FailedTask { index: task.task, exit });
        }
    }
    report.fuel = Fuel(fuel);
    if joined {
        let id = pocketmesh_types::BlobId(pocketmesh_types::Hash(*hasher.finalize().as_bytes()));
        report.stdout = Output { id, len };
    }
    Ok(report)
}
