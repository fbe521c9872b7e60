//! The command line as clap reads it. The words are those of DESIGN §12; scripts rely on them.

mod blob;
mod money;

use crate::quantity;
pub use blob::Blob;
use clap::{ArgAction, Args, Parser, Subcommand};
pub use money::{Ledger, Receipts, Wallet};
use pocketmesh_api::{Auditors, Audits, Split, Verification};
use pocketmesh_node::home::Size;
use pocketmesh_node::sabotage::Sabotage;
use pocketmesh_types::Credits;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// A fully decentralised compute mesh: give what your devices have to spare, run what you need on those of others.
#[derive(Debug, Parser)]
#[command(name = "pocketmesh", version, propagate_version = false, arg_required_else_help = true)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The data folder of the peer [default: pocketmesh in the user's data folder]
    #[arg(long, global = true, value_name = "DIR", env = "POCKETMESH_HOME")]
    pub data_dir: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Tell more; twice, tell even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Show answers and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new peer: its identity and its configuration
    Init {
        /// The network that the peer belongs to, for good
        #[arg(long, value_name = "NAME")]
        network: Option<String>,
    },
    /// Run the peer until it is stopped
    Daemon(Daemon),
    /// Stop the running daemon
    Stop,
    /// Show the peer's id
    Id,
    /// Show the version
    Version,
    /// Show what the daemon does
    Status,
    /// Show what this machine gives a peer, and what it lacks
    Doctor,
    /// Show and make connections
    #[command(subcommand)]
    Peers(Peers),
    /// Show and change the addresses of peers that introduce this one
    #[command(subcommand)]
    Bootstrap(Bootstrap),
    /// Run a program on the mesh
    Run(Box<Run>),
    /// Run one task of a program here, as any peer would: without a daemon, a data folder or a network
    Exec(Box<Exec>),
    /// Look after jobs
    #[command(subcommand)]
    Job(Job),
    /// Store blobs, keep them, fetch them from other peers
    #[command(subcommand)]
    Blob(Blob),
    /// Show who owes whom: credit with peers, which is no money and not redeemable
    #[command(subcommand)]
    Wallet(Wallet),
    /// Check and export what was paid for jobs; replay the proofs of refuted claims
    #[command(subcommand)]
    Receipts(Receipts),
    /// Show what was seen of other peers: it orders bids and shortens waits, and never lowers audits
    #[command(subcommand)]
    Reputation(Reputation),
    /// Look into the journal, and audit it
    #[command(subcommand)]
    Ledger(Ledger),
    /// Run a mesh of several peers on this machine until it is stopped
    Testnet(Testnet),
    /// Show the mesh at work: real peers, a real job, a cheat, a picture
    Demo(Demo),
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `daemon`
#[derive(Debug, Args)]
pub struct Daemon {
    /// Listen here and not where the configuration says; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<String>,
    /// A peer that introduces this one to the rest; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub bootstrap: Vec<String>,
    /// Refuse to start unless the data folder belongs to this network
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Do not look for peers on the local network
    #[arg(long)]
    pub no_mdns: bool,
    /// A test aid: return wrong results: wrong, sleeper:N, clique:NAME, sometimes:P%
    #[arg(long, hide = true, value_name = "KIND", num_args = 0..=1, default_missing_value = "wrong")]
    pub sabotage: Option<Sabotage>,
    /// Stop when standard input ends: how children follow the one who started them
    #[arg(long, hide = true)]
    pub until_stdin_ends: bool,
}

/// `peers`
#[derive(Debug, Subcommand)]
pub enum Peers {
    /// Show the connected peers and who told of them
    List,
    /// Connect to a peer
    Connect {
        /// Its address, with or without /p2p/…
        #[arg(value_name = "MULTIADDR")]
        address: String,
    },
}

