//! What a job's owner may rely on, what that is expected to cost, and what it did cost: the protocol's numbers, in words.
//!
//! Nothing is decided here: how many audits a window gets is the protocol's business, which is asked.

use crate::{clock::wall, driver::Driver};
use pocketmesh_api::{Auditors, Cost, Promise, RefutedClaim, Regime};
use pocketmesh_protocol::{
    jobs::{active::Active, auditing::aim, regime::BIG_TASKS_PER_WORKER},
    reputation::Windows,
    verification::{
        self,
        sizing::{self, By, Ppm},
    },
};
use pocketmesh_types::{Policy, Target};

/// Refuted claims that are told by name.
const CLAIMS_TOLD_MAX: usize = 100;

/// By what means a job's results are checked.
pub fn regime_of(active: &Active) -> Regime {
    match (active.job.policy, active.regime) {
        (Policy::Replicas(_), _) => Regime::Replicas,
        (_, verification::Regime::Unknown) => Regime::Unknown,
        (_, verification::Regime::Small) => Regime::Small,
        (_, verification::Regime::Middle) => Regime::Middle,
        (_, verification::Regime::Big) => Regime::Big,
    }
}

/// What the owner of a job may rely on.
pub fn promise(driver: &Driver, active: &Active) -> Promise {
    let seen = driver.peer.reputation().windows();
    let live = active.live().count();
    // Before anybody works on it: all who are connected may.
    let workers = if live > 0 { live } else { driver.peer.peers().count().clamp(1, active.leases_max()) };
    match active.job.policy {
        Policy::Replicas(seats) => of_replicas(seats),
        Policy::Audited(target) => match active.regime {
            verification::Regime::Small => of_small(target),
            verification::Regime::Middle => of_middle(active, target, seen, workers),
            verification::Regime::Big => of_big(active, target, seen, workers),
            verification::Regime::Unknown => of_unknown(active, target, seen, workers),
        },
    }
}

fn of_replicas(seats: u8) -> Promise {
    let saboteurs = f64::from(Target::default().saboteurs_ppm) / 1e6;
    let clique = saboteurs.powi(i32::from(seats));
    let text = match seats {
        1 => "one peer runs each task, and nobody checks it: nothing is promised".into(),
        _ => format!(
            "{seats} unrelated peers run each task and must agree: error practically 0 against faults that do not agree; a \
             clique with {} of the seats could get {} of the results accepted; {seats} executions per result",
            percent(saboteurs),
            percent(clique),
        ),
    };
    Promise {
        regime: Regime::Replicas,
        error: None,
        clique_error: Some(clique),
        saboteurs,
        auditors: None,
        window: 0,
        audits: 0,
        executions: f64::from(seats),
        text,
    }
}

fn of_small(target: Target) -> Promise {
    Promise {
        regime: Regime::Small,
        error: Some(0.0),
        clique_error: None,
        saboteurs: f64::from(target.saboteurs_ppm) / 1e6,
        auditors: Some(Auditors::Own),
        window: 0,
        audits: 0,
        executions: 2.0,
        text: "small enough to be confirmed here: one peer runs each task, and so does this device; error 0, 2 executions \
               per result"
            .into(),
    }
}

fn of_middle(active: &Active, target: Target, seen: Windows, workers: usize) -> Promise {
    // Every task has two seats, so windows are twice as many results.
    let (window, audits, _) = expected(active, target, seen, workers);
    let saboteurs = aim(seen, target).saboteurs;
    let clique = sizing::replicas_bound(2, window, audits, saboteurs, By::Own);
    let executions = 2.0 + f64::from(audits) / f64::from(window.max(1));
    Promise {
        regime: Regime::Middle,
        error: None,
        clique_error: Some(clique),
        saboteurs: share(saboteurs),
        auditors: Some(Auditors::Own),
        window,
        audits,
        executions,
        text: format!(
            "too few tasks a worker for audits alone, too many to be run here: 2 unlike peers run each task, and this device \
             {audits} of {window}; error practically 0 against faults that do not agree, at most {} against a clique with \
             {}; about {executions:.2} executions per result",
            percent(clique),
            reckoned(target, share(saboteurs)),
        ),
    }
}

fn of_big(active: &Active, target: Target, seen: Windows, workers: usize) -> Promise {
    let (window, audits, own) = expected(active, target, seen, workers);
    let (error, saboteurs) = (f64::from(target.error_ppb) / 1e9, share(aim(seen, target).saboteurs));
    let executions = 1.0 + f64::from(audits) / f64::from(window.max(1));
    let auditors = if own { "this device runs" } else { "other workers run" };
    Promise {
        regime: Regime::Big,
        error: Some(error),
        clique_error: None,
        saboteurs,
        auditors: Some(if own { Auditors::Own } else { Auditors::Mesh }),
        window,
        audits,
        executions,
        text: format!(
            "one peer runs each task, and {auditors} {audits} of every {window} results once more, drawn after they were \
             delivered: at most {} of the results are wrong even if one clique holds {}; about {executions:.3} \
             executions per result",
            percent(error),
            reckoned(target, saboteurs),
        ),
    }
}

