//! Whole meshes of processes, driven as a person would drive them, one at a time.

mod audits;
mod blobs;
mod executors;
mod hostile;
mod large;
mod lost;
#[path = "../../../../crates/sandbox/tests/zoo/made.rs"]
mod made;
mod memory;
mod money;
#[path = "../../../../crates/sandbox/tests/preview1/mod.rs"]
mod preview1;
mod rig;
#[expect(dead_code, reason = "shared with the hostile zoo, which uses all of it")]
#[path = "../../../../crates/sandbox/tests/zoo/text.rs"]
mod text;

use rig::{Testnet, count_executions, guest, hex_sha256};

/// Primes among `tasks` × 40,000 numbers, as the guest writes them: counted here by a sieve.
fn primes_expected(tasks: usize) -> Vec<u8> {
    const SPAN: usize = 40_000;
    let end = 2_000_000 + tasks * SPAN;
    let mut composite = vec![false; end];
    for n in (2..).take_while(|n| n * n < end) {
        if !composite[n] {
            (n * n..end).step_by(n).for_each(|multiple| composite[multiple] = true);
        }
    }
    let count = |task: usize| {
        let low = 2_000_000 + task * SPAN;
        composite[low..low + SPAN].iter().filter(|&&composite| !composite).count() as u32
    };
    (0..tasks).flat_map(|task| count(task).to_le_bytes()).collect()
}

const PRIMES: [&str; 4] = ["--", "{index}", "2000000", "40000"];

