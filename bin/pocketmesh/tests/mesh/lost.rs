//! Blobs that vanish under a running job, and disks that are full: nothing else is lost, and nothing hangs.

use crate::rig::{Killed, Testnet, guest};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Lines of text, all different.
fn text(lines: usize) -> String {
    (0..lines).map(|n| format!("line {n} of a text that is counted word by word\n")).collect()
}

/// The blobs of a peer that are larger than this.
fn blobs(mesh: &Testnet, peer: usize, larger_than: u64) -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let folders = entries(&mesh.home(peer).join("blobs")).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| entries(&folder).collect::<Vec<_>>());
    files.filter(|path| fs::metadata(path).is_ok_and(|file| file.len() > larger_than)).collect()
}

fn events(mesh: &Testnet, peer: usize, job: &Value) -> String {
    mesh.json(peer, &["job", "describe", job["id"].as_str().expect("an id")])["events"].to_string()
}

#[test]
fn a_job_whose_input_vanishes_ends_and_says_why() {
    let mesh = Testnet::start(3);
    let input = mesh.dir().join("text");
    fs::write(&input, text(400_000)).expect("written");
    let (program, path) = (guest("wordcount"), input.to_string_lossy().into_owned());
    mesh.ok(1, &["run", &program, "-i", &path, "--split", "lines=100", "--replicas", "1", "--detach"]);
    mesh.wait_for_done(1, 20);
    let large = blobs(&mesh, 1, 4 << 20);
    assert_eq!(large.len(), 1, "the text, and nothing else, is large: {large:?}");
    large.iter().for_each(|path| fs::remove_file(path).expect("removed"));
    let job = mesh.wait_for_end(1);
    let (done, failed) = (job["done"].as_u64(), job["failed_tasks"].as_u64());
    assert_eq!((job["state"].as_str(), done), (Some("partial"), Some(4_000)), "{job}");
    assert!(failed.is_some_and(|failed| (1..=3_980).contains(&failed)), "{job}");
    let events = events(&mesh, 1, &job);
    assert!(events.contains("their input is not to be had"), "{events}");
    // The daemons go on with what is next.
    mesh.ok(1, &["run", &guest("primes"), "--range", "0..20", "--", "{index}", "1000", "10"]);
}

#[test]
fn a_part_that_vanishes_is_cut_again() {
    let mesh = Testnet::start(3);
    let (input, out) = (mesh.dir().join("text"), mesh.dir().join("out"));
    let text = text(200_000);
    fs::write(&input, &text).expect("written");
    let (path, folder) = (input.to_string_lossy(), out.to_string_lossy());
    let args = [&guest("wordcount"), "-i", &path, "--split", "lines=1000", "--replicas", "2", "-o", &folder];
    let run = mesh.run(1, &args, &[]);
    for done in [10, 40, 80] {
        mesh.wait_for_done(1, done);
        // The text itself stays, and so does what a worker has.
        let parts =
            blobs(&mesh, 1, 40_000).into_iter().filter(|path| fs::metadata(path).is_ok_and(|f| f.len() < 1 << 20));
        parts.for_each(|path| drop(fs::remove_file(path)));
    }
    let output = run.wait_with_output().expect("run ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = fs::read_to_string(out.join("stdout")).expect("a result");
    let words: u64 = stdout.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).sum();
    assert_eq!(words, text.split_whitespace().count() as u64);
}

#[test]
fn a_worker_whose_disk_is_full_costs_no_task() {
    let mesh = Testnet::start(3);
    mesh.kill(2);
    let config = mesh.home(2).join("config.toml");
    let settings = fs::read_to_string(&config).expect("a configuration");
    let settings: String =
        settings.lines().filter(|line| !line.contains("quota")).map(|line| format!("{line}\n")).collect();
    let settings = settings.replace("[storage]", "[storage]\nquota = \"1 MiB\"");
    fs::write(&config, settings).expect("written");
    let worker = mesh.restart(2);
    let (input, out) = (mesh.dir().join("text"), mesh.dir().join("out"));
    let text = text(150_000);
    fs::write(&input, &text).expect("written");
    let (path, folder) = (input.to_string_lossy(), out.to_string_lossy());
    // Parts of 2.5 MB: one of the two workers has no room for any.
    let args = [&guest("wordcount"), "-i", &path, "--split", "lines=50000", "-o", &folder];
    let output = mesh.run(1, &args, &[]).wait_with_output().expect("run ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = fs::read_to_string(out.join("stdout")).expect("a result");
    let words: u64 = stdout.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).sum();
    assert_eq!(words, text.split_whitespace().count() as u64);
    drop(worker);
}

#[test]
fn an_input_that_another_peer_has_is_fetched_and_one_that_nobody_has_is_refused() {
    let mesh = Testnet::start(3);
    let (input, out) = (mesh.dir().join("text"), mesh.dir().join("out"));
    let text = text(20_000);
    fs::write(&input, &text).expect("written");
    let (path, folder) = (input.to_string_lossy(), out.to_string_lossy());
    mesh.ok(2, &["run", &guest("wordcount"), "-i", &path, "--split", "lines=5000"]);
    let blob = blake3::hash(text.as_bytes()).to_string();
    mesh.ok(1, &["run", &guest("wordcount"), "-i", &blob, "--split", "lines=5000", "-o", &folder]);
    let stdout = fs::read_to_string(out.join("stdout")).expect("a result");
    let words: u64 = stdout.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).sum();
    assert_eq!(words, text.split_whitespace().count() as u64);
    let nobody = "ab".repeat(32);
    let said = mesh.fails(1, 2, &["run", &guest("wordcount"), "-i", &nobody, "--split", "lines=5000"]);
    assert!(said.contains("neither on this peer nor on one that is connected"), "{said}");
}

#[test]
fn a_log_that_cannot_be_written_costs_nothing_but_the_log() {
    let mesh = Testnet::start(2);
    mesh.kill(1);
    let Ok(full) = fs::File::options().write(true).open("/dev/full") else {
        return println!("skipped: this system has no file that is always full");
    };
    let mut daemon = mesh.daemon_beside(1, 0);
    let daemon = Killed(daemon.arg("-vvv").stdout(Stdio::null()).stderr(full).spawn().expect("a daemon"));
    mesh.wait_until("it is up", || mesh.command(1, &["status"]).output().is_ok_and(|said| said.status.success()));
    mesh.ok(1, &["run", &guest("primes"), "--range", "0..20", "--", "{index}", "1000", "10"]);
    drop(daemon);
}
