//! One peer of a local mesh: a child process and what it said when it was ready.

use super::NETWORK;
use crate::exit::Error;
use pocketmesh_api::Client;
use pocketmesh_node::Home;
use pocketmesh_node::home::InitOptions;
use pocketmesh_node::sabotage::Sabotage;
use pocketmesh_types::PeerId;
use serde::Deserialize;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// A daemon that does not say by then where it listens has a fault.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A daemon that has not ended by then is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// The longest line in which a daemon says where it listens.
const READY_BYTES_MAX: u64 = 64 << 10;
/// The end of a log that is shown when a daemon does not start.
const LOG_BYTES_SHOWN: usize = 300;

/// What one peer is for.
#[derive(Debug, Default)]
pub struct Role {
    /// The one address that it is told.
    pub bootstrap: Option<String>,
    /// How it cheats, if it does.
    pub sabotage: Option<Sabotage>,
}

/// A running peer. It is killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    /// Its data folder.
    pub dir: PathBuf,
    /// Its identity.
    pub peer: PeerId,
    /// Where it listens, without its identity.
    pub address: String,
    /// How it cheats, if it does.
    pub sabotage: Option<Sabotage>,
    /// Its control.
    pub client: Client,
    process: tokio::process::Child,
    /// It stops when this is closed.
    lifeline: Option<ChildStdin>,
    reported: bool,
}

/// What a daemon prints when it is ready, with `--json`.
#[derive(Deserialize)]
struct Ready {
    peer: PeerId,
    addresses: Vec<String>,
    socket: PathBuf,
}

impl Child {
    /// Starts the peer `index` of the mesh in `folder` and waits until it listens.
    pub async fn start(folder: &Path, index: usize, role: Role) -> Result<Self, Error> {
        let dir = folder.join(format!("peer-{index}"));
        if !Home::is_initialised(&dir) {
            Home::init(&dir, InitOptions { network: Some(NETWORK.into()) })?;
        }
        let log = folder.join(format!("peer-{index}.log"));
        let mut process = spawn(&dir, &log, &role).map_err(|error| failed(index, &error))?;
        let lifeline = process.stdin.take();
        let stdout = process.stdout.take().ok_or_else(|| failed(index, &"it has no standard output"))?;
        let ready = match timeout(READY_WITHIN, ready(stdout)).await {
            Ok(Ok(ready)) => ready,
            Ok(Err(error)) => return Err(did_not_start(index, &log, &error.to_string())),
            Err(_) => return Err(did_not_start(index, &log, "it does not say where it listens")),
        };
        let address = ready.addresses.iter().find(|address| address.starts_with("/ip4/127.0.0.1/"));
        let address = address.ok_or_else(|| failed(index, &"it does not listen on 127.0.0.1"))?;
        let address = address.split("/p2p/").next().unwrap_or_default().to_owned();
        let client = Client::new(ready.socket, &dir);
        let (peer, sabotage) = (ready.peer, role.sabotage);
        Ok(Self { dir, peer, address, sabotage, client, process, lifeline, reported: false })
    }

    /// Its process number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// How it ended, the first time that this is asked after its end.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.try_wait().ok().flatten().filter(|_| !self.reported);
        self.reported |= status.is_some();
        status
    }

    /// Asks it to end and waits for that; kills it if it does not.
    pub async fn stop(&mut self) {
        drop(self.lifeline.take());
        if timeout(STOP_WITHIN, self.process.wait()).await.is_err() {
            // If even that fails there is nothing more to be done about it.
            let _ = self.process.kill().await;
        }
    }
}

fn spawn(dir: &Path, log: &Path, role: &Role) -> io::Result<tokio::process::Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--data-dir").arg(dir).args(["--json", "daemon", "--no-mdns", "--until-stdin-ends"]);
    command.args(["--listen", "/ip4/127.0.0.1/tcp/0"]);
    if let Some(address) = &role.bootstrap {
        command.args(["--bootstrap", address]);
    }
    if let Some(kind) = &role.sabotage {
        command.args(["--sabotage", &kind.to_string()]);
    }
    // In a group of its own: an interrupt from the terminal is for this process, which then ends its children in order.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?).process_group(0).kill_on_drop(true);
    command.spawn()
}

async fn ready(stdout: ChildStdout) -> io::Result<Ready> {
    let mut lines = BufReader::new(stdout.take(READY_BYTES_MAX)).lines();
    let line = lines.next_line().await?.ok_or_else(|| io::Error::other("it ended at once"))?;
    Ok(serde_json::from_str(&line)?)
}

fn failed(index: usize, error: &impl std::fmt::Display) -> Error {
    Error::failed(format!("peer-{index} does not start: {error}"))
}

/// The last line of its log usually says why.
fn did_not_start(index: usize, log: &Path, what: &str) -> Error {
    let log = std::fs::read(log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_BYTES_SHOWN)..]).into_owned();
    let why = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(what);
    failed(index, &why)
}
