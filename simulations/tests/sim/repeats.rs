//! One seed decides a run, to the last message; and every scenario that is shipped can be read.

use crate::run;
use pocketmesh_sim::Scenario;

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let (one, again, other) = (run("planted", 7, None), run("planted", 7, None), run("planted", 8, None));
    assert_eq!(one.fingerprint, again.fingerprint);
    assert_eq!((&one.figures, &one.samples), (&again.figures, &again.samples));
    assert_ne!(one.fingerprint, other.fingerprint);
}

#[test]
fn a_failing_run_names_the_command_that_repeats_it() {
    let report = run("planted", 1, Some(pocketmesh_sim::Plant::BitRot));
    assert!(!report.passed());
    assert!(report.table().contains("run simulations/planted.toml --seed 1"));
}

#[test]
fn every_scenario_can_be_read() {
    let mut read = 0;
    for entry in std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".toml") && name != "Cargo.toml" && name != "overlay.toml" {
            Scenario::parse(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
            read += 1;
        }
    }
    assert!(read >= 15, "{read}");
}
