//! The arrows of the house: which of our crates may import which, and which of them keeps a foreign library to itself.
//!
//! `types` is imported by all and imports none; `wire` and `ledger` import `types`; `protocol` imports the three; the
//! crates that do IO import neither each other nor `protocol`, so that each can be replaced alone; `node` composes them.

use crate::Finding;

/// How a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// In what is built: normal and build dependencies.
    Build,
    /// In tests, benchmarks and examples only.
    Tests,
}

/// A dependency as a manifest declares it.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// What it is for.
    pub used_in: Use,
}

/// A package of the workspace.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its manifest, from the root of the repository.
    pub manifest: String,
    /// Its direct dependencies.
    pub dependencies: Vec<Dependency>,
}

/// What one package may import of ours.
struct Rule {
    package: &'static str,
    may_import: &'static [&'static str],
    why: &'static str,
}

const TYPES: &str = "pocketmesh-types";
const WIRE: &str = "pocketmesh-wire";
const LEDGER: &str = "pocketmesh-ledger";
const PROTOCOL: &str = "pocketmesh-protocol";
const NETWORK: &str = "pocketmesh-network";
const SANDBOX: &str = "pocketmesh-sandbox";
const BLOBS: &str = "pocketmesh-blobs";
const STORE: &str = "pocketmesh-store";
const DEVICE: &str = "pocketmesh-device";
const API: &str = "pocketmesh-api";
const NODE: &str = "pocketmesh-node";

const NOUNS: &[&str] = &[TYPES, WIRE, LEDGER];
const ALL_OF_THE_DAEMON: &[&str] = &[TYPES, WIRE, LEDGER, PROTOCOL, NETWORK, SANDBOX, BLOBS, STORE, DEVICE, API];
const WHY_IO: &str = "crates that do IO know the nouns alone, and `node` carries values between them";

/// One line for each crate of ours; a new crate gets its line before it gets its first import.
const RULES: &[Rule] = &[
    Rule { package: TYPES, may_import: &[], why: "the vocabulary stands alone" },
    Rule { package: WIRE, may_import: &[TYPES], why: "bytes know the nouns alone" },
    Rule { package: LEDGER, may_import: &[TYPES], why: "accounts know the nouns alone" },
    Rule { package: PROTOCOL, may_import: NOUNS, why: "the state machine is handed everything that does IO" },
    Rule { package: NETWORK, may_import: NOUNS, why: WHY_IO },
    Rule { package: SANDBOX, may_import: NOUNS, why: WHY_IO },
    Rule { package: BLOBS, may_import: NOUNS, why: WHY_IO },
    Rule { package: STORE, may_import: NOUNS, why: WHY_IO },
    Rule { package: DEVICE, may_import: NOUNS, why: WHY_IO },
    Rule { package: API, may_import: NOUNS, why: WHY_IO },
    Rule { package: NODE, may_import: ALL_OF_THE_DAEMON, why: "it composes the daemon, and serves nobody but `bin`" },
    Rule { package: "pocketmesh-sim", may_import: &[TYPES, WIRE, LEDGER, PROTOCOL], why: "it models all that does IO" },
    Rule { package: "pocketmesh-bench", may_import: &[TYPES, API], why: "it drives daemons as a user would" },
    Rule { package: "pocketmesh", may_import: &[TYPES, NODE, API], why: "the command line talks to `node` and `api`" },
    Rule { package: "pocketmesh-tidy", may_import: &[], why: "it reads the code and never runs it" },
];

/// Packages whose tests may import any of ours: nothing of theirs is imported by a crate below them.
const FREE_IN_TESTS: &[&str] = &[NODE, "pocketmesh", "pocketmesh-sim", "pocketmesh-bench"];

/// A foreign library that stays behind one of our crates.
struct Keeper {
    /// The library, or the family of libraries if it ends in `*`.
    library: &'static str,
    kept_by: &'static [&'static str],
    why: &'static str,
}

const KEEPERS: &[Keeper] = &[
    Keeper { library: "libp2p*", kept_by: &[NETWORK], why: "the swarm's type takes long to compile and stays alone" },
    Keeper { library: "wasmtime*", kept_by: &[SANDBOX], why: "guests run behind one interface" },
    Keeper { library: "sled", kept_by: &[STORE], why: "what it holds must be rebuildable, and its damage handled" },
    Keeper {
        library: "serde_cbor",
        kept_by: &[WIRE],
        why: "foreign bytes reach it only after the checks of size, depth and form in `wire`",
    },
    Keeper { library: "ed25519-dalek", kept_by: &[WIRE], why: "signatures are checked strictly, in one place" },
    Keeper {
        library: "clap*",
        kept_by: &["pocketmesh", "pocketmesh-sim"],
        why: "words for people belong to the command lines",
    },
];

/// Arrows drawn against the house.
pub fn check(packages: &[Package]) -> Vec<Finding> {
    let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    packages.iter().flat_map(|package| arrows_of(package, &names).chain(keepers_passed_by(package))).collect()
}

