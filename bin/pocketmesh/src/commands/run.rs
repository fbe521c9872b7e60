//! `run`: from a program and its inputs to a verified result.

pub mod follow;
mod plan;
mod progress;

use super::job;
use crate::cli::Run;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::terminal::one_line;
use crate::{output, quantity, result_folder, spending, trust, wait};
use plan::Plan;
use pocketmesh_api::{Client, JobState, JobSummary, Report, Submitted, Which};
use std::path::Path;
use std::time::Duration;

/// Digits of a job id in messages: unique in practice, and accepted wherever an id is.
const ID_DIGITS: usize = 12;

/// Runs a program on the mesh.
pub async fn run(context: &Context, args: Run) -> Outcome {
    let plan = Plan::check(&args)?;
    if args.dry_run {
        output::text(plan.to_toml()?)?;
        return Ok(Exit::Complete);
    }
    let client = context.client();
    let mut interrupted = Box::pin(wait::interrupted().map_err(Error::failed)?);
    let submitted = tokio::select! {
        submitted = plan.submit(context, &client) => submitted?,
        () = &mut interrupted => return Err(Error::failed("interrupted before the job was handed over")),
    };
    if args.detach || args.id_only {
        show_submitted(context, args.id_only, &submitted)?;
        return Ok(Exit::Complete);
    }
    context.note(format!("promised: {}", one_line(&submitted.promise.text)));
    context.note(spending::outlook(&submitted.spending, &submitted.promise));
    let id = submitted.id.to_string();
    let which = if args.provisional { Which::Provisional } else { Which::Final };
    tokio::select! {
        ended = finish(context, &client, &id, which, args.output.as_deref()) => ended,
        () = &mut interrupted => Err(left_behind(context, &id)),
    }
}

fn show_submitted(context: &Context, id_only: bool, submitted: &Submitted) -> Result<(), Error> {
    let Submitted { id, tasks, promise, spending } = submitted;
    match (id_only, context.json) {
        (true, _) => output::text(id.to_string()),
        (false, true) => output::json(submitted),
        (false, false) => {
            output::text(format!("{id}"))?;
            let get = command(context, "job get", &id.to_string());
            context.note(format!("{tasks} tasks; `{get}` fetches the result"));
            context.note(format!("promised: {}", one_line(&promise.text)));
            context.note(spending::outlook(spending, promise));
            Ok(())
        }
    }
}

/// Waits for a job's end, or until every task has a result, and fetches what there is.
async fn finish(context: &Context, client: &Client, id: &str, which: Which, folder: Option<&Path>) -> Outcome {
    let last = follow::follow(context, client, id, which).await?;
    if last.state.is_final() && !last.state.has_result() {
        let describe = command(context, "job describe", id);
        return Err(Error::failed(format!("the job ended as {}; `{describe}` tells more", job::standing(&last))));
    }
    context.note(summary(&last));
    fetch(context, client, id, which, folder).await
}

/// Fetches the result of a job; the exit code says whether it is all of it, and final.
pub async fn fetch(context: &Context, client: &Client, id: &str, which: Which, folder: Option<&Path>) -> Outcome {
    let report = match folder {
        Some(dir) => result_folder::write(client, id, which, dir).await?,
        None => client.job_report(id, which).await?,
    };
    trust::cost(&report.cost).iter().for_each(|line| context.note(line));
    context.note(spending::line(&report.spending));
    match (folder, context.json) {
        (_, true) => output::json(&report)?,
        (Some(dir), false) => context.note(whereabouts(dir, &report)),
        (None, false) => output::bytes(client.job_stdout(id, which).await?).await?,
    }
    if folder.is_none() && report.files > 0 {
        let (files, get) = (quantity::count(report.files, "file"), command(context, "job get", id));
        context.note(format!("the tasks left {files} under /out: `{get} -o DIR` fetches all of the result"));
    }
    Ok(verdict(context, &report, which))
}

fn whereabouts(dir: &Path, report: &Report) -> String {
    let dir = dir.display();
    match report.files {
        0 => format!("the result is in {dir}"),
        files => format!("the result is in {dir}, {} of it under {dir}/tasks", quantity::count(files, "file")),
    }
}

fn verdict(context: &Context, report: &Report, which: Which) -> Exit {
    if report.state == JobState::Complete {
        return Exit::Complete;
    }
    if report.provisional && which == Which::SoFar {
        context.note(so_far(report));
        return Exit::Partial;
    }
    if report.provisional {
        let get = command(context, "job get", &report.job.to_string());
        let (held, tasks) = (report.held, report.tasks);
        context.note(format!(
            "PROVISIONAL: {held} of the {tasks} results are not final, and may turn out to be wrong; the job goes on, and `{get} \
             -o DIR` fetches the final result"
        ));
        return Exit::Partial;
    }
    context.note(format!("partial: {}", one_line(&report.message)));
    for task in report.failed.iter().take(10) {
        context.note(format!("  task {}: {}", task.index, one_line(&task.exit)));
    }
    Exit::Partial
}

/// What there is of a job that is under way.
fn so_far(report: &Report) -> String {
    let outputs = if report.reduce.is_some() { ", not reduced yet" } else { "" };
    let Report { done, tasks, .. } = report;
    format!(
        "SO FAR: the results of the {done} tasks that are final, of {tasks}, in task order{outputs}; the job goes on"
    )
}

fn summary(last: &JobSummary) -> String {
    let took = last.finished.map_or_else(
        || wait::since(last.created),
        |finished| Duration::from_millis(finished.0.saturating_sub(last.created.0)),
    );
    format!(
        "job {} {}: {} of {} tasks final, {} executions by workers and {} here, {} voided, {}",
        &last.id.to_string()[..ID_DIGITS],
        last.state,
        last.done,
        last.tasks,
        last.executions,
        last.own_runs,
        last.voided,
        quantity::span(took),
    )
}

/// What to say when the person leaves and the job stays.
fn left_behind(context: &Context, id: &str) -> Error {
    let (get, stop) = (command(context, "job get", id), command(context, "job stop", id));
    Error::failed(format!("interrupted; the job goes on: `{get} -o DIR` fetches its result later, `{stop}` ends it"))
}

/// A command about a job, to copy.
pub fn command(context: &Context, verb: &str, id: &str) -> String {
    format!("{} {verb} {}", context.program, &id[..ID_DIGITS.min(id.len())])
}
