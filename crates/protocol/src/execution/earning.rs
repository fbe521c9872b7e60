//! What a worker is paid for: from leases to [`settlement`](crate::settlement). specs/settlement.md §4, §5.

use crate::{context::Context, execution::lease::WorkLease, settlement};
use alloc::vec::Vec;
use core::time::Duration;
use pocketmesh_ledger::slices::{Row, Terms};
use pocketmesh_types::{LeaseId, PeerId, Tariff};
use pocketmesh_wire::{
    Message,
    message::{DeclineReason, Lease},
};

/// How long a lease at its bound waits to be paid before it is given up. Guess.
pub const UNPAID_MAX: Duration = Duration::from_secs(60);

/// The terms of a lease.
pub fn terms_of(lease: &Lease) -> Terms {
    Terms::of(lease.slice_tasks, lease.hold_back_tasks)
}

/// What work under a lease is paid by.
pub fn tariff_of(lease: &Lease) -> Tariff {
    Tariff { price: lease.price, per_gib: lease.job.per_gib }
}

/// Why a lease is not taken, as far as payment goes.
pub fn refusal(context: &Context, from: PeerId, lease: &Lease) -> Option<DeclineReason> {
    if !terms_of(lease).are_fair() || lease.fee < lease.price.fee(lease.job.program_len) {
        return Some(DeclineReason::NotAsOffered);
    }
    let cost = settlement::first_cost(tariff_of(lease), lease.job.limits.fuel);
    let served = context.money.would_serve(context.applicant(from), cost, context.now);
    if served.is_none() { Some(DeclineReason::NoCredit) } else { None }
}

/// Takes note of what is claimed: it is to be paid.
pub fn note_claimed(context: &mut Context, lease: &WorkLease, message: &Message) {
    let Message::Claim(claim) = message else { return };
    for row in &claim.results {
        let input_len = lease.stated(row.task).map_or(0, |stated| stated.input.len);
        context.money.on_claimed(&claim.lease, Row::of(row.task, &row.outcome, input_len), context.now);
    }
}

/// Those of these leases that have been waiting too long for a payment.
pub fn unpaid_too_long<'a>(context: &Context, leases: impl Iterator<Item = &'a LeaseId>) -> Vec<LeaseId> {
    let is_unpaid =
        |lease: &&LeaseId| context.money.waits_since(lease).is_some_and(|since| context.now.since(since) > UNPAID_MAX);
    leases.filter(is_unpaid).copied().collect()
}
