//! Starting the network: the checks that a person should hear about at once, then the driver's task.

use crate::{
    address,
    behaviour::{self, Behaviour, BehaviourEvent},
    config::{self, COMMANDS_MAX, Config},
    dial,
    driver::Driver,
    event::{self, Events},
    handle::{Handle, Shared},
    identity,
    names::Names,
};
use futures::StreamExt;
use libp2p::{Multiaddr, Swarm, TransportError, core::transport::ListenerId, swarm::SwarmEvent};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// Listening takes no longer unless something is wrong with the machine.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the network did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The network's name is not one.
    #[error(transparent)]
    BadNetworkName(#[from] config::BadNetworkName),
    /// The address to listen on has the wrong form.
    #[error("cannot listen on {0}: give /ip4/ADDRESS/tcp/PORT or /ip6/ADDRESS/tcp/PORT")]
    BadListenAddress(Multiaddr),
    /// A bootstrap address has the wrong form.
    #[error("bad bootstrap address: {0}")]
    BadBootstrapAddress(dial::DialError),
    /// Another program has that port.
    #[error("cannot listen on {0}: the port is in use, perhaps by another daemon; choose another or use port 0")]
    AddressInUse(Multiaddr),
    /// The port is reserved.
    #[error("cannot listen on {0}: permission denied; choose a port above 1023")]
    PermissionDenied(Multiaddr),
    /// No interface has that address.
    #[error("cannot listen on {0}: this machine does not have that address")]
    NotOurAddress(Multiaddr),
    /// Anything else that the system says.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// The system's words.
        reason: String,
    },
    /// The swarm's parts do not fit: a mistake in this crate or its configuration.
    #[error("cannot set the network up: {0}")]
    Setup(String),
}

/// Starts the network in a task of the current tokio runtime. Returns when all addresses are bound.
pub async fn start(mut config: Config) -> Result<(Handle, Events), StartError> {
    config::check_network_name(&config.network)?;
    for address in &config.bootstrap {
        dial::Target::parse(address).map_err(StartError::BadBootstrapAddress)?;
    }
    let names = Names::new(&config.network);
    let mut swarm = behaviour::build_swarm(&mut config, &names).map_err(StartError::Setup)?;
    let me = identity::ours_of(swarm.local_peer_id()).expect("our key is ed25519");
    let shared = Arc::new(Shared::new(me, config.streams.clone()));
    let early = listen(&mut swarm, &config.listen, &shared).await?;

    let (commands, asked) = mpsc::channel(COMMANDS_MAX);
    let (sender, events) = event::channel();
    tokio::spawn(Driver::new(swarm, names, config, shared.clone(), asked, sender).run(early));
    Ok((Handle { shared, commands }, events))
}

/// What the swarm says while it is not the driver who listens; the driver hears it later.
type Early = Vec<SwarmEvent<BehaviourEvent>>;

/// Binds all addresses, and waits until the swarm knows what became of each.
async fn listen(swarm: &mut Swarm<Behaviour>, wanted: &[Multiaddr], shared: &Shared) -> Result<Early, StartError> {
    let mut early = Early::new();
    for address in wanted {
        let socket = address::tcp_socket(address).ok_or_else(|| StartError::BadListenAddress(address.clone()))?;
        probe(socket).map_err(|error| listen_error(address, &error))?;
        let listener = swarm.listen_on(address::of_socket(socket)).map_err(|error| match error {
            TransportError::Other(error) => listen_error(address, &error),
            TransportError::MultiaddrNotSupported(address) => StartError::BadListenAddress(address),
        })?;
        let bound = timeout(LISTEN_TIMEOUT, bound(swarm, listener, shared, &mut early)).await;
        let silent = || Err(io::Error::other("no network interface is up"));
        bound.unwrap_or_else(|_| silent()).map_err(|error| listen_error(address, &error))?;
    }
    Ok(early)
}

async fn bound(
    swarm: &mut Swarm<Behaviour>,
    listener: ListenerId,
    shared: &Shared,
    early: &mut Early,
) -> io::Result<()> {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                shared.listen(&address);
                if listener_id == listener {
                    return Ok(());
                }
            }
            SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. }
            | SwarmEvent::ListenerError { listener_id, error }
                if listener_id == listener =>
            {
                return Err(error);
            }
            other => early.push(other),
        }
    }
}

/// Binds the port once by the standard library, because libp2p shares ports: two daemons on one port would both
/// "succeed" and each get some of the connections.
fn probe(socket: SocketAddr) -> io::Result<()> {
    if socket.port() == 0 { Ok(()) } else { TcpListener::bind(socket).map(drop) }
}

fn listen_error(address: &Multiaddr, error: &io::Error) -> StartError {
    let address = address.clone();
    match error.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse(address),
        io::ErrorKind::PermissionDenied => StartError::PermissionDenied(address),
        io::ErrorKind::AddrNotAvailable => StartError::NotOurAddress(address),
        _ => StartError::Listen { address, reason: error.to_string() },
    }
}
