//! Providers that nobody has named: the mesh is searched, and who is found is called.

use super::Exchange;
use pocketmesh_network::{Handle, Multiaddr, Provider};
use pocketmesh_types::{BlobId, PeerId};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

/// Providers that wait to be asked.
const FOUND_MAX: usize = 32;

impl Exchange {
    /// Peers that say they have a blob and to which there is a connection, as they are found and called.
    pub(super) async fn search(&self, id: BlobId) -> Option<mpsc::Receiver<PeerId>> {
        let mut found = self.network.providers(*id.as_bytes()).await.ok()?;
        let (reachable, receiver) = mpsc::channel(FOUND_MAX);
        let network = self.network.clone();
        tokio::spawn(async move {
            while let Some(provider) = found.recv().await {
                let (network, reachable) = (network.clone(), reachable.clone());
                tokio::spawn(async move {
                    let peer = provider.peer;
                    if is_connected(&network, peer).await || call(&network, provider).await {
                        // The fetch may be over.
                        let _ = reachable.send(peer).await;
                    }
                });
            }
        });
        Some(receiver)
    }
}

async fn is_connected(network: &Handle, peer: PeerId) -> bool {
    network.peers().await.is_ok_and(|peers| peers.iter().any(|info| info.peer == peer))
}

/// Calls a provider at one of the addresses that it gave, and sees that it is the one.
async fn call(network: &Handle, provider: Provider) -> bool {
    let addresses: BTreeSet<Multiaddr> = provider.addresses.into_iter().collect();
    for address in addresses {
        match network.dial(address).await {
            Ok(peer) if peer == provider.peer => return true,
            Ok(_) => {}
            Err(error) => tracing::debug!(peer = %provider.peer, %error, "a provider cannot be called"),
        }
    }
    false
}
