//! What the demo says about what happened.

use crate::commands::peers::via;
use crate::context::Context;
use crate::exit::Error;
use crate::mesh::Mesh;
use crate::output;
use crate::quantity;
use crate::table::Table;
use crate::terminal::one_line;
use pocketmesh_api::{JobDetail, Peer, Via, WorkerRow};
use pocketmesh_types::PeerId;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Who learned of whom, and from where.
pub fn acquaintances(mesh: &Mesh, known: &[Vec<Peer>], took: Duration) -> String {
    let mut text = format!("   all have met after {}; who learned of whom from where:\n", quantity::span(took));
    for (index, others) in known.iter().enumerate() {
        let mut sources: Vec<(String, Vec<String>)> = Vec::new();
        for other in others {
            let source = source(mesh, &other.via);
            let name = name(mesh, &other.peer);
            match sources.iter_mut().find(|(known, _)| *known == source) {
                Some((_, names)) => names.push(name),
                None => sources.push((source, vec![name])),
            }
        }
        let sources = sources.into_iter().map(|(source, mut names)| {
            names.sort();
            format!("{} ({source})", names.join(", "))
        });
        text += &format!("     {:<8} {}\n", format!("peer-{index}"), sources.collect::<Vec<_>>().join("; "));
    }
    text
}

fn source(mesh: &Mesh, source: &Via) -> String {
    match source {
        Via::Kademlia { from: Some(from) } => format!("Kademlia, from {}", name(mesh, from)),
        other => via(other),
    }
}

fn name(mesh: &Mesh, peer: &PeerId) -> String {
    let index = mesh.peers().iter().position(|child| child.peer == *peer);
    index.map_or_else(|| format!("…{}", peer.short()), |index| format!("peer-{index}"))
}

/// How the job was shared out.
pub fn market(detail: &JobDetail, took: Duration) -> String {
    let (bids, leases) =
        detail.offers.iter().fold((0, 0), |(bids, leases), offer| (bids + offer.bids, leases + offer.leases));
    format!(
        "   {} bids, {leases} leases; {} executions for {} tiles in {}\n",
        bids,
        detail.summary.executions,
        detail.summary.tasks,
        quantity::span(took),
    )
}

/// Who did what, and what came of it: the answer of the command.
pub fn table(context: &Context, mesh: &Mesh, detail: &JobDetail) -> Result<(), Error> {
    if context.json {
        let peers = mesh.peers().iter().map(|child| {
            let row = detail.workers.iter().find(|row| row.peer == child.peer);
            json!({ "peer": child.peer, "saboteur": child.saboteur, "work": row })
        });
        return output::json(&json!({ "job": detail.summary, "peers": peers.collect::<Vec<_>>() }));
    }
    let mut table = Table::new(&["", "peer", ">tiles done", ">accepted", ">voided", ">owed, nano", "verdict"]);
    for (index, child) in mesh.peers().iter().enumerate() {
        let row = detail.workers.iter().find(|row| row.peer == child.peer);
        let count = |of: fn(&WorkerRow) -> u32| row.map_or(String::from("–"), |row| of(row).to_string());
        table.row([
            format!("peer-{index}"),
            child.peer.to_string(),
            count(|row| row.done),
            count(|row| row.accepted),
            count(|row| row.voided),
            row.map(|row| quantity::nano(row.owed)).unwrap_or_default(),
            judgement(index == super::REQUESTER, child.saboteur, row),
        ]);
    }
    output::text(table.to_string())
}

fn judgement(is_requester: bool, is_saboteur: bool, row: Option<&WorkerRow>) -> String {
    let note = row.and_then(|row| row.note.as_deref()).map(|note| format!(": {}", one_line(note))).unwrap_or_default();
    match (row.map_or(0, |row| row.voided), is_saboteur) {
        _ if is_requester => "the job's owner".into(),
        (0, false) => "honest".into(),
        (0, true) => "saboteur, NOT CAUGHT".into(),
        (_, true) => format!("saboteur, CAUGHT{note}"),
        (_, false) => format!("honest, BLAMED{note}"),
    }
}

/// How the picture compares.
pub fn verdict(path: &Path, identical: bool, alone: Duration) -> String {
    let comparison = if identical {
        "it is identical, pixel for pixel, to the one computed here"
    } else {
        "it DIFFERS from the one computed here"
    };
    let alone = quantity::span(alone);
    format!("3  the picture is in {}; {comparison} (which took {alone} on one core)", path.display())
}
