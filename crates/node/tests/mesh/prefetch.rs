//! Inputs are fetched while the tasks before them run, on whole daemons and over real connections.

use crate::rig::{self, Mesh, guest};
use pocketmesh_api::{Input, JobState, Source, Split};

const TASKS: usize = 24;
/// More than one part of the exchange, and far less to send than a task takes to run.
const INPUT_BYTES: usize = 300_000;

/// What busy cores may cost: where nothing is fetched ahead, all tasks are waited for.
const WAITED_MAX: u64 = TASKS as u64 / 3;

#[tokio::test(flavor = "multi_thread")]
async fn cores_hardly_wait_for_inputs_after_the_first() {
    let mesh = Mesh::start(3).await;
    let primes = mesh.upload(0, &guest("primes")).await;
    let bytes: Vec<u8> = (0..TASKS * INPUT_BYTES).map(|at| (at / INPUT_BYTES + at % 251) as u8).collect();
    let source = Source { name: "inputs".into(), blob: mesh.upload(0, &bytes).await, len: bytes.len() as u64 };
    let input = Input::Split { sources: vec![source], split: Split::Bytes(INPUT_BYTES as u64) };
    // Its tasks read nothing of their input, and are not begun before it is there.
    let (summary, _) = mesh.run(0, rig::job(primes, input, &["{index}", "20000000", "400000"])).await;
    assert_eq!((summary.state, summary.done as usize), (JobState::Complete, TASKS), "{}", summary.message);
    for worker in 1..3 {
        let work = mesh.client(worker).status().await.expect("a status").work;
        assert!(work.executed >= TASKS as u64, "both work on all of it: {work:?}");
        assert!(work.waited <= WAITED_MAX, "most inputs are here before they are needed: {work:?}");
    }
}
