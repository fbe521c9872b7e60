//! What the demo says about what happened.

use crate::commands::peers::via;
use crate::context::Context;
use crate::exit::Error;
use crate::mesh::{Books, Child, Mesh};
use crate::output;
use crate::quantity;
use crate::table::Table;
use crate::terminal::one_line;
use pocketmesh_api::{JobDetail, Peer, Via, WorkerRow};
use pocketmesh_node::sabotage::Sabotage;
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

/// How the job was shared out, and what that cost.
pub fn market(detail: &JobDetail, took: Duration) -> String {
    let (bids, leases) =
        detail.offers.iter().fold((0, 0), |(bids, leases), offer| (bids + offer.bids, leases + offer.leases));
    let JobDetail { summary, cost, .. } = detail;
    format!(
        "   {bids} bids, {leases} leases; {} executions by workers and {} here for {} tiles in {}: {:.2} per result paid, {:.2} \
         in all\n",
        cost.executions,
        cost.own_runs,
        summary.tasks,
        quantity::span(took),
        cost.paid_per_result,
        cost.all_per_result,
    )
}

/// Whether a saboteur has had no task yet in which it cheats, in any of the rounds so far; before the first, somebody always has.
pub fn unseated_saboteur(mesh: &Mesh, details: &[JobDetail]) -> bool {
    let mut cheats = mesh.peers().iter().filter(|child| child.sabotage.is_some());
    details.is_empty() || cheats.any(|child| !has_cheated(child, details))
}

/// Whether it has done more tasks than those in which it is honest.
pub fn has_cheated(child: &Child, details: &[JobDetail]) -> bool {
    let honest = match child.sabotage {
        Some(Sabotage::Sleeper(honest)) => honest,
        _ => 0,
    };
    row_of(details, &child.peer).is_some_and(|row| u64::from(row.done) > honest)
}

/// What a worker did in all rounds.
pub fn row_of(details: &[JobDetail], peer: &PeerId) -> Option<WorkerRow> {
    let rows = details.iter().flat_map(|detail| &detail.workers).filter(|row| row.peer == *peer).cloned();
    rows.reduce(|sum, row| WorkerRow {
        done: sum.done + row.done,
        accepted: sum.accepted + row.accepted,
        voided: sum.voided + row.voided,
        late: sum.late + row.late,
        owed: sum.owed.checked_add(row.owed).unwrap_or(row.owed),
        note: sum.note.or(row.note.clone()),
        ..row
    })
}

/// Who did what, and what came of it: the answer of the command.
pub fn table(
    context: &Context,
    mesh: &Mesh,
    details: &[JobDetail],
    proofs: &[(PeerId, bool)],
    books: &Books,
) -> Result<(), Error> {
    if context.json {
        let peers = mesh.peers().iter().map(|child| {
            json!({
                "peer": child.peer, "saboteur": child.sabotage.is_some(),
                "sabotage": child.sabotage.as_ref().map(ToString::to_string), "data_dir": child.dir,
                "work": row_of(details, &child.peer), "proved": is_proved(proofs, &child.peer),
            })
        });
        let jobs: Vec<_> = details.iter().map(|detail| json!({ "job": detail.summary, "cost": detail.cost })).collect();
        let peers: Vec<_> = peers.collect();
        return output::json(&json!({ "jobs": jobs, "peers": peers, "books": books.json() }));
    }
    let mut table = Table::new(&["", "peer", ">tiles done", ">accepted", ">voided", ">owed, nano", "verdict"]);
    for (index, child) in mesh.peers().iter().enumerate() {
        let row = row_of(details, &child.peer);
        let count = |of: fn(&WorkerRow) -> u32| row.as_ref().map_or(String::from("–"), |row| of(row).to_string());
        let sabotage = child.sabotage.as_ref().map(ToString::to_string);
        let proved = if is_proved(proofs, &child.peer) { ", proved" } else { "" };
        table.row([
            format!("peer-{index}"),
            child.peer.to_string(),
            count(|row| row.done),
            count(|row| row.accepted),
            count(|row| row.voided),
            row.as_ref().map(|row| quantity::nano(row.owed)).unwrap_or_default(),
            format!("{}{proved}", judgement(index == super::REQUESTER, sabotage, row.as_ref())),
        ]);
    }
    output::text(format!("{table}\n{}", books.text()))?;
    if !proofs.is_empty() {
        let held = proofs.iter().filter(|(_, holds)| *holds).count();
        let proofs = quantity::count(proofs.len() as u64, "proof");
        context.note(format!(
            "   {proofs} of fraud, replayed as a stranger would, without any daemon: {held} confirmed\n"
        ));
    }
    Ok(())
}

fn is_proved(proofs: &[(PeerId, bool)], peer: &PeerId) -> bool {
    proofs.contains(&(*peer, true))
}

fn judgement(is_requester: bool, sabotage: Option<String>, row: Option<&WorkerRow>) -> String {
    let note = row.and_then(|row| row.note.as_deref()).map(|note| format!(": {}", one_line(note))).unwrap_or_default();
    match (row.map_or(0, |row| row.voided), sabotage) {
        _ if is_requester => "the job's owner".into(),
        (0, None) => "honest".into(),
        (0, Some(kind)) if row.is_none_or(|row| row.done == 0) => format!("saboteur ({kind}), had no seat"),
        (0, Some(kind)) => format!("saboteur ({kind}), NOT CAUGHT"),
        (_, Some(kind)) => format!("saboteur ({kind}), CAUGHT{note}"),
        (_, None) => format!("honest, BLAMED{note}"),
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
