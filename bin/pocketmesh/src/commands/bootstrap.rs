//! `bootstrap`: asks the daemon if one runs, so that it takes effect at once; else edits the configuration.

use crate::cli::Bootstrap;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::output;
use pocketmesh_api::{self as api, ClientError};
use pocketmesh_node::home::address;

/// Runs one of the commands.
pub async fn dispatch(context: &Context, command: Bootstrap) -> Outcome {
    let client = context.client();
    let asked = match &command {
        Bootstrap::List => client.bootstrap_list().await,
        Bootstrap::Add { address } => {
            address::check(address)?;
            client.bootstrap_add(address).await
        }
        Bootstrap::Rm { address } => client.bootstrap_rm(address).await,
    };
    let list = match asked {
        Err(ClientError::NoDaemon(_)) => edit(context, &command)?,
        asked => asked?,
    };
    if context.json {
        output::json(&list)?;
    } else {
        let shown: Vec<_> = list.addresses.iter().map(|address| crate::terminal::one_line(address)).collect();
        output::text(shown.join("\n"))?;
    }
    Ok(Exit::Complete)
}

fn edit(context: &Context, command: &Bootstrap) -> Result<api::Bootstrap, Error> {
    let mut home = context.home()?;
    match command {
        Bootstrap::List => {}
        Bootstrap::Add { address } => drop(home.bootstrap_add(address)?),
        Bootstrap::Rm { address } => home.bootstrap_rm(address)?,
    }
    Ok(api::Bootstrap { addresses: home.config().bootstrap.clone() })
}
