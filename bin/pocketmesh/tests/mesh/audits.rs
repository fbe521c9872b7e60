//! Audits on real processes: cheats of every kind are found and proved, and a requester that is killed in the middle of a
//! window goes on with the same draws.

use crate::rig::{Testnet, command, guest};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn demo(folder: &Path, args: &[&str]) -> Value {
    let mut demo = command();
    demo.args(["--json", "demo", "--out"]).arg(folder).arg("--dir").arg(folder.join("net")).args(args);
    let output = demo.output().expect("the demo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn verify(proof: &Path) -> (Option<i32>, Value) {
    let output = command().args(["--json", "receipts", "verify-fraud"]).arg(proof).output().expect("it runs");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn three_saboteurs_of_ten_are_named_with_proofs_and_the_picture_is_right() {
    let _turn = Testnet::turn();
    let folder = tempfile::tempdir().expect("a folder");
    // The demo itself fails if a pixel is wrong or somebody honest is blamed.
    let told = demo(folder.path(), &["--peers", "10", "--saboteurs", "3", "--sleepers", "1", "--colluders", "2"]);
    let peers = told["peers"].as_array().expect("peers");
    let kinds: Vec<&str> = peers.iter().filter_map(|peer| peer["sabotage"].as_str()).collect();
    assert_eq!(kinds, ["sleeper:5", "clique:testnet", "clique:testnet"]);
    for peer in peers {
        let is_saboteur = peer["saboteur"] == true;
        assert_eq!(peer["proved"] == true, is_saboteur, "{peer}");
        assert_eq!(peer["work"]["voided"].as_u64().unwrap_or(0) > 0, is_saboteur, "{peer}");
    }
    let png = fs::read(folder.path().join("mandelbrot.png")).expect("a picture");
    assert!(png.starts_with(b"\x89PNG"));
    for job in told["jobs"].as_array().expect("jobs") {
        let (paid, all) = (&job["cost"]["paid_per_result"], &job["cost"]["all_per_result"]);
        println!("{paid} executions per result paid, {all} in all");
        // One by a worker and one here; what is void, and hedges, come on top of the second only.
        assert!((1.9..2.5).contains(&paid.as_f64().expect("a number")), "{job}");
        assert!(all.as_f64() >= Some(1.9), "{job}");
    }

    let proofs: Vec<PathBuf> = fs::read_dir(folder.path().join("net/peer-1/proofs"))
        .expect("proofs")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let mut named = BTreeSet::new();
    for proof in &proofs {
        let (code, verdict) = verify(proof);
        assert_eq!((code, &verdict["verdict"]), (Some(0), &"fraud".into()), "{verdict}");
        named.insert(verdict["worker"].as_str().expect("a name").to_owned());
    }
    let saboteurs = peers.iter().filter(|peer| peer["saboteur"] == true);
    assert_eq!(named, saboteurs.map(|peer| peer["peer"].as_str().expect("a name").to_owned()).collect());

    // A changed byte, in the middle of the program.
    let mut bytes = fs::read(&proofs[0]).expect("a proof");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let changed = folder.path().join("changed.cbor");
    fs::write(&changed, bytes).expect("written");
    assert_eq!(verify(&changed).0, Some(2));
}

/// A job that is large for each of three workers.
const TASKS: u64 = 3_600;

#[test]
fn a_requester_killed_in_an_audit_window_goes_on_with_the_same_draws() {
    let mesh = Testnet::start(4);
    // By then it has saved whom it met.
    mesh.wait_until("the peer is three seconds old", || mesh.json(1, &["status"])["uptime_ms"].as_u64() >= Some(3_000));
    let range = format!("0..{TASKS}");
    let args = ["--json", "run", &guest("primes"), "--range", &range, "--audit", "own", "--detach"];
    let submitted = mesh.ok(1, &[&args[..], &["--", "{index}", "2000", "100"]].concat());
    let promise: Value = serde_json::from_slice(&submitted.stdout).expect("JSON");
    assert_eq!(promise["promise"]["auditors"], "own", "{promise}");
    // Results are here, and not final.
    mesh.wait_until("results are held", || {
        let job = mesh.only_job(1);
        job["held"].as_u64() >= Some(400) || job["finished"].is_u64()
    });
    mesh.kill(1);
    let before = records(&mesh, 1);
    assert!(!before.iter().any(|record| record.get("Closed").is_some()), "the job was too small to be interrupted");
    let daemon = mesh.restart(1);
    let job = mesh.wait_for_end(1);
    assert_eq!((&job["state"], &job["regime"]), (&"complete".into(), &"big".into()), "{job}");
    let out = mesh.dir().join("out");
    mesh.ok(1, &["job", "get", job["id"].as_str().expect("an id"), "-o", &out.to_string_lossy()]);
    assert_eq!(fs::read(out.join("stdout")).expect("a result"), primes(TASKS as usize));
    let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).expect("a report")).expect("JSON");
    assert_eq!((&report["cost"]["since_restart"], &report["provisional"]), (&true.into(), &false.into()));
    mesh.ok(1, &["stop"]);
    drop(daemon);
    let after = records(&mesh, 1);
    assert!(after.starts_with(&before), "what is in the journal stays");
    check_draws(&after);
}

