//! A dial on the user's word: what its address means, and what to tell when it fails.

use crate::{address, gate::Refusal, identity};
use libp2p::{
    Multiaddr, PeerId, TransportError,
    multiaddr::Protocol,
    swarm::{ConnectionDenied, DialError as SwarmError},
};
use std::{error::Error, io, time::Duration};
use tokio::{net::lookup_host, time::timeout};

/// A name server that is silent for so long will not answer.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses tried of one name.
const RESOLVED_MAX: usize = 8;

/// Why a peer was not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The address is not of a form that can be dialled.
    #[error(
        "{0} cannot be dialled: give /ip4/ADDRESS/tcp/PORT, /ip6/… or /dns4/NAME/tcp/PORT, with or without /p2p/PEER"
    )]
    BadAddress(Multiaddr),
    /// The name has no address.
    #[error("{host} has no address: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// The address is our own.
    #[error("{0} is this peer itself")]
    Own(Multiaddr),
    /// Nothing usable answered there.
    #[error("nobody could be reached at {address}: {reason}")]
    Unreachable {
        /// The last address tried.
        address: Multiaddr,
        /// The system's words.
        reason: String,
    },
    /// Somebody else lives there.
    #[error("another peer answered: {found}, not {expected}")]
    WrongPeer {
        /// Whom the address named.
        expected: pocketmesh_types::PeerId,
        /// Who answered.
        found: pocketmesh_types::PeerId,
    },
    /// The peer belongs to another network.
    #[error("the peer is on network {theirs:?}, this one is on {ours:?}")]
    OtherNetwork {
        /// Its network.
        theirs: String,
        /// Our network.
        ours: String,
    },
    /// Whatever answered is not a peer of ours.
    #[error("what answered is not a pocketmesh peer")]
    NotPocketmesh,
    /// We do not connect to it.
    #[error("the connection is not allowed: {0}")]
    Denied(String),
    /// The peer hung up before it could be used.
    #[error("the peer closed the connection: it may be full, or refuse this peer")]
    Closed,
    /// The network was shut down.
    #[error("the network is shut down")]
    Stopped,
}

/// An address as the user gave it, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Who must live there, if the address says so.
    pub(crate) peer: Option<PeerId>,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Address(Multiaddr),
    Name { host: String, port: u16, family: Family },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    V4,
    V6,
}

impl Target {
    /// Takes `given` apart.
    pub(crate) fn parse(given: &Multiaddr) -> Result<Self, DialError> {
        let (address, peer) = address::split_peer(given.clone());
        let place = match address::tcp_socket(&address) {
            Some(socket) if socket.port() != 0 => Some(Place::Address(address)),
            Some(_) => None,
            None => name_of(&address),
        };
        let place = place.ok_or_else(|| DialError::BadAddress(given.clone()))?;
        Ok(Self { peer, place })
    }

    /// The addresses to try, in order; names are looked up.
    pub(crate) async fn resolve(self) -> Result<Vec<Multiaddr>, DialError> {
        let (host, port, family) = match self.place {
            Place::Address(address) => return Ok(vec![address]),
            Place::Name { host, port, family } => (host, port, family),
        };
        let unresolved = |reason: String| DialError::Unresolved { host: host.clone(), reason };
        let sockets = match timeout(RESOLVE_TIMEOUT, lookup_host((host.as_str(), port))).await {
            Ok(Ok(sockets)) => sockets,
            Ok(Err(error)) => return Err(unresolved(error.to_string())),
            Err(_) => return Err(unresolved("the name server does not answer".into())),
        };
        let wanted = sockets.filter(|socket| match family {
            Family::Any => true,
            Family::V4 => socket.is_ipv4(),
            Family::V6 => socket.is_ipv6(),
        });
        let addresses: Vec<_> = wanted.take(RESOLVED_MAX).map(address::of_socket).collect();
        if addresses.is_empty() { Err(unresolved("no address of that family".into())) } else { Ok(addresses) }
    }
}

