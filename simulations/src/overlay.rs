//! The overlay: who is connected to whom, and how gossip spreads; with the numbers of `overlay.toml`.
//!
//! A test in `crates/network` measures the same numbers on real swarms. Nothing here decides anything: it draws.

use crate::dice::Dice;
use pocketmesh_types::Hash;
use serde::Deserialize;

/// The numbers that are assumed of discovery and gossip.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// Gossip.
    pub gossip: Gossip,
    /// Look-ups.
    pub lookup: Lookup,
}

/// What is assumed of gossip.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gossip {
    /// Neighbours that a peer forwards a message to.
    pub degree: u32,
    /// The least share of the peers of a topic that hear a message.
    pub delivery_min: f64,
    /// From one peer to the next, the median.
    pub hop_delay_ms_p50: f64,
    /// From one peer to the next, the 99th percentile.
    pub hop_delay_ms_p99: f64,
    /// Copies beyond the first, on average.
    pub duplicates_per_peer_max: f64,
    /// The most links that a message crosses, for ninety-nine peers in a hundred.
    pub hops_max: u32,
}

/// What is assumed of look-ups.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The least share that finds somebody.
    pub success_min: f64,
    /// The least share of look-ups of a provider record that find one.
    pub provider_success_min: f64,
    /// The most rounds of a look-up.
    pub rounds_max: u32,
}

impl Overlay {
    /// The numbers of `overlay.toml`.
    pub fn assumed() -> Self {
        toml::from_str(include_str!("../overlay.toml")).expect("the file is part of this crate and its test reads it")
    }
}

/// A random graph: a ring, so that nobody is alone, and chords until every peer has about so many neighbours. Neighbours are
/// mutual.
pub fn graph(peers: u32, degree: u32, dice: &mut Dice) -> Vec<Vec<u32>> {
    if peers <= degree + 1 {
        return (0..peers).map(|one| (0..peers).filter(|&other| other != one).collect()).collect();
    }
    let mut edges: Vec<Vec<u32>> = vec![Vec::with_capacity(degree as usize); peers as usize];
    for one in 0..peers {
        link(one, (one + 1) % peers, &mut edges);
    }
    for one in 0..peers {
        let mut tries = 4 * degree;
        while edges[one as usize].len() < degree as usize && tries > 0 {
            tries -= 1;
            let other = dice.index(peers as usize) as u32;
            let full = edges[other as usize].len() >= 2 * degree as usize;
            if other != one && !full && !edges[one as usize].contains(&other) {
                link(one, other, &mut edges);
            }
        }
    }
    edges
}

fn link(one: u32, other: u32, edges: &mut [Vec<u32>]) {
    edges[one as usize].push(other);
    edges[other as usize].push(one);
}

/// Where peers are in the key space in which an offer looks for the nearest: Kademlia's, in the daemon.
#[derive(Debug, Default)]
pub struct Places(Vec<(u64, u32)>);

impl Places {
    /// A place for each of so many peers.
    pub fn new(seed: u64, peers: u32) -> Self {
        let place = |peer: u32| Hash::of_parts("simulated place", &[&seed.to_le_bytes(), &peer.to_le_bytes()]).to_u64();
        let mut places: Vec<_> = (0..peers).map(|peer| (place(peer), peer)).collect();
        places.sort_unstable();
        Self(places)
    }

    /// The 2^-depth of the peers that are nearest to a key: those whose place begins with the same bits.
    pub fn near(&self, key: u64, depth: u8) -> Vec<u32> {
        let shift = 64 - u32::from(depth);
        let prefix = |place: u64| place.checked_shr(shift).unwrap_or_default();
        let first = self.0.partition_point(|&(place, _)| prefix(place) < prefix(key));
        let near = self.0[first..].iter().take_while(|&&(place, _)| prefix(place) == prefix(key));
        near.map(|&(_, peer)| peer).collect()
    }
}

/// When gossip that `origin` publishes now reaches each of the `audience`: microseconds from now, earliest first. Hops
/// grow with the logarithm of the audience to the base of the degree.
pub fn spread(gossip: &Gossip, audience: &[u32], origin: u32, dice: &mut Dice) -> Vec<(u32, u32)> {
    let others = audience.len().saturating_sub(1).max(1) as f64;
    let base = f64::from(gossip.degree.max(2));
    let reach = |hop: i32| base.powi(hop).min(others);
    let mut arrivals = Vec::with_capacity(audience.len());
    for &peer in audience {
        if peer == origin || !dice.chance(gossip.delivery_min) {
            continue;
        }
        // The share of the audience within h hops is that of a tree which fans out by the degree.
        let place = dice.unit() * others;
        let hops = (1..gossip.hops_max as i32).find(|&hop| place < reach(hop)).unwrap_or(gossip.hops_max as i32);
        let ms: f64 = (0..hops).map(|_| dice.spread(gossip.hop_delay_ms_p50, gossip.hop_delay_ms_p99)).sum();
        arrivals.push(((ms * 1e3) as u32, peer));
    }
    arrivals.sort_unstable();
    arrivals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_neighbours_and_they_are_mutual() {
        let edges = graph(1_000, 12, &mut Dice::new(3, "graph"));
        for (one, others) in edges.iter().enumerate() {
            assert!((12..=24).contains(&others.len()), "{}", others.len());
            assert!(others.iter().all(|&other| edges[other as usize].contains(&(one as u32))));
        }
    }

    #[test]
    fn an_offer_goes_to_the_part_of_the_mesh_that_is_nearest() {
        let places = Places::new(1, 10_000);
        assert_eq!(places.near(7, 0).len(), 10_000);
        let parts: Vec<usize> = (0..8).map(|part| places.near(part << 61 | 9, 3).len()).collect();
        assert_eq!(parts.iter().sum::<usize>(), 10_000, "every peer is in one part");
        assert!(parts.iter().all(|part| (1_100..1_400).contains(part)), "{parts:?}");
    }

    #[test]
    fn gossip_takes_more_hops_in_a_larger_mesh_but_only_logarithmically() {
        let gossip = Overlay::assumed().gossip;
        let mut dice = Dice::new(4, "spread");
        let mut median = |peers: u32| {
            let audience: Vec<u32> = (0..peers).collect();
            let arrivals = spread(&gossip, &audience, 0, &mut dice);
            arrivals[arrivals.len() / 2].0
        };
        let (small, large) = (median(100), median(10_000));
        assert!(small < large && large < 4 * small, "{small} {large}");
    }
}
