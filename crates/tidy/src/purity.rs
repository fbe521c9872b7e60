//! The pure crates hold nouns and decisions: no socket, clock, file, thread or dice can be named in them.
//!
//! What is proved, and by what: `#![no_std]` in `lib.rs` without any way back to `std` makes the compiler refuse all
//! of these in *our* code. It says nothing about libraries (serde_cbor 0.11 does not build without `std`), so their
//! number is closed: a pure crate imports what stands in [`LIBRARIES`], each pure itself in what we call. A build for a
//! target without an operating system, in `tests/tidy.rs`, then shows that none of them needs one.

use crate::arrows::{Package, Use};
use crate::{Finding, Outline};

/// The crates that must stay pure, by folder under `crates/`.
pub const PURE: [&str; 4] = ["types", "wire", "ledger", "protocol"];

/// Libraries that pure crates may be built with: computation on memory that the caller owns.
pub const LIBRARIES: [&str; 12] = [
    "blake3",
    "bs58",
    "ed25519-dalek",
    "hex",
    "libm",
    "rand_chacha",
    "serde",
    "serde_bytes",
    "serde_cbor",
    "sha2",
    "thiserror",
    "zeroize",
];

/// Ways back to `std`, as tokens.
const WAYS_BACK: [&[&str]; 3] =
    [&["extern", "crate", "std"], &["feature", "=", "\"std\""], &["cfg_attr", "(", "not", "(", "test"]];

/// Pure crates that are not `#![no_std]`, or have a way back to `std`.
pub fn check_sources(outlines: &[Outline]) -> Vec<Finding> {
    let roots = PURE.iter().filter_map(|name| check_root(&format!("crates/{name}/src/lib.rs"), outlines));
    let ways_back = outlines.iter().filter(|outline| is_pure(&outline.path)).flat_map(|outline| {
        WAYS_BACK.iter().flat_map(|pattern| outline.lines_with(pattern)).map(|line| {
            let message = "a way back to `std` in a pure crate: use `core` or `alloc`, and leave IO to the caller";
            Finding::at(&outline.path, line, message)
        })
    });
    roots.chain(ways_back).collect()
}

fn is_pure(path: &str) -> bool {
    PURE.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")))
}

fn check_root(path: &str, outlines: &[Outline]) -> Option<Finding> {
    let root = outlines.iter().find(|outline| outline.path == path);
    let declared = root.is_some_and(|root| !root.lines_with(&["#", "!", "[", "no_std", "]"]).is_empty());
    (!declared).then(|| Finding::of_file(path, "a pure crate without `#![no_std]`: write it below the opening comment"))
}

/// Libraries that a pure crate is built with and that are not known to be pure.
pub fn check_libraries(packages: &[Package]) -> Vec<Finding> {
    let pure = packages.iter().filter(|package| PURE.iter().any(|name| package.name == format!("pocketmesh-{name}")));
    let imports = pure.flat_map(|package| package.dependencies.iter().map(move |dependency| (package, dependency)));
    let foreign = imports.filter(|(_, dependency)| {
        let is_ours = dependency.name.starts_with("pocketmesh-");
        dependency.used_in == Use::Build && !is_ours && !LIBRARIES.contains(&dependency.name.as_str())
    });
    let finding = |(package, dependency): (&Package, &crate::arrows::Dependency)| {
        let message = format!(
            "a pure crate imports `{}`: do without, or show that it needs no system and add it to `LIBRARIES` in \
             crates/tidy/src/purity.rs",
            dependency.name
        );
        Finding::of_file(&package.manifest, message)
    };
    foreign.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrows::Dependency;

    const PURE_ROOT: &str = "//! Pure.\n#![no_std]\nextern crate alloc;\n";

    /// What is found when all pure crates are in order but `crates/wire/src/lib.rs` reads `text`.
    fn found(text: &str) -> Vec<String> {
        let outline = |name: &&str| {
            let text = if *name == "wire" { text } else { PURE_ROOT };
            Outline::of(&format!("crates/{name}/src/lib.rs"), text).unwrap()
        };
        let outlines: Vec<_> = PURE.iter().map(outline).collect();
        check_sources(&outlines).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_pure_crate_says_no_std_without_condition() {
        assert!(found(PURE_ROOT).is_empty());
        assert_eq!(found("//! Pure?\n").len(), 1);
        assert_eq!(found("//! #![no_std]\n").len(), 1, "a comment declares nothing");
        assert_eq!(found("//! Pure?\n#![cfg_attr(not(test), no_std)]\n").len(), 2);
    }

    #[test]
    fn ways_back_to_std_are_found_at_their_line() {
        let found_crate = found(&format!("{PURE_ROOT}extern crate std;\n"));
        assert!(found_crate[0].starts_with("crates/wire/src/lib.rs:4: a way back"), "{found_crate:?}");
        assert_eq!(found(&format!("{PURE_ROOT}#[cfg(feature = \"std\")]\nmod files;\n")).len(), 1);
    }

    #[test]
    fn a_missing_pure_crate_is_found() {
        assert_eq!(check_sources(&[]).len(), PURE.len());
    }

    #[test]
    fn a_library_that_is_not_known_to_be_pure_is_found() {
        let importing = |name: &str, used_in| {
            let dependencies = vec![Dependency { name: name.to_owned(), used_in }];
            let manifest = "crates/wire/Cargo.toml".to_owned();
            check_libraries(&[Package { name: "pocketmesh-wire".to_owned(), manifest, dependencies }])
        };
        assert_eq!(importing("tokio", Use::Build).len(), 1);
        assert!(importing("blake3", Use::Build).is_empty());
        assert!(importing("proptest", Use::Tests).is_empty());
    }
}