#[test]
fn a_killed_worker_costs_no_task() {
    let mesh = Testnet::start(4);
    let out = mesh.dir().join("out");
    let run = mesh.run(1, &[&guest("primes"), "--range", "0..240", "-o", &out.to_string_lossy()], &PRIMES);
    mesh.wait_for_done(1, 20);
    mesh.kill(3);
    let output = run.wait_with_output().expect("run ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read(out.join("stdout")).expect("a result"), primes_expected(240));
}

#[test]
fn a_killed_requester_goes_on_where_its_journal_ends() {
    let mesh = Testnet::start(3);
    // By then it has saved whom it met.
    mesh.wait_until("the peer is three seconds old", || mesh.json(1, &["status"])["uptime_ms"].as_u64() >= Some(3_000));
    let args = ["run", &guest("primes"), "--range", "0..240", "--replicas", "2", "--detach"];
    mesh.ok(1, &[&args[..], &PRIMES].concat());
    mesh.wait_for_done(1, 40);
    mesh.kill(1);
    let daemon = mesh.restart(1);
    let job = mesh.only_job(1);
    let kept = job["done"].as_u64().expect("a number");
    assert!((40..240).contains(&kept), "{kept} tasks were kept of the 40 to 239 that were final");
    let job = mesh.wait_for_end(1);
    assert_eq!(job["state"], "complete", "{job}");
    let executions = count_executions(&job);
    let needed = 2 * (240 - kept);
    assert!((needed..=needed + needed / 10 + 4).contains(&executions), "{executions} executions for {needed} seats");
    let out = mesh.dir().join("out");
    mesh.ok(1, &["job", "get", job["id"].as_str().expect("an id"), "-o", &out.to_string_lossy()]);
    assert_eq!(std::fs::read(out.join("stdout")).expect("a result"), primes_expected(240));
    drop(daemon);
}

#[test]
fn what_is_final_can_be_fetched_while_the_job_goes_on() {
    let mesh = Testnet::start(3);
    mesh.ok(1, &[&["run", &guest("primes"), "--range", "0..400", "--replicas", "2", "--detach"][..], &PRIMES].concat());
    mesh.wait_for_done(1, 40);
    let id = mesh.only_job(1)["id"].as_str().expect("an id").to_owned();
    let (early, late) = (mesh.dir().join("early"), mesh.dir().join("late"));
    let output = mesh.fails(1, 3, &["job", "get", &id, "-o", &early.to_string_lossy()]);
    assert!(output.contains("SO FAR") && output.contains("the job goes on"), "{output}");
    let (whole, found) = (primes_expected(400), std::fs::read(early.join("stdout")).expect("a result"));
    assert!(found.len() >= 4 * 40 && found.len() < whole.len() && found.len() % 4 == 0, "{} bytes", found.len());
    let mut rest = whole.chunks(4);
    assert!(found.chunks(4).all(|count| rest.any(|other| other == count)), "results in task order");
    let report = std::fs::read_to_string(early.join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(
        (report["provisional"].as_bool(), report["stdout"]["len"].as_u64()),
        (Some(true), Some(found.len() as u64))
    );
    mesh.wait_for_end(1);
    mesh.ok(1, &["job", "get", &id, "-o", &late.to_string_lossy()]);
    assert_eq!(std::fs::read(late.join("stdout")).expect("a result"), whole);
}

#[test]
fn twenty_peers_know_each_other_and_all_hear_an_offer() {
    let mesh = Testnet::start(20);
    for peer in 0..20 {
        let known = mesh.json(peer, &["peers", "list"]);
        let known = known.as_array().map_or_else(|| known["peers"].as_array().expect("a list").len(), Vec::len);
        assert!(known >= 8, "peer {peer} knows {known} others");
    }
    let out = mesh.dir().join("out");
    mesh.ok(
        7,
        &["run", &guest("primes"), "--range", "0..8", "-o", &out.to_string_lossy(), "--", "{index}", "1000", "10"],
    );
    let heard = |peer: &usize| mesh.json(*peer, &["status"])["offers"]["heard"].as_u64() >= Some(1);
    mesh.wait_until("everybody has heard", || (0..20).filter(|&peer| peer != 7).all(|peer| heard(&peer)));
    let bids: u64 = (0..20).filter_map(|peer| mesh.json(peer, &["status"])["offers"]["bid"].as_u64()).sum();
    println!("19 of 19 heard the offer, {bids} bid");
    assert!(bids >= 2, "{bids} bids");
    assert_eq!(hex_sha256(&std::fs::read(out.join("stdout")).expect("a result")).len(), 64);
}

#[test]
fn files_go_to_every_task_and_come_back_by_its_number() {
    let mesh = Testnet::start(3);
    let (data, text) = (mesh.dir().join("data"), mesh.dir().join("lines.txt"));
    std::fs::create_dir_all(data.join("deep")).expect("a folder");
    std::fs::write(data.join("deep/table.csv"), "a,b\nc,d\n").expect("written");
    std::fs::write(data.join("empty"), "").expect("written");
    std::fs::write(&text, "one\ntwo\nthree\n").expect("written");
    let (data, text) = (format!("{}:data", data.display()), text.display().to_string());
    let read = |path: &str| std::fs::read_to_string(mesh.dir().join(path)).expect(path);

    // Each task gets all files, and a line of its own as a file too.
    let out = mesh.dir().join("split").display().to_string();
    let args = ["run", &guest("filecopy"), "-i", &text, "--split", "lines=1", "-i", &data, "-o", &out];
    mesh.ok(1, &[&args[..], &["--", "/in/data/deep/table.csv", "/in/data/empty", "{input}"]].concat());
    assert_eq!(read("split/stdout"), "2\n0\n1\n".repeat(3));
    for (task, line) in ["ONE\n", "TWO\n", "THREE\n"].into_iter().enumerate() {
        assert_eq!(read(&format!("split/tasks/{task}/input.txt")), line);
        assert_eq!(read(&format!("split/tasks/{task}/table.csv")), "A,B\nC,D\n");
        assert_eq!(read(&format!("split/tasks/{task}/empty")), "");
    }
    let report: serde_json::Value = serde_json::from_str(&read("split/report.json")).expect("JSON");
    assert_eq!(report["files"], 9);

    // Numbers that do not start at 0; the files stay with the daemon until they are fetched.
    let args = ["run", &guest("filecopy"), "--range", "7..9", "-i", &data, "--", "/in/data/deep/table.csv"];
    let output = mesh.ok(2, &args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the tasks left 2 files under /out") && said.contains("-o DIR"), "{said}");
    let job = mesh.only_job(2)["id"].as_str().expect("an id").to_owned();
    assert_eq!(mesh.json(2, &["job", "describe", &job])["files"], 2);
    mesh.ok(2, &["job", "get", &job, "-o", &mesh.dir().join("range").display().to_string()]);
    for task in ["7", "8"] {
        assert_eq!(read(&format!("range/tasks/{task}/table.csv")), "A,B\nC,D\n");
    }
    assert!(!mesh.dir().join("range/tasks/0").exists());
}
