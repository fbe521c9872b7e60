//! What an address tells: where it leads, whether we may dial it on another's word, which prefix its owner sits in.
//! Pure functions; nothing here resolves a name or opens a socket.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Addresses kept of one peer: a few interfaces, two families.
pub(crate) const ADDRESSES_PER_PEER_MAX: usize = 8;

/// The part of a globally routable address that one owner usually holds: rules about "the same place" use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prefix {
    /// The first 24 bits of an IPv4 address.
    V4([u8; 3]),
    /// The first 48 bits of an IPv6 address.
    V6([u8; 6]),
}

impl Prefix {
    /// The prefix of `ip`; none unless it is globally routable.
    pub fn of(ip: IpAddr) -> Option<Self> {
        match (scope(ip), ip.to_canonical()) {
            (Scope::Global, IpAddr::V4(ip)) => ip.octets().first_chunk().copied().map(Self::V4),
            (Scope::Global, IpAddr::V6(ip)) => ip.octets().first_chunk().copied().map(Self::V6),
            _ => None,
        }
    }
}

/// How far an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Global,
    Private,
    Loopback,
    /// Multicast, unspecified, documentation, or in need of a zone: nobody to dial there.
    Nowhere,
}

fn scope(ip: IpAddr) -> Scope {
    match ip.to_canonical() {
        IpAddr::V4(ip) => scope_v4(ip),
        IpAddr::V6(ip) => scope_v6(ip),
    }
}

/// Source: IANA IPv4 Special-Purpose Address Registry.
fn scope_v4(ip: Ipv4Addr) -> Scope {
    match ip.octets() {
        [127, ..] => Scope::Loopback,
        [0, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [224..=255, ..] => Scope::Nowhere,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [169, 254, ..] => Scope::Private,
        [100, 64..=127, ..] | [198, 18..=19, ..] => Scope::Private,
        _ => Scope::Global,
    }
}

/// Source: IANA IPv6 Special-Purpose Address Registry.
fn scope_v6(ip: Ipv6Addr) -> Scope {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Scope::Loopback,
        [0x2001, 0xdb8, ..] => Scope::Nowhere,
        [0x2000..=0x3fff, ..] => Scope::Global,
        [0xfc00..=0xfdff, ..] => Scope::Private,
        _ => Scope::Nowhere,
    }
}

/// The address of the machine that `address` leads to, if it says one.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

/// The socket behind `/ip…/tcp/…`, if the address is exactly that, with or without the peer's name at its end.
pub(crate) fn tcp_socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else { return None };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// `socket` as an address.
pub(crate) fn of_socket(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port()))
}

/// The address without the peer's name at its end, and that name.
pub(crate) fn split_peer(mut address: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    match address.pop() {
        Some(Protocol::P2p(peer)) => (address, Some(peer)),
        Some(other) => (address.with(other), None),
        None => (address, None),
    }
}

/// Where we are ourselves, and therefore which addresses on others' word are worth a dial.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    own: Vec<Multiaddr>,
}

impl Reach {
    /// We listen on `address` now.
    pub(crate) fn add(&mut self, address: Multiaddr) {
        if !self.own.contains(&address) {
            self.own.push(address);
        }
    }

    /// We no longer listen on `address`.
    pub(crate) fn remove(&mut self, address: &Multiaddr) {
        self.own.retain(|own| own != address);
    }

    /// Whether we ourselves listen on `address`.
    pub(crate) fn is_own(&self, address: &Multiaddr) -> bool {
        self.own.contains(address)
    }

    /// Whether an address that another peer named may be dialled. A private one leads to somebody else's machine unless
    /// we are on that subnet; loopback leads to ourselves unless we listen there too.
    pub(crate) fn allows(&self, address: &Multiaddr) -> bool {
        let Some(socket) = tcp_socket(address).filter(|socket| socket.port() != 0) else { return false };
        match scope(socket.ip()) {
            Scope::Global => true,
            Scope::Private => self.own_ips().any(|own| same_subnet(own, socket.ip())),
            Scope::Loopback => self.own_ips().any(|own| scope(own) == Scope::Loopback),
            Scope::Nowhere => false,
        }
    }

    /// The allowed ones of `addresses`, without peers' names, without our own, without doubles, not too many.
    pub(crate) fn filter(&self, addresses: impl IntoIterator<Item = Multiaddr>) -> Vec<Multiaddr> {
        let mut kept = Vec::new();
        for address in addresses.into_iter().take(4 * ADDRESSES_PER_PEER_MAX) {
            let (address, _) = split_peer(address);
            if kept.len() < ADDRESSES_PER_PEER_MAX
                && self.allows(&address)
                && !self.is_own(&address)
                && !kept.contains(&address)
            {
                kept.push(address);
            }
        }
        kept
    }

