//! Executors that die, hang or lie: the daemon goes on, nobody waits for ever, and nothing is left behind.

use crate::Claim;
use crate::rig::{command, guest};
use crate::watch::{
    ENDLESS, PATIENCE, ROOM, children, computing, config, honest, kill, next, refusal, start, submit, task_of,
};
use pocketmesh_sandbox::sealed::SealedConfig;
use pocketmesh_sandbox::{Failure, ProgramError, Task};
use pocketmesh_types::{Exit, Fuel};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::sync_channel;

pub const CLAIMS: &[Claim] = &[
    ("a_task_past_its_time_ends_and_the_next_one_runs", a_task_past_its_time_ends_and_the_next_one_runs),
    ("an_endless_task_costs_the_others_of_its_batch_nothing", an_endless_task_costs_the_others_of_its_batch_nothing),
    ("a_task_whose_executor_was_killed_runs_again", a_task_whose_executor_was_killed_runs_again),
    ("a_task_whose_executor_dies_twice_is_given_up", a_task_whose_executor_dies_twice_is_given_up),
    ("an_idle_executor_that_was_killed_is_replaced", an_idle_executor_that_was_killed_is_replaced),
    ("executors_killed_again_and_again_lose_no_task", executors_killed_again_and_again_lose_no_task),
    ("executors_die_with_the_daemon", executors_die_with_the_daemon),
    ("a_child_that_lies_is_not_believed", a_child_that_lies_is_not_believed),
    ("a_child_that_is_no_executor_is_said_to_be_none", a_child_that_is_no_executor_is_said_to_be_none),
    ("a_command_that_is_not_there_is_said_to_be_missing", a_command_that_is_not_there_is_said_to_be_missing),
];

fn a_task_past_its_time_ends_and_the_next_one_runs() {
    let (endless, noop, (done, ends)) = (command(ENDLESS), guest("noop"), sync_channel(ROOM));
    let sealed = start(honest(1), &[&endless, &noop]);
    for _ in 0..3 {
        let mut task = task_of(&endless);
        task.limits.wall_ms = 20;
        submit(&sealed, task, &done);
        submit(&sealed, task_of(&noop), &done);
        assert!(matches!(next(&ends), Err(Failure::WallClock)));
        assert!(next(&ends).is_ok());
    }
    assert!(children().iter().all(|child| !child.is_zombie), "{:?}", children());
}

/// Never ends if its input is 13, and otherwise ends with its input for an exit code.
pub const ENDLESS_FOR_13: &str = "
    (i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const 64))
    (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
    (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 13)) (then (loop $more (br $more))))
    (call $exit (i32.load8_u (i32.const 1024)))";

fn an_endless_task_costs_the_others_of_its_batch_nothing() {
    // Short at first, so that batches have grown when the endless ones come.
    let wasm = command(ENDLESS_FOR_13);
    let sealed = start(honest(1), &[&wasm]);
    let (done, ends) = sync_channel(ROOM);
    let submit_all = |inputs: &[u8]| {
        for &input in inputs {
            let mut task = Task { stdin: vec![input].into(), ..task_of(&wasm) };
            task.limits.wall_ms = 200;
            submit(&sealed, task, &done);
        }
    };
    submit_all(&[1; 500]);
    submit_all(&[2, 2, 2, 13, 3, 13, 4]);
    submit_all(&[5; 100]);
    let mut exits = Vec::new();
    let mut late = 0;
    for _ in 0..607 {
        match next(&ends) {
            Ok(executed) => exits.push(executed.outcome.exit),
            Err(Failure::WallClock) => late += 1,
            Err(other) => panic!("{other}"),
        }
    }
    let count = |code| exits.iter().filter(|exit| **exit == Exit::Code(code)).count();
    assert_eq!((late, [1, 2, 3, 4, 5].map(count)), (2, [500, 3, 1, 1, 100]));
}

/// Takes a second or so, and says how it ended.
fn long_task(wasm: &[u8]) -> Task {
    let mut task = task_of(wasm);
    task.limits.fuel = Fuel(3_000_000_000);
    task
}

fn a_task_whose_executor_was_killed_runs_again() {
    let (wasm, (done, ends)) = (command(ENDLESS), sync_channel(ROOM));
    let sealed = start(honest(1), &[&wasm]);
    submit(&sealed, long_task(&wasm), &done);
    kill(&computing(&ends));
    let outcome = next(&ends).expect("an outcome").outcome;
    assert_eq!((outcome.exit, outcome.fuel), (Exit::OutOfFuel, Fuel(3_000_000_000)));
    drop((sealed, done));
    assert!(ends.recv_timeout(PATIENCE).is_err(), "nobody is told twice");
    assert!(children().is_empty(), "{:?}", children());
}

fn a_task_whose_executor_dies_twice_is_given_up() {
    let (wasm, noop, (done, ends)) = (command(ENDLESS), guest("noop"), sync_channel(ROOM));
    let sealed = start(honest(1), &[&wasm, &noop]);
    submit(&sealed, task_of(&wasm), &done);
    for _ in 0..2 {
        kill(&computing(&ends));
    }
    let failure = next(&ends).expect_err("no outcome").to_string();
    assert!(failure.contains("its executor died 2 times"), "{failure}");
    submit(&sealed, task_of(&noop), &done);
    assert!(next(&ends).is_ok());
}