/// `bootstrap`
#[derive(Debug, Subcommand)]
pub enum Bootstrap {
    /// Show the list
    List,
    /// Add an address
    Add {
        /// The address, with or without /p2p/…
        #[arg(value_name = "MULTIADDR")]
        address: String,
    },
    /// Remove an address
    Rm {
        /// The address as the list shows it
        #[arg(value_name = "MULTIADDR")]
        address: String,
    },
}

/// `run`
#[derive(Debug, Args)]
pub struct Run {
    /// The program: a WebAssembly command built for wasm32-wasip1
    #[arg(value_name = "PROG.wasm")]
    pub program: PathBuf,
    /// SRC: for the tasks' standard input, a file, a folder with all files in it, a pattern such as 'logs/*.txt', `-` for this
    /// command's, or the id of a blob that the daemon or a peer of its has. SRC:DST: a file or folder that each task finds as
    /// /in/DST; without a DST after the colon, a file, or what is in a folder, lies in /in itself. May be repeated
    #[arg(short, long, value_name = "SRC[:DST]")]
    pub input: Vec<PathBuf>,
    /// How the input is cut into tasks: lines=N, bytes=SIZE, or file (one task for each SRC)
    #[arg(long, value_name = "HOW", value_parser = split, requires = "input")]
    pub split: Option<Split>,
    /// One task for each number from A up to, not including, B; `{index}` in ARGS becomes the number
    #[arg(long, value_name = "A..B", value_parser = quantity::range)]
    pub range: Option<Range<u64>>,
    /// A program that makes one output of all tasks' standard output, joined in task order. Where that is large it is run
    /// on the mesh, many times as a tree, and then reads what it has written itself
    #[arg(long, value_name = "PROG.wasm")]
    pub reduce: Option<PathBuf>,
    /// How many outputs one run of the reduce program reads, from 2 on, or `all` for one run here; otherwise as many as
    /// their sizes allow
    #[arg(long, value_name = "N|all", value_parser = quantity::fan_in, requires = "reduce")]
    pub fan_in: Option<u32>,
    /// Put the result into this folder, which must be empty or not exist: standard output, the report, and what each
    /// task left under /out, as tasks/INDEX/…; otherwise standard output is shown, and the rest stays with the daemon
    #[arg(short, long, value_name = "DIR", conflicts_with_all = ["detach", "id_only"])]
    pub output: Option<PathBuf>,
    /// How results are checked.
    #[command(flatten)]
    pub trust: Trust,
    /// Return as soon as every task has a result, also if it is not final yet, and say so; the job goes on in the daemon,
    /// and the exit code is 3 unless all was final
    #[arg(long, conflicts_with_all = ["detach", "id_only", "reduce"])]
    pub provisional: bool,
    /// Pay no more than this, in nano-credits per gigafuel
    #[arg(long, value_name = "X")]
    pub max_price: Option<u64>,
    /// Pay this for each GiB that a task moves, in nano-credits: its input, what it writes, and the list of its files. By default what a
    /// core earns while a line of 100 Mbit/s carries a GiB [default: 25000]
    #[arg(long, value_name = "X")]
    pub per_gib: Option<u64>,
    /// Pay no more than this for its tasks, in nano-credits, as in 250 or 0.5; at the bound the job ends with part of its result.
    /// A reduce tree may cost what its tasks have left of it
    #[arg(long, value_name = "X", value_parser = quantity::amount)]
    pub budget: Option<Credits>,
    /// What a task may use.
    #[command(flatten)]
    pub task: Task,
    /// Hand the job over and do not wait
    #[arg(long)]
    pub detach: bool,
    /// Hand the job over and print its id alone
    #[arg(long)]
    pub id_only: bool,
    /// Print the job as TOML and run nothing
    #[arg(long, conflicts_with_all = ["detach", "id_only"])]
    pub dry_run: bool,
    /// Arguments of the program, after `--`; in them `{index}` becomes the task's number, and `{input}` the path of a
    /// file under /in that holds the task's standard input, with the extension of its SRC
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// How results are checked: audits after delivery, or replicas.
#[derive(Debug, Args)]
pub struct Trust {
    /// The share of accepted results that must be right, as in 0.999 or 99.9%; a job that can be run here within a minute
    /// is confirmed in full [default: 0.999]
    #[arg(long, value_name = "P", value_parser = quantity::confidence)]
    pub confidence: Option<u32>,
    /// The share of the seats that saboteurs are assumed to hold, all of them one clique, as in 20% or 0.2
    /// [default: 20%]
    #[arg(long, value_name = "F", value_parser = quantity::saboteurs)]
    pub assume_saboteurs: Option<u32>,
    /// Who runs once more what is drawn for an audit: this device, other workers, or others if there are enough of them
    /// [default: auto]
    #[arg(long, value_name = "own|mesh|auto", value_parser = auditors)]
    pub audit: Option<Auditors>,
    /// No audits: so many unrelated peers run each task, and must agree
    #[arg(long, value_name = "K", conflicts_with_all = ["confidence", "assume_saboteurs", "audit"],
        value_parser = clap::value_parser!(u8).range(1..=i64::from(pocketmesh_types::limits::REPLICAS_MAX)))]
    pub replicas: Option<u8>,
}

