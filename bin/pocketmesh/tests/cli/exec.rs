//! `exec`: one task, here, and what it came to.

use crate::program::{MODULE, Place, guest, names};
use std::fs;
use std::io::Write;
use std::process::Stdio;

#[test]
fn a_task_has_the_same_digest_every_time() {
    let place = Place::new();
    let exec = |more: &[&str]| {
        let args = ["exec", &guest("textgen"), "--json"];
        place.run(&[&args[..], more, &["--", "{index}", "1000"]].concat()).json()
    };
    let first = exec(&[]);
    assert_eq!(first["success"], true);
    assert_eq!(first["exit"], "exit code 0");
    assert_eq!(first["digest"].as_str().map(str::len), Some(64));
    assert!(first["fuel"].as_u64() > Some(1_000), "{first}");
    assert!(first["ns_per_fuel"].as_f64() > Some(0.0) && first["wall_ms"].as_f64() > Some(0.0), "{first}");
    assert_eq!(first["memory"], 256 << 20);
    assert_eq!(first["files"], serde_json::json!([]));
    for again in [exec(&[]), exec(&["--interpreted"]), exec(&["--in-process"])] {
        for same in ["digest", "fuel", "profile", "stdout"] {
            assert_eq!(first[same], again[same], "{same}");
        }
    }
    assert_ne!(first["stdout"]["id"], exec(&["--index", "8"])["stdout"]["id"]);
    assert!(place.names().is_empty(), "no data folder is needed, and none is made");
}

#[test]
fn standard_input_is_all_sources_joined() {
    let place = Place::new();
    let (one, two) = (place.file("one", "b a\n"), place.file("two", "b\n"));
    let ended = place.run(&["exec", &guest("wordcount"), "-i", &one, "-i", &two]);
    let counts: Vec<_> = ended.succeeds().split_whitespace().collect();
    assert_eq!(counts, ["1", "a", "2", "b"]);
    for part in ["exit     exit code 0\n", "digest   ", "fuel     ", "profile  ", "memory   256 MiB", "none under /out"]
    {
        assert!(ended.stderr.contains(part), "{part:?} in {}", ended.stderr);
    }
    let quiet = place.run(&["exec", &guest("wordcount"), "-q", "-i", &one, "-i", &two]);
    assert_eq!((quiet.succeeds(), &*quiet.stderr), (&*ended.stdout, ""));
}

#[test]
fn a_dash_is_standard_input_of_the_command() {
    let place = Place::new();
    let mut command = place.command(&["exec", &guest("wordcount"), "-i", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"x x\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>(), ["2", "x"]);
}

#[test]
fn a_program_that_fails_says_why_and_so_does_the_exit_code() {
    let place = Place::new();
    let ended = place.run(&["exec", &guest("primes")]);
    assert_eq!((ended.code, &*ended.stdout), (1, ""));
    assert!(ended.stderr.contains("usage: primes") && ended.stderr.contains("exit code 2"), "{}", ended.stderr);
    let starved = place.run(&["exec", &guest("primes"), "--json", "--fuel", "1k", "--", "0"]);
    assert_eq!(starved.code, 1);
    let account: serde_json::Value = serde_json::from_str(&starved.stdout).unwrap();
    assert_eq!((&account["exit"], &account["fuel"]), (&"out of fuel".into(), &1_000.into()));
    let flood = ["exec", &guest("textgen"), "--json", "--output-limit", "1KiB", "--", "0", "5000"];
    let account: serde_json::Value = serde_json::from_str(&place.run(&flood).stdout).unwrap();
    assert_eq!(
        (&account["exit"], &account["stdout"]["len"]),
        (&"wrote more than the output limit".into(), &1024.into())
    );
}

#[test]
fn what_no_peer_would_run_is_refused() {
    let place = Place::new();
    let (module, text) = (place.file("a.wasm", MODULE), place.file("b.wasm", "text"));
    place.run(&["exec", "none.wasm"]).fails(2, &["cannot read the program none.wasm"]);
    place.run(&["exec", &text]).fails(2, &["is not WebAssembly"]);
    place.run(&["exec", &module]).fails(2, &["no `_start` function"]);
    place.run(&["exec", &guest("noop"), "--memory", "64KiB"]).fails(2, &["from the start", "raise the"]);
    place.run(&["exec", &guest("noop"), "--fuel", "0"]).fails(2, &["the fuel limit is out of range"]);
    place.run(&["exec", &guest("noop"), "--env", "A"]).fails(2, &["--env", "NAME=VALUE"]);
    place.run(&["exec", &guest("noop"), "-o", "a.wasm"]).fails(2, &["cannot put the result into a.wasm"]);
    place.run(&["exec", &guest("noop"), "--", "{input}"]).fails(2, &["`{input}`", "name one with -i SRC"]);
}

#[test]
fn files_go_in_and_come_back() {
    let place = Place::new();
    fs::create_dir_all(place.path("data/deep")).unwrap();
    place.file("data/a.txt", "one\ntwo\n");
    place.file("data/deep/b.txt", "three\n");
    let stdin = place.file("c.txt", "four");
    let args = ["exec", &guest("filecopy"), "-i", "data:x", "-i", &stdin, "-o", "out"];
    let ended = place.run(&[&args[..], &["--", "/in/x/a.txt", "/in/x/deep/b.txt", "{input}"]].concat());
    assert_eq!(ended.succeeds(), "2\n1\n0\n");
    assert!(ended.stderr.contains("3 files, 18 bytes, in out"), "{}", ended.stderr);
    assert_eq!(names(&place.path("out")), ["a.txt", "b.txt", "input.txt"]);
    assert_eq!(fs::read(place.path("out/b.txt")).unwrap(), b"THREE\n");
    assert_eq!(fs::read(place.path("out/input.txt")).unwrap(), b"FOUR");
    let account = place.run(&["exec", &guest("filecopy"), "--json", "-i", "data:", "--", "/in/a.txt"]).json();
    assert_eq!(account["files"][0]["path"], "a.txt");
    assert_eq!(account["files"][0]["len"], 8);
    let told = place.run(&["exec", &guest("filecopy"), "-i", "data:", "--", "/in/a.txt"]);
    assert!(told.stderr.contains("1 file, 8 bytes, under /out and not kept: -o DIR keeps them"), "{}", told.stderr);
}
