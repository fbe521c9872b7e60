//! `testnet`: a mesh on this machine that other commands can be aimed at.

use crate::cli::Testnet;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::mesh::{Mesh, Plan};
use crate::table::Table;
use crate::{output, quantity, wait};
use serde_json::json;
use std::time::Duration;

/// Above so many neighbours a peer looks for no more.
const NEIGHBOURS_ENOUGH: usize = 8;
/// Peers that have not met by then will not.
const MEET_WITHIN: Duration = Duration::from_secs(60);

/// Runs it until it is stopped.
pub async fn run(context: &Context, args: Testnet) -> Outcome {
    let mut interrupted = Box::pin(wait::interrupted().map_err(Error::failed)?);
    let plan = Plan::new(args.peers, &args.cheats, 0, args.dir)?;
    context.note(format!("starting {} peers…", args.peers));
    let mut mesh = tokio::select! {
        mesh = Mesh::start(plan) => mesh?,
        () = &mut interrupted => return Err(Error::failed("interrupted")),
    };
    let ended = tokio::select! {
        ended = watch(context, &mut mesh) => ended,
        () = interrupted => Ok(Exit::Complete),
    };
    let books = mesh.books().await;
    context.note("stopping…");
    mesh.stop().await;
    if context.json {
        output::json_line(&books.json())?;
    } else {
        output::text(books.text())?;
    }
    ended
}

/// Shows the mesh, then what becomes of it. Ends only by an error.
async fn watch(context: &Context, mesh: &mut Mesh) -> Outcome {
    let wanted = NEIGHBOURS_ENOUGH.min(mesh.peers().len() - 1);
    match mesh.meet(wanted, MEET_WITHIN).await {
        Ok(took) => context.note(format!("each knows at least {wanted} others after {}", quantity::span(took))),
        Err(error) => context.note(format!("warning: {}", error.message())),
    }
    show(context, mesh).await?;
    loop {
        let (index, status) = mesh.next_end().await;
        context.note(format!("peer-{index} has ended: {status}"));
    }
}

async fn show(context: &Context, mesh: &Mesh) -> Result<(), Error> {
    let counts = mesh.acquaintances().await?;
    if context.json {
        let peers = mesh.peers().iter().zip(&counts).map(|(peer, others)| {
            json!({
                "peer": peer.peer, "address": peer.address, "data_dir": peer.dir, "peers": others.len(),
                "saboteur": peer.sabotage.is_some(),
                "sabotage": peer.sabotage.as_ref().map(ToString::to_string), "pid": peer.pid(),
            })
        });
        return output::json_line(&json!({ "dir": mesh.folder(), "peers": peers.collect::<Vec<_>>() }));
    }
    let mut table = Table::new(&["data folder", "peer", "address", ">peers", ">pid", ""]);
    for (peer, others) in mesh.peers().iter().zip(&counts) {
        table.row([
            peer.dir.display().to_string(),
            peer.peer.to_string(),
            peer.address.clone(),
            others.len().to_string(),
            peer.pid().map(|pid| pid.to_string()).unwrap_or_default(),
            peer.sabotage.as_ref().map(|kind| format!("saboteur ({kind})")).unwrap_or_default(),
        ]);
    }
    let dir = mesh.peers()[1].dir.display();
    output::text(format!(
        "{table}\naim any command at a peer by its data folder:\n  pocketmesh --data-dir {dir} status\n  \
         pocketmesh --data-dir {dir} run PROG.wasm --range 0..100 -- '{{index}}'\nCtrl-C stops them all."
    ))
}
