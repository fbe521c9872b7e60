//! Inputs larger than a daemon's memory: cut, counted on the mesh, reduced as a tree, while somebody watches the memory.
//!
//! A small text is for every day; `cargo test --release --workspace --test processes -- --ignored --nocapture a_gibibyte` takes 1 GiB.

use crate::memory::{peak, restart_peak};
use crate::rig::{Testnet, guest};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

const PEERS: usize = 4;
/// The most memory that any process of ours may have.
const MEMORY_BYTES_MAX: u64 = 150 << 20;
/// A safety net for a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(3_600);
/// Different words of the text, some of them far more common than others.
const WORDS: u64 = 20_000;

/// Numbers from a seed: xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

/// Writes at least `bytes` of text, line by line; how often each word is in it.
fn write_text(path: &Path, bytes: u64) -> HashMap<u64, u64> {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let (mut dice, mut counts, mut written) = (Dice(7), HashMap::new(), 0);
    while written < bytes {
        let mut line = String::new();
        for _ in 0..4 + dice.roll() % 12 {
            // The product of two: small numbers are common.
            let word = (dice.roll() % WORDS) * (dice.roll() % WORDS) / WORDS;
            *counts.entry(word).or_default() += 1;
            line += &format!("w{word:x} ");
        }
        line.push('\n');
        written += line.len() as u64;
        file.write_all(line.as_bytes()).expect("written");
    }
    file.flush().expect("written");
    counts
}

/// The listing that the guests make of these counts.
fn listing(counts: &HashMap<u64, u64>) -> String {
    let mut words: Vec<(String, u64)> = counts.iter().map(|(word, count)| (format!("w{word:x}"), *count)).collect();
    words.sort_unstable();
    words.iter().map(|(word, count)| format!("{count:>7} {word}\n")).collect()
}

/// Waits for a process; the most memory that it was seen with.
fn watch(mesh: &Testnet, child: &mut Child) -> u64 {
    let (pid, most) = (child.id(), std::cell::Cell::new(0));
    let child = std::cell::RefCell::new(child);
    mesh.wait_within(LIMIT, "the job is over", || {
        most.set(most.get().max(peak(pid).unwrap_or(0)));
        child.borrow_mut().try_wait().expect("a process").is_some()
    });
    most.get()
}

fn count_words(mib: u64, lines: u64) {
    let mesh = Testnet::start(PEERS);
    let (text, out) = (mesh.dir().join("text"), mesh.dir().join("out"));
    let counts = write_text(&text, mib << 20);
    let pids: Vec<u32> = (0..PEERS).map(|peer| mesh.pid(peer)).collect();
    let is_measured = pids.iter().all(|&pid| restart_peak(pid).is_some());
    let (program, reduce, split) = (guest("wordcount"), guest("wordmerge"), format!("lines={lines}"));
    let (input, folder) = (text.to_string_lossy(), out.to_string_lossy());
    let args = [&program, "-i", &input, "--split", &split, "--reduce", &reduce, "--fan-in", "8", "-o", &folder];
    let began = Instant::now();
    let mut run = mesh.run(1, &args, &[]);
    let client = watch(&mesh, &mut run);
    let output = run.wait_with_output().expect("run ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = fs::read_to_string(out.join("stdout")).expect("a result");
    assert!(found == listing(&counts), "the words are counted right");
    let jobs = mesh.json(1, &["job", "list"]);
    let tasks: Vec<u64> = jobs.as_array().expect("a list").iter().filter_map(|job| job["tasks"].as_u64()).collect();
    assert!(tasks.len() >= 2, "the reduction was a tree: {jobs}");
    println!("{mib} MiB, tasks by job, the last level first: {tasks:?}, in {:?}", began.elapsed());
    if is_measured {
        let peaks: Vec<u64> = pids.iter().map(|&pid| peak(pid).expect("it lives")).collect();
        let mib = |bytes: &u64| bytes >> 20;
        println!(
            "peak memory: daemons {:?} MiB, the command {} MiB",
            peaks.iter().map(mib).collect::<Vec<_>>(),
            mib(&client)
        );
        assert!(peaks.iter().chain([&client]).all(|&bytes| bytes < MEMORY_BYTES_MAX), "{peaks:?} {client}");
    } else {
        println!("skipped: this system does not say how much memory its processes had");
    }
}

#[test]
fn a_text_is_cut_counted_and_reduced_as_a_tree() {
    count_words(48, 10_000);
}

#[test]
fn a_reduction_goes_on_where_its_requester_was_killed() {
    let mesh = Testnet::start(PEERS);
    let (text, out) = (mesh.dir().join("text"), mesh.dir().join("out"));
    let counts = write_text(&text, 40 << 20);
    let (program, reduce, input) = (guest("wordcount"), guest("wordmerge"), text.to_string_lossy());
    let args =
        ["run", &program, "-i", &input, "--split", "lines=8000", "--reduce", &reduce, "--fan-in", "4", "--detach"];
    // By then it has saved whom it met.
    mesh.wait_until("the peer is three seconds old", || mesh.json(1, &["status"])["uptime_ms"].as_u64() >= Some(3_000));
    mesh.ok(1, &args);
    let id = mesh.only_job(1)["id"].as_str().expect("an id").to_owned();
    mesh.wait_until("a level of the tree is under way", || mesh.jobs(1).len() > 1);
    mesh.kill(1);
    let daemon = mesh.restart(1);
    let summary = |mesh: &Testnet| mesh.json(1, &["job", "describe", &id])["summary"].clone();
    mesh.wait_until("the job is over", || summary(&mesh)["finished"].is_u64());
    mesh.ok(1, &["job", "get", &id, "-o", &out.to_string_lossy()]);
    let found = fs::read_to_string(out.join("stdout")).expect("a result");
    assert!(found == listing(&counts), "the words are counted right");
    let names: Vec<String> = mesh.jobs(1).iter().filter_map(|job| Some(job["name"].as_str()?.to_owned())).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "each level was one job: {names:?}");
    drop(daemon);
}

#[test]
#[ignore = "takes minutes, and some gigabytes of disk"]
fn a_gibibyte_of_text_passes_through_little_memory() {
    count_words(1 << 10, 100_000);
}
