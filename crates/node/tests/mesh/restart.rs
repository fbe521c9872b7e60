//! Daemons that end and start again on their data folders.

use crate::rig::{self, Mesh, guest};
use pocketmesh_api::{Input, JobState};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_requester_goes_on_and_runs_nothing_twice_that_was_final() {
    let mut mesh = Mesh::start(3).await;
    let primes = mesh.upload(2, &guest("primes")).await;
    let input = Input::Range { start: 0, end: 120 };
    let job = rig::job(primes, input, &["{index}", "20000000", "40000"]);
    let id = mesh.client(2).submit(&job).await.expect("taken on").id.to_string();
    let before = tokio::time::timeout(rig::LIMIT, ten_done(&mesh, &id)).await.expect("ten tasks are final");
    assert!(before < 120, "the job was too fast to be interrupted");
    let folder = mesh.daemons.pop().expect("the requester").stop().await;
    mesh.daemons.push(rig::start(folder, vec![], false).await);
    let detail = mesh.client(2).job(&id).await.expect("the job is still known");
    let restored = detail.summary.done;
    assert!(restored >= before, "{restored} of {before} final tasks were kept");
    let summary = rig::finish(&mesh.client(2), &id).await;
    assert_eq!((summary.state, summary.done), (JobState::Complete, 120), "{}", summary.message);
    // Executions are counted anew after a restart: two for each task that was not final, and the odd hedge.
    let needed = u64::from(2 * (120 - restored));
    assert!(summary.executions >= needed && summary.executions <= needed + needed / 10 + 4, "{summary:?}");
}

/// Waits for ten final tasks; how many there are.
async fn ten_done(mesh: &Mesh, id: &str) -> u32 {
    loop {
        let summary = mesh.client(2).job(id).await.expect("the job").summary;
        if summary.done >= 10 {
            return summary.done;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_daemon_rejoins_from_its_saved_peers() {
    let mut mesh = Mesh::start(3).await;
    let folder = mesh.daemons.pop().expect("the last one").stop().await;
    mesh.daemons.push(rig::start(folder, vec![], false).await);
    mesh.all_connected().await;
}
