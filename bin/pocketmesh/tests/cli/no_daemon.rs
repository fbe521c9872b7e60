//! Commands that need a daemon, when there is none.

use crate::program::{MODULE, Place};

#[test]
fn each_says_so_and_exits_with_4() {
    let place = Place::new();
    let program = place.file("a.wasm", MODULE);
    let commands: [&[&str]; 11] = [
        &["status"],
        &["status", "--json"],
        &["stop"],
        &["peers", "list"],
        &["peers", "connect", "/ip4/127.0.0.1/tcp/1"],
        &["job", "list"],
        &["job", "describe", "abcdef01"],
        &["job", "get", "abcdef01", "-o", "out"],
        &["job", "stop", "abcdef01"],
        &["run", &program],
        &["run", &program, "--range", "0..5", "-o", "out"],
    ];
    for args in commands {
        place.run(args).fails(4, &["no daemon is running for ", "start it with `pocketmesh daemon"]);
    }
    assert_eq!(place.names(), ["a.wasm"], "nothing is left behind");
}

#[test]
fn an_initialised_folder_without_a_daemon_is_the_same() {
    let place = Place::new();
    place.run(&["init"]).succeeds();
    place.run(&["status"]).fails(4, &["no daemon is running for "]);
}

#[test]
fn what_cannot_be_a_job_id_is_told_without_a_daemon() {
    let place = Place::new();
    place.run(&["job", "describe", "../status"]).fails(2, &["`../status` is not a job id"]);
    place.run(&["peers", "connect", "nowhere"]).fails(2, &["`nowhere` is not the address of a peer"]);
}
