//! The simulator, tested: it repeats itself, its checkers see what is planted, its scenarios hold.

mod figures;
mod planted;
mod repeats;

use pocketmesh_sim::{Plant, Report, Scenario, World, report::Circumstances};

/// Runs a scenario of this folder.
fn run(name: &str, seed: u64, plant: Option<Plant>) -> Report {
    let path = format!("{}/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the scenario is part of this crate");
    let scenario = Scenario::parse(&text).expect("every scenario can be read");
    let mut world = World::new(scenario, seed, plant);
    world.run();
    let command = format!("cargo run --release -p pocketmesh-sim -- run simulations/{name}.toml --seed {seed}");
    Report::of(&world, Circumstances { scenario: name.into(), command, ..Circumstances::default() })
}

/// Runs a scenario that must hold.
fn passes(name: &str, seed: u64) -> Report {
    let report = run(name, seed, None);
    assert!(report.passed(), "{}", report.table());
    report
}
