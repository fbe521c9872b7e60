//! Manifests: every crate inherits what the workspace decides, and the profiles are those that README and CI rely on.

use toml::{Table, Value};

use crate::{Finding, purity};

/// A parsed `Cargo.toml`, or another file of settings.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// From the root of the repository.
    pub path: String,
    /// Its content.
    pub table: Table,
}

/// What a crate takes from the workspace: the key and where it stands.
const INHERITED: [&str; 6] = [
    "package.version.workspace",
    "package.edition.workspace",
    "package.rust-version.workspace",
    "package.license.workspace",
    "package.publish.workspace",
    "lints.workspace",
];

/// Folders of programs and fuzz targets that are built on request only.
const OUT_OF_THE_BUILD: [&str; 2] = ["crates/guests", "crates/fuzz"];

/// Crates that do not inherit from the workspace, and pure crates with features.
pub fn check_crates(manifests: &[Manifest]) -> Vec<Finding> {
    manifests.iter().flat_map(|manifest| not_inherited(manifest).chain(feature_of_purity(manifest))).collect()
}

fn not_inherited(manifest: &Manifest) -> impl Iterator<Item = Finding> + '_ {
    let missing = INHERITED.iter().filter(|key| value_at(&manifest.table, key) != Some(&Value::Boolean(true)));
    missing.map(|key| {
        Finding::of_file(&manifest.path, format!("decides for itself what all crates share: write `{key} = true`"))
    })
}

fn feature_of_purity(manifest: &Manifest) -> Option<Finding> {
    let is_pure = purity::PURE.iter().any(|name| manifest.path == format!("crates/{name}/Cargo.toml"));
    let message = "a pure crate with features: purity is not a choice of the one who builds, so delete `[features]`";
    (is_pure && manifest.table.contains_key("features")).then(|| Finding::of_file(&manifest.path, message))
}

/// What is wrong with the profiles and members of the workspace's own manifest.
pub fn check_workspace(root: &Manifest) -> Vec<Finding> {
    let expected = expected_profiles();
    let wrong = expected.iter().filter(|(key, value)| value_at(&root.table, key) != Some(value));
    let profiles = wrong.map(|(key, value)| {
        let message = format!("one profile serves everything and it differs: write `{key} = {value}`");
        Finding::of_file(&root.path, message)
    });
    profiles.chain(members_out_of_the_build(root)).collect()
}

fn expected_profiles() -> Vec<(String, Value)> {
    let release = [
        ("debug", Value::Integer(0)),
        ("lto", Value::Boolean(false)),
        ("codegen-units", Value::Integer(16)),
        ("overflow-checks", Value::Boolean(true)),
    ];
    let dist = [
        ("inherits", Value::from("release")),
        ("lto", Value::from("thin")),
        ("codegen-units", Value::Integer(1)),
        ("strip", Value::from("symbols")),
    ];
    let release = release.map(|(key, value)| (format!("profile.release.{key}"), value));
    let dist = dist.map(|(key, value)| (format!("profile.dist.{key}"), value));
    let asserting = purity::PURE
        .map(|name| (format!("profile.release.package.pocketmesh-{name}.debug-assertions"), Value::Boolean(true)));
    release.into_iter().chain(dist).chain(asserting).collect()
}

/// Guests and fuzz targets that a plain `cargo run` or `cargo test` would build.
fn members_out_of_the_build(root: &Manifest) -> impl Iterator<Item = Finding> + '_ {
    let excluded = strings_at(&root.table, "workspace.exclude");
    let named = ["workspace.members", "workspace.default-members"].map(|key| strings_at(&root.table, key)).concat();
    OUT_OF_THE_BUILD.iter().filter_map(move |folder| {
        let is_member = named.iter().any(|name| name.starts_with(folder)) || !excluded.contains(folder);
        let message = format!("{folder} would be built by every command: name it in `workspace.exclude` alone");
        is_member.then(|| Finding::of_file(&root.path, message))
    })
}

fn strings_at<'a>(table: &'a Table, key: &str) -> Vec<&'a str> {
    let values = value_at(table, key).and_then(Value::as_array);
    values.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The value at a dotted `key`.
fn value_at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((first, rest)) => value_at(table.get(first)?.as_table()?, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRATE: &str = "[package]\nname = \"x\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n[lints]\nworkspace = true\n";

    fn manifest(path: &str, text: &str) -> Manifest {
        Manifest { path: path.to_owned(), table: text.parse().unwrap() }
    }

    #[test]
    fn a_crate_that_inherits_passes() {
        assert!(check_crates(&[manifest("crates/x/Cargo.toml", CRATE)]).is_empty());
    }

    #[test]
    fn a_crate_with_its_own_edition_or_lints_is_found() {
        for line in ["edition.workspace = true", "license.workspace = true", "[lints]\nworkspace = true"] {
            let found = check_crates(&[manifest("crates/x/Cargo.toml", &CRATE.replace(line, ""))]);
            assert_eq!(found.len(), 1, "{line}: {found:?}");
        }
        let own = CRATE.replace("edition.workspace = true", "edition = \"2021\"");
        assert_eq!(check_crates(&[manifest("crates/x/Cargo.toml", &own)]).len(), 1);
    }

    #[test]
    fn a_pure_crate_has_no_features() {
        let text = format!("{CRATE}[features]\nstd = []\n");
        assert_eq!(check_crates(&[manifest("crates/wire/Cargo.toml", &text)]).len(), 1);
        assert!(check_crates(&[manifest("crates/network/Cargo.toml", &text)]).is_empty());
    }

    fn workspace() -> String {
        let expected = expected_profiles();
        let profiles: String = expected.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        format!("{profiles}[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/guests\", \"crates/fuzz\"]\n")
    }

    #[test]
    fn a_profile_that_differs_is_found() {
        assert!(check_workspace(&manifest("Cargo.toml", &workspace())).is_empty());
        let text = workspace().replace("overflow-checks = true", "overflow-checks = false");
        let found = check_workspace(&manifest("Cargo.toml", &text));
        assert!(found[0].message.contains("`profile.release.overflow-checks = true`"), "{found:?}");
    }

    #[test]
    fn guests_and_fuzz_targets_stay_out_of_the_build() {
        let text = workspace().replace("\"crates/guests\", ", "");
        assert_eq!(check_workspace(&manifest("Cargo.toml", &text)).len(), 1);
        let text = workspace().replace("[\"crates/*\"]", "[\"crates/*\", \"crates/guests/primes\"]");
        assert_eq!(check_workspace(&manifest("Cargo.toml", &text)).len(), 1);
    }
}
