//! `config.toml`: what a person may set, with its defaults. The commented file that a new folder gets is the manual.

use super::address::{self, AddressError};
use super::size::Size;
use pocketmesh_network::check_network_name;
use pocketmesh_types::{PerGib, Price};
use serde::Deserialize;
use std::thread;
use toml_edit::{DocumentMut, Item, Value};

/// The commented default configuration.
const TEMPLATE: &str = include_str!("config.toml");
/// A longer file is not a configuration.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;
/// Addresses in one list: each is dialled at every start.
const ADDRESSES_MAX: usize = 64;
/// The network that nobody has to name.
pub const DEFAULT_NETWORK: &str = "main";
/// Nano-credits per gigafuel. Guess: there is no market yet to take it from.
const DEFAULT_PRICE: u64 = 100;
const DEFAULT_QUOTA: Size = Size(10 << 30);
/// When the device does not tell how much memory it has.
const MEMORY_IF_UNKNOWN: u64 = 512 << 20;

/// The configuration of a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network's name.
    pub network: String,
    /// Multiaddrs to listen on.
    pub listen: Vec<String>,
    /// Multiaddrs of peers that introduce this one.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// Whether to look for peers by multicast.
    #[serde(default = "yes")]
    pub mdns: bool,
    /// What the device gives.
    #[serde(default)]
    pub provide: Provide,
    /// What it keeps.
    #[serde(default)]
    pub storage: Storage,
    /// How programs are run.
    #[serde(default)]
    pub sandbox: Sandbox,
}

/// What the device gives to others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Provide {
    /// Whether it runs tasks of others.
    pub enabled: bool,
    /// Tasks at the same time, if set.
    pub cores: Option<u32>,
    /// Memory for all tasks together, if set.
    pub memory: Option<Size>,
    /// The ask, in nano-credits per gigafuel.
    pub price: Price,
    /// What is to be paid at least for each GiB that a task moves, in nano-credits.
    pub floor_per_gib: PerGib,
    /// What is done for peers without credit.
    pub unpaid: Unpaid,
}

/// What is done for peers that have no credit here. specs/settlement.md §5.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unpaid {
    /// They are served when nobody else waits.
    #[default]
    Idle,
    /// They are served up to an allowance that time refills.
    Allowance,
    /// They are not served.
    None,
}

impl Unpaid {
    /// The name as in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Allowance => "allowance",
            Self::None => "none",
        }
    }
}

impl From<Unpaid> for pocketmesh_ledger::service::Unpaid {
    fn from(unpaid: Unpaid) -> Self {
        match unpaid {
            Unpaid::Idle => Self::Idle,
            Unpaid::Allowance => Self::Allowance,
            Unpaid::None => Self::None,
        }
    }
}

/// What the device keeps for itself and others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// The most that blobs may take up.
    pub quota: Size,
    /// The most that is given to others in a second; no bound if it is not set.
    pub uplink: Option<Size>,
    /// The most that is given to one of them in a second; no bound if it is not set.
    pub uplink_per_peer: Option<Size>,
}

/// How programs are run, those of others and one's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    /// Where.
    pub executor: SandboxExecutor,
    /// By what means.
    pub backend: SandboxBackend,
}

/// Where programs are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxExecutor {
    /// In child processes that have no keys, no files and no network.
    #[default]
    Sealed,
    /// In threads of this process: a flaw of the engine would be a flaw of everything.
    InProcess,
}

/// By what means programs are run. The outcomes are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxBackend {
    /// As machine code, made once for each program.
    #[default]
    Compiled,
    /// By an interpreter: slower by an order of magnitude, and no machine code is ever made.
    Interpreted,
}

