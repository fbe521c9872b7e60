//! `reputation`: what this peer has seen of others.

use crate::cli;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::output;
use crate::quantity;
use crate::table::Table;
use pocketmesh_api::Reputation;
use pocketmesh_node::home::Size;

/// What it is for, so that nobody thinks more of it.
const USE: &str = "It orders bids and shortens waits. It never lowers audits: whoever has been right so far is checked as often as anybody.";

/// Runs one of the commands.
pub async fn dispatch(context: &Context, command: cli::Reputation) -> Outcome {
    let seen = context.client().reputation().await?;
    match command {
        cli::Reputation::List if context.json => output::json(&seen)?,
        cli::Reputation::List if seen.is_empty() => {
            context.note("nothing was seen of others yet: they are judged by what they do for jobs of this peer");
        }
        cli::Reputation::List => output::text(format!("{}{USE}", table(&seen)))?,
        cli::Reputation::Show { peer } => {
            let one = find(&seen, &peer)?;
            if context.json { output::json(one)? } else { output::text(format!("{}{USE}", description(one)))? }
        }
    }
    Ok(Exit::Complete)
}

fn find<'a>(seen: &'a [Reputation], text: &str) -> Result<&'a Reputation, Error> {
    let fits = |one: &&Reputation| {
        let name = one.peer.to_string();
        !text.is_empty() && (name.starts_with(text) || name.ends_with(text))
    };
    let mut fitting = seen.iter().filter(fits);
    let shown = crate::terminal::one_line(text);
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => {
            Err(Error::usage(format!("nothing was seen of {shown}: `pocketmesh reputation list` shows of whom")))
        }
        (Some(_), Some(_)) => Err(Error::usage(format!("more than one peer fits {shown}: give more of its id"))),
    }
}

fn table(seen: &[Reputation]) -> Table {
    let mut table = Table::new(&[
        "peer",
        ">accepted",
        ">refuted",
        ">late",
        ">leases served",
        ">failed",
        ">windows final",
        ">void",
        ">s a task",
        ">sent",
        ">proofs",
        "",
    ]);
    for one in seen {
        table.row([
            one.peer.to_string(),
            one.accepted.to_string(),
            one.refuted.to_string(),
            one.late.to_string(),
            one.served.to_string(),
            one.failed.to_string(),
            one.windows_final.to_string(),
            one.windows_voided.to_string(),
            one.seconds.map(|seconds| format!("{seconds:.3}")).unwrap_or_default(),
            Size(one.sent_bytes).to_string(),
            one.proofs.len().to_string(),
            standing(one).into(),
        ]);
    }
    table
}

fn standing(one: &Reputation) -> &'static str {
    match one {
        Reputation { convicted: 1.., .. } => "convicted: gets no lease",
        Reputation { turned_away: true, .. } => "refuted: gets no lease",
        Reputation { contested: 1.., .. } => "voids what is right: not served",
        _ => "",
    }
}

fn description(one: &Reputation) -> String {
    let mut text = format!(
        "peer             {}\nclaimed          {} executions\naccepted         {}, {} of them late\nrefuted          {} claims\n\
         convicted        in {} jobs\nleases           {} served, {} failed\nwindows          {} final, {} void\n\
         delivers         {} of the time, as bids are ordered by\n",
        one.peer,
        one.claimed,
        one.accepted,
        one.late,
        one.refuted,
        one.convicted,
        one.served,
        one.failed,
        one.windows_final,
        one.windows_voided,
        quantity::percent(one.delivers),
    );
    if let Some(seconds) = one.seconds {
        text += &format!("speed            {seconds:.3} s an execution, from assignment to claim\n");
    }
    text += &format!("sent             {} of programs, inputs and files went there from here\n", Size(one.sent_bytes));
    if !standing(one).is_empty() {
        text += &format!("standing         {}\n", standing(one));
    }
    for proof in &one.proofs {
        text += &format!("proof            {proof}\n");
    }
    text
}
