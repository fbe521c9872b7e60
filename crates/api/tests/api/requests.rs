//! Every request brings what the daemon answered, and every failure its code and its sentence.

use crate::fake::{Fake, QUOTA, Running, job_id, peer, report, reputation, summary, task_files, wallet};
use futures::{StreamExt, TryStreamExt, stream};
use pocketmesh_api::*;
use pocketmesh_types::{BlobId, Credits, PerGib, Price};

fn code<T: std::fmt::Debug>(reply: Result<T, ClientError>) -> Code {
    match reply {
        Err(ClientError::Failed(failure)) => {
            assert!(!failure.message.contains('\n'), "one line: {}", failure.message);
            failure.code
        }
        other => panic!("expected a failure that the daemon explains, got {other:?}"),
    }
}

fn chunks(bytes: Vec<u8>) -> Chunks {
    let chunks: Vec<_> = bytes.chunks(50_000).map(|chunk| Ok(Chunk::copy_from_slice(chunk))).collect();
    stream::iter(chunks).boxed()
}

async fn read(chunks: Chunks) -> std::io::Result<Vec<u8>> {
    chunks
        .try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
}

#[tokio::test]
async fn the_daemon_is_shown_as_it_is() {
    let running = Running::start();
    let status = running.client.status().await.expect("status");
    assert_eq!(status, running.control.status().await.expect("status"));
    let peers = running.client.peers().await.expect("peers");
    assert_eq!(peers, running.control.peers().await.expect("peers"));
}

#[tokio::test]
async fn what_is_owed_and_what_was_paid_for_a_job_is_told() {
    let Running { client, .. } = &Running::start();
    assert_eq!(client.wallet().await.expect("a wallet"), wallet());
    let receipts = client.job_receipts(&job_id(0).to_string()).await.expect("receipts");
    assert_eq!(read(receipts).await.expect("read"), b"receipts");
    assert_eq!(code(client.job_receipts(&job_id(9).to_string()).await.map(drop)), Code::NotFound);
}

#[tokio::test]
async fn connecting_says_who_is_there_or_that_nobody_is() {
    let running = Running::start();
    assert_eq!(running.client.connect("/ip4/10.0.0.2/tcp/4001").await.expect("connected").peer, peer(2));
    assert_eq!(code(running.client.connect("/ip4/127.0.0.1/tcp/1").await), Code::Unreachable);
}

#[tokio::test]
async fn the_bootstrap_list_is_edited() {
    let Running { client, .. } = &Running::start();
    client.bootstrap_add("/ip4/10.0.0.1/tcp/1").await.expect("added");
    let two = client.bootstrap_add("/ip4/10.0.0.2/tcp/1").await.expect("added");
    assert_eq!(client.bootstrap_list().await.expect("listed"), two);
    let one = client.bootstrap_rm("/ip4/10.0.0.1/tcp/1").await.expect("removed");
    assert_eq!(one.addresses, ["/ip4/10.0.0.2/tcp/1"]);
}

#[tokio::test]
async fn blobs_go_in_and_out_unchanged() {
    let running = Running::start();
    let bytes: Vec<u8> = (0..900_000u32).map(|n| n as u8).collect();
    let blob = running.client.put_blob(chunks(bytes.clone())).await.expect("stored");
    assert_eq!(blob, Blob { id: BlobId::of(&bytes), len: 900_000 });
    assert_eq!(read(running.client.get_blob(blob.id).await.expect("there")).await.expect("read"), bytes);
    assert_eq!(code(running.client.get_blob(BlobId::of(b"no")).await.map(drop)), Code::NotFound);
}

