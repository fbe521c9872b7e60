//! Reads the repository into the model that the rules judge: the only module here that touches the disk.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::arrows::{Dependency, Package, Use};
use crate::features::{self, Features};
use crate::floors::Lockfile;
use crate::manifests::Manifest;
use crate::outline::{Outline, ParseError};
use crate::ratchet::{self, Ratchet, RatchetError};

/// Folders that hold our Rust code.
const CODE: [&str; 3] = ["crates", "bin", "simulations"];

/// The repository as the rules see it.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Where it lies.
    pub root: PathBuf,
    /// The crates of the workspace.
    pub packages: Vec<Package>,
    /// Their manifests.
    pub manifests: Vec<Manifest>,
    /// The workspace's own manifest.
    pub root_manifest: Manifest,
    /// The workspace's `clippy.toml`.
    pub bans: Manifest,
    /// Those of single crates.
    pub bans_of_crates: Vec<Manifest>,
    /// What is locked.
    pub lockfile: Lockfile,
    /// All our Rust files.
    pub outlines: Vec<Outline>,
    /// The tolerated exceptions.
    pub ratchet: Ratchet,
    /// Names of files and folders at the top level that belong to the repository.
    pub top_level: BTreeSet<String>,
    /// Pages of `specs/`, from the root.
    pub pages: Vec<String>,
    /// The README.
    pub readme: String,
}

/// The Cargo that runs us, or the one on the path.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Why the repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or folder could not be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// What could not be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Cargo did not describe the workspace.
    #[error("`cargo metadata` failed: {0}")]
    Metadata(#[from] cargo_metadata::Error),
    /// A manifest or the lockfile is not TOML, or lacks what Cargo writes.
    #[error("{path}: {source}", path = path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Why.
        source: toml::de::Error,
    },
    /// A Rust file cannot be parsed.
    #[error(transparent)]
    Rust(#[from] ParseError),
    /// The ratchet cannot be read.
    #[error(transparent)]
    Ratchet(#[from] RatchetError),
    /// A command of Cargo failed.
    #[error("`cargo tree` failed: {0}")]
    Tree(String),
}

impl Workspace {
    /// Reads the repository that this crate lies in.
    ///
    /// # Errors
    /// If a file is missing or cannot be parsed.
    pub fn read() -> Result<Self, ReadError> {
        let metadata = MetadataCommand::new().current_dir(env!("CARGO_MANIFEST_DIR")).no_deps().exec()?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let packages: Vec<_> = metadata.packages.iter().map(|package| package_of(&root, package)).collect();
        let bans = |package: &Package| package.manifest.replace("Cargo.toml", "clippy.toml");
        let bans_of_crates = packages.iter().map(bans).filter(|path| root.join(path).exists());
        let bans_of_crates = bans_of_crates.map(|path| manifest(&root, &path)).collect::<Result<_, _>>()?;
        let manifests = packages.iter().map(|package| manifest(&root, &package.manifest)).collect::<Result<_, _>>()?;
        Ok(Self {
            manifests,
            packages,
            bans: manifest(&root, "clippy.toml")?,
            bans_of_crates,
            root_manifest: manifest(&root, "Cargo.toml")?,
            lockfile: parse_toml(&root.join("Cargo.lock"))?,
            outlines: outlines(&root)?,
            ratchet: Ratchet::parse(&read(&root.join(ratchet::PATH))?)?,
            top_level: top_level(&root)?,
            pages: pages(&root)?,
            readme: read(&root.join("README.md"))?,
            root,
        })
    }

    /// The features of all packages that the workspace is built with, and those with its tests included.
    ///
    /// # Errors
    /// If Cargo cannot resolve the workspace.
    pub fn features(&self) -> Result<(Features, Features), ReadError> {
        Ok((self.tree("normal,build")?, self.tree("normal,build,dev")?))
    }

    fn tree(&self, edges: &str) -> Result<Features, ReadError> {
        let mut command = cargo();
        command.args([
            "tree",
            "--locked",
            "--workspace",
            "--prefix",
            "none",
            "--format",
            features::FORMAT,
            "--edges",
            edges,
        ]);
        let output = command.current_dir(&self.root).output();
        let output = output.map_err(|source| ReadError::Io { path: PathBuf::from("cargo"), source })?;
        if !output.status.success() {
            return Err(ReadError::Tree(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(features::parse(&String::from_utf8_lossy(&output.stdout)))
    }
}

fn package_of(root: &Path, package: &cargo_metadata::Package) -> Package {
    let dependency = |dependency: &cargo_metadata::Dependency| Dependency {
        name: dependency.name.clone(),
        used_in: if dependency.kind == DependencyKind::Development { Use::Tests } else { Use::Build },
    };
    Package {
        name: package.name.to_string(),
        manifest: relative(root, package.manifest_path.as_std_path()),
        dependencies: package.dependencies.iter().map(dependency).collect(),
    }
}

fn manifest(root: &Path, path: &str) -> Result<Manifest, ReadError> {
    Ok(Manifest { path: path.to_owned(), table: parse_toml(&root.join(path))? })
}

fn parse_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ReadError> {
    toml::from_str(&read(path)?).map_err(|source| ReadError::Toml { path: path.to_owned(), source })
}

fn outlines(root: &Path) -> Result<Vec<Outline>, ReadError> {
    let mut files = Vec::new();
    for folder in CODE.map(|folder| root.join(folder)).into_iter().filter(|folder| folder.is_dir()) {
        collect_rust(&folder, &mut files)?;
    }
    files.iter().map(|file| Ok(Outline::of(&relative(root, file), &read(file)?)?)).collect()
}

/// All `.rs` files under `folder`, build output and hidden folders left out, in the order of their names.
fn collect_rust(folder: &Path, into: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == "target" || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            collect_rust(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    Ok(())
}

/// What git tracks, so that results and notes of the person at work do not count; all that is there without git.
fn top_level(root: &Path) -> Result<BTreeSet<String>, ReadError> {
    let tracked = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    if let Some(output) = tracked.ok().filter(|output| output.status.success()) {
        let files = String::from_utf8_lossy(&output.stdout).into_owned();
        return Ok(files.split_terminator('\0').filter_map(|file| file.split('/').next()).map(str::to_owned).collect());
    }
    let present = entries(root)?.into_iter().map(|path| relative(root, &path));
    Ok(present.filter(|name| name != "target").collect())
}

fn pages(root: &Path) -> Result<Vec<String>, ReadError> {
    let pages = entries(&root.join("specs"))?;
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    Ok(pages.iter().filter(|path| is_page(path)).map(|path| relative(root, path)).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let failed = |source| ReadError::Io { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, ReadError> {
    fs::read_to_string(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })
}

fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