fn name_of(address: &Multiaddr) -> Option<Place> {
    let mut parts = address.iter();
    let (host, family) = match parts.next()? {
        Protocol::Dns(host) => (host, Family::Any),
        Protocol::Dns4(host) => (host, Family::V4),
        Protocol::Dns6(host) => (host, Family::V6),
        _ => return None,
    };
    match (parts.next()?, parts.next()) {
        (Protocol::Tcp(port), None) if port != 0 => Some(Place::Name { host: host.into_owned(), port, family }),
        _ => None,
    }
}

/// libp2p's error in words for a person.
pub(crate) fn explain(address: &Multiaddr, expected: Option<PeerId>, error: &SwarmError) -> DialError {
    let unreachable = |reason: String| DialError::Unreachable { address: address.clone(), reason };
    match error {
        SwarmError::LocalPeerId { .. } => DialError::Own(address.clone()),
        SwarmError::WrongPeerId { obtained, .. } => {
            match (expected.as_ref().and_then(identity::ours_of), identity::ours_of(obtained)) {
                (Some(expected), Some(found)) => DialError::WrongPeer { expected, found },
                _ => DialError::NotPocketmesh,
            }
        }
        SwarmError::Denied { cause } => DialError::Denied(explain_denial(cause)),
        SwarmError::Transport(failures) => match failures.last() {
            Some((address, error)) => DialError::Unreachable { address: address.clone(), reason: root_cause(error) },
            None => unreachable("no address to try".into()),
        },
        other => unreachable(other.to_string()),
    }
}

fn explain_denial(cause: &ConnectionDenied) -> String {
    match cause.downcast_ref::<Refusal>() {
        Some(refusal) => refusal.to_string(),
        None => deepest(cause).to_string(),
    }
}

/// The operating system's error if there is one inside, for it is what people know; else the innermost.
fn root_cause(error: &TransportError<io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => "that kind of address is not supported".into(),
        TransportError::Other(error) => match io_kind(error) {
            Some(io::ErrorKind::ConnectionRefused) => "connection refused (is the peer running there?)".into(),
            Some(io::ErrorKind::TimedOut) => "no answer in time".into(),
            _ => deepest(error).to_string(),
        },
    }
}

fn io_kind(error: &io::Error) -> Option<io::ErrorKind> {
    let mut kinds = chain(error).into_iter().filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.find(|kind| *kind != io::ErrorKind::Other)
}

fn deepest<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    chain(error).pop().unwrap_or(error)
}

/// The error, and what is behind it. `io::Error` hides the error that it carries from `source`.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut chain = vec![error];
    let mut last = error;
    while let Some(inner) = behind(last) {
        chain.push(inner);
        last = inner;
    }
    chain
}

fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Target, DialError> {
        Target::parse(&text.parse().expect("a multiaddr"))
    }

    #[test]
    fn addresses_work_with_and_without_a_peer() {
        let peer = PeerId::random();
        let bare = parse("/ip4/10.0.0.1/tcp/4001").expect("an address");
        let full = parse(&format!("/ip4/10.0.0.1/tcp/4001/p2p/{peer}")).expect("an address");
        assert_eq!((bare.peer, full.peer), (None, Some(peer)));
        assert_eq!(bare.place, full.place);
    }

    #[test]
    fn what_cannot_be_dialled_is_told() {
        for bad in ["/ip4/10.0.0.1", "/ip4/10.0.0.1/tcp/0", "/ip4/10.0.0.1/udp/1/quic-v1", "/dns4/x/tcp/1/ws", "/tcp/1"]
        {
            assert!(matches!(parse(bad), Err(DialError::BadAddress(_))), "{bad}");
        }
    }

    #[tokio::test]
    async fn names_are_resolved() {
        let target = parse("/dns4/localhost/tcp/4001").expect("an address");
        assert_eq!(target.resolve().await, Ok(vec!["/ip4/127.0.0.1/tcp/4001".parse().expect("an address")]));
    }

    #[test]
    fn the_systems_error_is_found_behind_wrappers() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let wrapped = TransportError::Other(io::Error::other(io::Error::other(refused)));
        assert_eq!(root_cause(&wrapped), "connection refused (is the peer running there?)");
    }
}
