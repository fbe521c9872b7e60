//! The sealed executor as the daemon uses it, and as a program sees it that has broken out.
//!
//! This binary is also what the tests start: an executor, a child that lies, or a process that seals itself in and tries
//! what it should not be able to do. Hence a `main` of its own. A file per concern; `rig` has what they share.

mod attempts;
mod fake;
mod faults;
mod inside;
mod programs;
#[expect(dead_code, reason = "shared with the tests of the sandbox, which use all of it")]
#[path = "../sandbox/rig.rs"]
mod rig;
mod tasks;
mod watch;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

/// A test and its name.
type Claim = (&'static str, fn());

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("executor") => pocketmesh_sandbox::sealed::executor_main(),
        Some("daemon") => faults::daemon(),
        Some("fake") => fake::main(args),
        Some("attempt") => attempts::main(args),
        _ => test(),
    }
}

fn test() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They count the children of this process.
    arguments.test_threads = Some(1);
    let claims = [tasks::CLAIMS, programs::CLAIMS, faults::CLAIMS, inside::CLAIMS].concat();
    let trial = |(name, claim): Claim| {
        Trial::test(name, move || {
            claim();
            Ok(())
        })
    };
    libtest_mimic::run(&arguments, claims.into_iter().map(trial).collect()).exit_code()
}