/// Why a configuration cannot be used. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, or a key or a type that does not belong there.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// What the reader says.
        message: String,
    },
    /// The network's name does not fit into protocol names.
    #[error("network: `{0}` is not a network's name: use 1 to 32 of a-z, 0-9 and -")]
    Network(String),
    /// Something in a list of addresses is none.
    #[error("{0}: {1}")]
    Address(&'static str, #[source] AddressError),
    /// A list of addresses is too long.
    #[error("{0}: there are more than {ADDRESSES_MAX} addresses")]
    TooMany(&'static str),
    /// A number is out of its range.
    #[error("{0}")]
    Range(&'static str),
}

fn yes() -> bool {
    true
}

impl Default for Provide {
    fn default() -> Self {
        Self {
            enabled: true,
            cores: None,
            memory: None,
            price: Price(DEFAULT_PRICE),
            floor_per_gib: PerGib(0),
            unpaid: Unpaid::Idle,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { quota: DEFAULT_QUOTA, uplink: None, uplink_per_peer: None }
    }
}

impl Provide {
    /// Tasks at the same time: as set, or half of the cores.
    pub fn cores(&self) -> u32 {
        let half = || thread::available_parallelism().map_or(1, |cores| cores.get() as u32 / 2).max(1);
        self.cores.unwrap_or_else(half)
    }

    /// Memory for all tasks together, in bytes: as set, or a quarter of the device's.
    pub fn memory(&self) -> u64 {
        self.memory.map_or_else(|| total_memory().map_or(MEMORY_IF_UNKNOWN, |bytes| bytes / 4), |size| size.0)
    }
}

/// The device's memory in bytes. Source: proc_meminfo(5).
fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

impl Config {
    /// The text of a new folder's configuration.
    pub(super) fn template(network: &str, port: u16) -> String {
        TEMPLATE.replace("{network}", network).replace("{port}", &port.to_string())
    }

    /// Reads and checks a configuration.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            ConfigError::Syntax { line, message: error.message().lines().collect::<Vec<_>>().join("; ") }
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_network(&self.network)?;
        for (name, list) in [("listen", &self.listen), ("bootstrap", &self.bootstrap)] {
            if list.len() > ADDRESSES_MAX {
                return Err(ConfigError::TooMany(name));
            }
            list.iter().try_for_each(|text| address::check(text)).map_err(|error| ConfigError::Address(name, error))?;
        }
        if self.provide.cores.is_some_and(|cores| !(1..=1024).contains(&cores)) {
            return Err(ConfigError::Range("provide.cores: use 1 to 1024, or `enabled = false` to give nothing"));
        }
        if self.provide.memory.is_some_and(|memory| memory.0 < 1 << 20) {
            return Err(ConfigError::Range("provide.memory: use at least 1 MiB, or `enabled = false` to give nothing"));
        }
        if self.storage.quota.0 < 1 << 20 {
            return Err(ConfigError::Range("storage.quota: use at least 1 MiB"));
        }
        Ok(())
    }
}

/// Checks a network's name.
pub(super) fn check_network(name: &str) -> Result<(), ConfigError> {
    let shown = || name.chars().take(64).flat_map(char::escape_debug).collect();
    check_network_name(name).map_err(|_| ConfigError::Network(shown()))
}

/// `text` with another bootstrap list; everything else, comments included, stays as it was.
pub(super) fn with_bootstrap(text: &str, addresses: &[String]) -> Result<String, ConfigError> {
    let syntax = |error: toml_edit::TomlError| ConfigError::Syntax { line: 1, message: error.message().to_owned() };
    let mut document: DocumentMut = text.parse().map_err(syntax)?;
    let list = document.entry("bootstrap").or_insert_with(|| Item::Value(Value::Array(toml_edit::Array::new())));
    let list = list.as_array_mut().ok_or(ConfigError::Range("bootstrap: this is not a list"))?;
    list.retain(|known| known.as_str().is_some_and(|known| addresses.iter().any(|address| address == known)));
    for address in addresses {
        if !list.iter().any(|known| known.as_str() == Some(address)) {
            list.push(address.as_str());
        }
    }
    let text = document.to_string();
    Config::parse(&text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_valid_configuration_with_the_defaults() {
        let config = Config::parse(&Config::template("lab-2", 24_001)).expect("valid");
        assert_eq!((config.network.as_str(), config.mdns), ("lab-2", true));
        assert_eq!(config.listen, ["/ip4/0.0.0.0/tcp/24001"]);
        assert_eq!((config.provide, config.storage), (Provide::default(), Storage::default()));
        assert_eq!(config.sandbox, Sandbox::default());
    }

    #[test]
    fn every_default_shown_in_the_template_may_be_uncommented() {
        let setting = |line: &'static str| line.strip_prefix("# ").filter(|rest| rest.contains(" = "));
        let uncommented: Vec<_> = TEMPLATE.lines().map(|line| setting(line).unwrap_or(line)).collect();
        let text = uncommented
            .join(
                "
",
            )
            .replace("{network}", "main")
            .replace("{port}", "1");
        let config = Config::parse(&text).expect("valid");
        assert!(config.mdns && config.provide.enabled);
        assert_eq!(config.provide.cores, Some(2));
        assert_eq!((config.provide.price, config.provide.floor_per_gib), (Price(DEFAULT_PRICE), PerGib(0)));
        assert_eq!(config.storage.quota, DEFAULT_QUOTA);
        assert_eq!(config.sandbox, Sandbox::default());
    }

    #[test]
    fn less_of_a_sandbox_is_to_be_asked_for_in_words() {
        let text = Config::template("main", 1)
            .replace("# executor = \"sealed\"", "executor = \"in-process\"")
            .replace("# backend = \"compiled\"", "backend = \"interpreted\"");
        let sandbox = Config::parse(&text).expect("valid").sandbox;
        let asked = Sandbox { executor: SandboxExecutor::InProcess, backend: SandboxBackend::Interpreted };
        assert_eq!(sandbox, asked);
    }

    #[test]
    fn slips_are_named_with_their_line() {
        let base = Config::template("main", 1);
        let cases = [
            (base.replace("[storage]", "[store]"), "unknown field"),
            (base.replace("bootstrap = []", "bootstrap = ["), "line "),
            (base.replace("bootstrap = []", "bootstrap = [7]"), "line 15: invalid type"),
            (base.replace("bootstrap = []", "bootstrap = [\"example.org\"]"), "bootstrap: `example.org` is not"),
            (base.replace("\"main\"", "\"Main/Net\""), "not a network's name"),
            (base.replace("# cores = 2", "cores = 0"), "provide.cores"),
            (base.replace("# memory = \"2 GiB\"", "memory = \"lots\""), "not a size"),
            (base.replace("# quota = \"10 GiB\"", "quota = 5"), "storage.quota"),
            (base.replace("# executor = \"sealed\"", "executor = \"none\""), "unknown variant `none`"),
            (base.replace("# unpaid = \"idle\"", "unpaid = \"always\""), "unknown variant `always`"),
            ("\u{0}".into(), "line 1"),
        ];
        for (text, expected) in cases {
            let error = Config::parse(&text).expect_err(expected).to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{expected}: {error}");
        }
    }

    #[test]
    fn editing_the_bootstrap_list_keeps_comments() {
        let text = Config::template("main", 1);
        let two = ["/ip4/10.0.0.1/tcp/1".to_owned(), "/ip4/10.0.0.2/tcp/1".to_owned()];
        let edited = with_bootstrap(&text, &two).expect("edited");
        assert_eq!(Config::parse(&edited).expect("valid").bootstrap, two);
        assert_eq!(with_bootstrap(&edited, &[]).expect("edited"), text);
    }

    #[test]
    fn an_edited_list_keeps_the_comments_inside_it() {
        let list = "[\n  # the office\n  \"/ip4/10.0.0.1/tcp/1\",\n  \"/ip4/10.0.0.2/tcp/1\",\n]";
        let text = Config::template("main", 1).replace("bootstrap = []", &format!("bootstrap = {list}"));
        let edited = with_bootstrap(&text, &["/ip4/10.0.0.1/tcp/1".to_owned()]).expect("edited");
        assert!(edited.contains("# the office"), "{edited}");
    }
}
