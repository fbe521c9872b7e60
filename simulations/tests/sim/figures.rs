//! Scenarios that CI runs, and what their figures must be. Longer ones are commands in simulations/README.md.

use crate::passes;

#[test]
fn everything_runs_once() {
    passes("smoke", 1);
}

#[test]
fn a_thousand_peer_hours_of_everything_at_once_and_nothing_wrong_is_accepted_beyond_the_error_meter() {
    let report = passes("safety", 1);
    assert!(report.figure("peer_hours") >= 1_000.0);
    assert_eq!(report.figure("honest_refuted"), 0.0);
}

#[test]
fn traffic_of_a_peer_does_not_grow_with_the_mesh_and_leases_come_hardly_later() {
    let (small, large) = (passes("scale-1000", 1), passes("scale-10000", 1));
    for figure in [
        "bytes_per_peer_s",
        "direct_bytes_per_peer_s",
        "direct_messages_per_peer_s",
        "gossip_bytes_per_peer_s",
        "gossip_messages_per_peer_s",
        "bids_per_offer",
    ] {
        let ratio = large.figure(figure) / small.figure(figure);
        assert!((0.8..=1.2).contains(&ratio), "{figure}: {ratio}");
    }
    let ratio = large.figure("offer_to_lease_ms_p50") / small.figure("offer_to_lease_ms_p50");
    assert!(ratio < 4.0 / 3.0, "no worse than the logarithm: {ratio}");
}

#[test]
fn attackers_are_found_and_honest_peers_are_not_blamed() {
    for name in ["wrong", "sometimes", "lazy", "copier", "sleeper", "whitewash", "no-show", "withholder", "underbid"] {
        passes(name, 1);
    }
}

#[test]
fn a_requester_that_voids_everything_convicts_nobody() {
    let report = passes("hostile-requester", 1);
    assert_eq!(report.figure("honest_refuted"), 0.0);
}

#[test]
fn an_engine_that_is_wrong_on_one_processor_convicts_nobody() {
    assert_eq!(passes("arch-fault", 1).figure("honest_convicted"), 0.0);
}

#[test]
fn audits_of_a_big_job_keep_the_error_within_what_was_promised() {
    let report = passes("audited", 1);
    assert!(report.figure("accepted_wrong_share") <= 1e-3);
}

#[test]
fn who_never_pays_gets_an_allowance_of_each_worker_and_friends_without_credit_use_each_other() {
    let report = passes("credit-allowance", 1);
    assert!(report.figure("gigafuel_for_others") <= 50.0 * 200.0);
    let friends = passes("credit-idle", 1);
    assert_eq!((friends.figure("seats_paid"), friends.figure("credits_under_way")), (800.0, 0.0));
}
