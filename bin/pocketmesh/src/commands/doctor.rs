//! `doctor`: what this machine gives a peer, and what it lacks, one line each, with what to do about it.

mod finding;
mod machine;
mod sandbox;
mod seals;

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::output;
use finding::{Finding, Verdict};
use pocketmesh_api::ClientError;
use pocketmesh_node::Home;
use pocketmesh_node::home::OpenError;
use serde::Serialize;

/// What is found, as JSON has it.
#[derive(Serialize)]
struct Findings<'a> {
    /// Whether nothing essential is missing.
    healthy: bool,
    findings: &'a [Finding],
}

/// Looks, and tells.
pub async fn run(context: &Context) -> Outcome {
    let home = Home::open(&context.dir);
    let config = home.as_ref().map(|home| home.config().clone());
    let (provide, storage, sandbox) =
        config.map_or_else(|_| Default::default(), |config| (config.provide, config.storage, config.sandbox));
    let mut findings = vec![folder(context, &home), machine::disk(&context.dir, storage.quota)];
    findings.extend(machine::gives(&provide));
    findings.extend(sandbox::look(sandbox, &provide).await);
    findings.push(daemon(context).await);
    let healthy = findings.iter().all(|finding| finding.verdict != Verdict::Fails);
    if context.json {
        output::json(&Findings { healthy, findings: &findings })?;
    } else {
        output::text(findings.iter().map(Finding::to_string).collect::<String>())?;
    }
    Ok(if healthy { Exit::Complete } else { Exit::Failed })
}

fn folder(context: &Context, home: &Result<Home, OpenError>) -> Finding {
    match home {
        Ok(home) => machine::privacy(home),
        Err(OpenError::NotInitialised(dir)) => Finding::lacks(
            "data folder",
            format!("{} is no peer yet: what follows is what one would have", dir.display()),
        )
        .remedy(format!("`{} init` makes it one", context.program)),
        Err(error) => Finding::fails("data folder", error.to_string()),
    }
}

async fn daemon(context: &Context) -> Finding {
    match context.client().status().await {
        Ok(status) => Finding::ok("daemon", format!("running, with {} peers connected", status.peers)),
        Err(ClientError::NoDaemon(_)) => {
            Finding::lacks("daemon", "not running").remedy(format!("`{} daemon` starts it", context.program))
        }
        Err(error) => Finding::lacks("daemon", error.to_string()),
    }
}
