//! `-i SRC:DST`: what is laid under `/in`, checked before the daemon is asked.

use crate::program::{MODULE, Place};
use std::fs;

/// A folder `data` with two files, and a program that is none.
fn place() -> (Place, String) {
    let place = Place::new();
    fs::create_dir_all(place.path("data/b")).expect("made");
    place.file("data/a", "1");
    place.file("data/b/c", "2");
    let program = place.file("p.wasm", MODULE);
    (place, program)
}

fn dry(place: &Place, args: &[&str]) -> toml::Table {
    place.run(&[&args[..1], &["--dry-run"], &args[1..]].concat()).succeeds().parse().expect("TOML")
}

#[test]
fn a_dry_run_shows_what_lies_where() {
    let (place, program) = place();
    let job =
        dry(&place, &["run", &program, "-i", "data:x", "-i", "p.wasm:", "--env", "A=1", "--output-limit", "1MiB"]);
    let files = job["files"].as_table().expect("files");
    assert_eq!(files.keys().collect::<Vec<_>>(), ["p.wasm", "x/a", "x/b/c"]);
    assert_eq!(files["x/b/c"].as_str(), Some("data/b/c"));
    assert_eq!(job["env"][0].as_str(), Some("A=1"));
    assert_eq!(job["limits"]["output"].as_integer(), Some(1 << 20));
    assert!(!job.contains_key("inputs") && !job.contains_key("input_name"), "{job}");
}

#[test]
fn files_go_together_with_a_range_and_with_standard_input() {
    let (place, program) = place();
    let job = dry(&place, &["run", &program, "--range", "0..9", "-i", "data:"]);
    assert_eq!((job["range"].as_str(), job["files"].as_table().map(toml::Table::len)), (Some("0..9"), Some(2)));
    let args = ["run", &program, "-i", "data:", "-i", "data/a", "--split", "lines=1"];
    let job = dry(&place, &args);
    assert_eq!((job["inputs"][0].as_str(), job["split"].as_str()), (Some("data/a"), Some("lines=1")));
    place.run(&["run", &program, "--range", "0..9", "-i", "data/a"]).fails(2, &["cannot be used with --range"]);
    place.run(&["run", &program, "-i", "data:", "--split", "file"]).fails(2, &["--split", "name what it cuts"]);
}

#[test]
fn a_tasks_own_input_has_a_name_if_the_arguments_ask_for_it() {
    let (place, program) = place();
    let (png, other) = (place.file("a.png", "x"), place.file("b.png", "y"));
    let job = dry(&place, &["run", &program, "-i", &png, "-i", &other, "--", "--from={input}"]);
    assert_eq!(job["input_name"].as_str(), Some("input.png"));
    let job = dry(&place, &["run", &program, "-i", &png, "-i", "data/a", "--", "{input}"]);
    assert_eq!(job["input_name"].as_str(), Some("input"));
    assert!(!dry(&place, &["run", &program, "-i", &png, "--", "x"]).contains_key("input_name"));
    place.run(&["run", &program, "--range", "0..2", "--", "{input}"]).fails(2, &["`{input}`", "name one with -i SRC"]);
    let taken = ["run", &program, "-i", &png, "-i", "data/a:input.png", "--", "{input}"];
    place.run(&taken).fails(2, &["/in/input.png is where", "lay data/a elsewhere"]);
}

#[test]
fn what_cannot_be_laid_is_refused() {
    let (place, program) = place();
    let fails = |input: &[&str], parts: &[&str]| {
        let inputs: Vec<_> = input.iter().map(|input| format!("--input={input}")).collect();
        let args = ["run", &program].into_iter().chain(inputs.iter().map(String::as_str));
        place.run(&args.collect::<Vec<_>>()).fails(2, parts);
    };
    fails(&["none:x"], &["cannot read the input none", "No such file"]);
    fails(&["data:/in/x"], &["relative to /in"]);
    fails(&["data:../x"], &["cannot lay data under /in", "is no path"]);
    fails(&["./-:x"], &["cannot read the input ./-"]);
    fails(&["-:x"], &["standard input", "save it to a file first"]);
    fails(&["data/a:x", "data/b/c:x"], &["cannot lay these files under /in", "\"x\" is there twice"]);
    fails(&["data/a:x", "data/b:x"], &["both a file and a folder"]);
    fs::create_dir(place.path("empty")).unwrap();
    fails(&["empty:"], &["there is no file in the folder empty"]);
    std::os::unix::fs::symlink("/etc", place.path("data/etc")).unwrap();
    fails(&["data:"], &["data/etc is a symbolic link that leads out of the folder, to /etc"]);
}

#[test]
fn files_that_do_not_fit_into_memory_are_refused_before_they_are_read() {
    let (place, program) = place();
    let large = fs::File::create(place.path("large")).unwrap();
    large.set_len(300 << 20).unwrap();
    place.run(&["run", &program, "-i", "large:x"]).fails(2, &["300 MiB together", "may use 256 MiB", "--memory"]);
    place.run(&["run", &program, "-i", "large:x", "--memory", "512MiB"]).fails(4, &["no daemon is running"]);
    large.set_len(1025 << 20).unwrap();
    place.run(&["run", &program, "-i", "large:x", "--memory", "2GiB"]).fails(2, &["large is larger than 1024 MiB"]);
}

#[test]
fn a_name_with_a_colon_is_a_file_if_there_is_one() {
    let (place, program) = place();
    place.file("10:30", "x");
    let job = dry(&place, &["run", &program, "-i", "10:30"]);
    assert_eq!(job["inputs"][0].as_str(), Some("10:30"));
    let job = dry(&place, &["run", &program, "-i", "10:30:at"]);
    assert_eq!(job["files"]["at"].as_str(), Some("10:30"));
}