fn an_idle_executor_that_was_killed_is_replaced() {
    let (noop, (done, ends)) = (guest("noop"), sync_channel(ROOM));
    let sealed = start(honest(1), &[&noop]);
    for _ in 0..3 {
        submit(&sealed, task_of(&noop), &done);
        assert!(next(&ends).is_ok());
        let child = children().pop().expect("a runner");
        kill(&child);
        // It is waited for as soon as it is dead, with nothing to do for it.
        let deadline = std::time::Instant::now() + PATIENCE;
        while children().iter().any(|other| other.pid == child.pid) {
            assert!(std::time::Instant::now() < deadline, "a zombie");
            std::thread::yield_now();
        }
    }
}

fn executors_killed_again_and_again_lose_no_task() {
    let wasm = command(ENDLESS_FOR_13);
    let sealed = start(honest(2), &[&wasm]);
    let (done, ends) = sync_channel(ROOM);
    for _ in 0..3000 {
        submit(&sealed, Task { stdin: vec![7].into(), ..task_of(&wasm) }, &done);
    }
    let mut given_up = 0;
    for number in 0..3000 {
        match next(&ends) {
            Ok(executed) => assert_eq!(executed.outcome.exit, Exit::Code(7)),
            Err(failure) => {
                assert!(failure.to_string().contains("its executor died 2 times"), "{failure}");
                given_up += 1;
            }
        }
        if number % 150 == 0 {
            children().iter().filter(|child| !child.is_zombie).for_each(kill);
        }
    }
    assert!(given_up <= 20, "two executors died for each, and forty at most were killed: {given_up}");
    drop((sealed, done));
    assert!(ends.recv_timeout(PATIENCE).is_err(), "nobody is told twice");
    assert!(children().is_empty(), "{:?}", children());
}

/// A daemon whose executor computes, which says so, and waits to be killed.
pub fn daemon() -> ExitCode {
    let (wasm, (done, ends)) = (command(ENDLESS), sync_channel(ROOM));
    let sealed = start(honest(1), &[&wasm]);
    submit(&sealed, task_of(&wasm), &done);
    println!("{}", computing(&ends).pid);
    drop(ends.recv());
    ExitCode::FAILURE
}

fn executors_die_with_the_daemon() {
    let mut daemon = Command::new(std::env::current_exe().expect("this binary"));
    let mut daemon = daemon.arg("daemon").stdout(Stdio::piped()).spawn().expect("a daemon");
    let mut pid = String::new();
    BufReader::new(daemon.stdout.take().expect("a pipe")).read_line(&mut pid).expect("the executor's number");
    daemon.kill().expect("a child of ours");
    daemon.wait().expect("a child of ours");
    let deadline = std::time::Instant::now() + PATIENCE;
    // Somebody else waits for it, or nobody: then it is dead all the same.
    while std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(std::time::Instant::now() < deadline, "the executor computes for nobody");
        std::thread::yield_now();
    }
}

fn a_child_that_lies_is_not_believed() {
    let wasm = guest("noop");
    for lie in ["garbage", "huge", "other-task", "more-fuel", "other-kind", "half"] {
        let sealed = start(config(1, &["fake", lie]), &[&wasm]);
        let (done, ends) = sync_channel(ROOM);
        submit(&sealed, task_of(&wasm), &done);
        submit(&sealed, task_of(&wasm), &done);
        for _ in 0..2 {
            let failure = next(&ends).expect_err(lie).to_string();
            assert!(failure.contains("its executor died 2 times"), "{lie}: {failure}");
        }
        drop((sealed, done));
        assert!(ends.recv_timeout(PATIENCE).is_err(), "nobody is told twice");
        assert!(children().is_empty(), "{lie}: {:?}", children());
    }
}

fn a_child_that_is_no_executor_is_said_to_be_none() {
    let wasm = guest("noop");
    for mode in ["mute", "babble"] {
        let sealed = start(config(1, &["fake", mode]), &[&wasm]);
        let refused = refusal(&sealed, &wasm, &crate::rig::task().limits);
        assert!(matches!(&refused, ProgramError::NoCompiler(why) if why.contains("is no executor")), "{refused}");
        let why = sealed.seal().expect_err("no executor").to_string();
        assert!(why.contains("last words of a fake"), "{why}");
    }
}

fn a_command_that_is_not_there_is_said_to_be_missing() {
    let (wasm, (done, ends)) = (guest("noop"), sync_channel(ROOM));
    let sealed = start(SealedConfig { command: "/nowhere/at/all".into(), ..honest(1) }, &[&wasm]);
    submit(&sealed, task_of(&wasm), &done);
    let failure = next(&ends).expect_err("no executor").to_string();
    assert!(failure.contains("/nowhere/at/all"), "{failure}");
}
