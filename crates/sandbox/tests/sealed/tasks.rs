//! Tasks through the pipes: the same outcomes as in the process, everybody told once, stoppable.

use crate::Claim;
use crate::rig::{ENGINE, command, guest, load, with_args};
use crate::watch::{ENDLESS, PATIENCE, ROOM, children, honest, next, start, submit, task_of};
use pocketmesh_sandbox::{Contents, Executed, Executor as _, Failure, Kept, Stdin, Submission, Task};
use pocketmesh_types::tree::File;
use pocketmesh_types::{BlobId, Exit, Fuel, Output, Tree};
use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

pub const CLAIMS: &[Claim] = &[
    ("outcomes_are_those_of_the_same_task_in_the_process", outcomes_are_those_of_the_same_task_in_the_process),
    ("the_interpreter_comes_to_the_same", the_interpreter_comes_to_the_same),
    ("batches_keep_each_task_to_its_input", batches_keep_each_task_to_its_input),
    ("every_kind_of_end_comes_through", every_kind_of_end_comes_through),
    ("large_inputs_and_outputs_pass", large_inputs_and_outputs_pass),
    ("inputs_that_are_blobs_pass_and_a_missing_one_fails_its_task_alone", inputs_that_are_blobs_pass),
    ("files_are_read_once_for_all_tasks_of_a_tree", files_are_read_once_for_all_tasks_of_a_tree),
    ("a_missing_file_fails_its_task_alone", a_missing_file_fails_its_task_alone),
    ("a_stopped_task_ends_at_once_running_or_waiting", a_stopped_task_ends_at_once_running_or_waiting),
    ("stopping_a_task_leaves_the_one_before_it_running", stopping_a_task_leaves_the_one_before_it_running),
    ("a_full_queue_gives_the_task_back", a_full_queue_gives_the_task_back),
    ("whoever_is_told_may_panic", whoever_is_told_may_panic),
    ("dropping_it_tells_everybody_and_leaves_no_process", dropping_it_tells_everybody_and_leaves_no_process),
    ("what_cannot_be_handed_over_is_said", what_cannot_be_handed_over_is_said),
];

const GUESTS: [(&str, &[&str]); 5] =
    [("noop", &[]), ("primes", &["3"]), ("mandelbrot", &["7"]), ("textgen", &["5"]), ("wordcount", &[])];

fn compare(config: pocketmesh_sandbox::sealed::SealedConfig, guests: &[(&str, &[&str])]) {
    let programs: Vec<Vec<u8>> = guests.iter().map(|(name, _)| guest(name)).collect();
    let served: Vec<&[u8]> = programs.iter().map(Vec::as_slice).collect();
    let sealed = start(config, &served);
    let (done, ends) = sync_channel(ROOM);
    for ((name, args), wasm) in guests.iter().zip(&programs) {
        let stdin = b"to be or not to be\n".repeat(4);
        let task = Task { stdin: stdin.into(), program: BlobId::of(wasm), ..with_args(args) };
        let inside = ENGINE.run(&load(&ENGINE, wasm), task.clone(), Contents::default()).expect("an outcome");
        submit(&sealed, task, &done);
        let outside = next(&ends).expect("an outcome");
        assert_eq!(outside.outcome.digest(), inside.outcome.digest(), "{name}");
        assert_eq!(outside, inside, "{name}");
    }
}

fn outcomes_are_those_of_the_same_task_in_the_process() {
    compare(honest(1), &GUESTS);
}

fn the_interpreter_comes_to_the_same() {
    let pulley = pocketmesh_sandbox::Backend::Pulley;
    compare(pocketmesh_sandbox::sealed::SealedConfig { backend: pulley, ..honest(1) }, &GUESTS[3..]);
}

