//! Help, versions, completions, and slips of the command line itself.

use crate::program::Place;

#[test]
fn every_command_has_help() {
    let place = Place::new();
    let overview = place.run(&["--help"]);
    let commands = [
        "init",
        "daemon",
        "stop",
        "id",
        "version",
        "status",
        "peers",
        "bootstrap",
        "run",
        "exec",
        "doctor",
        "job",
        "testnet",
        "demo",
        "completions",
        "wallet",
        "receipts",
        "ledger",
    ];
    for command in commands {
        assert!(overview.succeeds().contains(command), "{command}");
        assert!(place.run(&[command, "--help"]).succeeds().contains("Usage: pocketmesh"), "{command}");
    }
    for [command, inner] in [
        ["peers", "list"],
        ["peers", "connect"],
        ["bootstrap", "add"],
        ["bootstrap", "rm"],
        ["bootstrap", "list"],
        ["job", "list"],
        ["job", "describe"],
        ["job", "get"],
        ["job", "stop"],
        ["receipts", "verify-fraud"],
        ["receipts", "list-fraud"],
        ["reputation", "list"],
        ["reputation", "show"],
        ["ledger", "show"],
        ["ledger", "audit"],
        ["wallet", "balance"],
        ["wallet", "history"],
        ["wallet", "export"],
        ["receipts", "list"],
        ["receipts", "verify"],
        ["receipts", "export"],
    ] {
        place.run(&[command, inner, "--help"]).succeeds();
    }
}

#[test]
fn the_flags_of_run_are_those_that_scripts_rely_on() {
    let help = Place::new().run(&["run", "--help"]);
    let flags = [
        "-i",
        "--input",
        "--split",
        "--range",
        "--reduce",
        "-o",
        "--confidence",
        "--assume-saboteurs",
        "--audit",
        "--replicas",
        "--provisional",
        "--max-price",
        "--per-gib",
        "--budget",
        "--memory",
        "--fuel",
        "--timeout",
        "--output-limit",
        "--env",
        "SRC[:DST]",
        "--detach",
        "--id-only",
        "--dry-run",
        "--json",
        "--data-dir",
        "[ARGS]",
    ];
    for flag in flags {
        assert!(help.succeeds().contains(flag), "{flag}");
    }
}

#[test]
fn test_aids_are_not_advertised() {
    let help = Place::new().run(&["daemon", "--help"]);
    assert!(!help.succeeds().contains("sabotage"));
    assert!(!Place::new().run(&["--help"]).succeeds().contains("executor"));
}

#[test]
fn no_command_at_all_shows_the_help_and_is_bad_usage() {
    let place = Place::new();
    let output = place.command(&[]).env_remove("POCKETMESH_HOME").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: pocketmesh"));
    place.run(&["job"]).fails(2, &["list, describe, get, stop"]);
}

#[test]
fn slips_are_one_line_and_exit_with_2() {
    let place = Place::new();
    place.run(&["rum"]).fails(2, &["rum", "--help"]);
    place.run(&["run"]).fails(2, &["PROG.wasm", "pocketmesh run --help"]);
    place.run(&["run", "a.wasm", "--replikas", "3"]).fails(2, &["--replikas"]);
    place.run(&["run", "a.wasm", "--replicas", "0"]).fails(2, &["--replicas", "1..=16"]);
    place.run(&["run", "a.wasm", "--replicas", "17"]).fails(2, &["--replicas"]);
    place.run(&["run", "a.wasm", "--confidence", "1"]).fails(2, &["--confidence", "below 1"]);
    place.run(&["run", "a.wasm", "--confidence", "0.5"]).fails(2, &["at least 0.9"]);
    place.run(&["run", "a.wasm", "--assume-saboteurs", "50%"]).fails(2, &["at most 49%"]);
    place.run(&["run", "a.wasm", "--audit", "nobody"]).fails(2, &["own, mesh or auto"]);
    place.run(&["run", "a.wasm", "--replicas", "3", "--audit", "own"]).fails(2, &["cannot be used with"]);
    place.run(&["run", "a.wasm", "--provisional", "--detach"]).fails(2, &["cannot be used with"]);
    place
        .run(&["testnet", "--peers", "5", "--saboteurs", "1", "--sleepers", "2"])
        .fails(2, &["more than the 1 --saboteurs"]);
    place.run(&["run", "a.wasm", "--budget", "lots"]).fails(2, &["--budget", "nano-credits"]);
    place.run(&["receipts", "verify", "nowhere"]).fails(2, &["cannot read nowhere"]);
    place.run(&["receipts", "verify-fraud", "nowhere"]).fails(2, &["cannot read nowhere"]);
    place.run(&["run", "a.wasm", "--split", "lines=0"]).fails(2, &["--split", "cannot be empty"]);
    place.run(&["run", "a.wasm", "--split", "lines=5"]).fails(2, &["--input"]);
    place.run(&["run", "a.wasm", "--memory", "much"]).fails(2, &["`much` is not a size"]);
    place.run(&["run", "a.wasm", "--timeout", "5"]).fails(2, &["--timeout", "unit"]);
    place.run(&["run", "a.wasm", "--fuel", "1e9"]).fails(2, &["--fuel"]);
    place.run(&["run", "a.wasm", "-i", "x", "--range", "0..5"]).fails(2, &["cannot be used with"]);
    place.run(&["job", "describe"]).fails(2, &["<JOB>"]);
    place.run(&["testnet", "--peers", "1"]).fails(2, &["--peers"]);
    place.run(&["testnet", "--peers", "3", "--saboteurs", "3"]).fails(2, &["honest"]);
    place.run(&["demo", "--peers", "4"]).fails(2, &["--peers"]);
    place.run(&["demo", "--out", "nowhere"]).fails(2, &["nowhere does not exist"]);
    place.run(&["completions", "tcsh2"]).fails(2, &["tcsh2"]);
    assert!(place.names().is_empty(), "nothing is left behind: {:?}", place.names());
}

#[test]
fn the_version_is_shown() {
    let place = Place::new();
    assert_eq!(place.run(&["version"]).succeeds(), concat!("pocketmesh ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(place.run(&["--version"]).succeeds(), concat!("pocketmesh ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(place.run(&["version", "--json"]).json()["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn shells_get_completions() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(place.run(&["completions", shell]).succeeds().contains("pocketmesh"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    use std::process::Stdio;
    let place = Place::new();
    let mut child =
        place.command(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "silent");
    assert!(output.status.success());
}
