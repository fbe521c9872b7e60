//! The rules of architecture and style, applied to this repository.

use std::io::Write;
use std::process::Command;
use std::sync::LazyLock;

use pocketmesh_tidy::arrows::{Dependency, Use};
use pocketmesh_tidy::finding::report;
use pocketmesh_tidy::workspace::cargo;
use pocketmesh_tidy::{
    Finding, Workspace, arrows, bans, budgets, features, floors, layout, manifests, openings, purity, wording,
};

/// An ordinary target of Rust without an operating system below it.
const BARE_TARGET: &str = "wasm32-unknown-unknown";

static WORKSPACE: LazyLock<Workspace> =
    LazyLock::new(|| Workspace::read().unwrap_or_else(|error| panic!("failed to read the repository: {error}")));

#[track_caller]
fn assert_tidy(findings: &[Finding]) {
    assert!(findings.is_empty(), "{} to mend:\n{}", findings.len(), report(findings));
}

#[test]
fn arrows_follow_the_house() {
    assert_tidy(&arrows::check(&WORKSPACE.packages));
}

/// The rule is not only sound in itself: it sees an arrow that is drawn in the packages as they are.
#[test]
fn an_arrow_drawn_against_the_house_would_be_seen() {
    for name in ["types", "wire", "ledger", "network", "sandbox", "blobs", "store", "api"] {
        let mut packages = WORKSPACE.packages.clone();
        let package = packages.iter_mut().find(|package| package.name == format!("pocketmesh-{name}"));
        let arrow = Dependency { name: "pocketmesh-protocol".to_owned(), used_in: Use::Build };
        package.expect("the crates of the house are there").dependencies.push(arrow);
        assert_eq!(arrows::check(&packages).len(), arrows::check(&WORKSPACE.packages).len() + 1, "{name}");
    }
}

#[test]
fn pure_crates_have_no_way_to_std() {
    assert_tidy(&purity::check_sources(&WORKSPACE.outlines));
}

#[test]
fn pure_crates_import_pure_libraries() {
    assert_tidy(&purity::check_libraries(&WORKSPACE.packages));
}

/// Shows that neither our code nor its libraries need a system: libraries for sockets, random numbers of the system or
/// C code of its own do not compile for this target.
#[test]
fn pure_crates_build_without_a_system() {
    if !bare_target_is_installed() {
        let note = format!("skipped: run `rustup target add {BARE_TARGET}` to build the pure crates without a system");
        // Past the test harness, which hides what passing tests print.
        writeln!(std::io::stderr(), "{note}").expect("standard error is open");
        return;
    }
    let mut command = cargo();
    command.args(["check", "--locked", "--target", BARE_TARGET]).current_dir(&WORKSPACE.root);
    command.args(["--target-dir", concat!(env!("CARGO_TARGET_TMPDIR"), "/without-a-system")]);
    command.args(purity::PURE.map(|name| format!("--package=pocketmesh-{name}")));
    let output = command.output().expect("cargo runs this test, so it can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn bare_target_is_installed() -> bool {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.args(["--print", "target-libdir", "--target", BARE_TARGET]).current_dir(&WORKSPACE.root);
    let Ok(output) = command.output() else { return false };
    std::path::Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
}

#[test]
fn every_file_says_what_it_is() {
    assert_tidy(&openings::check(&WORKSPACE.outlines));
}

#[test]
fn files_and_functions_keep_to_their_budgets() {
    assert_tidy(&budgets::check(&WORKSPACE.outlines, &WORKSPACE.ratchet));
}

#[test]
fn nothing_is_written_that_may_not_be() {
    assert_tidy(&wording::check(&WORKSPACE.outlines));
}

#[test]
fn the_top_level_holds_what_it_is_meant_to() {
    assert_tidy(&layout::check_top_level(WORKSPACE.top_level.iter().map(String::as_str)));
}

#[test]
fn every_page_of_specs_describes_a_module_and_is_listed() {
    let sources = WORKSPACE.outlines.iter().map(|outline| outline.path.as_str());
    assert_tidy(&layout::check_pages(&WORKSPACE.pages, sources, &WORKSPACE.readme));
}

#[test]
fn every_crate_inherits_from_the_workspace() {
    assert_tidy(&manifests::check_crates(&WORKSPACE.manifests));
}

#[test]
fn bans_have_reasons_and_lose_no_threshold() {
    assert_tidy(&bans::check(&WORKSPACE.bans, &WORKSPACE.bans_of_crates));
}

#[test]
fn profiles_are_those_that_readme_and_ci_rely_on() {
    assert_tidy(&manifests::check_workspace(&WORKSPACE.root_manifest));
}

#[test]
fn dependency_floors() {
    assert_tidy(&floors::check(&WORKSPACE.lockfile));
}

#[test]
fn tests_reuse_what_the_build_compiled() {
    let (build, with_tests) = WORKSPACE.features().unwrap_or_else(|error| panic!("{error}"));
    assert_tidy(&features::check(&build, &with_tests));
}