/// Says its input back, three times.
const ECHO: &str = "(i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const 64))
    (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
    (local.set $i (i32.load (i32.const 24)))
    (call $put (i32.const 1) (i32.const 1024) (local.get $i))
    (call $put (i32.const 2) (i32.const 1024) (local.get $i))";

fn batches_keep_each_task_to_its_input() {
    let (echo, noop) = (command(ECHO), guest("noop"));
    let sealed = start(honest(2), &[&echo, &noop]);
    let told = Arc::new(Mutex::new(BTreeMap::new()));
    let (done, ends) = sync_channel(ROOM);
    for number in 0..3000u32 {
        let wasm = if number % 7 == 0 { &noop } else { &echo };
        let task = Task { stdin: number.to_le_bytes().to_vec().into(), ..task_of(wasm) };
        let (told, done) = (Arc::clone(&told), done.clone());
        let on_done = Box::new(move |ended: Result<Executed<Kept>, Failure>| {
            let before = told.lock().expect("no panic").insert(number, ());
            assert!(before.is_none(), "told twice");
            done.send((number, ended.map(|executed| executed.here().expect("all of it")))).expect("the test listens");
        });
        sealed.submit(Submission { task, on_done }).expect("room in the queue");
    }
    for _ in 0..3000 {
        let (number, ended): (u32, crate::watch::Ended) = ends.recv_timeout(PATIENCE).expect("an end");
        let written = ended.expect("an outcome").written;
        if number % 7 != 0 {
            assert_eq!((written.stdout, written.stderr), (number.to_le_bytes().into(), number.to_le_bytes().into()));
        }
    }
    drop((sealed, done));
    assert!(ends.recv_timeout(PATIENCE).is_err(), "nobody is told twice");
}

fn every_kind_of_end_comes_through() {
    let ends_with = [
        ("(call $exit (i32.const -5))", Exit::Code(-5)),
        ("(unreachable)", Exit::Trap),
        ("(loop $more (br $more))", Exit::OutOfFuel),
        ("(loop $more (call $put (i32.const 1) (i32.const 0) (i32.const 1000)) (br $more))", Exit::OutputLimit),
    ];
    let programs = ends_with.map(|(body, _)| command(body));
    let deep = crate::rig::wat(
        r#"(module (memory (export "memory") 1) (func $deeper (call $deeper)) (func (export "_start") (call $deeper)))"#,
    );
    let served: Vec<&[u8]> = programs.iter().chain([&deep]).map(Vec::as_slice).collect();
    let sealed = start(honest(1), &served);
    let (done, ends) = sync_channel(ROOM);
    for (wasm, (body, exit)) in programs.iter().zip(ends_with) {
        let mut task = task_of(wasm);
        task.limits.fuel = Fuel(20_000_000);
        submit(&sealed, task, &done);
        assert_eq!(next(&ends).expect("an outcome").outcome.exit, exit, "{body}");
    }
    submit(&sealed, task_of(&deep), &done);
    assert!(matches!(next(&ends), Err(Failure::StackExhausted)));
}

fn large_inputs_and_outputs_pass() {
    let wasm = guest("wordmerge");
    let sealed = start(honest(1), &[&wasm]);
    let (done, ends) = sync_channel(ROOM);
    let text: String = (0..400_000).map(|number| format!("{number:>7} w{number:07}\n")).collect();
    let mut task = Task { stdin: text.into_bytes().into(), ..task_of(&wasm) };
    task.limits.output = 64 << 20;
    let inside = ENGINE.run(&load(&ENGINE, &wasm), task.clone(), Contents::default()).expect("an outcome");
    assert!(inside.written.stdout.len() > 4 << 20, "{} bytes", inside.written.stdout.len());
    submit(&sealed, task, &done);
    assert_eq!(next(&ends).expect("an outcome"), inside);
}

fn inputs_that_are_blobs_pass() {
    let (wasm, text) = (guest("wordcount"), b"to be or not to be\n".repeat(100_000));
    let sealed = start(honest(1), &[&wasm, &text]);
    let (done, ends) = sync_channel(ROOM);
    let here = Task { stdin: text.clone().into(), ..task_of(&wasm) };
    let inside = ENGINE.run(&load(&ENGINE, &wasm), here.clone(), Contents::default()).expect("an outcome");
    let blob = |output: Output| Task { stdin: Stdin::Blob(output), ..here.clone() };
    // One that is there, one that nobody has, one of another length, and the first one again.
    submit(&sealed, blob(Output::of(&text)), &done);
    assert_eq!(next(&ends).expect("an outcome"), inside);
    submit(&sealed, blob(Output::of(b"missing")), &done);
    assert!(matches!(next(&ends), Err(Failure::Load(_))));
    submit(&sealed, blob(Output { len: 7, ..Output::of(&text) }), &done);
    assert!(matches!(next(&ends), Err(Failure::Load(_))));
    submit(&sealed, blob(Output::of(&text)), &done);
    assert_eq!(next(&ends).expect("an outcome"), inside);
}

fn tree(contents: &[&[u8]]) -> Arc<Tree> {
    let file = |(number, bytes): (usize, &&[u8])| File { path: format!("f{number}"), content: Output::of(bytes) };
    Arc::new(Tree::new(contents.iter().enumerate().map(file).collect()).expect("a tree"))
}

fn files_are_read_once_for_all_tasks_of_a_tree() {
    let (wasm, large) = (guest("noop"), vec![7; 1 << 20]);
    let reads = Arc::new(Mutex::new(Vec::new()));
    let (noted, blobs) = (Arc::clone(&reads), crate::watch::serves(&[&wasm, &large, b"small"]));
    let loader = Arc::new(move |id| {
        noted.lock().expect("no panic").push(id);
        blobs(id)
    });
    let sealed = pocketmesh_sandbox::sealed::Sealed::start(honest(1), loader, None).expect("threads");
    let (done, ends) = sync_channel(ROOM);
    for _ in 0..20 {
        let files = tree(&[&large, b"small"]);
        submit(&sealed, Task { files, stdin: vec![1; 64].into(), ..task_of(&wasm) }, &done);
    }
    for _ in 0..20 {
        assert_eq!(next(&ends).expect("an outcome").outcome.exit, Exit::Code(0));
    }
    let reads = reads.lock().expect("no panic").clone();
    assert_eq!(reads, [BlobId::of(&wasm), BlobId::of(&large), BlobId::of(b"small")]);
}

fn a_missing_file_fails_its_task_alone() {
    let wasm = guest("noop");
    let sealed = start(honest(1), &[&wasm, b"here"]);
    let (done, ends) = sync_channel(ROOM);
    submit(&sealed, Task { files: tree(&[b"here", b"gone"]), ..task_of(&wasm) }, &done);
    assert_eq!(next(&ends).expect_err("no file").to_string(), "failed to read the program: no such blob");
    submit(&sealed, Task { files: tree(&[b"here"]), ..task_of(&wasm) }, &done);
    assert!(next(&ends).is_ok());
}

fn a_stopped_task_ends_at_once_running_or_waiting() {
    let (wasm, (done, ends)) = (command(ENDLESS), sync_channel(ROOM));
    let sealed = start(honest(1), &[&wasm]);
    let (running, waiting) = (submit(&sealed, task_of(&wasm), &done), submit(&sealed, task_of(&wasm), &done));
    waiting.stop();
    assert!(matches!(next(&ends), Err(Failure::Stopped)));
    crate::watch::computing(&ends);
    running.stop();
    assert!(matches!(next(&ends), Err(Failure::Stopped)));
    running.stop();
    drop((sealed, done));
    assert!(ends.recv_timeout(PATIENCE).is_err(), "nobody is told twice");
}

fn stopping_a_task_leaves_the_one_before_it_running() {
    let wasm = command(crate::faults::ENDLESS_FOR_13);
    let sealed = start(honest(1), &[&wasm]);
    let (done, ends) = sync_channel(ROOM);
    let submit_input = |input: u8| submit(&sealed, Task { stdin: vec![input].into(), ..task_of(&wasm) }, &done);
    // Short ones first, so that those after them are handed over together.
    (0..500).for_each(|_| drop(submit_input(1)));
    let (running, stopped, _kept) = (submit_input(13), submit_input(2), submit_input(3));
    for _ in 0..500 {
        assert_eq!(next(&ends).expect("an outcome").outcome.exit, Exit::Code(1));
    }
    crate::watch::computing(&ends);
    stopped.stop();
    assert!(matches!(next(&ends), Err(Failure::Stopped)));
    crate::watch::computing(&ends);
    running.stop();
    assert!(matches!(next(&ends), Err(Failure::Stopped)));
    assert_eq!(next(&ends).expect("an outcome").outcome.exit, Exit::Code(3));
}

fn a_full_queue_gives_the_task_back() {
    let (wasm, (done, ends)) = (command(ENDLESS), sync_channel(ROOM));
    let sealed = start(pocketmesh_sandbox::sealed::SealedConfig { queue: 2, ..honest(1) }, &[&wasm]);
    let running = submit(&sealed, task_of(&wasm), &done);
    crate::watch::computing(&ends);
    submit(&sealed, task_of(&wasm), &done);
    submit(&sealed, task_of(&wasm), &done);
    let on_done = Box::new(|_| panic!("nobody is told"));
    let back = sealed.submit(Submission { task: task_of(&wasm), on_done }).expect_err("the queue is full");
    assert_eq!(back.task.program, BlobId::of(&wasm));
    assert!(sealed.prepare(BlobId::of(&wasm), Box::new(|_| {})).is_err());
    running.stop();
    assert!(matches!(next(&ends), Err(Failure::Stopped)));
}

fn whoever_is_told_may_panic() {
    let (wasm, (done, ends)) = (guest("noop"), sync_channel(ROOM));
    let sealed = start(honest(1), &[&wasm]);
    let on_done = Box::new(|_| panic!("careless"));
    sealed.submit(Submission { task: task_of(&wasm), on_done }).expect("room in the queue");
    submit(&sealed, task_of(&wasm), &done);
    assert!(next(&ends).is_ok());
}

fn dropping_it_tells_everybody_and_leaves_no_process() {
    let (wasm, (done, ends)) = (command(ENDLESS), sync_channel(ROOM));
    let sealed = start(honest(2), &[&wasm]);
    for _ in 0..4 {
        submit(&sealed, task_of(&wasm), &done);
    }
    crate::watch::computing(&ends);
    drop(sealed);
    for _ in 0..4 {
        assert!(matches!(ends.try_recv(), Ok(Err(Failure::Stopped))));
    }
    assert!(children().is_empty(), "{:?}", children());
}

fn what_cannot_be_handed_over_is_said() {
    let (wasm, (done, ends)) = (guest("noop"), sync_channel(ROOM));
    let sealed = start(honest(1), &[&wasm]);
    submit(&sealed, Task { args: vec!["x".repeat(9 << 20)], ..task_of(&wasm) }, &done);
    let failure = next(&ends).expect_err("too much").to_string();
    assert!(failure.contains("more bytes than can be handed"), "{failure}");
}
