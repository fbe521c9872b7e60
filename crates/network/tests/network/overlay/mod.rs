//! What the simulator assumes of the overlay, held against swarms of real peers: `specs/network.md` §7.
//!
//! Delays are shown and never judged, for they are those of one machine that runs everybody.

mod assumed;
mod copies;
mod lookup;
mod spreading;
mod swarm;

use assumed::{Bound, Comparison};
use copies::Copies;
use futures::future::join_all;
use libp2p::gossipsub;
use lookup::{Lookup, Newcomer};
use spreading::{Spread, Spreading};
use std::time::Instant;
use swarm::{Member, Shape, Swarm, Wiring};

/// As shipped: in a small mesh everybody is soon connected with everybody.
const DENSE: Shape = Shape { peers: 20, doomed: 6, wiring: Wiring::OneAddress };
/// Few connections for each, as in a mesh that is far larger than anybody's table: messages go from hand to hand.
const SPARSE: Shape = Shape { peers: 36, doomed: 12, wiring: Wiring::Random { dialled: 3 } };
/// Messages published while all live, then while a third is silent, then while it is dead.
const MESSAGES: [usize; 3] = [100, 40, 40];
/// Peers that come to look others up, each time.
const NEWCOMERS: usize = 4;
/// Look-ups of each. The first is the hardest: it knows one address.
const LOOKUPS: usize = 6;

#[tokio::test]
async fn a_mesh_as_shipped_is_no_worse_than_the_simulator_assumes() {
    let copies = Copies::default();
    let _listening = copies.listen();
    let (mut swarm, doomed) = Swarm::start(DENSE, copies).await;
    let mut table = Comparison::new();
    table.add("gossipsub", "gossip.degree", Bound::Exactly, gossipsub::Config::default().mesh_n() as f64);
    let (all, living) = (swarm.everybody(), swarm.living.clone());

    compare_spread(&mut table, "20 of 20", &publish(&mut swarm, &all, MESSAGES[0]).await);
    compare_lookups(&mut table, "20 of 20", &all).await;
    let silent = doomed.fall_silent().await;
    compare_spread(&mut table, "14, 6 silent", &publish(&mut swarm, &living, MESSAGES[1]).await);
    silent.die();
    compare_spread(&mut table, "14, 6 dead", &publish(&mut swarm, &living, MESSAGES[2]).await);
    compare_lookups(&mut table, "14, 6 dead", &living).await;
    table.conclude();
}

#[tokio::test]
async fn a_mesh_of_few_connections_is_no_worse_than_the_simulator_assumes() {
    let copies = Copies::default();
    let _listening = copies.listen();
    let (mut swarm, doomed) = Swarm::start(SPARSE, copies).await;
    let mut table = Comparison::new();
    let (all, living) = (swarm.everybody(), swarm.living.clone());

    compare_spread(&mut table, "36 of 36, sparse", &publish(&mut swarm, &all, MESSAGES[0]).await);
    let silent = doomed.fall_silent().await;
    compare_spread(&mut table, "24, 12 silent, sparse", &publish(&mut swarm, &living, MESSAGES[1]).await);
    silent.die();
    compare_spread(&mut table, "24, 12 dead, sparse", &publish(&mut swarm, &living, MESSAGES[2]).await);
    table.conclude();
}

#[tokio::test]
#[ignore = "a measurement: look-ups wait for those that never answer"]
async fn look_ups_while_a_third_is_silent() {
    let copies = Copies::default();
    let _listening = copies.listen();
    let (swarm, doomed) = Swarm::start(DENSE, copies).await;
    let _silent = doomed.fall_silent().await;
    let (begin, members) = (Instant::now(), &swarm.living);
    let look_up = async |number: usize| {
        let lookup = Newcomer::at(&members[number]).look_up(&members[(number + 5) % members.len()]).await;
        (lookup, begin.elapsed())
    };
    let (lookups, waits): (Vec<_>, Vec<_>) = join_all((0..members.len()).map(look_up)).await.into_iter().unzip();
    let (first, last) = (waits.iter().min().expect("some"), waits.iter().max().expect("some"));
    println!("{:.3} of {} look-ups succeed, after {first:?} to {last:?}", success(&lookups), lookups.len());
}

async fn publish(swarm: &mut Swarm, members: &[Member], messages: usize) -> Spread {
    Spreading::among(swarm, members).publish_all(messages).await
}

fn compare_spread(table: &mut Comparison, swarm: &str, spread: &Spread) {
    table.add(swarm, "gossip.delivery_min", Bound::AtLeast, spread.delivery);
    table.add(swarm, "gossip.duplicates_per_peer_max", Bound::AtMost, spread.duplicates);
    table.add(swarm, "gossip.hops_max", Bound::AtMost, spread.hops(990) as f64);
    table.add(swarm, "gossip.hop_delay_ms_p50", Bound::Shown, spread.hop_delay_ms(500));
    table.add(swarm, "gossip.hop_delay_ms_p99", Bound::Shown, spread.hop_delay_ms(990));
    table.show(swarm, "hops, mean", spread.hops_mean());
    table.show(swarm, "hops, longest", spread.hops(1000) as f64);
}

/// All newcomers come at once: each makes everybody that it meets ask around, and who asks already does not ask again.
async fn compare_lookups(table: &mut Comparison, swarm: &str, members: &[Member]) {
    let mut newcomers: Vec<_> = members.iter().take(NEWCOMERS).map(Newcomer::at).collect();
    let peers = join_all(newcomers.iter_mut().enumerate().map(async |(number, newcomer)| {
        let mut lookups = Vec::new();
        for step in 1..=LOOKUPS {
            lookups.push(newcomer.look_up(&members[(number + 2 * step) % members.len()]).await);
        }
        newcomer.provide(&blob(number)).await;
        lookups
    }));
    let peers = peers.await.concat();
    let others = newcomers.iter_mut().enumerate();
    let providers = join_all(others.map(async |(number, newcomer)| newcomer.find_provider(&blob(number + 1)).await));
    table.add(swarm, "lookup.success_min", Bound::AtLeast, success(&peers));
    let rounds = peers.iter().map(|lookup| lookup.rounds).max().expect("some");
    table.add(swarm, "lookup.rounds_max", Bound::AtMost, f64::from(rounds));
    table.add(swarm, "lookup.provider_success_min", Bound::AtLeast, success(&providers.await));
}

/// The name of what a newcomer provides, the first after the last.
fn blob(number: usize) -> [u8; 32] {
    [(number % NEWCOMERS) as u8; 32]
}

fn success(lookups: &[Lookup]) -> f64 {
    lookups.iter().filter(|lookup| lookup.found).count() as f64 / lookups.len() as f64
}
