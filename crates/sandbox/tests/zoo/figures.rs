//! How late animals that only time ends are stopped, and which of them get the most time for their fuel.
//!
//! Figures and no claims: they depend on the machine, and on what else it does.

use crate::animal::{Animal, End, Expect, MODEST, OUT_OF_FUEL};
use crate::keeper::Keeper;
use std::time::Duration;

/// How often each animal is let in.
const ROUNDS: usize = 3;

/// Prints them.
pub fn print(animals: &[Animal], keeper: &Keeper) {
    let endless =
        |end: End| animals.iter().filter(move |animal| matches!(animal.expect, Expect::Always(e) if e == end));
    let mut late = Vec::new();
    for animal in endless(End::WallClock) {
        let limit = Duration::from_millis(animal.limits.wall_ms);
        late.extend(times(animal, keeper).into_iter().map(|took| (took.saturating_sub(limit), animal.name.as_str())));
    }
    late.sort_unstable();
    let at = |share: usize| late[(late.len() - 1) * share / 100];
    println!("{} tasks past their time limit, milliseconds until the executor told so:", late.len());
    for (label, (time, name)) in [("p50", at(50)), ("p99", at(99)), ("max", at(100))] {
        println!("{label} {:8.1}   {name}", time.as_secs_f64() * 1e3);
    }
    let long = |animal: &&Animal| animal.limits.fuel >= MODEST.fuel;
    let mut dear: Vec<_> =
        endless(OUT_OF_FUEL).filter(long).map(|animal| (per_fuel(animal, keeper), animal.name.as_str())).collect();
    dear.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("\nnanoseconds for each 100 fuel, of programs that use up theirs:");
    for (nanos, name) in dear {
        println!("{nanos:8.1}   {name}");
    }
}

/// The best of all rounds.
fn per_fuel(animal: &Animal, keeper: &Keeper) -> f64 {
    let best = times(animal, keeper).into_iter().min().unwrap_or_default();
    best.as_secs_f64() * 1e11 / animal.limits.fuel.0 as f64
}

fn times(animal: &Animal, keeper: &Keeper) -> Vec<Duration> {
    let programs = animal.programs();
    let visits = std::iter::repeat_n(&programs, ROUNDS).flatten();
    // The first visit of a program compiles it.
    programs.iter().for_each(|wasm| drop(keeper.visit(wasm.as_slice().into(), animal.limits)));
    let timed = visits.map(|wasm| {
        // An executor that had to be killed is started anew by this one.
        keeper.check_on_the_executor();
        keeper.visit(wasm.as_slice().into(), animal.limits).took
    });
    timed.collect()
}
