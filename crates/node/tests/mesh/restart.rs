//! Daemons that end and start again on their data folders.

use crate::rig::{self, Mesh, guest};
use futures::StreamExt;
use pocketmesh_api::{CollectBlobs, Input, JobState, Which};
use pocketmesh_types::BlobId;
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
async fn what_went_into_a_job_is_let_go_when_it_is_over_and_what_came_out_is_not() {
    let mut mesh = Mesh::start(3).await;
    let text: String = (0..2_000).map(|n| format!("word{n} and another\n")).collect();
    let (job, inputs) = crate::word_count(&mesh, 2, &text).await;
    let (summary, stdout) = mesh.run(2, job).await;
    assert_eq!(summary.state, JobState::Complete, "{}", summary.message);
    for restarted in [false, true] {
        if restarted {
            let folder = mesh.daemons.pop().expect("the requester").stop().await;
            mesh.daemons.push(rig::start(folder, vec![], false).await);
        }
        let client = mesh.client(2);
        for blob in inputs {
            assert!(!client.blob(blob).await.expect("here").pinned, "restarted: {restarted}");
        }
        let result = client.blob(BlobId::of(&stdout)).await.expect("here");
        assert!(result.pinned, "restarted: {restarted}");
        client.collect_blobs(&CollectBlobs::default()).await.expect("collected");
        client.blob(inputs[0]).await.expect_err("nobody keeps it");
        let chunks = client.job_stdout(&summary.id.to_string(), Which::Final).await.expect("a result");
        let again = chunks.map(|chunk| chunk.expect("bytes").to_vec()).collect::<Vec<_>>().await.concat();
        assert_eq!(again, stdout);
        for program in ["wordcount", "wordmerge"] {
            mesh.upload(2, &guest(program)).await;
        }
        mesh.upload(2, text.as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_daemon_rejoins_from_its_saved_peers() {
    let mut mesh = Mesh::start(3).await;
    let folder = mesh.daemons.pop().expect("the last one").stop().await;
    mesh.daemons.push(rig::start(folder, vec![], false).await);
    mesh.all_connected().await;
}
