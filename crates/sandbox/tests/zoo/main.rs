//! The hostile zoo: programs that mean harm, each with the one end that it must come to.
//!
//! One executor takes them all, one after the other. After each of them a well-behaved task must still run there, and
//! this process, which stands for the daemon, must not have grown. A file per kind of harm; `keeper` lets them in.
//!
//! `cargo test --release -p pocketmesh-sandbox --test zoo` runs all; behind `--`, a word picks those whose names have it,
//! `--in-process` lets them in without a sealed process, and `--figures` prints how late the late ones were stopped. This
//! binary is also the sealed process, and so has a `main` of its own.

mod animal;
mod arithmetic;
mod bombs;
mod calls;
mod counts;
mod features;
mod figures;
mod files;
mod imports;
mod invalid;
mod keeper;
mod loops;
mod made;
mod memory;
mod output;
mod pointers;
#[path = "../preview1/mod.rs"]
mod preview1;
mod resident;
mod stack;
mod text;

use animal::{Animal, Expect};
use keeper::{EXECUTOR, Keeper};
use libtest_mimic::{Arguments, Trial};
use pocketmesh_sandbox::sealed::executor_main;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a compiler may take by the clock: a net, because what is no bomb compiles at once.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a bomb may go off: long enough to see what comes of most, short enough to see what becomes of the others.
const PATIENCE_WITH_BOMBS: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == EXECUTOR) {
        return executor_main();
    }
    resident::keep_nothing_freed();
    let mut take = |flag: &str| {
        let before = words.len();
        words.retain(|word| word != flag);
        words.len() < before
    };
    let (in_process, figures) = (take("--in-process"), take("--figures"));
    let keeper = if in_process { Keeper::in_process } else { Keeper::sealed };
    if figures {
        figures::print(&animals(), &keeper(PATIENCE_WITH_BOMBS));
        return ExitCode::SUCCESS;
    }
    test(Arguments::from_iter(words), keeper)
}

/// Lets in the animals that were asked for, one at a time: there is one process whose memory counts. Bombs have a keeper
/// of their own, who loses patience with their compilers.
fn test(mut arguments: Arguments, start: fn(Duration) -> Keeper) -> ExitCode {
    arguments.test_threads = Some(1);
    let keepers: Arc<[OnceLock<Keeper>; 2]> = Arc::default();
    let trials = animals().into_iter().map(|animal| {
        let keepers = Arc::clone(&keepers);
        Trial::test(animal.name.clone(), move || {
            let is_bomb = matches!(animal.expect, Expect::UnlessTooDear(_));
            let patience = if is_bomb { PATIENCE_WITH_BOMBS } else { PATIENCE };
            Ok(keepers[usize::from(is_bomb)].get_or_init(|| start(patience)).host(&animal)?)
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    for keeper in keepers.iter().filter_map(OnceLock::get) {
        if let Err(growth) = keeper.close() {
            eprintln!("{growth}");
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}

fn animals() -> Vec<Animal> {
    let groups = [
        loops::animals,
        calls::animals,
        memory::animals,
        stack::animals,
        output::animals,
        files::animals,
        pointers::animals,
        arithmetic::animals,
        imports::animals,
        features::animals,
        invalid::animals,
        bombs::animals,
        counts::animals,
    ];
    groups.into_iter().flat_map(|group| group()).collect()
}
