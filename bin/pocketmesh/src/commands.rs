//! One file for each group of commands.

mod blob;
mod bootstrap;
mod daemon;
mod demo;
mod doctor;
mod exec;
mod identity;
mod job;
mod ledger;
pub mod peers;
pub mod receipts;
mod reputation;
mod run;
mod status;
mod testnet;
mod wallet;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::output;
use clap::CommandFactory;

/// Runs the command that was asked for.
pub async fn dispatch(cli: Cli) -> Outcome {
    if let Command::Completions { shell } = cli.command {
        return completions(shell);
    }
    let context = Context::new(cli.global)?;
    match cli.command {
        Command::Init { network } => identity::init(&context, network),
        Command::Daemon(args) => daemon::run(&context, args).await,
        Command::Stop => daemon::stop(&context).await,
        Command::Id => identity::id(&context),
        Command::Version => identity::version(&context),
        Command::Status => status::show(&context).await,
        Command::Doctor => doctor::run(&context).await,
        Command::Peers(command) => peers::dispatch(&context, command).await,
        Command::Bootstrap(command) => bootstrap::dispatch(&context, command).await,
        Command::Run(args) => run::run(&context, *args).await,
        Command::Exec(args) => exec::run(&context, *args).await,
        Command::Job(command) => job::dispatch(&context, command).await,
        Command::Blob(command) => blob::dispatch(&context, command).await,
        Command::Wallet(command) => wallet::dispatch(&context, command).await,
        Command::Receipts(command) => receipts::dispatch(&context, command).await,
        Command::Reputation(command) => reputation::dispatch(&context, command).await,
        Command::Ledger(command) => ledger::dispatch(&context, command).await,
        Command::Testnet(args) => testnet::run(&context, args).await,
        Command::Demo(args) => demo::run(&context, args).await,
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pocketmesh", &mut script);
    output::text(String::from_utf8_lossy(&script))?;
    Ok(Exit::Complete)
}
