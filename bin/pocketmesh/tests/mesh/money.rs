//! Jobs are paid: both sides' books agree, whatever is killed, damaged or put back.

use crate::rig::{Killed, Testnet, command, guest};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
};

/// An amount, as JSON has it.
fn amount(value: &Value) -> u128 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no amount: {value}"))
}

/// A peer's row about another: what it owes it, less what it is owed; and what either has done for the other.
fn standing(mesh: &Testnet, of: usize, with: usize) -> [u128; 4] {
    let name = mesh.json(with, &["id"])["peer"].clone();
    let wallet = mesh.json(of, &["wallet", "balance"]);
    let rows = wallet["accounts"].as_array().expect("a list");
    let row = rows.iter().find(|row| row["peer"] == name);
    row.map_or([0; 4], |row| ["owes_us", "owed_by_us", "done_by_us", "done_for_us"].map(|field| amount(&row[field])))
}

/// Whether of any two of these peers the one's books say what the other's say.
fn agree(mesh: &Testnet, peers: &[usize]) -> bool {
    peers.iter().all(|&one| {
        peers.iter().filter(|&&other| other != one).all(|&other| {
            let [owes_us, owed_by_us, done_by_us, done_for_us] = standing(mesh, one, other);
            standing(mesh, other, one) == [owed_by_us, owes_us, done_for_us, done_by_us]
        })
    })
}

fn balances(mesh: &Testnet, peers: &[usize]) -> Vec<[u128; 4]> {
    peers.iter().flat_map(|&one| peers.iter().map(move |&other| standing(mesh, one, other))).collect()
}

fn assert_none_fell(before: &[[u128; 4]], now: &[[u128; 4]]) {
    for (was, is) in before.iter().zip(now) {
        assert!(is[2] >= was[2] && is[3] >= was[3], "what was done and promised never falls: {was:?}, {is:?}");
    }
}

/// An audit of a peer's journal, which must be good.
fn audit(mesh: &Testnet, peer: usize) -> Value {
    let audit = mesh.json(peer, &["ledger", "audit"]);
    assert_eq!(audit["good"], true, "{audit}");
    audit
}

fn verify(path: &Path) -> (Option<i32>, Value) {
    let output = command().args(["--json", "receipts", "verify"]).arg(path).output().expect("it runs");
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// Runs a job of peer 1 to its end.
fn run(mesh: &Testnet, out: &Path, tasks: &str) {
    let folder = out.display().to_string();
    mesh.ok(1, &["run", &guest("primes"), "--range", tasks, "-o", &folder, "--", "{index}", "2000", "10"]);
}

#[test]
fn a_job_is_paid_and_restarts_change_no_balance() {
    let mesh = Testnet::start(3);
    let (all, out) = ([0, 1, 2], mesh.dir().join("out"));
    run(&mesh, &out, "0..300");
    mesh.wait_until("the books agree, and something was paid", || {
        agree(&mesh, &all) && standing(&mesh, 1, 0)[1] + standing(&mesh, 1, 2)[1] > 0
    });

    // The result's receipts are good on their own, and come to what the report says.
    let (code, account) = verify(&out.join("receipts.cbor"));
    assert_eq!(code, Some(0), "{account}");
    let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).expect("a report")).expect("JSON");
    assert_eq!(account["total"], report["spending"]["paid"], "{account}");
    let owed = standing(&mesh, 1, 0)[1] + standing(&mesh, 1, 2)[1];
    assert_eq!(amount(&account["total"]), owed);
    let paid: u64 =
        account["paid"].as_array().expect("a list").iter().map(|row| row["tasks"].as_u64().expect("a count")).sum();
    assert!(paid >= 300, "each of the 300 results is paid once at least: {account}");
    let mut changed = fs::read(out.join("receipts.cbor")).expect("read");
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(mesh.dir().join("changed.cbor"), changed).expect("written");
    assert_eq!(verify(&mesh.dir().join("changed.cbor")).0, Some(1));

    let before = balances(&mesh, &all);
    let mut running: Vec<Killed> = Vec::new();
    for peer in all {
        mesh.kill(peer);
        // Without a daemon the journal says the same; and without its index it does so, too.
        assert_eq!(balances(&mesh, &all), before, "peer {peer} is dead");
        if peer == 2 {
            fs::remove_dir_all(mesh.home(peer).join("index")).expect("removed");
        }
        running.push(mesh.restart(peer));
        assert_eq!(balances(&mesh, &all), before, "peer {peer} is back");
        audit(&mesh, peer);
    }
    drop(running);
}

