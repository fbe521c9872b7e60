//! Versions of dependencies below which an advisory applies: read from `Cargo.lock`, so that it works offline.

use cargo_metadata::semver::Version;
use serde::Deserialize;

use crate::Finding;

/// The least version of a package that may be locked.
struct Floor {
    /// The package, or a family of packages if it ends in `*`.
    package: &'static str,
    version: &'static str,
    why: &'static str,
}

const FLOORS: &[Floor] = &[
    Floor {
        package: "libp2p-gossipsub",
        version: "0.50.1",
        why: "GHSA-g3g5-x568-qvqx, GHSA-vrx6-jcp8-vm7m and older: remote crashes and unbounded memory",
    },
    Floor {
        package: "yamux",
        version: "0.13.10",
        why: "CVE-2026-32314 and GHSA-4w32-2493-32g7: remote panic before authentication",
    },
    Floor { package: "libp2p-quic", version: "0.13.1", why: "GHSA-5hq8-qhww-jm7q: panic on a bad certificate" },
    Floor { package: "quinn-proto", version: "0.11.14", why: "CVE-2026-31812: panic in transport parameters" },
    Floor {
        package: "libp2p-rendezvous",
        version: "0.18.0",
        why: "GHSA-cqfx-gf56-8x59 and GHSA-v5hw-cv9c-rpg7: memory",
    },
    Floor { package: "hickory-*", version: "0.26.2", why: "denial of service by DNS records" },
    Floor { package: "bytes", version: "1.11.1", why: "RUSTSEC-2026-0007: overflow in `reserve`" },
    Floor { package: "rustls", version: "0.23.18", why: "RUSTSEC-2024-0399: panic in the acceptor" },
    Floor { package: "curve25519-dalek", version: "4.1.3", why: "RUSTSEC-2024-0344: timing variability" },
    Floor { package: "ed25519-dalek", version: "2.0.0", why: "RUSTSEC-2022-0093: oracle on the public key" },
    Floor { package: "snow", version: "0.9.5", why: "RUSTSEC-2024-0011: nonce overflow" },
    Floor { package: "serde_cbor", version: "0.11.2", why: "RUSTSEC-2019-0025: stack overflow" },
    Floor { package: "wasmtime", version: "48.0.8", why: "the escapes and aborts fixed in the 48 series" },
];

/// What `Cargo.lock` says of one package.
#[derive(Clone, Debug, Deserialize)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// The version that is built.
    pub version: Version,
}

/// The packages of `Cargo.lock`.
#[derive(Clone, Debug, Deserialize)]
pub struct Lockfile {
    /// All versions of all packages.
    #[serde(rename = "package")]
    pub packages: Vec<Locked>,
}

/// Packages locked below their floor.
pub fn check(lockfile: &Lockfile) -> Vec<Finding> {
    lockfile.packages.iter().filter_map(below_floor).collect()
}

fn below_floor(locked: &Locked) -> Option<Finding> {
    let floor = FLOORS.iter().find(|floor| floor.applies_to(&locked.name))?;
    (locked.version < floor.minimum()).then(|| {
        let (name, version, least, why) = (&locked.name, &locked.version, floor.version, floor.why);
        let message =
            format!("{name} {version} is locked, {why}: run `cargo update -p {name}` to get {least} or later");
        Finding::of_file("Cargo.lock", message)
    })
}

impl Floor {
    fn applies_to(&self, name: &str) -> bool {
        match self.package.strip_suffix('*') {
            Some(family) => name.starts_with(family),
            None => name == self.package,
        }
    }

    fn minimum(&self) -> Version {
        Version::parse(self.version).expect("the table of floors holds valid versions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, version: &str) -> usize {
        let text = format!("version = 4\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        check(&toml::from_str(&text).unwrap()).len()
    }

    #[test]
    fn a_version_below_its_floor_is_found() {
        assert_eq!(found("yamux", "0.12.1"), 1);
        assert_eq!(found("libp2p-gossipsub", "0.50.0"), 1);
        assert_eq!(found("hickory-proto", "0.26.1"), 1);
        assert_eq!(found("wasmtime", "48.0.8-rc.1"), 1);
    }

    #[test]
    fn versions_at_or_above_their_floor_pass() {
        assert_eq!(found("yamux", "0.14.1"), 0);
        assert_eq!(found("bytes", "1.11.1"), 0);
        assert_eq!(found("yamux-like", "0.1.0"), 0);
    }

    #[test]
    fn every_floor_is_a_version() {
        for floor in FLOORS {
            assert!(floor.minimum() > Version::new(0, 0, 0), "{}", floor.package);
        }
    }
}
