//! Tests reuse the dependencies that the build compiled: a dev-dependency asks for no feature that the build lacks.
//!
//! Otherwise the README's second command would compile whole trees a second time, with one feature more.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;

/// The sets of features that each package is compiled with, by `name version`.
pub type Features = BTreeMap<String, BTreeSet<String>>;

/// The format to ask `cargo tree` for: [`parse`] reads its lines.
pub const FORMAT: &str = "{p}|{f}";

/// Reads the lines of `cargo tree --prefix none --format '{p}|{f}'`.
pub fn parse(tree: &str) -> Features {
    let mut features = Features::new();
    for (package, set) in tree.lines().filter_map(|line| line.split_once('|')) {
        // `name v1.2.3 (proc-macro)`, or with the path of a package of ours: the first two words name it.
        let name = package.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        features.entry(name).or_default().insert(set.trim_end_matches(" (*)").to_owned());
    }
    features
}

/// Packages that tests would compile anew although the build has them.
pub fn check(build: &Features, with_tests: &Features) -> Vec<Finding> {
    let recompiled = build.iter().filter_map(|(package, sets)| {
        let changed = with_tests.get(package)?;
        let missing = sets.iter().find(|set| !changed.contains(*set))?;
        let added: BTreeSet<_> = changed.iter().flat_map(|set| set.split(',')).collect();
        let known: BTreeSet<_> = missing.split(',').collect();
        Some((package, added.difference(&known).copied().collect::<Vec<_>>().join(", ")))
    });
    let finding = |(package, added): (&String, String)| {
        let message = format!(
            "tests compile {package} a second time for the features [{added}]: ask for them in \
             `[workspace.dependencies]`, or do without in `[dev-dependencies]`"
        );
        Finding::of_file("Cargo.toml", message)
    };
    recompiled.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_only_tests_ask_for_is_found() {
        let build = parse("serde v1.0.0|alloc,derive\nsyn v3.0.0|full\n");
        let with_tests = parse("serde v1.0.0|alloc,derive,rc\nsyn v3.0.0|full\nproptest v1.0.0|std\n");
        let found = check(&build, &with_tests);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("serde v1.0.0 a second time for the features [rc]"), "{found:?}");
    }

    #[test]
    fn packages_of_tests_alone_and_repeated_lines_are_fine() {
        let build = parse("serde v1.0.0|alloc\nserde v1.0.0|alloc (*)\n");
        let with_tests = parse("serde v1.0.0|alloc (*)\nwat v1.0.0|default\n");
        assert!(check(&build, &with_tests).is_empty());
    }
}
