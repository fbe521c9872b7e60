//! The one binary: the daemon, and the command line that talks to it.
//!
//! Nothing is decided here. Commands check what can be checked before the daemon is asked, ask it through
//! `pocketmesh-api`, and show the answer. Every failure is one line on standard error and one of five exit codes.

mod cli;
mod commands;
mod context;
mod exit;
mod fresh_folder;
mod input_files;
mod inputs;
mod mesh;
mod output;
mod quantity;
mod result_folder;
mod sources;
mod spending;
mod table;
mod terminal;
mod trust;
mod uploads;
mod usage;
mod wait;

use clap::Parser;
use cli::Cli;
use pocketmesh_node::sandbox::EXECUTOR_COMMAND;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else is there: no thread, no open file, no runtime.
    if std::env::args_os().nth(1).is_some_and(|command| command == EXECUTOR_COMMAND) {
        return pocketmesh_node::executor_main();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::show(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::Error::failed(format!("cannot start: {error}")).report(),
    };
    let ended = runtime.block_on(commands::dispatch(cli));
    // A read of standard input may still wait for its first byte: it must not hold the process.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => error.report(),
    }
}
