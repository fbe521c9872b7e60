//! A testnet of real processes, and commands aimed at its peers.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_pocketmesh");
/// A safety net: no test waits for this.
const LIMIT: Duration = Duration::from_secs(180);
/// Meshes of processes run one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// The binary, without a data folder.
pub fn command() -> Command {
    let mut command = Command::new(BINARY);
    command.stdin(Stdio::null());
    command
}

/// The path of one of our guest programs.
pub fn guest(name: &str) -> String {
    format!("{}/../../crates/guests/wasm/{name}.wasm", env!("CARGO_MANIFEST_DIR"))
}

/// SHA-256 in hex.
pub fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many executions a job has had, by all workers.
pub fn count_executions(job: &Value) -> u64 {
    job["executions"].as_u64().expect("a number")
}

/// A process that is killed when it is dropped.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A mesh of processes; peer 0 is the one that all others are told of.
pub struct Testnet {
    folder: TempDir,
    parent: Child,
    _turn: MutexGuard<'static, ()>,
}

impl Testnet {
    /// Waits until no other mesh runs; none starts while this is held.
    pub fn turn() -> MutexGuard<'static, ()> {
        TURN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts so many peers; returns when all have met.
    pub fn start(peers: usize) -> Self {
        let turn = Self::turn();
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(BINARY);
        command.args(["testnet", "--peers", &peers.to_string(), "--dir"]).arg(folder.path().join("net"));
        let mut parent = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("a testnet");
        let mut lines = BufReader::new(parent.stdout.take().expect("its output")).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("aim any command"));
        assert!(ready, "the testnet ended before it was ready");
        thread::spawn(move || lines.for_each(drop));
        Self { folder, parent, _turn: turn }
    }

    /// A folder for results.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder of a peer.
    pub fn home(&self, peer: usize) -> PathBuf {
        self.folder.path().join(format!("net/peer-{peer}"))
    }

    /// A command aimed at a peer.
    pub fn command(&self, peer: usize, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("--data-dir").arg(self.home(peer)).args(args).stdin(Stdio::null());
        command
    }

    /// Starts a `run` at a peer.
    pub fn run(&self, peer: usize, args: &[&str], program_args: &[&str]) -> Child {
        let args: Vec<&str> = ["run"].iter().chain(args).chain(program_args).copied().collect();
        self.command(peer, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run")
    }

    /// A command that must succeed.
    pub fn ok(&self, peer: usize, args: &[&str]) -> Output {
        let output = self.command(peer, args).output().expect("the command runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// A command that must fail with this code; what it says.
    pub fn fails(&self, peer: usize, code: i32, args: &[&str]) -> String {
        let output = self.command(peer, args).output().expect("the command runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        said
    }

    /// What a command answers to a script.
    pub fn json(&self, peer: usize, args: &[&str]) -> Value {
        let output = self.ok(peer, &[&["--json"], args].concat());
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The jobs of a peer.
    pub fn jobs(&self, peer: usize) -> Vec<Value> {
        self.json(peer, &["job", "list"]).as_array().expect("a list").clone()
    }

    /// The one job of a peer.
    pub fn only_job(&self, peer: usize) -> Value {
        self.jobs(peer).first().expect("a job").clone()
    }

    /// Waits until the peer's job has so many final tasks.
    pub fn wait_for_done(&self, peer: usize, tasks: u64) {
        self.wait_until("tasks are final", || {
            self.jobs(peer).first().is_some_and(|job| job["done"].as_u64() >= Some(tasks))
        });
    }

    /// Waits until the peer's job is over; its last row.
    pub fn wait_for_end(&self, peer: usize) -> Value {
        self.wait_until("the job is over", || self.only_job(peer)["finished"].is_u64());
        self.only_job(peer)
    }

    /// Asks again and again, with a safety net.
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        self.wait_within(LIMIT, what, holds);
    }

    /// The same with another safety net.
    #[expect(clippy::disallowed_methods, reason = "a process that is asked from outside tells nothing by itself")]
    pub fn wait_within(&self, limit: Duration, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < limit, "waited in vain until {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process of a peer.
    pub fn pid(&self, peer: usize) -> u32 {
        let pid = std::fs::read_to_string(self.home(peer).join("lock")).expect("the lock names its process");
        pid.trim().parse().expect("a number")
    }

    /// Lets no file of a peer grow beyond so many bytes, as on a full disk, or any again.
    pub fn limit_files(&self, peer: usize, bytes: Option<u64>) {
        let pid = Pid::from_raw(i32::try_from(self.pid(peer)).expect("a pid"));
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(pid, Resource::Fsize, limit).expect("limited");
    }

    /// Kills a peer with SIGKILL.
    pub fn kill(&self, peer: usize) {
        let pid = self.pid(peer).to_string();
        let status = Command::new("kill").args(["-9", &pid]).status().expect("kill runs");
        assert!(status.success(), "peer {peer} was not there to be killed");
        // Its files, the lock among them, are open until its last thread has ended, which may be waiting for the disk; the
        // first one is then a zombie, or nothing.
        let lives = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
            let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
            threads > 1 || !(state.is_empty() || state.starts_with('Z'))
        };
        self.wait_until("the killed peer is dead", || !lives());
    }

    /// Starts a killed peer again, without any bootstrap address.
    pub fn restart(&self, peer: usize) -> Killed {
        Self::started(self.daemon(peer))
    }

    /// The same, told the address of another one: where all have been restarted, those that it knew are out of date.
    pub fn restart_beside(&self, peer: usize, other: usize) -> Killed {
        Self::started(self.daemon_beside(peer, other))
    }

    /// The command that starts a killed peer again, told the address of another one.
    pub fn daemon_beside(&self, peer: usize, other: usize) -> Command {
        let addresses = self.json(other, &["status"])["addresses"].clone();
        let mut command = self.daemon(peer);
        command.args(["--bootstrap", addresses[0].as_str().expect("it listens somewhere")]);
        command
    }

    fn daemon(&self, peer: usize) -> Command {
        self.command(peer, &["daemon", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"])
    }

    fn started(mut command: Command) -> Killed {
        let mut child = Killed(command.stdout(Stdio::piped()).spawn().expect("a daemon"));
        let mut lines = BufReader::new(child.0.stdout.take().expect("its output")).lines();
        assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("listens on")), "it is up");
        thread::spawn(move || lines.for_each(drop));
        child
    }
}

impl Drop for Testnet {
    fn drop(&mut self) {
        // The children watch their parent's pipe, and end with it.
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}
