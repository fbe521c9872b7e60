//! Whole daemons in one process: real sockets, real disks, real sandboxes.

mod hostile;
mod levels;
mod prefetch;
mod restart;
mod rig;

use pocketmesh_api::{Input, JobState, Reduce, Source, Split, SubmitJob, WorkerState};
use pocketmesh_types::BlobId;
use rig::{Mesh, guest};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_crosses_the_mesh_and_its_results_come_in_task_order() {
    let mesh = Mesh::start(3).await;
    let primes = mesh.upload(2, &guest("primes")).await;
    let job = rig::job(primes, Input::Range { start: 0, end: 40 }, &["{index}", "1000", "100", "--text"]);
    let (summary, stdout) = mesh.run(2, job).await;
    assert_eq!(summary.state, JobState::Complete, "{}", summary.message);
    let counts: Vec<u32> =
        String::from_utf8(stdout).expect("text").lines().map(|n| n.parse().expect("a count")).collect();
    let is_prime = |n: u32| n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    let expected: Vec<u32> =
        (0..40).map(|task| (0..100).filter(|n| is_prime(1000 + task * 100 + n)).count() as u32).collect();
    assert_eq!(counts, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saboteur_is_caught_and_changes_nothing() {
    let mesh = Mesh::start_with(4, |peer| peer == 3).await;
    let primes = mesh.upload(0, &guest("primes")).await;
    let job = rig::job(primes, Input::Range { start: 0, end: 60 }, &["{index}", "1000", "100"]);
    let (summary, stdout) = mesh.run(0, job).await;
    assert_eq!(summary.state, JobState::Complete, "{}", summary.message);
    assert_eq!(stdout.len(), 240);
    let detail = mesh.client(0).job(&summary.id.to_string()).await.expect("the job");
    let caught: Vec<_> = detail.workers.iter().filter(|row| row.state == WorkerState::Caught).map(|r| r.peer).collect();
    assert_eq!(caught, [mesh.peer(3)]);
    let first = mesh.run(0, rig::job(primes, Input::Range { start: 0, end: 60 }, &["{index}", "1000", "100"])).await;
    assert_eq!(first.1, stdout, "with and without the saboteur's bids the result is the same");
}

/// A job of one daemon that counts words, and the blobs that it needs.
async fn word_count(mesh: &Mesh, number: usize, text: &str) -> (SubmitJob, [BlobId; 3]) {
    let map = mesh.upload(number, &guest("wordcount")).await;
    let reduce = mesh.upload(number, &guest("wordmerge")).await;
    let input = mesh.upload(number, text.as_bytes()).await;
    let source = Source { name: "text".into(), blob: input, len: text.len() as u64 };
    let mut job = rig::job(map, Input::Split { sources: vec![source], split: Split::Lines(400) }, &[]);
    job.reduce = Some(Reduce { program: reduce, args: vec![], fan_in: None });
    (job, [map, reduce, input])
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_counted_on_the_mesh_and_merged_at_home() {
    let mesh = Mesh::start(3).await;
    let text: String = (0..9_000).map(|n| format!("word{} and\tanother{}\n", n % 17, n % 5)).collect();
    let (job, _) = word_count(&mesh, 1, &text).await;
    let (summary, stdout) = mesh.run(1, job).await;
    assert_eq!((summary.state, summary.tasks), (JobState::Complete, 23), "{}", summary.message);
    let mut counts = std::collections::BTreeMap::new();
    text.split_ascii_whitespace().for_each(|word| *counts.entry(word).or_insert(0u32) += 1);
    let expected: String = counts.iter().map(|(word, count)| format!("{count:7} {word}\n")).collect();
    assert_eq!(String::from_utf8(stdout).expect("text"), expected);
}