#[test]
fn what_tasks_move_is_paid_at_the_rate_that_their_job_names() {
    const PER_GIB: u128 = 1_000_000;
    let mesh = Testnet::start(3);
    let (text, out) = (mesh.dir().join("text"), mesh.dir().join("out"));
    let lines: String = (0..40).map(|line| format!("{}\n", format!("word{line} ").repeat(1_500))).collect();
    fs::write(&text, &lines).expect("written");
    let (program, text, folder) = (guest("filecopy"), text.display().to_string(), out.display().to_string());
    let rate = PER_GIB.to_string();
    let args = ["run", &program, "-i", &text, "--split", "lines=1", "--per-gib", &rate, "-o", &folder, "--", "{input}"];
    mesh.ok(1, &args);
    mesh.wait_until("the books agree, and something was paid", || {
        agree(&mesh, &[0, 1, 2]) && standing(&mesh, 1, 0)[1] + standing(&mesh, 1, 2)[1] > 0
    });
    let fee = 1_000 * u128::from(fs::metadata(&program).expect("it is there").len());
    let rows = mesh.json(1, &["wallet", "export"]);
    let paid: Vec<&Value> = rows.as_array().expect("a list").iter().filter(|row| row["what"] == "paid").collect();
    let number = |row: &Value, field: &str| u128::from(row[field].as_u64().unwrap_or_else(|| panic!("{field}: {row}")));
    let mut moved = 0;
    for row in paid {
        let (price, bytes) = (number(row, "price"), number(row, "bytes"));
        assert_eq!(number(row, "per_gib"), PER_GIB);
        let cost = price * number(row, "fuel") + ((PER_GIB * 1_000_000_000 * bytes) >> 30);
        let beside = amount(&row["amount"]) - cost;
        assert!(beside == 0 || beside == price * fee, "{row}: {beside} beside what its tasks took");
        moved += bytes;
    }
    assert!(moved > 2 * lines.len() as u128, "each line went to somebody, and came back as a file: {moved}");
    assert_eq!(verify(&out.join("receipts.cbor")).0, Some(0));
    [0, 1, 2].iter().for_each(|&peer| drop(audit(&mesh, peer)));
}

