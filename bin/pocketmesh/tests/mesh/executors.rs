//! Executor processes as their system sees them: killed, replaced, and holding no secret.

use crate::rig::{Testnet, guest};
use crate::{PRIMES, primes_expected};
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    process::Command,
};

/// Memory is read in pieces of this size, each with the end of the one before.
const PIECE_BYTES: usize = 1 << 20;

#[test]
fn a_killed_executor_costs_no_task_and_blames_nobody() {
    let mesh = Testnet::start(3);
    let out = mesh.dir().join("out");
    let run = mesh.run(1, &[&guest("primes"), "--range", "0..240", "-o", &out.to_string_lossy()], &PRIMES);
    let mut killed = 0;
    for done in [20, 60, 100, 140] {
        mesh.wait_for_done(1, done);
        killed += executors_of(&mesh, 0).into_iter().filter(|&pid| kill(pid)).count();
        killed += executors_of(&mesh, 2).into_iter().filter(|&pid| kill(pid)).count();
    }
    assert!(killed > 0, "there were executors to be killed");
    let output = run.wait_with_output().expect("run ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(out.join("stdout")).expect("a result"), primes_expected(240));
    let id = mesh.only_job(1)["id"].as_str().expect("an id").to_owned();
    let job = mesh.json(1, &["job", "describe", &id]);
    for worker in job["workers"].as_array().expect("workers") {
        assert_eq!((&worker["voided"], &worker["late"]), (&0.into(), &0.into()), "{worker}");
        assert!(["active", "finished"].contains(&worker["state"].as_str().expect("a state")), "{worker}");
    }
}

#[test]
fn an_executor_holds_no_byte_of_the_key() {
    let mesh = Testnet::start(3);
    mesh.ok(1, &[&["run", &guest("primes"), "--range", "0..8"], &PRIMES[..]].concat());
    let key = fs::read(mesh.home(2).join("identity.key")).expect("a key");
    let Some(holds) = memory_holds(mesh.pid(2), &key) else {
        println!("skipped: this system does not let its processes be read");
        return;
    };
    assert!(holds, "the daemon itself holds its key, so the search can find it");
    let executors = executors_of(&mesh, 2);
    assert!(!executors.is_empty(), "a worker has executors");
    for pid in executors {
        match memory_holds(pid, &key) {
            Some(holds) => assert!(!holds, "executor {pid} holds the key"),
            None => println!("skipped: executor {pid} cannot be read at all"),
        }
    }
}

/// The executor processes of a peer.
fn executors_of(mesh: &Testnet, peer: usize) -> Vec<u32> {
    let daemon = mesh.pid(peer);
    let processes = fs::read_dir("/proc").expect("a process list").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| parent_of(pid) == Some(daemon)).collect()
}

/// The fourth field of `/proc/PID/stat`; the second one is in brackets and may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn kill(pid: u32) -> bool {
    Command::new("kill").args(["-9", &pid.to_string()]).status().is_ok_and(|status| status.success())
}

/// Whether these bytes are anywhere in the memory of a process; nothing if it may not be read.
fn memory_holds(pid: u32, bytes: &[u8]) -> Option<bool> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let readable = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|access| access.starts_with('r')));
    let ranges = readable.filter_map(|line| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    });
    Some(ranges.into_iter().any(|range| range_holds(&mut memory, range, bytes)))
}

fn range_holds(memory: &mut File, (start, end): (u64, u64), bytes: &[u8]) -> bool {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = start;
    while at < end {
        let len = PIECE_BYTES.min((end - at) as usize);
        // Some ranges are the kernel's own and cannot be read.
        if memory.seek(SeekFrom::Start(at)).is_err() || memory.read_exact(&mut piece[..len]).is_err() {
            return false;
        }
        if piece[..len].windows(bytes.len()).any(|window| window == bytes) {
            return true;
        }
        at += (len.saturating_sub(bytes.len()).max(1)) as u64;
        if len < PIECE_BYTES {
            break;
        }
    }
    false
}
