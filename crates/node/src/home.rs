//! The data folder of one peer: its identity, its configuration, and where everything else goes.
//!
//! The folder is its owner's alone (0700). This module knows the layout and the two files that people care about; the
//! journal, the index and the blobs belong to the crates that keep them.

pub mod address;
mod config;
mod key;
mod size;
mod socket;

pub use config::{
    Config, ConfigError, DEFAULT_NETWORK, Provide, Sandbox, SandboxBackend, SandboxExecutor, Storage, Unpaid,
};
pub use key::{KeyError, Seed};
pub use size::{ParseError as SizeError, Size};
pub use socket::PlaceError;

use pocketmesh_store::atomic_file::{self, Access};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Read};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

const KEY: &str = "identity.key";
const CONFIG: &str = "config.toml";
/// The name of the network that the folder belongs to, whatever the configuration says later.
const NETWORK: &str = "network";
/// The version of the folder's layout: a line with a number. A folder without it was made before there was one, and has the first.
const VERSION: &str = "version";
/// The layout that this release writes, and the only one that it opens.
const LAYOUT: &str = "1";
/// What an interrupted `init` may have left, and may be written again. The key comes last: it makes the folder a peer.
const LEFT_BY_INIT: [&str; 4] = [CONFIG, NETWORK, VERSION, "lock"];
/// Below the ports that systems hand out by themselves, above the well-known ones.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Ports tried before the last one is taken unseen.
const PORT_TRIES: usize = 32;

/// An initialised data folder.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
    config: Config,
}

/// What a new folder is made for.
#[derive(Debug, Clone, Default)]
pub struct InitOptions {
    /// The network's name; absent, [`DEFAULT_NETWORK`].
    pub network: Option<String>,
}

/// Why a folder could not be initialised. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// It is a peer already.
    #[error("{} is a pocketmesh data folder already", .0.display())]
    Already(PathBuf),
    /// It holds something else.
    #[error("{} is not empty and not a pocketmesh data folder: choose another with --data-dir", .0.display())]
    NotEmpty(PathBuf),
    /// The network's name will not do.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The disk refused.
    #[error("cannot make the data folder {dir}: {error}", dir = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing there yet.
    #[error("{} is not initialised: run `pocketmesh init` first", .0.display())]
    NotInitialised(PathBuf),
    /// It was made for another network.
    #[error("the data folder {dir} belongs to the network `{is}`, not to `{wanted}`: use another --data-dir for that one", dir = .dir.display())]
    OtherNetwork {
        /// The folder.
        dir: PathBuf,
        /// The network it was made for.
        is: String,
        /// The network that was asked for, by the command line or the configuration.
        wanted: String,
    },
    /// Made by another release.
    #[error("the data folder {dir} has version {version}, and this release opens version {LAYOUT}: use the release that made it, or \
        another --data-dir; nothing in it was changed", dir = .dir.display())]
    OtherVersion {
        /// The folder.
        dir: PathBuf,
        /// What it says of itself.
        version: String,
    },
    /// The configuration cannot be used.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Config(PathBuf, #[source] ConfigError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The disk refused.
    #[error("cannot read {path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
}

/// Why the bootstrap list stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// What was to be added is no address.
    #[error(transparent)]
    Address(#[from] address::AddressError),
    /// What was to be removed is not there.
    #[error("{0} is not in the bootstrap list: `pocketmesh bootstrap list` shows it")]
    NotThere(String),
    /// The configuration would not be valid any more, or is not now.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk refused.
    #[error("cannot write {path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
}