    fn own_ips(&self) -> impl Iterator<Item = IpAddr> {
        self.own.iter().filter_map(ip_of)
    }
}

/// Whether two addresses are neighbours. The true width is not known here; /24 and /64 are the usual ones.
fn same_subnet(a: IpAddr, b: IpAddr) -> bool {
    match (a.to_canonical(), b.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..4] == b.segments()[..4],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddr")
    }

    fn reach(own: &[&str]) -> Reach {
        let mut reach = Reach::default();
        own.iter().for_each(|own| reach.add(at(own)));
        reach
    }

    #[test]
    fn public_addresses_are_always_dialled() {
        assert!(reach(&[]).allows(&at("/ip4/8.8.8.8/tcp/4001")));
        assert!(reach(&[]).allows(&at("/ip6/2a00::1/tcp/4001")));
    }

    #[test]
    fn private_addresses_are_dialled_on_our_own_subnet_only() {
        let reach = reach(&["/ip4/192.168.1.5/tcp/1", "/ip6/fd00:1::5/tcp/1"]);
        assert!(reach.allows(&at("/ip4/192.168.1.77/tcp/4001")));
        assert!(!reach.allows(&at("/ip4/192.168.2.77/tcp/4001")));
        assert!(!reach.allows(&at("/ip4/10.0.0.1/tcp/4001")));
        assert!(reach.allows(&at("/ip6/fd00:1::77/tcp/4001")));
        assert!(!reach.allows(&at("/ip6/fd00:2::77/tcp/4001")));
        assert!(!reach.allows(&at("/ip6/::ffff:10.0.0.1/tcp/4001")));
    }

    #[test]
    fn loopback_is_dialled_only_if_we_listen_there() {
        assert!(!reach(&["/ip4/192.168.1.5/tcp/1"]).allows(&at("/ip4/127.0.0.1/tcp/4001")));
        assert!(reach(&["/ip4/127.0.0.1/tcp/1"]).allows(&at("/ip4/127.0.0.1/tcp/4001")));
    }

    #[test]
    fn what_cannot_be_a_peer_is_not_dialled() {
        let reach = reach(&["/ip4/127.0.0.1/tcp/1"]);
        for bad in [
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/224.0.0.1/tcp/1",
            "/ip4/8.8.8.8/tcp/0",
            "/ip4/8.8.8.8/udp/1",
            "/ip6/fe80::1/tcp/1",
            "/dns4/example.org/tcp/1",
            "/ip4/8.8.8.8/tcp/1/ws",
        ] {
            assert!(!reach.allows(&at(bad)), "{bad}");
        }
    }

    #[test]
    fn only_global_addresses_have_a_prefix() {
        let prefix = |text: &str| Prefix::of(text.parse().expect("an ip"));
        assert_eq!(prefix("8.8.4.4"), Some(Prefix::V4([8, 8, 4])));
        assert_eq!(prefix("::ffff:8.8.4.4"), Some(Prefix::V4([8, 8, 4])));
        assert_eq!(prefix("2a00:1:2:3::1"), Some(Prefix::V6([0x2a, 0, 0, 1, 0, 2])));
        for local in ["127.0.0.1", "10.1.2.3", "100.64.0.1", "192.168.0.1", "169.254.1.1", "::1", "fd00::1", "fe80::1"]
        {
            assert_eq!(prefix(local), None, "{local}");
        }
    }

    #[test]
    fn filtered_addresses_are_few_and_distinct_and_not_ours() {
        let reach = reach(&["/ip4/127.0.0.1/tcp/1"]);
        let many = (1..100).map(|port| at(&format!("/ip4/127.0.0.1/tcp/{}", port / 2 + 1)));
        let kept = reach.filter(many);
        assert_eq!(kept.len(), ADDRESSES_PER_PEER_MAX);
        assert!(!kept.contains(&at("/ip4/127.0.0.1/tcp/1")));
    }

    #[test]
    fn a_peers_name_is_split_off() {
        let peer = PeerId::random();
        let (address, name) = split_peer(at("/ip4/1.2.3.4/tcp/5").with(Protocol::P2p(peer)));
        assert_eq!((address, name), (at("/ip4/1.2.3.4/tcp/5"), Some(peer)));
        assert_eq!(split_peer(at("/ip4/1.2.3.4/tcp/5")), (at("/ip4/1.2.3.4/tcp/5"), None));
    }
}
