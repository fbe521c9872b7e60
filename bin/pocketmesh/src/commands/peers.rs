//! `peers`: who is connected, and who told of them.

use crate::cli::Peers;
use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::quantity;
use crate::table::Table;
use crate::terminal::one_line;
use crate::{output, wait};
use pocketmesh_api::{Direction, Peer, Via};
use pocketmesh_node::home::address;

/// Runs one of the commands.
pub async fn dispatch(context: &Context, command: Peers) -> Outcome {
    match command {
        Peers::List => list(context).await,
        Peers::Connect { address } => connect(context, &address).await,
    }
}

async fn list(context: &Context) -> Outcome {
    let peers = context.client().peers().await?;
    if context.json {
        output::json(&peers)?;
    } else if peers.is_empty() {
        context.note("no peers yet: `pocketmesh bootstrap add MULTIADDR` names one that introduces this one");
    } else {
        output::text(table(&peers).to_string())?;
    }
    Ok(Exit::Complete)
}

async fn connect(context: &Context, address: &str) -> Outcome {
    address::check(address)?;
    let connected = context.client().connect(address).await?;
    if context.json {
        output::json(&connected)?;
    } else {
        output::text(format!("connected to {}", connected.peer))?;
    }
    Ok(Exit::Complete)
}

fn table(peers: &[Peer]) -> Table {
    let mut table = Table::new(&["peer", ">rtt", ">since", "", "learned of it", "address", "runs"]);
    for peer in peers {
        let arrow = match peer.direction {
            Direction::Inbound => "in",
            Direction::Outbound => "out",
        };
        table.row([
            peer.peer.to_string(),
            peer.rtt_ms.map(|rtt| format!("{rtt:.1} ms")).unwrap_or_default(),
            quantity::span(wait::since(peer.since)),
            arrow.into(),
            via(&peer.via),
            one_line(&peer.address),
            peer.agent.as_deref().map(one_line).unwrap_or_default(),
        ]);
    }
    table
}

/// In words, who told of a peer.
pub fn via(via: &Via) -> String {
    match via {
        Via::Bootstrap => "bootstrap address".into(),
        Via::Kademlia { from: Some(from) } => format!("Kademlia, from …{}", from.short()),
        Via::Kademlia { from: None } => "Kademlia".into(),
        Via::Mdns => "local network".into(),
        Via::Inbound => "came to us".into(),
        Via::Saved => "known from before".into(),
        Via::Manual => "named by hand".into(),
    }
}
