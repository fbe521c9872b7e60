//! What was seen of other peers, in the control API's words.

use crate::driver::Driver;
use pocketmesh_api::Reputation;
use pocketmesh_types::PeerId;
use std::{collections::BTreeMap, path::PathBuf};

/// All peers of which something was seen: first those of which a claim was refuted, then those with the most accepted
/// work. `proofs` are the files at hand.
pub fn list(driver: &Driver, proofs: &[PathBuf]) -> Vec<Reputation> {
    let mut by_peer: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in proofs {
        let worker = path.file_stem().and_then(|stem| stem.to_str()?.rsplit('-').next()).unwrap_or_default();
        by_peer.entry(worker.into()).or_default().push(path.display().to_string());
    }
    let seen = driver.peer.reputation();
    let row = |peer: &PeerId| {
        let of = seen.of(peer);
        Reputation {
            peer: *peer,
            claimed: of.claimed,
            accepted: of.accepted,
            refuted: of.refuted,
            convicted: of.convicted,
            served: of.served,
            failed: of.failed,
            late: of.late,
            sent_bytes: of.sent,
            windows_final: of.windows_final,
            windows_voided: of.windows_voided,
            contested: of.contested,
            seconds: (of.claimed > 0).then(|| of.busy.as_secs_f64() / of.claimed as f64),
            delivers: f64::from(seen.delivery_ppm(peer)) / 1e6,
            turned_away: seen.is_distrusted(peer) || seen.is_convicted(peer),
            proofs: by_peer.get(&peer.to_string()).cloned().unwrap_or_default(),
        }
    };
    let mut rows: Vec<Reputation> = seen.peers().map(|(peer, _)| row(peer)).collect();
    rows.sort_by_key(|row| (std::cmp::Reverse((row.refuted, row.accepted)), row.peer));
    rows
}
