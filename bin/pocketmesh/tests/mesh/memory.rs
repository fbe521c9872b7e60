//! The memory of daemons, as their system sees it, while hostile programs pass through them.

use crate::hostile::programs;
use crate::rig::{Testnet, guest};
use std::fs;

/// What a daemon may grow by, whatever it is given to run or to pass on.
const GROWTH_BYTES_MAX: u64 = 16 << 20;
const PEERS: usize = 3;

/// A mesh that has worked once, and how much memory each of its daemons had by then.
struct Measured {
    mesh: Testnet,
    start: Vec<(u32, u64)>,
}

impl Measured {
    /// None where the system does not say it.
    fn start() -> Option<Self> {
        let mesh = Testnet::start(PEERS);
        mesh.ok(1, &["run", &guest("primes"), "--range", "0..40", "--", "{index}", "1000", "10"]);
        let start: Option<Vec<_>> =
            (0..PEERS).map(|peer| mesh.pid(peer)).map(|pid| Some((pid, restart_peak(pid)?))).collect();
        if start.is_none() {
            println!("skipped: this system does not say how much memory its processes had");
        }
        Some(Self { mesh, start: start? })
    }

    /// What each daemon has had at most beyond that, since its peak was last restarted.
    fn growths(&self) -> Vec<u64> {
        let grown = |&(pid, start): &(u32, u64)| peak(pid).expect("it lives").saturating_sub(start);
        self.start.iter().map(grown).collect()
    }
}

#[test]
fn no_hostile_program_makes_a_daemon_grow() {
    let Some(measured) = Measured::start() else { return };
    let mesh = &measured.mesh;
    let mut most = 0;
    for (number, (name, wasm)) in programs().into_iter().enumerate() {
        let (program, out) = (mesh.dir().join("hostile.wasm"), mesh.dir().join(number.to_string()));
        fs::write(&program, wasm).expect("written");
        for &(pid, _) in &measured.start {
            restart_peak(pid);
        }
        // What becomes of the job is the zoo's business; here it only has to be over.
        let (program, out) = (program.to_string_lossy(), out.to_string_lossy());
        let output = mesh.run(1, &[&program, "--replicas", "2", "-o", &out], &[]).wait_with_output().expect("run ends");
        let growths = measured.growths();
        let said = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
        println!("{name}: grown by {:?} KiB ({said})", growths.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>());
        most = growths.into_iter().fold(most, u64::max);
    }
    println!("the most that a daemon has grown by: {} KiB", most >> 10);
    assert!(most <= GROWTH_BYTES_MAX, "a daemon has grown by {most} bytes");
}

#[test]
fn a_large_standard_input_makes_no_daemon_grow() {
    let Some(measured) = Measured::start() else { return };
    let mesh = &measured.mesh;
    let input = mesh.dir().join("input");
    fs::write(&input, "a few words, many times over\n".repeat((48 << 20) / 29).as_bytes()).expect("written");
    mesh.ok(1, &["run", &guest("wordcount"), "-i", &input.to_string_lossy(), "--replicas", "2"]);
    let growths = measured.growths();
    println!("grown by {:?} KiB", growths.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>());
    assert!(growths.iter().all(|&bytes| bytes <= GROWTH_BYTES_MAX), "{growths:?}");
}

/// Counts the most memory that a process has had from now on, where the system can do that; what it has had so far.
pub fn restart_peak(pid: u32) -> Option<u64> {
    drop(fs::write(format!("/proc/{pid}/clear_refs"), "5"));
    peak(pid)
}

/// The most memory that a process has had in RAM, in bytes.
pub fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}