/// Before the first auction: what it may come to.
fn of_unknown(active: &Active, target: Target, seen: Windows, workers: usize) -> Promise {
    let by = Auditors::from(target.by);
    if active.job.tasks as usize / workers >= BIG_TASKS_PER_WORKER {
        let big = of_big(active, target, seen, workers);
        let noun = if workers == 1 { "worker" } else { "workers" };
        let text = format!("with {workers} {noun}: {}", big.text);
        return Promise { regime: Regime::Unknown, auditors: Some(by), text, ..big };
    }
    let (error, saboteurs) = (f64::from(target.error_ppb) / 1e9, share(aim(seen, target).saboteurs));
    let otherwise = if active.is_big(seen, workers, target) {
        let (window, audits, _) = expected(active, target, seen, workers);
        format!("other workers run {audits} of every {window} results once more")
    } else {
        "2 peers run each task, and the bound against a clique is told".into()
    };
    let text = format!(
        "at most {} of the results are wrong even if one clique holds {}, and none if this device can run all of \
         it within a minute, which it then does: about 2 executions per result. If it cannot, {otherwise}",
        percent(error),
        reckoned(target, saboteurs),
    );
    Promise {
        regime: Regime::Unknown,
        error: Some(error),
        clique_error: None,
        saboteurs,
        auditors: Some(by),
        window: 0,
        audits: 0,
        executions: 2.0,
        text,
    }
}

/// The window that is expected, its audits, and whether this peer does them.
fn expected(active: &Active, target: Target, seen: Windows, workers: usize) -> (u32, u32, bool) {
    let (window, _) = active.audit_window(u32::try_from(workers).unwrap_or(u32::MAX));
    let (audits, own) = active.audits_of(seen, workers, window, target);
    (window, audits, own)
}

/// What a job has taken so far.
pub fn cost(driver: &Driver, active: &Active) -> Cost {
    let (counts, done) = (active.counts, f64::from(active.finals.len().max(1)));
    let workers = active.workers();
    let paid: u64 = workers.iter().map(|worker| worker.accepted).sum();
    let delivered = workers.iter().filter(|worker| worker.done > 0).count();
    let caught = workers.iter().filter(|worker| driver.peer.reputation().is_distrusted(&worker.worker)).count();
    let claims = driver.ledger.of(&active.id).map(|notes| &*notes.refuted).unwrap_or_default();
    let started = wall().0.saturating_sub(driver.clock.now().0 / 1000);
    Cost {
        executions: counts.executions,
        own_runs: counts.own_runs,
        paid,
        paid_per_result: (paid + counts.own_runs) as f64 / done,
        all_per_result: (counts.executions + counts.own_runs) as f64 / done,
        audits: counts.audits,
        windows_final: counts.windows,
        windows_voided: counts.voided_windows,
        refuted: u32::try_from(counts.refuted).unwrap_or(u32::MAX),
        workers: u32::try_from(delivered).unwrap_or(u32::MAX),
        saboteurs_seen: caught.min(delivered) as f64 / delivered.max(1) as f64,
        since_restart: active.submitted_at.0 < started,
        claims: claims
            .iter()
            .take(CLAIMS_TOLD_MAX)
            .map(|refuted| RefutedClaim {
                peer: refuted.worker,
                task: refuted.task,
                proof: refuted.proof.as_ref().filter(|path| path.exists()).map(|path| path.display().to_string()),
            })
            .collect(),
    }
}

fn share(ppm: Ppm) -> f64 {
    f64::from(ppm.0) / 1e6
}

/// The share of seats that is reckoned with, and why, if it is not the one that was assumed.
fn reckoned(target: Target, saboteurs: f64) -> String {
    let assumed = f64::from(target.saboteurs_ppm) / 1e6;
    let why = if saboteurs > assumed {
        format!(" ({} were assumed, but what was seen speaks for more)", percent(assumed))
    } else {
        String::new()
    };
    format!("{} of the seats{why}", percent(saboteurs))
}

/// A share for people: `20 %`, `0.1 %`, `0.00001 %`.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let places =
        if percent >= 10.0 || percent == 0.0 { 0 } else { (2.0 - percent.log10()).floor().clamp(1.0, 9.0) as usize };
    let text = format!("{percent:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_short_and_not_rounded_to_nothing() {
        let cases =
            [(0.2, "20 %"), (0.001, "0.1 %"), (0.0001, "0.01 %"), (0.0, "0 %"), (1e-9, "0.0000001 %"), (0.04, "4 %")];
        for (share, text) in cases {
            assert_eq!(percent(share), text);
        }
        assert_eq!(percent(0.0083), "0.83 %");
    }

    #[test]
    fn replicas_promise_nothing_against_a_clique() {
        let promise = of_replicas(2);
        assert_eq!((promise.error, promise.executions), (None, 2.0));
        assert!((promise.clique_error.expect("a bound") - 0.04).abs() < 1e-12);
        assert!(of_replicas(1).text.contains("nothing is promised"));
        assert_eq!(reckoned(Target::default(), 0.2), "20 % of the seats");
        assert!(reckoned(Target::default(), 0.5).contains("50 % of the seats (20 % were assumed"));
        assert_eq!(of_small(Target::default()).error, Some(0.0));
    }
}