impl Trust {
    /// The same as the daemon is told it.
    pub fn verification(&self) -> Verification {
        let default = Audits::default();
        match self.replicas {
            Some(count) => Verification::Replicas(count),
            None => Verification::Audits(Audits {
                error_ppb: self.confidence.unwrap_or(default.error_ppb),
                saboteurs_ppm: self.assume_saboteurs.unwrap_or(default.saboteurs_ppm),
                by: self.audit.unwrap_or(default.by),
            }),
        }
    }
}

/// What a task sees and may use, on the mesh and here.
#[derive(Debug, Args)]
pub struct Task {
    /// Memory of a task, its files under /in and /out included, as in 64MiB [default: 256MiB]
    #[arg(long, value_name = "M")]
    pub memory: Option<Size>,
    /// Fuel of a task, as in 50G [default: 1T]
    #[arg(long, value_name = "F", value_parser = quantity::fuel)]
    pub fuel: Option<u64>,
    /// Time of a task, as in 90s or 10m: a safety net that decides no result [default: 10m]
    #[arg(long, value_name = "T", value_parser = quantity::duration)]
    pub timeout: Option<Duration>,
    /// What a task may write to standard output, standard error and /out together, as in 64MiB [default: 16MiB]
    #[arg(long, value_name = "SIZE")]
    pub output_limit: Option<Size>,
    /// A variable in the task's environment, which is empty otherwise; may be repeated
    #[arg(long, value_name = "K=V", value_parser = variable)]
    pub env: Vec<(String, String)>,
}