/// `POCKETMESH_KILLS=200` makes it more of them.
#[test]
fn peers_that_are_killed_again_and_again_lose_nothing_and_double_nothing() {
    let kills = std::env::var("POCKETMESH_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let mesh = Testnet::start(3);
    let all = [0, 1, 2];
    let mut running: [Option<Killed>; 3] = [None, None, None];
    let mut before = vec![[0; 4]; 9];
    let mut jobs = 0;
    for kill in 0..kills {
        let is_idle = mesh
            .json(1, &["job", "list"])
            .as_array()
            .is_some_and(|jobs| jobs.iter().all(|job| job["finished"].is_u64()));
        if is_idle {
            mesh.ok(1, &["run", &guest("primes"), "--range", "0..2000", "--detach", "--", "{index}", "5000", "10"]);
            jobs += 1;
        }
        // Under load: something is paid between any two kills, however long that takes.
        let record = audit(&mesh, 1)["money_records"].as_u64();
        mesh.wait_until("money moves, or the job is over", || {
            audit(&mesh, 1)["money_records"].as_u64() > record || mesh.only_job(1)["finished"].is_u64()
        });
        let victim = [1, 0, 1, 2][kill % 4];
        mesh.kill(victim);
        drop(running[victim].take());
        audit(&mesh, victim);
        running[victim] = Some(mesh.restart_beside(victim, (victim + 1) % 3));
        let now = balances(&mesh, &all);
        assert_none_fell(&before, &now);
        before = now;
    }
    mesh.wait_for_end(1);
    mesh.wait_until("all books agree", || agree(&mesh, &all));
    for job in mesh.jobs(1) {
        assert_eq!(job["state"], "complete", "{job}");
        let (id, file) = (job["id"].as_str().expect("an id"), mesh.dir().join("receipts.cbor"));
        let path = file.display().to_string();
        mesh.ok(1, &["receipts", "export", id, "-o", &path]);
        let (code, account) = verify(&file);
        assert_eq!(code, Some(0), "{account}");
        let tasks = |row: &Value| row["tasks"].as_u64().expect("a count");
        let paid: u64 = account["paid"].as_array().expect("a list").iter().map(tasks).sum();
        assert!(paid >= job["tasks"].as_u64().expect("a count"), "each result is paid: {account}");
        fs::remove_file(file).expect("removed");
    }
    assert!(jobs > 0);
    all.iter().for_each(|&peer| drop(audit(&mesh, peer)));
}

#[test]
fn a_damaged_journal_stops_money_and_leaves_the_rest_running() {
    let mesh = Testnet::start(3);
    run(&mesh, &mesh.dir().join("out"), "0..50");
    mesh.kill(1);
    let path = mesh.home(1).join("journal");
    let mut bytes = fs::read(&path).expect("read");
    bytes[400] ^= 1;
    fs::write(&path, bytes).expect("written");
    let said = mesh.fails(1, 1, &["ledger", "audit"]);
    assert!(said.contains("journal record ") && said.contains("is damaged"), "{said}");
    let running = mesh.restart_beside(1, 0);
    mesh.wait_until("it has met the others again", || {
        mesh.json(1, &["peers", "list"]).as_array().is_some_and(|peers| peers.len() == 2)
    });
    let stopped = mesh.json(1, &["wallet", "balance"])["stopped"].to_string();
    assert!(stopped.contains("is damaged") && stopped.contains("restore the journal from a backup"), "{stopped}");
    assert_eq!(mesh.json(1, &["status"])["payments_stopped"].to_string(), stopped);
    let said = mesh.fails(1, 1, &["run", &guest("noop")]);
    assert!(said.contains("no job can be taken on: ") && said.contains("is damaged"), "{said}");
    // The others go on without it.
    mesh.ok(2, &["run", &guest("primes"), "--range", "0..20", "--", "{index}", "1000", "10"]);
    drop(running);
}

#[test]
fn a_journal_that_cannot_grow_stops_money_and_work_and_loses_nothing() {
    let mesh = Testnet::start(3);
    run(&mesh, &mesh.dir().join("first"), "0..200");
    mesh.wait_until("all books agree", || agree(&mesh, &[0, 1, 2]));
    let before = balances(&mesh, &[0, 2]);
    let len = fs::metadata(mesh.home(0).join("journal")).expect("a journal").len();
    mesh.limit_files(0, Some(len));
    // Who wins a lease is decided by who bids first.
    let work_until = |what, holds: &dyn Fn() -> bool| {
        mesh.wait_until(what, || {
            run(&mesh, &mesh.dir().join(format!("job-{}", mesh.jobs(1).len())), "0..50");
            holds()
        });
    };
    work_until("it is paid", &|| mesh.json(0, &["status"])["payments_stopped"].is_string());
    let status = mesh.json(0, &["status"]);
    assert!(status["payments_stopped"].to_string().contains("the journal could not be written"), "{status}");
    assert_eq!(status["provide"]["active"], false, "{status}");
    let [offers, executed] = ["offers", "work"].map(|key| status[key].clone());
    // The others go on without it, and it does nothing unpaid.
    run(&mesh, &mesh.dir().join("without"), "0..50");
    let status = mesh.json(0, &["status"]);
    assert_eq!((&status["offers"]["bid"], &status["work"]["executed"]), (&offers["bid"], &executed["executed"]));
    // Room alone does not mend it: what of the last records is there is not certain.
    mesh.limit_files(0, None);
    assert!(
        mesh.fails(0, 1, &["run", &guest("noop")]).contains("no job can be taken on: the journal could not be written")
    );
    // Started again it knows what it knew, hears of what it was not told, and works.
    mesh.kill(0);
    audit(&mesh, 0);
    let running = mesh.restart_beside(0, 1);
    mesh.wait_until("all books agree", || agree(&mesh, &[0, 1, 2]));
    assert_none_fell(&before, &balances(&mesh, &[0, 2]));
    work_until("it works", &|| mesh.json(0, &["status"])["work"]["accepted"].as_u64() > Some(0));
    drop(running);
}

#[test]
fn an_older_copy_of_the_journal_is_noticed() {
    let mesh = Testnet::start(3);
    run(&mesh, &mesh.dir().join("first"), "0..50");
    mesh.kill(1);
    let (path, copy) = (mesh.home(1).join("journal"), mesh.dir().join("copy"));
    fs::copy(&path, &copy).expect("copied");
    let running = mesh.restart_beside(1, 0);
    run(&mesh, &mesh.dir().join("second"), "0..50");
    mesh.ok(1, &["stop"]);
    drop(running);
    fs::copy(&copy, &path).expect("put back");
    let running = mesh.restart(1);
    let stopped = mesh.json(1, &["wallet", "balance"])["stopped"].to_string();
    assert!(stopped.contains("an older copy was put back"), "{stopped}");
    drop(running);
}

#[test]
fn a_daemon_opens_the_folder_that_the_first_release_has_left() {
    let turn = Testnet::turn();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folder = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(fixtures.join("folder-1")).expect("listed") {
        let from = entry.expect("an entry").path();
        let to = folder.path().join(from.file_name().expect("a name"));
        fs::copy(&from, &to).expect("copied");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("set");
    }
    let at = |args: &[&str]| {
        let mut command = command();
        command.arg("--data-dir").arg(folder.path()).args(args);
        command
    };
    let mut daemon = at(&["daemon", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    let mut child = Killed(daemon.stdout(Stdio::piped()).spawn().expect("a daemon"));
    let mut lines = BufReader::new(child.0.stdout.take().expect("its output")).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("listens on")), "it is up");
    let json = |args: &[&str]| -> Value {
        let output = at(&[&["--json"], args].concat()).output().expect("it runs");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let expected: Value =
        serde_json::from_slice(&fs::read(fixtures.join("folder-1.json")).expect("read")).expect("JSON");
    assert_eq!(json(&["wallet", "balance"]), expected);
    let jobs = json(&["job", "list"]);
    assert_eq!((jobs.as_array().map(Vec::len), &jobs[0]["tasks"]), (Some(1), &70.into()), "{jobs}");
    drop((child, turn));
}

/// What each job of peer 1 has cost, and might, in atto-credits, by its id.
fn spending(mesh: &Testnet) -> BTreeMap<String, (u128, u128)> {
    let ids = mesh.jobs(1).into_iter().map(|job| job["id"].as_str().expect("an id").to_owned());
    ids.map(|id| {
        let spending = &mesh.json(1, &["job", "describe", &id])["spending"];
        (id, (amount(&spending["owed"]), amount(&spending["budget"])))
    })
    .collect()
}

#[test]
fn a_job_and_its_reduction_cost_no_more_than_their_budget() {
    let mesh = Testnet::start(3);
    // Nine MiB of text are too much to be reduced in one run here; what reduces them is done after 64 bytes.
    let (text, first) = (guest("textgen"), guest("noop"));
    let reduce = ["--reduce", &first, "--fan-in", "4"];
    let run = |budget: u128, reduce: &[&str]| {
        let folder = mesh.dir().join(format!("out-{budget}")).display().to_string();
        // In nano-credits, with nine digits behind the point.
        let budget = format!("{}.{:09}", budget / 1_000_000_000, budget % 1_000_000_000);
        let args = ["run", &text, "--range", "0..36", "--budget", &budget, "-o", &folder];
        let terms = ["--fuel", "50M", "--output-limit", "300KiB"];
        let args = [&args[..], &terms, reduce, &["--", "{index}", "262144"]].concat();
        let output = mesh.command(1, &args).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(1, &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("the budget does not cover 36 tasks"), "{said}");
    let nothing = spending(&mesh);
    assert_eq!(nothing.values().map(|(owed, _)| owed).sum::<u128>(), 0);

    let budget = 1 << 60;
    let (code, said) = run(budget, &reduce);
    assert_eq!(code, Some(0), "{said}");
    let mut jobs: Vec<(u128, u128)> =
        spending(&mesh).into_iter().filter(|(id, _)| !nothing.contains_key(id)).map(|(_, spending)| spending).collect();
    jobs.sort_unstable_by_key(|(_, budget)| std::cmp::Reverse(*budget));
    let [(tasks, whole), (level, left)] = jobs[..] else { panic!("one level: {jobs:?}") };
    assert!(tasks > 0 && level > 0 && level <= left, "{jobs:?}");
    assert_eq!((whole, left), (budget, budget - tasks), "the level has what the tasks have left");
}
