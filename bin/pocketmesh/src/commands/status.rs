//! `status`: the whole daemon at a glance.

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::terminal::one_line;
use crate::{output, quantity};
use pocketmesh_api::Status;
use pocketmesh_node::home::Size;
use std::time::Duration;

/// Shows it.
pub async fn show(context: &Context) -> Outcome {
    let status = context.client().status().await?;
    if context.json {
        output::json(&status)?;
    } else {
        output::text(text(&status))?;
    }
    Ok(Exit::Complete)
}

fn text(status: &Status) -> String {
    let Status { provide, offers, work, jobs, .. } = status;
    let addresses: Vec<_> = status.addresses.iter().map(|address| one_line(address)).collect();
    format!(
        "peer       {}\nnetwork    {}\nversion    {}, up {}\naddresses  {}\npeers      {} connected\n\
         gives      {}: {} of {} cores busy, {} of memory, {} nano-credits per gigafuel, {} per GiB at least\n           {}\n\
         offers     {} heard, {} bid on, {} won\nwork       {} tasks executed, {} accepted, {} voided\n\
         jobs       {} active, {} finished{}",
        status.peer,
        one_line(&status.network),
        one_line(&status.version),
        quantity::span(Duration::from_millis(status.uptime_ms)),
        addresses.join("\n           "),
        status.peers,
        if provide.active { "yes" } else { "no" },
        provide.running,
        provide.cores,
        Size(provide.memory),
        provide.price.0,
        provide.floor_per_gib.0,
        one_line(&provide.reason),
        offers.heard,
        offers.bid,
        offers.won,
        work.executed,
        work.accepted,
        work.voided,
        jobs.active,
        jobs.finished,
        status
            .payments_stopped
            .as_deref()
            .map(|why| format!("\nPAYMENTS ARE STOPPED: {}", one_line(why)))
            .unwrap_or_default(),
    )
}
