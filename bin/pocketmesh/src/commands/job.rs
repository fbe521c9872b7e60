//! `job`: looking after jobs that were handed over.

use super::run;
use crate::cli::Job;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::fresh_folder::FreshFolder;
use crate::table::Table;
use crate::terminal::one_line;
use crate::{output, quantity, spending, trust, wait};
use pocketmesh_api::{JobDetail, JobSummary, OfferRow, Which, WorkerRow};
use std::path::Path;
use std::time::Duration;

/// Runs one of the commands.
pub async fn dispatch(context: &Context, command: Job) -> Outcome {
    match command {
        Job::List => list(context).await,
        Job::Describe { job } => describe(context, &job).await,
        Job::Get { job, output } => get(context, &job, output.as_deref()).await,
        Job::Stop { job } => stop(context, &job).await,
    }
}

async fn list(context: &Context) -> Outcome {
    let jobs = context.client().jobs().await?;
    if context.json {
        output::json(&jobs)?;
    } else if jobs.is_empty() {
        context.note("no jobs yet: `pocketmesh run PROG.wasm` starts one");
    } else {
        output::text(jobs_table(&jobs).to_string())?;
    }
    Ok(Exit::Complete)
}

async fn describe(context: &Context, job: &str) -> Outcome {
    let detail = context.client().job(job).await?;
    if context.json {
        output::json(&detail)?;
    } else {
        output::text(description(&detail))?;
    }
    Ok(Exit::Complete)
}

async fn get(context: &Context, job: &str, folder: Option<&Path>) -> Outcome {
    if let Some(dir) = folder {
        FreshFolder::check(dir)?;
    }
    let client = context.client();
    // The full id: what follows is several requests, and a prefix may stop being unique between them.
    let summary = client.job(job).await?.summary;
    let id = summary.id.to_string();
    let which = if summary.state.is_final() { Which::Final } else { Which::SoFar };
    if summary.state.is_final() && !summary.state.has_result() {
        return Err(Error::failed(format!("the job is {}; it has no result", standing(&summary))));
    }
    if !summary.state.is_final() && summary.done == 0 {
        let standing = standing(&summary);
        return Err(Error::failed(format!("the job is {standing}; no task is final yet: try again later")));
    }
    let interrupted = wait::interrupted().map_err(Error::failed)?;
    tokio::select! {
        ended = run::fetch(context, &client, &id, which, folder) => ended,
        () = interrupted => Err(Error::failed("interrupted; nothing was written")),
    }
}

async fn stop(context: &Context, job: &str) -> Outcome {
    let summary = context.client().job_stop(job).await?;
    if context.json {
        output::json(&summary)?;
    } else {
        let state = if summary.state.is_final() { summary.state.name() } else { "stopping" };
        output::text(format!("job {} is {state}", summary.id))?;
    }
    Ok(Exit::Complete)
}

/// A job's state and why, once.
pub fn standing(job: &JobSummary) -> String {
    let message = one_line(&job.message);
    if message.is_empty() || message.starts_with(job.state.name()) {
        return if message.is_empty() { job.state.to_string() } else { message };
    }
    format!("{}: {message}", job.state)
}

fn jobs_table(jobs: &[JobSummary]) -> Table {
    let mut table = Table::new(&["job", "name", "state", ">final", ">held", ">tasks", ">voided", ">age", ""]);
    for job in jobs {
        table.row([
            job.id.to_string()[..12].to_owned(),
            one_line(&job.name),
            job.state.to_string(),
            job.done.to_string(),
            job.held.to_string(),
            job.tasks.to_string(),
            job.voided.to_string(),
            quantity::span(wait::since(job.created)),
            one_line(&job.message),
        ]);
    }
    table
}

fn description(detail: &JobDetail) -> String {
    let job = &detail.summary;
    let mut text = format!(
        "job         {}\nname        {}\nstate       {}\ntasks       {} of {} final, {} held for audits, {} running, {} failed\n\
         executions  {} by workers, {} here, {} voided\nage         {}\n",
        job.id,
        one_line(&job.name),
        standing(job),
        job.done,
        job.tasks,
        job.held,
        job.running,
        job.failed_tasks,
        job.executions,
        job.own_runs,
        job.voided,
        quantity::span(wait::since(job.created)),
    );
    if let Some(files) = detail.files {
        text += &format!("files       {files} under /out\n");
    }
    if let Some(finished) = job.finished {
        let took = Duration::from_millis(finished.0.saturating_sub(job.created.0));
        text += &format!("took        {}\n", quantity::span(took));
    }
    text += &format!("promised    {}\n", one_line(&detail.promise.text));
    for line in trust::cost(&detail.cost).into_iter().chain([spending::line(&detail.spending)]) {
        text += &format!("            {line}\n");
    }
    if !detail.workers.is_empty() {
        text += &format!("\n{}", workers_table(&detail.workers));
    }
    if !detail.offers.is_empty() {
        text += &format!("\n{}", offers_table(&detail.offers));
    }
    if !detail.events.is_empty() {
        text += "\nEVENTS\n";
    }
    for event in &detail.events {
        text += &format!("{:>10} ago  {}\n", quantity::span(wait::since(event.time)), one_line(&event.text));
    }
    text
}

fn workers_table(workers: &[WorkerRow]) -> Table {
    let mut table = Table::new(&[
        "worker",
        ">price",
        ">done",
        ">accepted",
        ">voided",
        ">running",
        ">late",
        ">owed, nano",
        "state",
        "",
    ]);
    for worker in workers {
        table.row([
            worker.peer.to_string(),
            worker.price.0.to_string(),
            worker.done.to_string(),
            worker.accepted.to_string(),
            worker.voided.to_string(),
            worker.running.to_string(),
            worker.late.to_string(),
            quantity::nano(worker.owed),
            worker.state.to_string(),
            worker.note.as_deref().map(one_line).unwrap_or_default(),
        ]);
    }
    table
}

fn offers_table(offers: &[OfferRow]) -> Table {
    let mut table = Table::new(&[">offer", ">bids", ">leases", ">waited"]);
    for offer in offers {
        let waited = quantity::span(Duration::from_millis(offer.waited_ms));
        table.row([offer.attempt.to_string(), offer.bids.to_string(), offer.leases.to_string(), waited]);
    }
    table
}
