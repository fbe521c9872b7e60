//! What the checking of results has cost, and what it brought to light, for people.

use crate::quantity;
use pocketmesh_api::Cost;

/// Refuted claims named one by one; the rest are counted.
const NAMED_MAX: usize = 12;

/// A few lines on what a job's verification has cost so far.
pub fn cost(cost: &Cost) -> Vec<String> {
    let restarted = if cost.since_restart { ", counted since the daemon's last start" } else { "" };
    let windows = match (cost.windows_final, cost.windows_voided) {
        (0, 0) => String::new(),
        (passed, voided) => format!(
            "; {}, {} final and {voided} void",
            quantity::count(cost.audits, "audit"),
            quantity::count(passed.into(), "window"),
        ),
    };
    let mut lines = vec![format!(
        "cost: {:.3} executions per result paid, {:.3} in all ({} by workers, {} here{restarted}){windows}",
        cost.paid_per_result, cost.all_per_result, cost.executions, cost.own_runs,
    )];
    if cost.refuted > 0 {
        lines.push(format!(
            "refuted: {}; {} of {} who delivered",
            quantity::count(cost.refuted.into(), "claim"),
            quantity::percent(cost.saboteurs_seen),
            quantity::count(cost.workers.into(), "worker"),
        ));
    }
    // One line for each worker: its first claim, which has the proof.
    let mut named = Vec::new();
    for claim in &cost.claims {
        if named.contains(&claim.peer) {
            continue;
        }
        named.push(claim.peer);
        if named.len() <= NAMED_MAX {
            let proof = claim.proof.as_ref().map(|path| format!("; proof: {path}")).unwrap_or_default();
            lines.push(format!("  {} on task {}{proof}", claim.peer, claim.task));
        }
    }
    if named.len() > NAMED_MAX {
        lines.push(format!("  and {} more", named.len() - NAMED_MAX));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_api::RefutedClaim;
    use pocketmesh_types::PeerId;

    #[test]
    fn a_refuted_worker_is_named_once_with_its_proof() {
        let claim =
            |task, proof: Option<&str>| RefutedClaim { peer: PeerId([7; 32]), task, proof: proof.map(Into::into) };
        let account = Cost {
            executions: 110,
            own_runs: 2,
            paid: 101,
            paid_per_result: 1.03,
            all_per_result: 1.12,
            audits: 10,
            windows_final: 4,
            windows_voided: 1,
            refuted: 2,
            workers: 4,
            saboteurs_seen: 0.25,
            since_restart: false,
            claims: vec![claim(3, Some("proofs/a.cbor")), claim(9, None)],
        };
        let lines = cost(&account);
        assert_eq!(
            lines[0],
            "cost: 1.030 executions per result paid, 1.120 in all (110 by workers, 2 here); 10 audits, 4 windows final and 1 void"
        );
        assert_eq!(lines[1], "refuted: 2 claims; 25 % of 4 workers who delivered");
        assert!(lines[2].ends_with("on task 3; proof: proofs/a.cbor") && lines.len() == 3, "{lines:?}");
    }
}
