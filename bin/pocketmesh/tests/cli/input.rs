//! Bad input to `run`, each told before the daemon is asked, with exit code 2 and nothing left behind.

use crate::program::{MODULE, Place, names};
use std::fs;

#[test]
fn what_is_no_program_is_told_what_it_is() {
    let place = Place::new();
    let cases: [(&[u8], &str); 6] = [
        (b"", "is empty"),
        (b"hello", "is not WebAssembly: build it for wasm32-wasip1"),
        (b"\x7fELF\x02\x01", "is a native program"),
        (b"(module)", "is WebAssembly text: turn it into a module with `wat2wasm`"),
        (b"\0asm\x0d\0\x01\0", "is a WebAssembly component"),
        (b"\0asm\x09\0\0\0", "of a version that is not known"),
    ];
    for (bytes, part) in cases {
        let program = place.file("program.wasm", bytes);
        place.run(&["run", &program, "-o", "out"]).fails(2, &["the program", part]);
    }
    place.run(&["run", "none.wasm"]).fails(2, &["cannot read the program none.wasm", "No such file"]);
    place.run(&["run", "."]).fails(2, &["cannot read the program ."]);
    assert_eq!(place.names(), ["program.wasm"]);
}

#[test]
fn the_reduce_program_is_checked_too() {
    let place = Place::new();
    let (program, text) = (place.file("a.wasm", MODULE), place.file("b.wasm", "text"));
    place.run(&["run", &program, "--reduce", &text]).fails(2, &["the reduce program", "is not WebAssembly"]);
    place.run(&["run", &program, "--reduce", "none"]).fails(2, &["cannot read the reduce program none"]);
}

#[test]
fn inputs_that_cannot_be_read_or_are_empty_are_refused() {
    let place = Place::new();
    let program = place.file("a.wasm", MODULE);
    let (empty, full) = (place.file("empty", ""), place.file("full", "x"));
    fs::create_dir(place.path("folder")).unwrap();
    place.run(&["run", &program, "-i", "none"]).fails(2, &["cannot read the input none", "No such file"]);
    place.run(&["run", &program, "-i", "folder"]).fails(2, &["there is no file in the folder folder"]);
    place.run(&["run", &program, "-i", &empty]).fails(2, &["the input is empty"]);
    place.run(&["run", &program, "-i", &empty, "-i", &empty, "--split", "file"]).fails(2, &["the input is empty"]);
    place.run(&["run", &program, "-i", "-", "-i", "-"]).fails(2, &["read only once"]);
    place.run(&["run", &program, "-i", "*.txt"]).fails(2, &["no file fits the pattern *.txt"]);
    // One that is not empty is enough: only the daemon is missing then.
    place.run(&["run", &program, "-i", &empty, "-i", &full]).fails(4, &["no daemon is running"]);
}

#[test]
fn ranges_must_be_ranges_with_something_in_them() {
    let place = Place::new();
    let program = place.file("a.wasm", MODULE);
    place.run(&["run", &program, "--range", "5..5"]).fails(2, &["the range 5..5 is empty"]);
    place.run(&["run", &program, "--range", "9..3"]).fails(2, &["the range 9..3 is empty"]);
    place.run(&["run", &program, "--range", "1-3"]).fails(2, &["write two whole numbers"]);
    place.run(&["run", &program, "--range", "0..10000001"]).fails(2, &["10000001 tasks", "at most 10000000"]);
}

#[test]
fn a_result_goes_only_where_nothing_is() {
    let place = Place::new();
    let program = place.file("a.wasm", MODULE);
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/thesis"), "x").unwrap();
    place.run(&["run", &program, "-o", "full"]).fails(2, &["the folder full is not empty"]);
    place.run(&["run", &program, "-o", "no/where"]).fails(2, &["no/where should be made does not exist"]);
    place.run(&["run", &program, "-o", "a.wasm"]).fails(2, &["cannot put the result into a.wasm"]);
    assert_eq!(names(&place.path("full")), ["thesis"]);
    assert_eq!(place.names(), ["a.wasm", "full"]);
}

#[test]
fn a_dry_run_prints_the_job_and_needs_no_daemon() {
    let place = Place::new();
    let program = place.file("primes.wasm", MODULE);
    let text = place.file("text", "a\nb\n");
    let args = ["run", &program, "--range", "0..200", "--memory", "64MiB", "--fuel", "5G", "--timeout", "2m"];
    let ended = place
        .run(&[&args[..], &["--dry-run", "--max-price", "7", "--per-gib", "8", "--", "{index}", "140000"]].concat());
    let job: toml::Table = ended.succeeds().parse().expect("TOML");
    assert_eq!(job["name"].as_str(), Some("primes"));
    assert_eq!(job["range"].as_str(), Some("0..200"));
    assert_eq!((job.get("replicas"), job["max_price"].as_integer()), (None, Some(7)));
    assert_eq!(job["per_gib"].as_integer(), Some(8));
    let trust = ["confidence", "assume_saboteurs", "audit"].map(|name| job[name].as_str().expect(name).to_owned());
    assert_eq!(trust, ["0.999", "0.2", "auto"]);
    assert_eq!(job["args"].as_array().map(Vec::len), Some(2));
    assert_eq!(job["limits"]["memory"].as_integer(), Some(64 << 20));
    assert_eq!(job["limits"]["fuel"].as_integer(), Some(5_000_000_000));
    assert_eq!(job["limits"]["wall_ms"].as_integer(), Some(120_000));

    let trusting = ["--confidence", "99.99%", "--assume-saboteurs", "30%", "--audit", "own"];
    let job: toml::Table =
        place.run(&[&args[..], &trusting, &["--dry-run"]].concat()).succeeds().parse().expect("TOML");
    let trust = ["confidence", "assume_saboteurs", "audit"].map(|name| job[name].as_str().expect(name).to_owned());
    assert_eq!(trust, ["0.9999", "0.3", "own"]);
    let replicas = [&args[..], &["--replicas", "3", "--dry-run"]].concat();
    let job: toml::Table = place.run(&replicas).succeeds().parse().expect("TOML");
    assert_eq!((job["replicas"].as_integer(), job.get("confidence")), (Some(3), None));

    let split = ["run", &program, "-i", &text, "--split", "lines=1", "--reduce", &program, "--dry-run"];
    let job: toml::Table = place.run(&split).succeeds().parse().expect("TOML");
    assert_eq!(job["split"].as_str(), Some("lines=1"));
    assert_eq!(job["inputs"][0].as_str(), Some(text.as_str()));
    assert_eq!(job["reduce"].as_str(), Some(program.as_str()));
}

#[test]
fn what_a_terminal_would_obey_is_shown_and_not_printed() {
    let place = Place::new();
    let ended = place.run(&["run", "evil\u{1b}[2J\nname.wasm"]);
    ended.fails(2, &["evil\\u{1b}[2J name.wasm"]);
}