/// `exec`
#[derive(Debug, Args)]
pub struct Exec {
    /// The program: a WebAssembly command built for wasm32-wasip1
    #[arg(value_name = "PROG.wasm")]
    pub program: PathBuf,
    /// SRC: a file for the task's standard input, `-` for this command's; several are joined. SRC:DST: a file or folder
    /// that the task finds as /in/DST; without a DST after the colon, a file, or what is in a folder, lies in /in itself.
    /// May be repeated
    #[arg(short, long, value_name = "SRC[:DST]")]
    pub input: Vec<PathBuf>,
    /// Put what the task leaves under /out into this folder, which must be empty or not exist
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// What `{index}` in ARGS becomes; the task's random numbers are drawn from it too
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub index: u64,
    /// What the task may use.
    #[command(flatten)]
    pub task: Task,
    /// Run it in this process and not in a sealed child: a flaw of the engine would then lay open all that you may
    /// read and reach. For systems that allow no child processes, and for programs that you trust
    #[arg(long)]
    pub in_process: bool,
    /// Interpret the program and make no machine code: many times slower, for systems that forbid machine code. The
    /// outcome is the same
    #[arg(long)]
    pub interpreted: bool,
    /// Arguments of the program, after `--`; in them `{index}` becomes the number of --index, and `{input}` the path of a
    /// file under /in that holds the task's standard input, with the extension of its SRC
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// `job`
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Show all jobs, newest first
    List,
    /// Show all about a job
    Describe {
        /// Its id, or at least six digits of it
        job: String,
    },
    /// Fetch the result of a job
    Get {
        /// Its id, or at least six digits of it
        job: String,
        /// Put the result into this folder, which must be empty or not exist: standard output, the report, and what
        /// each task left under /out, as tasks/INDEX/…; otherwise standard output is shown
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Stop a job
    Stop {
        /// Its id, or at least six digits of it
        job: String,
    },
}

/// `testnet`
#[derive(Debug, Args)]
pub struct Testnet {
    /// How many peers
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=100))]
    pub peers: u16,
    /// Where their data folders go, and stay; otherwise a temporary folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Which of them cheat.
    #[command(flatten)]
    pub cheats: Cheats,
}

/// Saboteurs of a mesh on this machine.
#[derive(Debug, Args)]
pub struct Cheats {
    /// How many of the peers return wrong results [default: those below together]
    #[arg(long, value_name = "K")]
    pub saboteurs: Option<u16>,
    /// How many of the saboteurs are honest until they have run a few tasks
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub sleepers: u16,
    /// How many of the saboteurs agree on one wrong result
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub colluders: u16,
}

/// `demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// How many peers
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(5..=50))]
    pub peers: u16,
    /// Where the picture goes
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Where the peers' data folders go, and stay, proofs included; otherwise a temporary folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Which of them cheat; one, unless told otherwise.
    #[command(flatten)]
    pub cheats: Cheats,
}

/// `reputation`
#[derive(Debug, Subcommand)]
pub enum Reputation {
    /// Show what was seen of other peers
    List,
    /// Show all that was seen of one peer
    Show {
        /// Its id, or the beginning or the end of it
        #[arg(value_name = "PEER")]
        peer: String,
    },
}

/// Reads `K=V`.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, _)) if key.is_empty() || text.contains('\0') => Err("a variable needs a name before the `=`".into()),
        Some((key, value)) => Ok((key.into(), value.into())),
        None => Err("write NAME=VALUE".into()),
    }
}

/// Reads who audits.
fn auditors(text: &str) -> Result<Auditors, String> {
    let all = [Auditors::Own, Auditors::Mesh, Auditors::Auto];
    all.into_iter().find(|by| by.name() == text).ok_or_else(|| "write own, mesh or auto".into())
}

/// Reads `lines=N`, `bytes=SIZE` or `file`.
fn split(text: &str) -> Result<Split, String> {
    let how = match text.split_once('=') {
        None if text == "file" => Some(Split::File),
        Some(("lines", lines)) => lines.parse().ok().map(Split::Lines),
        Some(("bytes", size)) => Some(Split::Bytes(size.parse::<Size>().map_err(|error| error.to_string())?.0)),
        _ => None,
    };
    match how {
        Some(Split::Lines(0) | Split::Bytes(0)) => Err("a part cannot be empty: use 1 or more".into()),
        Some(how) => Ok(how),
        None => Err("write lines=N, bytes=SIZE or file".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn variables_have_a_name_and_a_value() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(variable("A="), Ok(("A".into(), String::new())));
        for bad in ["", "A", "=b"] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn splits_are_read() {
        assert_eq!(split("lines=100"), Ok(Split::Lines(100)));
        assert_eq!(split("bytes=64KiB"), Ok(Split::Bytes(65_536)));
        assert_eq!(split("file"), Ok(Split::File));
        for bad in ["", "lines", "lines=", "lines=0", "bytes=0", "bytes=x", "files", "file=3", "words=3"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
