//! `daemon` and `stop`.

use crate::cli::Daemon;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::{output, wait};
use pocketmesh_api::ClientError;
use pocketmesh_node::home::{InitOptions, address};
use pocketmesh_node::{Home, Options, Ready};
use serde_json::json;
use std::io::{IsTerminal, Read};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing_subscriber::EnvFilter;

/// A stopping daemon closes its journal: it may have to wait for a slow disk.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at whether it has stopped.
const STOP_POLL: Duration = Duration::from_millis(50);

/// Runs the daemon until it is stopped.
pub async fn run(context: &Context, args: Daemon) -> Outcome {
    args.listen.iter().chain(&args.bootstrap).try_for_each(|text| address::check(text))?;
    let fresh = !context.dir.exists();
    let home = open_or_init(context, args.network.as_deref())?;
    log(context)?;
    if let Some(kind) = &args.sabotage {
        output::note(format!(
            "WARNING: this peer returns WRONG RESULTS on purpose (--sabotage {kind}): for tests only"
        ));
    }
    let mdns = home.config().mdns && !args.no_mdns;
    let options = Options { home, listen: args.listen, bootstrap: args.bootstrap, mdns, sabotage: args.sabotage };
    wait::survive_full_files().map_err(Error::failed)?;
    let interrupted = wait::interrupted().map_err(Error::failed)?;
    let orphaned = stdin_ended(args.until_stdin_ends)?;
    let stop = async {
        tokio::select! {
            () = interrupted => {}
            () = orphaned => {}
        }
    };
    let mut started = false;
    let on_ready = |ready: &Ready| {
        started = true;
        announce(context, ready);
    };
    let ended = pocketmesh_node::run(options, on_ready, stop).await.map_err(Error::failed);
    if fresh && !started {
        remove_unused(context);
    }
    ended.map(|()| Exit::Complete)
}

/// A folder that was made for a daemon that then could not start: nothing has happened in it.
fn remove_unused(context: &Context) {
    if std::fs::remove_dir_all(&context.dir).is_ok() {
        context.note(format!("removed {} again", context.dir.display()));
    }
}

/// The data folder; a fresh one is made when there is none, because that is what the person wants next.
fn open_or_init(context: &Context, network: Option<&str>) -> Result<Home, Error> {
    if Home::is_initialised(&context.dir) {
        let home = context.home()?;
        home.require_network(network.unwrap_or(&home.config().network))?;
        return Ok(home);
    }
    let home = Home::init(&context.dir, InitOptions { network: network.map(Into::into) })?;
    context.note(format!("made a new peer in {}", context.dir.display()));
    Ok(home)
}

/// Says where the daemon can be reached: an address to copy comes first.
fn announce(context: &Context, ready: &Ready) {
    let shown = if context.json {
        let Ready { peer, addresses, socket } = ready;
        output::json_line(&json!({ "peer": peer, "addresses": addresses, "socket": socket }))
    } else {
        let example = ready.addresses.iter().find(|address| !address.contains("/127.")).or(ready.addresses.first());
        let join = example.map(|address| format!("\nothers join with\n  pocketmesh daemon --bootstrap {address}"));
        let listens = ready.addresses.join("\n  ");
        output::text(format!("peer {}\nlistens on\n  {listens}{}", ready.peer, join.unwrap_or_default()))
    };
    if let Err(error) = shown {
        tracing::debug!(error = error.message(), "nobody reads where the daemon listens");
    }
}

/// Logs to standard error: warnings, more with `-v`, or whatever `RUST_LOG` says.
fn log(context: &Context) -> Result<(), Error> {
    let level = match (context.quiet, context.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "warn,pocketmesh=info,pocketmesh_node=info",
        (_, 2) => "info,pocketmesh=debug,pocketmesh_node=debug,pocketmesh_network=debug,pocketmesh_api=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Where the log cannot be written, because its disk is full perhaps, it is lost: to say so there would be a panic.
    let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let lines = tracing_subscriber::fmt().with_ansi(is_coloured).log_internal_errors(false);
    let logging = lines.with_env_filter(filter).with_writer(std::io::stderr).try_init();
    logging.map_err(|error| Error::failed(format!("cannot log: {error}")))
}

/// Completes when standard input ends, if that is asked for. A thread of its own reads it: it cannot be interrupted, and
/// goes with the process.
fn stdin_ended(watch: bool) -> Result<impl Future<Output = ()>, Error> {
    let (ended, end) = oneshot::channel();
    if watch {
        let read = move || {
            let mut bytes = [0; 64];
            while std::io::stdin().read(&mut bytes).is_ok_and(|read| read > 0) {}
            // If nobody waits any more, the daemon is stopping already.
            let _ = ended.send(());
        };
        std::thread::Builder::new().name("stdin".into()).spawn(read).map_err(Error::failed)?;
    }
    Ok(async move {
        if !watch || end.await.is_err() {
            std::future::pending().await
        }
    })
}

/// Stops the daemon and waits until it is gone.
pub async fn stop(context: &Context) -> Outcome {
    let client = context.client();
    client.stop().await?;
    let gone = async {
        while !matches!(client.status().await, Err(ClientError::NoDaemon(_))) {
            sleep(STOP_POLL).await;
        }
    };
    let message = || format!("the daemon has not stopped after {} s: see its log", STOP_TIMEOUT.as_secs());
    timeout(STOP_TIMEOUT, gone).await.map_err(|_| Error::failed(message()))?;
    if context.json {
        output::json(&json!({ "stopped": true }))?;
    } else {
        context.note("stopped");
    }
    Ok(Exit::Complete)
}