fn arrows_of<'a>(package: &'a Package, ours: &'a [&str]) -> impl Iterator<Item = Finding> + 'a {
    let rule = RULES.iter().find(|rule| rule.package == package.name);
    let unknown = rule.is_none().then(|| {
        let message = format!("`{}` has no rule: add a line to `RULES` in crates/tidy/src/arrows.rs", package.name);
        Finding::of_file(&package.manifest, message)
    });
    let ours_imported = package.dependencies.iter().filter(move |dependency| ours.contains(&dependency.name.as_str()));
    let against = ours_imported.filter_map(move |dependency| against_the_arrow(package, rule?, dependency));
    unknown.into_iter().chain(against)
}

fn against_the_arrow(package: &Package, rule: &Rule, dependency: &Dependency) -> Option<Finding> {
    let is_free = dependency.used_in == Use::Tests && FREE_IN_TESTS.contains(&rule.package);
    if is_free || rule.may_import.contains(&dependency.name.as_str()) {
        return None;
    }
    let may = if rule.may_import.is_empty() { "none of ours".to_owned() } else { rule.may_import.join(", ") };
    let message = format!(
        "`{}` imports `{}`, and may import {may}: move what it needs, for {}",
        package.name, dependency.name, rule.why
    );
    Some(Finding::of_file(&package.manifest, message))
}

fn keepers_passed_by(package: &Package) -> impl Iterator<Item = Finding> + '_ {
    let built = package.dependencies.iter().filter(|dependency| dependency.used_in == Use::Build);
    built.filter_map(move |dependency| {
        let keeper = KEEPERS.iter().find(|keeper| keeper.keeps(&dependency.name))?;
        let passed_by = !keeper.kept_by.contains(&package.name.as_str());
        passed_by.then(|| {
            let keepers = keeper.kept_by.join(", ");
            let message = format!(
                "`{}` imports `{}`, which stays behind {keepers}: ask that crate for it, for {}",
                package.name, dependency.name, keeper.why
            );
            Finding::of_file(&package.manifest, message)
        })
    })
}

impl Keeper {
    fn keeps(&self, library: &str) -> bool {
        match self.library.strip_suffix('*') {
            Some(family) => library.starts_with(family),
            None => library == self.library,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, imports: &[(&str, Use)]) -> Package {
        let dependencies =
            imports.iter().map(|(name, used_in)| Dependency { name: (*name).to_owned(), used_in: *used_in }).collect();
        Package { name: name.to_owned(), manifest: format!("crates/{name}/Cargo.toml"), dependencies }
    }

    /// What is found when `name` imports `imported`, both being ours.
    fn found(name: &str, imported: &str, used_in: Use) -> Vec<String> {
        let packages = [package(name, &[(imported, used_in)]), package(imported, &[])];
        check(&packages).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn an_io_crate_may_not_import_another() {
        let found = found(NETWORK, BLOBS, Use::Build);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("`pocketmesh-network` imports `pocketmesh-blobs`"), "{found:?}");
    }

    #[test]
    fn only_node_and_the_simulator_import_the_protocol() {
        for name in [TYPES, WIRE, LEDGER, NETWORK, SANDBOX, BLOBS, STORE, DEVICE, API, "pocketmesh"] {
            assert_eq!(found(name, PROTOCOL, Use::Build).len(), 1, "{name}");
        }
        for name in [NODE, "pocketmesh-sim"] {
            assert!(found(name, PROTOCOL, Use::Build).is_empty(), "{name}");
        }
    }

    #[test]
    fn arrows_do_not_point_upwards() {
        for (name, imported) in [(TYPES, WIRE), (WIRE, LEDGER), (LEDGER, WIRE), (PROTOCOL, NODE), (API, NODE)] {
            assert_eq!(found(name, imported, Use::Build).len(), 1, "{name} -> {imported}");
        }
    }

    #[test]
    fn tests_of_the_lower_crates_keep_to_the_arrows_and_those_of_the_top_are_free() {
        assert_eq!(found(NETWORK, BLOBS, Use::Tests).len(), 1);
        assert!(found("pocketmesh", NETWORK, Use::Tests).is_empty());
    }

    #[test]
    fn a_crate_without_a_rule_is_found_with_the_remedy() {
        let found = check(&[package("pocketmesh-new", &[])]);
        assert!(found[0].message.contains("add a line to `RULES`"), "{found:?}");
    }

    #[test]
    fn a_library_may_not_pass_by_its_keeper() {
        let found = check(&[package(NODE, &[("libp2p-kad", Use::Build), ("serde_cbor", Use::Build)])]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(check(&[package(NODE, &[("libp2p", Use::Tests)])]).is_empty());
        assert!(check(&[package(NETWORK, &[("libp2p-kad", Use::Build)])]).is_empty());
        assert_eq!(check(&[package(NODE, &[("clap", Use::Build)])]).len(), 1);
        assert!(check(&[package("pocketmesh-sim", &[("clap", Use::Build)])]).is_empty());
    }
}
