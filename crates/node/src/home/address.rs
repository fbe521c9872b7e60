//! The addresses that a person may write: checked here, so that a slip is answered in words and at once.
//!
//! `/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT`, with or without `/p2p/PEER` at the end: what the network can dial today.

use pocketmesh_types::PeerId;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A longer one than this is none: a host name has at most 253 characters.
const BYTES_MAX: usize = 400;

/// Why a text is no address of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not the address of a peer: {why}; write it as in /ip4/203.0.113.7/tcp/24001, with or without /p2p/…"
)]
pub struct AddressError {
    text: String,
    why: &'static str,
}

/// Checks an address to dial or to listen on.
pub fn check(text: &str) -> Result<(), AddressError> {
    shape(text).map_err(|why| AddressError { text: text.chars().take(120).flat_map(char::escape_debug).collect(), why })
}

fn shape(text: &str) -> Result<(), &'static str> {
    if text.len() > BYTES_MAX {
        return Err("it is too long");
    }
    let mut parts = text.strip_prefix('/').ok_or("it does not start with a slash")?.split('/');
    let (kind, host) = (parts.next().unwrap_or_default(), parts.next().ok_or("the host is missing")?);
    host_fits(kind, host)?;
    match parts.next() {
        Some("tcp") => {}
        Some(_) => return Err("only tcp can be dialled"),
        None => return Err("/tcp/PORT is missing"),
    }
    let port = parts.next().ok_or("the port is missing")?;
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err("the port is not a number from 0 to 65535");
    }
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => Ok(()),
        (Some("p2p"), Some(peer), None) if peer.parse::<PeerId>().is_ok() => Ok(()),
        (Some("p2p"), ..) => Err("what follows /p2p/ is not the id of a peer"),
        _ => Err("something follows the port"),
    }
}

fn host_fits(kind: &str, host: &str) -> Result<(), &'static str> {
    let is_name = |host: &str| {
        (1..=253).contains(&host.len())
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    match kind {
        "ip4" => host.parse::<Ipv4Addr>().map(drop).map_err(|_| "the host is not an IPv4 address"),
        "ip6" => host.parse::<Ipv6Addr>().map(drop).map_err(|_| "the host is not an IPv6 address"),
        "dns" | "dns4" | "dns6" => is_name(host).then_some(()).ok_or("the host is not a name"),
        _ => Err("it does not start with /ip4, /ip6 or /dns4"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_good_with_and_without_the_peer() {
        let peer = PeerId([7; 32]);
        let good = [
            "/ip4/127.0.0.1/tcp/0".to_owned(),
            "/ip6/::1/tcp/4001".into(),
            "/dns4/example.org/tcp/65535".into(),
            format!("/ip4/10.0.0.1/tcp/4001/p2p/{peer}"),
        ];
        for text in good {
            assert_eq!(check(&text), Ok(()), "{text}");
        }
    }

    #[test]
    fn slips_are_named() {
        let cases = [
            ("", "slash"),
            ("127.0.0.1:4001", "slash"),
            ("/", "host is missing"),
            ("/ip4/", "not an IPv4"),
            ("/ip4/example.org/tcp/1", "not an IPv4"),
            ("/ip6/1.2.3.4/tcp/1", "not an IPv6"),
            ("/dns4//tcp/1", "not a name"),
            ("/ip4/1.2.3.4", "/tcp/PORT is missing"),
            ("/ip4/1.2.3.4/udp/1", "only tcp"),
            ("/ip4/1.2.3.4/tcp", "port is missing"),
            ("/ip4/1.2.3.4/tcp/65536", "not a number"),
            ("/ip4/1.2.3.4/tcp/+5", "not a number"),
            ("/ip4/1.2.3.4/tcp/1/p2p", "id of a peer"),
            ("/ip4/1.2.3.4/tcp/1/p2p/QmNo", "id of a peer"),
            ("/ip4/1.2.3.4/tcp/1/ws", "follows the port"),
            ("/http/1.2.3.4/tcp/1", "does not start with /ip4"),
        ];
        for (text, why) in cases {
            let error = check(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(check(&"/".repeat(10_000)).is_err());
    }
}
