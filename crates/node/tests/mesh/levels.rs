//! The levels of a reduction on whole daemons: what they came to goes while it goes on, and whatever is lost of it changes nothing.

use crate::rig::{self, Mesh};
use futures::StreamExt;
use pocketmesh_api::{Client, CollectBlobs, Input, JobState, Reduce, Split, Which};
use pocketmesh_types::BlobId;
use std::{fmt::Write as _, ops::Range, time::Duration};

const TASKS: u32 = 12;
/// Words of a task: the counts of all tasks have 10 MB together, too many to be merged in one run here.
const WORDS: u32 = 38_000;

fn words_of(tasks: Range<u32>) -> Range<u32> {
    tasks.start * WORDS..tasks.end * WORDS
}

/// A word that all tasks have, and in each as many more that no other has.
fn text() -> String {
    let mut text = String::new();
    for task in 0..TASKS {
        text += "a\n";
        words_of(task..task + 1).for_each(|word| writeln!(text, "word{word:09}").expect("text"));
    }
    text
}

/// What is counted in these tasks together.
fn counted(tasks: Range<u32>) -> String {
    let mut listing = format!("{:7} a\n", tasks.len());
    words_of(tasks).for_each(|word| writeln!(listing, "{:7} word{word:09}", 1).expect("text"));
    listing
}

/// What the first, the second and the third level come to, but for what a later level comes to as well.
fn results() -> [Vec<BlobId>; 3] {
    let of = |tasks: u32, groups: u32| {
        let groups = (0..groups).map(|group| counted(group * tasks..(group + 1) * tasks));
        groups.map(|listing| BlobId::of(listing.as_bytes())).collect()
    };
    [of(2, 6), of(4, 2), of(8, 1)]
}

/// Waits until the third level is under way; which level is by the time that it is seen.
async fn third_level(client: &Client, id: &str) -> usize {
    loop {
        let events = client.job(id).await.expect("the job").events;
        let begun = |level: &usize| events.iter().any(|event| event.text.contains(&format!("level {level} of")));
        if let Some(level) = (3..=4).rfind(begun) {
            return level;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_goes_once_the_next_is_over_and_a_restart_comes_to_the_same() {
    let mut mesh = Mesh::start(3).await;
    let (mut job, _) = crate::word_count(&mesh, 2, &text()).await;
    let Input::Split { split, .. } = &mut job.input else { panic!("its input is split") };
    *split = Split::Lines(u64::from(WORDS) + 1);
    job.reduce = job.reduce.map(|reduce| Reduce { fan_in: Some(2), ..reduce });
    let id = mesh.client(2).submit(&job).await.expect("taken on").id.to_string();
    tokio::time::timeout(rig::LIMIT, third_level(&mesh.client(2), &id)).await.expect("the third level begins");
    // Without workers it stays where it is.
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(mesh.daemons.remove(0).stop().await);
    }
    let under_way = third_level(&mesh.client(0), &id).await;
    for restarts in 0..3 {
        let client = mesh.client(0);
        let state = client.job(&id).await.expect("the job").summary.state;
        assert_eq!(state, JobState::Reducing, "the job was too fast to be interrupted");
        for (level, blobs) in (1..under_way).zip(results()) {
            for blob in blobs {
                let is_kept = client.blob(blob).await.is_ok_and(|blob| blob.pinned);
                assert_eq!(is_kept, level + 1 == under_way, "level {level} of {under_way}, {restarts} restarts");
            }
        }
        // So the second restart is one at which results of the first levels are gone.
        client.collect_blobs(&CollectBlobs::default()).await.expect("collected");
        client.blob(results()[0][0]).await.expect_err("nobody keeps it");
        let folder = mesh.daemons.remove(0).stop().await;
        mesh.daemons.push(rig::start(folder, vec![], false).await);
    }
    let address = mesh.daemons[0].ready.addresses[0].clone();
    for folder in workers {
        mesh.daemons.push(rig::start(folder, vec![address.clone()], false).await);
    }
    let client = mesh.client(0);
    let summary = rig::finish(&client, &id).await;
    assert_eq!(summary.state, JobState::Complete, "{}", summary.message);
    let chunks = client.job_stdout(&id, Which::Final).await.expect("a result");
    let stdout = chunks.map(|chunk| chunk.expect("bytes").to_vec()).collect::<Vec<_>>().await.concat();
    assert!(stdout == counted(0..TASKS).as_bytes(), "{} bytes", stdout.len());
    assert!(client.blob(BlobId::of(&stdout)).await.expect("here").pinned);
    for blob in results().concat() {
        assert!(!client.blob(blob).await.is_ok_and(|blob| blob.pinned), "all levels are let go");
    }
}
