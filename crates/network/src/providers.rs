//! Who has what: the provider records that this peer keeps for others, and the searches for them.
//!
//! libp2p's store takes a record from anybody for any key and forgets it only when it is asked for it. So a record is
//! looked at first: its key must be a hash, its provider the peer that sent it (which libp2p's Kademlia sees to), its
//! addresses such as may be dialled on another's word. It is kept for an hour, and no peer can fill the store.

use crate::{address::Reach, identity};
use libp2p::{
    Multiaddr, PeerId,
    kad::{
        KadPeer, ProviderRecord, QueryId, RecordKey,
        store::{MemoryStore, MemoryStoreConfig, RecordStore},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How long a record is kept. A provider that goes silently is believed in for so long at most.
pub(crate) const RECORD_LIFE: Duration = Duration::from_secs(3600);
/// How often our own records are told again.
pub(crate) const TELL_AGAIN: Duration = Duration::from_secs(20 * 60);
/// Records of others: each takes some 300 bytes with two addresses.
const RECORDS_MAX: usize = 4096;
/// Records of one peer.
const RECORDS_PER_PEER_MAX: usize = 256;
/// Our own records: telling them takes a search each, every 20 minutes.
pub(crate) const OWN_MAX: usize = 256;
/// Addresses kept with a record.
const ADDRESSES_MAX: usize = 8;
/// Searches under way.
const LOOKUPS_MAX: usize = 16;
/// Providers that one search tells of.
pub(crate) const FOUND_MAX: usize = 32;

/// A peer that says it has what was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The peer.
    pub peer: pocketmesh_types::PeerId,
    /// Where it may be, if it said so; such as may be dialled on another's word.
    pub addresses: Vec<Multiaddr>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    /// What is kept for whom, and until when.
    kept: BTreeMap<PeerId, HashMap<RecordKey, Instant>>,
    count: usize,
    lookups: HashMap<QueryId, Lookup>,
}

#[derive(Debug)]
struct Lookup {
    found: mpsc::Sender<Provider>,
    told: BTreeSet<PeerId>,
}

/// A store that never refuses what [`Providers`] has let through.
pub(crate) fn store(me: PeerId) -> MemoryStore {
    let config = MemoryStoreConfig { max_records: 0, max_provided_keys: RECORDS_MAX + OWN_MAX, ..Default::default() };
    MemoryStore::with_config(me, config)
}

impl Providers {
    /// Keeps a record that its provider has just sent, if there is room for it.
    pub(crate) fn admit(
        &mut self,
        mut record: ProviderRecord,
        reach: &Reach,
        store: &mut MemoryStore,
        now: Instant,
    ) -> bool {
        if record.key.as_ref().len() != 32 || !self.has_room(&record, store, now) {
            return false;
        }
        record.addresses = reach.filter(record.addresses).into_iter().take(ADDRESSES_MAX).collect();
        let expires = now + RECORD_LIFE;
        record.expires = Some(expires);
        let (peer, key) = (record.provider, record.key.clone());
        if store.add_provider(record).is_err() {
            return false;
        }
        if self.kept.entry(peer).or_default().insert(key, expires).is_none() {
            self.count += 1;
        }
        true
    }

    fn has_room(&mut self, record: &ProviderRecord, store: &mut MemoryStore, now: Instant) -> bool {
        let of_peer = self.kept.get(&record.provider);
        if of_peer.is_some_and(|keys| keys.contains_key(&record.key)) {
            return true;
        }
        if self.count >= RECORDS_MAX || of_peer.is_some_and(|keys| keys.len() >= RECORDS_PER_PEER_MAX) {
            self.forget_expired(store, now);
        }
        let of_peer = self.kept.get(&record.provider).map_or(0, HashMap::len);
        self.count < RECORDS_MAX && of_peer < RECORDS_PER_PEER_MAX
    }

    fn forget_expired(&mut self, store: &mut MemoryStore, now: Instant) {
        for (peer, keys) in &mut self.kept {
            keys.retain(|key, expires| {
                let keep = *expires > now;
                if !keep {
                    store.remove_provider(key, peer);
                }
                keep
            });
        }
        self.kept.retain(|_, keys| !keys.is_empty());
        self.count = self.kept.values().map(HashMap::len).sum();
    }

    /// Whether another search may begin.
    pub(crate) fn may_search(&self) -> bool {
        self.lookups.len() < LOOKUPS_MAX
    }

    /// What this search finds is told to `found`.
    pub(crate) fn search(&mut self, query: QueryId, found: mpsc::Sender<Provider>) {
        self.lookups.insert(query, Lookup { found, told: BTreeSet::new() });
    }

    /// A search has found these.
    pub(crate) fn found(&mut self, query: QueryId, peers: &[KadPeer], me: PeerId, reach: &Reach) {
        for peer in peers {
            self.tell(query, peer.node_id, me, reach.filter(peer.multiaddrs.iter().cloned()));
        }
    }

    /// A search has found a peer, perhaps in our own store.
    pub(crate) fn tell(&mut self, query: QueryId, peer: PeerId, me: PeerId, addresses: Vec<Multiaddr>) {
        let Some(lookup) = self.lookups.get_mut(&query) else { return };
        let Some(ours) = identity::ours_of(&peer) else { return };
        if peer != me && lookup.told.len() < FOUND_MAX && lookup.told.insert(peer) {
            let addresses = addresses.into_iter().take(ADDRESSES_MAX).collect();
            // Whoever asked may have enough, or have gone: there is room for all that it is told.
            let _ = lookup.found.try_send(Provider { peer: ours, addresses });
        }
    }

    /// A search is over.
    pub(crate) fn over(&mut self, query: QueryId) {
        self.lookups.remove(&query);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        identity::keypair(zeroize::Zeroizing::new([number; 32])).public().to_peer_id()
    }

    fn key(number: usize) -> RecordKey {
        RecordKey::new(&blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn record(key: RecordKey, provider: PeerId) -> ProviderRecord {
        ProviderRecord::new(key, provider, Vec::new())
    }

    #[test]
    fn only_hashes_are_keys() {
        let (mut providers, mut store, reach) = (Providers::default(), store(peer(1)), Reach::default());
        for len in [0, 1, 31, 33, 64] {
            let odd = record(RecordKey::new(&vec![7; len]), peer(2));
            assert!(!providers.admit(odd, &reach, &mut store, Instant::now()), "{len} bytes");
        }
        assert!(providers.admit(record(key(0), peer(2)), &reach, &mut store, Instant::now()));
        assert_eq!(store.providers(&key(0)).len(), 1);
    }

    #[test]
    fn no_peer_fills_the_store_and_all_together_do_not_overfill_it() {
        let (mut providers, mut store, reach) = (Providers::default(), store(peer(1)), Reach::default());
        let now = Instant::now();
        let mut admit = |number, peer| providers.admit(record(key(number), peer), &reach, &mut store, now);
        let taken = (0..1000).filter(|number| admit(*number, peer(2))).count();
        assert_eq!(taken, RECORDS_PER_PEER_MAX);
        assert!(admit(0, peer(2)), "a record that is kept is renewed");
        let others =
            (3..40).map(|number| (0..1000).filter(|at| admit(number as usize * 1000 + at, peer(number))).count());
        assert_eq!(others.sum::<usize>(), RECORDS_MAX - RECORDS_PER_PEER_MAX);
    }

    #[test]
    fn a_record_expires_and_makes_room() {
        let (mut providers, mut store, reach) = (Providers::default(), store(peer(1)), Reach::default());
        let now = Instant::now();
        for number in 0..RECORDS_PER_PEER_MAX {
            assert!(providers.admit(record(key(number), peer(2)), &reach, &mut store, now));
        }
        assert!(store.providers(&key(0))[0].is_expired(now + RECORD_LIFE));
        assert!(!providers.admit(record(key(9999), peer(2)), &reach, &mut store, now));
        assert!(providers.admit(record(key(9999), peer(2)), &reach, &mut store, now + RECORD_LIFE));
        assert!(store.providers(&key(0)).is_empty());
    }
}