/// The records of a peer that does not run.
fn records(mesh: &Testnet, peer: usize) -> Vec<Value> {
    // A child that was just being started when its daemon was killed holds the lock for a moment longer.
    let is_free = || mesh.command(peer, &["ledger", "show"]).output().is_ok_and(|output| output.status.success());
    mesh.wait_until("nobody uses the folder", is_free);
    let shown = mesh.ok(peer, &["ledger", "show"]).stdout;
    let lines = String::from_utf8(shown).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// No window is drawn twice, and none is final without all that was drawn having agreed; every task is in a final one.
fn check_draws(records: &[Value]) {
    let mut held: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let (mut drawn, mut last, mut finals) = (BTreeMap::<u64, BTreeSet<u64>>::new(), BTreeSet::new(), BTreeSet::new());
    let numbers = |tasks: &Value| -> Vec<u64> {
        tasks.as_array().expect("a list").iter().map(|task| task.as_u64().expect("a task")).collect()
    };
    for record in records {
        if let Some(delivered) = record.get("Delivered") {
            let tasks = delivered["tasks"].as_array().expect("tasks").iter();
            let tasks: BTreeSet<u64> = tasks.map(|task| task["task"].as_u64().expect("a task")).collect();
            let window = delivered["window"].as_u64().expect("a window");
            assert!(!drawn.contains_key(&window), "window {window} takes no more after its draw");
            // The last word on a task counts.
            held.values_mut().for_each(|others| others.retain(|task| !tasks.contains(task)));
            held.entry(window).or_default().extend(tasks);
        } else if let Some(draw) = record.get("Drawn") {
            let (window, audits) = (draw["window"].as_u64().expect("a window"), numbers(&draw["audits"]));
            let audits: BTreeSet<u64> = audits.into_iter().collect();
            assert!(audits.is_subset(&held[&window]) && !audits.is_empty(), "only what is in the window is drawn");
            assert!(drawn.insert(window, audits).is_none(), "window {window} is drawn twice");
        } else if let Some(done) = record.get("WindowFinal") {
            let window = done["window"].as_u64().expect("a window");
            assert!(drawn.contains_key(&window), "window {window} is final without a draw");
            assert!(last.insert(window), "window {window} is final twice");
            finals.extend(held.remove(&window).unwrap_or_default());
        } else if let Some(decided) = record.get("Final") {
            finals.extend(
                decided["tasks"].as_array().expect("tasks").iter().map(|task| task["task"].as_u64().expect("a task")),
            );
        }
    }
    println!("{} windows drawn, {} final", drawn.len(), last.len());
    assert!(!drawn.is_empty() && finals.len() as u64 == TASKS, "{} of {TASKS} tasks are final", finals.len());
}

/// What the guest counts: primes among 100 numbers from 2,000 + 100 × task on.
fn primes(tasks: usize) -> Vec<u8> {
    let is_prime = |n: u32| n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    let count = |task: u32| (0..100).filter(|n| is_prime(2_000 + task * 100 + n)).count() as u32;
    (0..tasks as u32).flat_map(|task| count(task).to_le_bytes()).collect()
}

#[test]
fn a_provisional_result_is_said_to_be_one_and_is_in_the_daemon_s_hands_until_it_is_final() {
    let mesh = Testnet::start(4);
    let range = format!("0..{TASKS}");
    let out = mesh.dir().join("out");
    let args = [&guest("primes"), "--range", &range, "--provisional", "-o", &out.to_string_lossy()];
    let output = mesh.run(1, &args, &["--", "{index}", "2000", "100"]).wait_with_output().expect("run ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).expect("a report")).expect("JSON");
    // Whether the last audits were faster than the command, the code says which of the two was fetched.
    let is_final = report["provisional"] == false;
    assert_eq!(output.status.code(), Some(if is_final { 0 } else { 3 }), "{said}");
    assert!(is_final || said.contains("PROVISIONAL"), "{said}");
    assert!(said.contains("promised: ") && said.contains("executions per result paid"), "{said}");
    assert_eq!(fs::read(out.join("stdout")).expect("a result"), primes(TASKS as usize));
    let job = mesh.wait_for_end(1);
    assert_eq!((&job["state"], &job["held"]), (&"complete".into(), &0.into()), "{job}");
    // What was seen: nothing bad of anybody, and the windows of all.
    let seen = mesh.json(1, &["reputation", "list"]);
    let windows: u64 = seen.as_array().expect("a list").iter().filter_map(|peer| peer["windows_final"].as_u64()).sum();
    assert!(windows > 0 && seen.as_array().expect("a list").iter().all(|peer| peer["refuted"] == 0), "{seen}");
}
