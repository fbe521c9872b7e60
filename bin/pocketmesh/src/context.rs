//! What holds for every command: whose data folder, how the answer is shown.

use crate::cli::Global;
use crate::exit::Error;
use pocketmesh_api::Client;
use pocketmesh_node::Home;
use std::path::PathBuf;

/// The global flags, resolved.
#[derive(Debug, Clone)]
pub struct Context {
    /// The data folder, absolute where the current folder is known.
    pub dir: PathBuf,
    /// How a command for this folder starts, to copy.
    pub program: String,
    /// Whether the answer is JSON.
    pub json: bool,
    /// Whether only answers and errors are shown.
    pub quiet: bool,
    /// How much is told besides the answer.
    pub verbose: u8,
}

impl Context {
    /// Resolves the flags.
    pub fn new(global: Global) -> Result<Self, Error> {
        let chosen = global.data_dir.filter(|dir| !dir.as_os_str().is_empty()).or_else(Home::default_dir);
        let dir = chosen.ok_or_else(|| Error::usage("there is no home folder: name a data folder with --data-dir"))?;
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        let is_default = Home::default_dir().is_some_and(|default| default == dir);
        let program = if is_default { "pocketmesh".into() } else { format!("pocketmesh --data-dir {}", dir.display()) };
        Ok(Self { dir, program, json: global.json, quiet: global.quiet, verbose: global.verbose })
    }

    /// A client of the folder's daemon, running or not.
    pub fn client(&self) -> Client {
        Client::new(Home::socket_of(&self.dir), &self.dir)
    }

    /// The folder, which must be initialised.
    pub fn home(&self) -> Result<Home, Error> {
        Ok(Home::open(&self.dir)?)
    }

    /// Something besides the answer, unless it should be quiet.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            crate::output::note(text);
        }
    }
}