impl Home {
    /// The folder that is used when none is named: `$XDG_DATA_HOME/pocketmesh`, or `~/.local/share/pocketmesh`.
    pub fn default_dir() -> Option<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_DATA_HOME")
            .or_else(|| Some(absolute("HOME")?.join(".local/share")))
            .map(|base| base.join("pocketmesh"))
    }

    /// Whether `dir` is a peer's data folder.
    pub fn is_initialised(dir: &Path) -> bool {
        dir.join(KEY).exists()
    }

    /// Makes a new peer in `dir`: folder, configuration, network, identity.
    pub fn init(dir: impl Into<PathBuf>, options: InitOptions) -> Result<Self, InitError> {
        let dir = dir.into();
        let network = options.network.unwrap_or_else(|| DEFAULT_NETWORK.into());
        config::check_network(&network)?;
        if Self::is_initialised(&dir) {
            return Err(InitError::Already(dir));
        }
        let io_error = |error| InitError::Io(dir.clone(), error);
        if !prepare_folder(&dir).map_err(io_error)? {
            return Err(InitError::NotEmpty(dir));
        }
        let text = Config::template(&network, free_port());
        let config = Config::parse(&text)?;
        atomic_file::replace(&dir.join(CONFIG), text.as_bytes(), Access::Owner).map_err(io_error)?;
        atomic_file::replace(&dir.join(NETWORK), network.as_bytes(), Access::Owner).map_err(io_error)?;
        let layout = format!("{LAYOUT}\n");
        atomic_file::replace(&dir.join(VERSION), layout.as_bytes(), Access::Owner).map_err(io_error)?;
        Seed::create(&dir.join(KEY))?;
        Ok(Self { dir, config })
    }

    /// Opens the data folder `dir`.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let dir = dir.into();
        if !Self::is_initialised(&dir) {
            return Err(OpenError::NotInitialised(dir));
        }
        // First: a later release may write its configuration otherwise, too.
        require_layout(&dir)?;
        let config = parse(&dir, &read_text(&dir.join(CONFIG))?)?;
        let home = Self { dir, config };
        home.require_network(&home.config.network)?;
        Ok(home)
    }

    /// Fails unless the folder was made for the network `wanted`.
    pub fn require_network(&self, wanted: &str) -> Result<(), OpenError> {
        let is = read_text(&self.dir.join(NETWORK))?;
        if is == wanted {
            Ok(())
        } else {
            let is = is.chars().take(64).flat_map(char::escape_debug).collect();
            Err(OpenError::OtherNetwork { dir: self.dir.clone(), is, wanted: wanted.into() })
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration as it was when the folder was opened, or last edited by this value.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The configuration's file.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    /// Reads the identity.
    pub fn seed(&self) -> Result<Seed, KeyError> {
        Seed::read(&self.dir.join(KEY))
    }

    /// Where the fraud proofs of a data folder are.
    pub fn proofs_of(dir: &Path) -> PathBuf {
        dir.join("proofs")
    }

    /// The journal: all that must not be lost.
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// The index: all that can be rebuilt.
    pub fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    /// Programs, inputs and outputs.
    pub fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    /// Compiled programs.
    pub fn cache(&self) -> PathBuf {
        self.dir.join("cache")
    }

    /// Where the daemon of the folder `dir` listens, for callers; the folder need not exist.
    pub fn socket_of(dir: &Path) -> PathBuf {
        socket::find(dir)
    }

    /// Chooses and records the socket's place, for a daemon that holds the folder's lock and is about to listen.
    pub fn place_socket(&self) -> Result<PathBuf, PlaceError> {
        socket::place(&self.dir, &socket::runtime_folder())
    }

    /// Adds an address to the bootstrap list and saves it; says whether it was new.
    pub fn bootstrap_add(&mut self, address: &str) -> Result<bool, EditError> {
        address::check(address)?;
        let mut addresses = self.reread()?.bootstrap;
        let new = !addresses.iter().any(|known| known == address);
        if new {
            addresses.push(address.into());
            self.save_bootstrap(&addresses)?;
        }
        Ok(new)
    }

    /// Takes an address off the bootstrap list and saves it.
    pub fn bootstrap_rm(&mut self, address: &str) -> Result<(), EditError> {
        let mut addresses = self.reread()?.bootstrap;
        let before = addresses.len();
        addresses.retain(|known| known != address);
        if addresses.len() == before {
            return Err(EditError::NotThere(address.chars().take(200).flat_map(char::escape_debug).collect()));
        }
        self.save_bootstrap(&addresses)
    }

    /// The file may have been edited by hand meanwhile.
    fn reread(&self) -> Result<Config, OpenError> {
        parse(&self.dir, &read_text(&self.config_path())?)
    }

    fn save_bootstrap(&mut self, addresses: &[String]) -> Result<(), EditError> {
        let path = self.config_path();
        let text = config::with_bootstrap(&read_text(&path)?, addresses)
            .map_err(|error| OpenError::Config(path.clone(), error))?;
        atomic_file::replace(&path, text.as_bytes(), Access::Owner).map_err(|error| EditError::Io(path, error))?;
        self.config.bootstrap = addresses.to_vec();
        Ok(())
    }
}

fn require_layout(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(VERSION);
    if matches!(fs::exists(&path), Ok(false)) {
        return Ok(());
    }
    let text = read_text(&path)?;
    if text.trim_end() == LAYOUT {
        return Ok(());
    }
    let version = text.trim_end().chars().take(20).flat_map(char::escape_debug).collect();
    Err(OpenError::OtherVersion { dir: dir.into(), version })
}

fn parse(dir: &Path, text: &str) -> Result<Config, OpenError> {
    Config::parse(text).map_err(|error| OpenError::Config(dir.join(CONFIG), error))
}

fn read_text(path: &Path) -> Result<String, OpenError> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(config::FILE_BYTES_MAX).read_to_string(&mut text));
    read.map(|_| text).map_err(|error| OpenError::Io(path.into(), error))
}

/// Makes the folder if there is none. False: there is something in it that is not ours to touch.
fn prepare_folder(dir: &Path) -> io::Result<bool> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !LEFT_BY_INIT.iter().any(|known| name == *known) {
            return Ok(false);
        }
    }
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    Ok(true)
}

