//! What a peer has seen of another. It orders bids and shortens waits; it never lowers the number of audits.

use pocketmesh_types::PeerId;
use serde::{Deserialize, Serialize};

/// What was seen of one peer. Accepted executions, refutations, convictions and windows are known for good, the rest
/// since the daemon's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reputation {
    /// Who.
    pub peer: PeerId,
    /// Executions that it claimed, or committed to.
    pub claimed: u64,
    /// Executions that were accepted.
    pub accepted: u64,
    /// Claims that our own run refuted.
    pub refuted: u32,
    /// Jobs in which it was convicted: by two runs of ours and a witness.
    pub convicted: u32,
    /// Leases that it served to their end.
    pub served: u32,
    /// Leases under which it fell silent, vanished, or withheld what it had committed to.
    pub failed: u32,
    /// Accepted executions that came late.
    pub late: u64,
    /// Bytes of blobs that it was sent by us.
    pub sent_bytes: u64,
    /// Audit windows of it that became final.
    pub windows_final: u32,
    /// Audit windows of it that were voided.
    pub windows_voided: u32,
    /// How often it voided a claim of ours for which we stand: its jobs are not served any more.
    pub contested: u32,
    /// Seconds that an execution took, on average, from assignment to claim or commitment.
    pub seconds: Option<f64>,
    /// The chance that it delivers, as bids are ordered by.
    pub delivers: f64,
    /// Whether it gets no lease of ours any more.
    pub turned_away: bool,
    /// Files that prove refuted claims of it.
    pub proofs: Vec<String>,
}