#[tokio::test]
async fn an_upload_over_the_quota_is_refused_with_the_reason() {
    let running = Running::start();
    assert_eq!(code(running.client.put_blob(chunks(vec![7; QUOTA * 40])).await), Code::Quota);
    assert!(running.control.blobs.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let running = Running::start();
    let broken = stream::iter([Ok(Chunk::from_static(b"half")), Err(std::io::Error::other("disk on fire"))]).boxed();
    assert!(running.client.put_blob(broken).await.is_err());
    assert!(running.control.blobs.lock().expect("not poisoned").is_empty());
}

fn job(input: Input) -> SubmitJob {
    SubmitJob {
        name: "primes".into(),
        program: BlobId::of(b"program"),
        args: vec!["{index}".into(), "--slow".into()],
        env: vec![("LANG".into(), "C".into())],
        input,
        files: Vec::new(),
        input_name: String::new(),
        reduce: Some(Reduce { program: BlobId::of(b"sum"), args: vec![], fan_in: Some(3) }),
        verification: Verification::Replicas(2),
        max_price: Some(Price(500)),
        per_gib: Some(PerGib(70)),
        budget: Some(Credits(1 << 90)),
        limits: Limits { fuel: Some(9), ..Limits::default() },
    }
}

#[tokio::test]
async fn jobs_arrive_as_they_were_described() {
    let running = Running::start();
    let source = Source { name: "a.txt".into(), blob: BlobId::of(b"a"), len: 1 };
    let jobs = [
        job(Input::None),
        job(Input::Range { start: 5, end: 15 }),
        job(Input::Split { sources: vec![source.clone()], split: Split::Lines(100) }),
        job(Input::Split { sources: vec![source.clone(), source.clone()], split: Split::Bytes(1 << 16) }),
        SubmitJob {
            reduce: None,
            max_price: None,
            per_gib: None,
            budget: None,
            verification: Verification::Audits(Audits { error_ppb: 7, saboteurs_ppm: 0, by: Auditors::Mesh }),
            files: vec![InputFile { path: "data/a b.txt".into(), blob: BlobId::of(b"a"), len: 1 }],
            input_name: "input.txt".into(),
            ..job(Input::Split { sources: vec![source], split: Split::File })
        },
    ];
    for job in &jobs {
        assert_eq!(running.client.submit(job).await.expect("taken").tasks, 10);
    }
    assert_eq!(*running.control.submitted.lock().expect("not poisoned"), jobs);
}

#[tokio::test]
async fn a_refused_job_says_why() {
    let running = Running::start();
    assert_eq!(code(running.client.submit(&job(Input::Range { start: 9, end: 9 })).await), Code::EmptyRange);
}

#[tokio::test]
async fn jobs_are_listed_described_and_stopped() {
    let Running { client, control, .. } = &Running::start();
    assert_eq!(client.jobs().await.expect("list"), (0..3).map(summary).collect::<Vec<_>>());
    let id = job_id(2);
    assert_eq!(client.job(&id.to_string()).await.expect("detail"), control.job(id).await.expect("detail"));
    assert_eq!(client.job_stop(&id.to_string()).await.expect("stopped").state, JobState::Stopped);
    assert_eq!(client.job_report(&id.to_string(), Which::Final).await.expect("report"), report(summary(2)));
    assert_eq!(code(client.job_report(&job_id(1).to_string(), Which::Final).await), Code::NotFinished);
}

#[tokio::test]
async fn a_unique_prefix_is_as_good_as_an_id() {
    let Running { client, .. } = &Running::start();
    assert_eq!(client.job("020202").await.expect("found").summary.id, job_id(2));
    assert_eq!(client.job("ABCDEF10").await.expect("found").summary.id, job_id(0));
    assert_eq!(code(client.job("abcdef1").await), Code::Ambiguous);
    assert_eq!(code(client.job("02020").await), Code::Invalid);
    assert_eq!(code(client.job("fffffff").await), Code::NotFound);
    assert_eq!(code(client.job(&"f".repeat(64)).await), Code::NotFound);
    for nonsense in ["", "../status", "02020\n", "zzzzzzzz", &"0".repeat(65)] {
        assert_eq!(code(client.job(nonsense).await), Code::Invalid, "{nonsense:?}");
    }
}

#[tokio::test]
async fn every_request_about_an_unknown_job_says_so() {
    let Running { client, .. } = &Running::start();
    let id = "e".repeat(64);
    assert_eq!(code(client.job(&id).await), Code::NotFound);
    assert_eq!(code(client.job_stop(&id).await), Code::NotFound);
    assert_eq!(code(client.job_report(&id, Which::Final).await), Code::NotFound);
    assert_eq!(code(client.job_stdout(&id, Which::Final).await.map(drop)), Code::NotFound);
    assert_eq!(code(client.job_events(&id).await.map(drop)), Code::NotFound);
}

#[tokio::test]
async fn the_event_stream_ends_with_the_final_snapshot() {
    let running = Running::start();
    let updates = running.client.job_events(&job_id(2).to_string()).await.expect("a stream");
    let updates: Vec<_> = updates.try_collect().await.expect("whole");
    assert!(matches!(&updates[1], Update::Event(event) if event.text.contains('\n')));
    assert!(matches!(&updates[2], Update::Progress(last) if last.state.is_final()));
    assert_eq!(updates.len(), 3);
}

#[tokio::test]
async fn an_output_is_streamed_whole() {
    let running = Running::start();
    let bytes = read(running.client.job_stdout("020202", Which::Final).await.expect("a stream")).await.expect("read");
    assert_eq!(bytes, (0..100u8).flat_map(|n| vec![n; 100_000]).collect::<Vec<_>>());
}

#[tokio::test]
async fn held_results_come_only_when_they_are_asked_for() {
    let Running { client, .. } = &Running::start();
    let bytes = read(client.job_stdout("020202", Which::Provisional).await.expect("a stream")).await.expect("read");
    assert_eq!(bytes, b"held");
    let bytes = read(client.job_stdout("020202", Which::SoFar).await.expect("a stream")).await.expect("read");
    assert_eq!(bytes, b"so far");
}

#[tokio::test]
async fn what_was_seen_of_others_is_told() {
    let Running { client, .. } = &Running::start();
    assert_eq!(client.reputation().await.expect("a list"), [reputation()]);
}

#[test]
fn a_job_that_says_nothing_about_it_is_audited_with_the_default_target() {
    let job: SubmitJob =
        serde_json::from_str(&format!(r#"{{ "name": "a", "program": "{}" }}"#, "0".repeat(64))).expect("a job");
    assert_eq!(
        job.verification,
        Verification::Audits(Audits { error_ppb: 1_000_000, saboteurs_ppm: 200_000, by: Auditors::Auto })
    );
    let written: Verification = serde_json::from_str(r#"{ "audits": { "by": "own" } }"#).expect("audits");
    assert_eq!(written, Verification::Audits(Audits { by: Auditors::Own, ..Audits::default() }));
    assert!(serde_json::from_str::<Verification>(r#"{ "audits": { "confidence": 1 } }"#).is_err());
    assert_eq!(serde_json::to_string(&Verification::Replicas(3)).expect("JSON"), r#"{"replicas":3}"#);
}

#[tokio::test]
async fn an_output_that_breaks_off_is_not_taken_for_a_whole_one() {
    let running = Running::with(Fake { broken_disk: true, ..Fake::default() });
    let chunks = running.client.job_stdout("020202", Which::Final).await.expect("a stream");
    assert!(read(chunks).await.is_err());
}

#[tokio::test]
async fn files_are_listed_a_task_at_a_time() {
    let running = Running::start();
    let lists = running.client.job_files("020202", Which::Final).await.expect("a stream");
    let lists: Vec<_> = lists.try_collect().await.expect("whole");
    assert_eq!(lists, [100, 101, 102].map(task_files));
    assert_eq!(code(running.client.job_files(&"e".repeat(64), Which::Final).await.map(drop)), Code::NotFound);
}

#[tokio::test]
async fn a_list_of_files_that_breaks_off_is_not_taken_for_a_whole_one() {
    let running = Running::with(Fake { broken_disk: true, ..Fake::default() });
    let lists = running.client.job_files("020202", Which::Final).await.expect("a stream");
    assert!(lists.try_collect::<Vec<_>>().await.is_err());
}

#[tokio::test]
async fn stop_is_answered_and_then_nobody_is_there() {
    let mut running = Running::start();
    running.client.stop().await.expect("answered");
    assert!(*running.control.stopped.lock().expect("not poisoned"));
    running.stop().await;
    assert!(!running.socket.exists(), "the socket is gone with its daemon");
    let absent = running.client.status().await.expect_err("nobody");
    assert!(matches!(absent, ClientError::NoDaemon(_)), "{absent:?}");
    assert!(absent.to_string().starts_with("no daemon is running for "), "{absent}");
    assert!(absent.to_string().contains("start it with `pocketmesh daemon"), "{absent}");
}