/// A port that nobody listens on now. If none is found the daemon will say so.
fn free_port() -> u16 {
    let draw = || PORTS.start + (getrandom::u32().unwrap_or_default() % u32::from(PORTS.end - PORTS.start)) as u16;
    let free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    std::iter::repeat_with(draw).take(PORT_TRIES).find(free).unwrap_or(PORTS.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, Home) {
        let root = tempfile::tempdir().expect("a folder");
        let home = Home::init(root.path().join("a/peer"), InitOptions::default()).expect("made");
        (root, home)
    }

    #[test]
    fn a_new_folder_is_its_owners_alone_and_opens_again() {
        let (_root, home) = fresh();
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(home.dir()), 0o700);
        assert_eq!(mode(&home.config_path()), 0o600);
        let again = Home::open(home.dir()).expect("opened");
        assert_eq!(again.config(), home.config());
        assert_eq!(again.seed().expect("read").peer(), home.seed().expect("read").peer());
    }

    #[test]
    fn a_second_init_changes_nothing() {
        let (_root, home) = fresh();
        let peer = home.seed().expect("read").peer();
        let again = Home::init(home.dir(), InitOptions { network: Some("other".into()) });
        assert!(matches!(again, Err(InitError::Already(_))));
        assert_eq!(Home::open(home.dir()).expect("opened").seed().expect("read").peer(), peer);
    }

    #[test]
    fn an_interrupted_init_can_be_repeated() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join(CONFIG), "half of a fi").expect("written");
        assert!(matches!(Home::open(root.path()), Err(OpenError::NotInitialised(_))));
        Home::init(root.path(), InitOptions::default()).expect("made");
        Home::open(root.path()).expect("opened");
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("thesis.tex"), "x").expect("written");
        assert!(matches!(Home::init(root.path(), InitOptions::default()), Err(InitError::NotEmpty(_))));
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_bad_network_leaves_no_folder() {
        let root = tempfile::tempdir().expect("a folder");
        let dir = root.path().join("peer");
        let bad = Home::init(&dir, InitOptions { network: Some("../x".into()) });
        assert!(matches!(bad, Err(InitError::Config(_))));
        assert!(!dir.exists());
    }

    #[test]
    fn a_folder_belongs_to_one_network_for_good() {
        let (_root, home) = fresh();
        home.require_network("main").expect("its own");
        let error = home.require_network("lab").expect_err("another").to_string();
        assert!(error.contains("belongs to the network `main`, not to `lab`"), "{error}");
        let edited = fs::read_to_string(home.config_path()).expect("read").replace("\"main\"", "\"lab\"");
        fs::write(home.config_path(), edited).expect("written");
        assert!(matches!(Home::open(home.dir()), Err(OpenError::OtherNetwork { .. })));
    }

    #[test]
    fn a_folder_of_an_unknown_version_is_refused_and_one_without_is_opened() {
        let (_root, home) = fresh();
        let version = home.dir().join(VERSION);
        fs::write(&version, "7\n").expect("written");
        fs::write(home.config_path(), "[what a later release may write]").expect("written");
        let error = Home::open(home.dir()).expect_err("later").to_string();
        assert!(
            error.contains("has version 7, and this release opens version 1: use the release that made it"),
            "{error}"
        );
        fs::write(home.config_path(), Config::template("main", 1)).expect("written");
        fs::remove_file(&version).expect("removed");
        Home::open(home.dir()).expect("opened");
    }

    #[test]
    fn the_bootstrap_list_is_edited_on_disk() {
        let (_root, mut home) = fresh();
        assert!(home.bootstrap_add("/ip4/10.0.0.1/tcp/1").expect("added"));
        assert!(!home.bootstrap_add("/ip4/10.0.0.1/tcp/1").expect("there already"));
        assert!(matches!(home.bootstrap_add("10.0.0.1:1"), Err(EditError::Address(_))));
        assert_eq!(Home::open(home.dir()).expect("opened").config().bootstrap, ["/ip4/10.0.0.1/tcp/1"]);
        assert!(matches!(home.bootstrap_rm("/ip4/10.0.0.9/tcp/1"), Err(EditError::NotThere(_))));
        home.bootstrap_rm("/ip4/10.0.0.1/tcp/1").expect("removed");
        assert!(Home::open(home.dir()).expect("opened").config().bootstrap.is_empty());
    }

    #[test]
    fn an_error_in_the_configuration_names_the_file_and_the_line() {
        let (_root, home) = fresh();
        fs::write(home.config_path(), "network = \"main\"\nlisten = 5\n").expect("written");
        let error = Home::open(home.dir()).expect_err("bad").to_string();
        assert!(error.contains("config.toml: line 2: "), "{error}");
        fs::write(home.config_path(), [0xff, 0xfe]).expect("written");
        assert!(matches!(Home::open(home.dir()), Err(OpenError::Io(..))));
    }
}
