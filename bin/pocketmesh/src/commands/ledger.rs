//! `ledger`: the journal of a data folder, looked at while nobody writes to it.

use crate::cli::Ledger;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::output;

/// Runs one of the commands.
pub async fn dispatch(context: &Context, command: Ledger) -> Outcome {
    let Ledger::Show = command;
    let home = context.home()?;
    let show = move || {
        let mut shown = Ok(());
        let read = pocketmesh_node::read_journal(&home, |record| {
            if shown.is_ok() {
                shown = output::json_line(&record);
            }
        });
        read.map_err(Error::failed).and(shown)
    };
    tokio::task::spawn_blocking(show).await.map_err(Error::failed)??;
    Ok(Exit::Complete)
}
