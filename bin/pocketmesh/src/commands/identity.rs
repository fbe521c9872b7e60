//! `init`, `id`, `version`: what needs no daemon.

use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::output;
use pocketmesh_node::Home;
use pocketmesh_node::home::{InitOptions, Size};
use serde_json::json;

/// Makes a new peer.
pub fn init(context: &Context, network: Option<String>) -> Outcome {
    if Home::is_initialised(&context.dir) {
        return init_again(context, network);
    }
    let home = Home::init(&context.dir, InitOptions { network })?;
    show(context, &home, true)
}

/// A second `init` is harmless: scripts may start with one.
fn init_again(context: &Context, network: Option<String>) -> Outcome {
    let home = context.home()?;
    home.require_network(network.as_deref().unwrap_or(&home.config().network))?;
    show(context, &home, false)
}

fn show(context: &Context, home: &Home, created: bool) -> Outcome {
    let peer = home.seed().map_err(Error::failed)?.peer();
    if context.json {
        let network = &home.config().network;
        output::json(&json!({ "peer": peer, "network": network, "data_dir": home.dir(), "created": created }))?;
        return Ok(Exit::Complete);
    }
    let already = if created { "" } else { "this folder is a peer already; nothing was changed\n" };
    output::text(format!("{already}{}", welcome(home, &peer.to_string())))?;
    Ok(Exit::Complete)
}

/// What a person should know before the daemon starts.
fn welcome(home: &Home, peer: &str) -> String {
    let config = home.config();
    let gives = if config.provide.enabled {
        format!(
            "while its daemon runs, this device gives {} of its cores and up to {} of memory to tasks of others,\n  \
             sandboxed and at low priority, for {} nano-credits per gigafuel; it keeps up to {} of data",
            config.provide.cores(),
            Size(config.provide.memory()),
            config.provide.price.0,
            config.storage.quota,
        )
    } else {
        "this device runs no tasks of others".into()
    };
    format!(
        "peer     {peer}\nnetwork  {}\nfolder   {}\n\n  {gives}.\n  all of this is set in {}\n\n\
         next: `pocketmesh daemon`",
        config.network,
        home.dir().display(),
        home.config_path().display(),
    )
}

/// Shows who this peer is.
pub fn id(context: &Context) -> Outcome {
    let home = context.home()?;
    let peer = home.seed().map_err(Error::failed)?.peer();
    if context.json {
        output::json(&json!({ "peer": peer, "network": home.config().network }))?;
    } else {
        output::text(peer.to_string())?;
    }
    Ok(Exit::Complete)
}

/// Shows the version.
pub fn version(context: &Context) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if context.json {
        output::json(&json!({ "version": version }))?;
    } else {
        output::text(format!("pocketmesh {version}"))?;
    }
    Ok(Exit::Complete)
}
