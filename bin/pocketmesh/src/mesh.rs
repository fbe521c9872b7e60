//! A mesh of real processes on this machine, for `testnet` and `demo`. Each peer is this very binary with a data folder of
//! its own; each but the first is told one address, that of the first, and finds the others by itself.
//!
//! The children live no longer than this process, however it ends: each watches a pipe that closes with it.

mod books;
mod child;

pub use books::Books;
pub use child::Child;

use crate::cli::Cheats;
use crate::exit::Error;
use crate::quantity;
use child::Role;
use futures::future::{join_all, try_join_all};
use pocketmesh_api::Peer;
use pocketmesh_node::sabotage::Sabotage;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// The network that these meshes are on: no peer of another one may join by accident.
pub const NETWORK: &str = "testnet";
/// Between two looks at children and connections.
const POLL: Duration = Duration::from_millis(100);
/// A sleeper is honest for so many executions: few enough that it wakes up in a small job.
const SLEEPER_HONEST_TASKS: u64 = 5;
/// What colluders have in common.
const CLIQUE: &str = "testnet";

/// What to start.
#[derive(Debug)]
pub struct Plan {
    /// How each peer cheats, if it does.
    roles: Vec<Option<Sabotage>>,
    dir: Option<PathBuf>,
}

impl Plan {
    /// So many peers, the last of which cheat; with data folders that go into `dir` and stay, or into a temporary folder.
    pub fn new(peers: u16, cheats: &Cheats, default: u16, dir: Option<PathBuf>) -> Result<Self, Error> {
        let special = cheats.sleepers.saturating_add(cheats.colluders);
        let saboteurs = cheats.saboteurs.unwrap_or(default.max(special));
        if special > saboteurs {
            let message =
                format!("{special} sleepers and colluders are more than the {saboteurs} --saboteurs that they are of");
            return Err(Error::usage(message));
        }
        if saboteurs >= peers {
            return Err(Error::usage("at least one peer must be honest: use fewer --saboteurs"));
        }
        let kind = |at: u16| match saboteurs - at {
            left if left <= cheats.colluders => Sabotage::Clique(CLIQUE.into()),
            left if left <= special => Sabotage::Sleeper(SLEEPER_HONEST_TASKS),
            _ => Sabotage::Wrong,
        };
        let honest = (saboteurs..peers).map(|_| None);
        Ok(Self { roles: honest.chain((0..saboteurs).map(|at| Some(kind(at)))).collect(), dir })
    }
}

/// A running mesh.
#[derive(Debug)]
pub struct Mesh {
    // Before the folder: the children end before it is removed.
    peers: Vec<Child>,
    folder: Folder,
}

#[derive(Debug)]
enum Folder {
    Given(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    fn new(dir: Option<PathBuf>) -> Result<Self, Error> {
        match dir {
            Some(dir) => {
                let dir = std::path::absolute(&dir).unwrap_or(dir);
                fs::create_dir_all(&dir).map_err(|error| cannot_use(&dir, &error))?;
                Ok(Self::Given(dir))
            }
            None => {
                let made = tempfile::Builder::new().prefix("pocketmesh-").tempdir();
                made.map(Self::Temporary).map_err(|error| cannot_use(&std::env::temp_dir(), &error))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(dir) => dir,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

impl Mesh {
    /// Starts the first peer, then the others at once; returns when all of them listen.
    pub async fn start(plan: Plan) -> Result<Self, Error> {
        let folder = Folder::new(plan.dir)?;
        let first = Child::start(folder.path(), 0, Role::default()).await?;
        let others = plan.roles.into_iter().enumerate().skip(1).map(|(index, sabotage)| {
            Child::start(folder.path(), index, Role { bootstrap: Some(first.address.clone()), sabotage })
        });
        let mut peers = try_join_all(others).await?;
        peers.insert(0, first);
        Ok(Self { peers, folder })
    }

    /// The peers; the first is the one that the others were told of.
    pub fn peers(&self) -> &[Child] {
        &self.peers
    }

    /// Where the data folders are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until every peer is connected to at least `wanted` others; how long that took.
    pub async fn meet(&self, wanted: usize, within: Duration) -> Result<Duration, Error> {
        let start = Instant::now();
        loop {
            let counts = join_all(self.peers.iter().map(|peer| peer.client.peers())).await;
            let lonely = counts.iter().filter(|peers| !peers.as_ref().is_ok_and(|peers| peers.len() >= wanted)).count();
            if lonely == 0 {
                return Ok(start.elapsed());
            }
            if start.elapsed() > within {
                let span = quantity::span(within);
                return Err(Error::failed(format!("after {span}, {lonely} peers know fewer than {wanted} others")));
            }
            sleep(POLL).await;
        }
    }

    /// Whom each peer is connected to.
    pub async fn acquaintances(&self) -> Result<Vec<Vec<Peer>>, Error> {
        Ok(try_join_all(self.peers.iter().map(|peer| peer.client.peers())).await?)
    }

    /// Completes when a child that was running has ended: which, and how.
    pub async fn next_end(&mut self) -> (usize, ExitStatus) {
        loop {
            for (index, peer) in self.peers.iter_mut().enumerate() {
                if let Some(status) = peer.ended() {
                    return (index, status);
                }
            }
            sleep(POLL).await;
        }
    }

    /// Asks all children to end, waits for it, and removes the folder if it is a temporary one.
    pub async fn stop(mut self) {
        join_all(self.peers.iter_mut().map(Child::stop)).await;
    }
}

fn cannot_use(dir: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot use the folder {}: {error}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(peers: u16, saboteurs: Option<u16>, sleepers: u16, colluders: u16) -> Option<String> {
        let plan = Plan::new(peers, &Cheats { saboteurs, sleepers, colluders }, 0, None).ok()?;
        let kinds = plan.roles.iter().map(|role| role.as_ref().map_or("honest".into(), Sabotage::to_string));
        Some(kinds.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn sleepers_and_colluders_are_among_the_saboteurs() {
        assert_eq!(kinds(3, None, 0, 0).as_deref(), Some("honest honest honest"));
        assert_eq!(kinds(3, Some(2), 0, 0).as_deref(), Some("honest wrong wrong"));
        let mixed = "honest wrong sleeper:5 clique:testnet clique:testnet";
        assert_eq!(kinds(5, Some(4), 1, 2).as_deref(), Some(mixed));
        assert_eq!(kinds(4, None, 1, 2).as_deref(), Some("honest sleeper:5 clique:testnet clique:testnet"));
        assert_eq!([kinds(3, Some(1), 1, 1), kinds(2, None, 1, 1)], [None, None]);
    }
}
