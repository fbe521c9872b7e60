//! Bans of Clippy: each says why, and a crate with a `clippy.toml` of its own repeats the workspace's thresholds.
//!
//! Clippy reads the nearest file and merges nothing, so that a crate with bans of its own would silently lose the rest.

use toml::{Table, Value};

use crate::manifests::Manifest;
use crate::{Finding, purity};

/// Lists that a crate's own file replaces on purpose.
const LISTS: [&str; 2] = ["disallowed-types", "disallowed-methods"];

/// Pure crates without bans, thresholds that are not repeated, and bans without a reason.
pub fn check(root: &Manifest, of_crates: &[Manifest]) -> Vec<Finding> {
    let missing = purity::PURE.iter().filter_map(|name| missing_file(&format!("crates/{name}/clippy.toml"), of_crates));
    let repeated = of_crates.iter().flat_map(|own| thresholds_not_repeated(root, own));
    let unreasoned = of_crates.iter().chain([root]).flat_map(bans_without_reason);
    missing.chain(repeated).chain(unreasoned).collect()
}

fn missing_file(path: &str, of_crates: &[Manifest]) -> Option<Finding> {
    let message = "a pure crate without bans: copy another pure crate's file and give it reasons of its own";
    of_crates.iter().all(|own| own.path != path).then(|| Finding::of_file(path, message))
}

fn thresholds_not_repeated(root: &Manifest, own: &Manifest) -> Vec<Finding> {
    let thresholds = root.table.iter().filter(|(key, _)| !LISTS.contains(&key.as_str()));
    let lost = thresholds.filter(|(key, value)| own.table.get(*key) != Some(value));
    let message =
        |(key, value)| format!("replaces the workspace's file and loses a threshold: write `{key} = {value}`");
    lost.map(|threshold| Finding::of_file(&own.path, message(threshold))).collect()
}

fn bans_without_reason(file: &Manifest) -> Vec<Finding> {
    let bans = LISTS.iter().filter_map(|list| file.table.get(*list)?.as_array()).flatten();
    let unreasoned = bans.filter(|ban| text(ban.as_table(), "reason").is_none_or(|reason| reason.trim().is_empty()));
    let name = |ban: &Value| text(ban.as_table(), "path").or(ban.as_str()).unwrap_or("?").to_owned();
    let message =
        |ban| format!("the ban of `{}` has no reason: add `reason = \"…\"` with what to do instead", name(ban));
    unreasoned.map(|ban| Finding::of_file(&file.path, message(ban))).collect()
}

fn text<'a>(table: Option<&'a Table>, key: &str) -> Option<&'a str> {
    table?.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "too-many-lines-threshold = 70\n";
    const BAN: &str = "disallowed-types = [{ path = \"std::time::Instant\", reason = \"time is handed in\" }]\n";

    /// What is found when all pure crates repeat `ROOT` and `own` is the file of `wire`.
    fn found(own: &str) -> Vec<String> {
        let manifest = |path: &str, text: &str| Manifest { path: path.to_owned(), table: text.parse().unwrap() };
        let of_crate = |name: &str| {
            let text = if name == "wire" { own } else { ROOT };
            manifest(&format!("crates/{name}/clippy.toml"), text)
        };
        let findings = check(&manifest("clippy.toml", ROOT), &purity::PURE.map(of_crate));
        findings.into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_file_that_repeats_the_thresholds_and_reasons_its_bans_passes() {
        assert!(found(&format!("{ROOT}{BAN}")).is_empty());
    }

    #[test]
    fn a_threshold_that_is_not_repeated_is_found() {
        assert_eq!(found(BAN).len(), 1);
        assert_eq!(found(&ROOT.replace("70", "700")).len(), 1);
    }

    #[test]
    fn a_ban_without_a_reason_is_found() {
        assert_eq!(found(&format!("{ROOT}disallowed-methods = [\"std::thread::sleep\"]\n")).len(), 1);
        assert_eq!(found(&format!("{ROOT}{}", BAN.replace("time is handed in", " "))).len(), 1);
    }

    #[test]
    fn a_pure_crate_without_bans_is_found() {
        let root = Manifest { path: "clippy.toml".to_owned(), table: ROOT.parse().unwrap() };
        assert_eq!(check(&root, &[]).len(), purity::PURE.len());
    }
}
