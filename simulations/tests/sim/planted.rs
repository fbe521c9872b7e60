//! Checkers that never find anything may be blind: each planted bug has to be found by the checker that is there for it.

use crate::{passes, run};
use pocketmesh_sim::{Plant, checkers::Checkers};

/// The ground on which a bug is to be seen.
fn ground(plant: Plant) -> &'static str {
    match plant.found_by() {
        "windows" => "planted-windows",
        "service" => "credit-crowd",
        "exposure" => "planted-money",
        _ => "planted",
    }
}

#[test]
fn every_planted_bug_is_found_by_the_checker_that_is_there_for_it() {
    for &plant in Plant::ALL {
        let found = (1..=3).any(|seed| {
            let report = run(ground(plant), seed, Some(plant));
            report.violations_by_checker.contains_key(plant.found_by())
        });
        assert!(found, "`{}` is not seen by `{}`", plant.name(), plant.found_by());
    }
}

#[test]
fn without_a_bug_nothing_is_found_on_the_same_ground() {
    for seed in 1..=3 {
        passes("planted", seed);
    }
    passes("planted-windows", 1);
    passes("planted-money", 1);
    passes("credit-crowd", 1);
}

#[test]
fn every_checker_has_a_bug_that_it_finds() {
    let blind: Vec<&str> =
        Checkers::names().into_iter().filter(|name| Plant::ALL.iter().all(|plant| plant.found_by() != *name)).collect();
    assert!(blind.is_empty(), "{blind:?}");
}
