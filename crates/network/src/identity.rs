//! Our name for a peer and libp2p's, each from the other. Never holds a secret longer than a call.

use libp2p::identity::Keypair;
use pocketmesh_types::PeerId;
use zeroize::Zeroizing;

/// libp2p's name of `peer`.
pub(crate) fn libp2p_of(peer: PeerId) -> libp2p::PeerId {
    libp2p::PeerId::from_bytes(&peer.to_multihash()).expect("an identity multihash of 36 bytes is a PeerId")
}

/// Our name of `peer`; none if its key is not ed25519.
pub(crate) fn ours_of(peer: &libp2p::PeerId) -> Option<PeerId> {
    PeerId::from_multihash(&peer.to_bytes())
}

/// The key pair of a seed, which is wiped.
pub(crate) fn keypair(mut seed: Zeroizing<[u8; 32]>) -> Keypair {
    Keypair::ed25519_from_bytes(&mut *seed).expect("any 32 bytes are an ed25519 seed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_convert_both_ways() {
        let key = keypair(Zeroizing::new([9; 32]));
        let theirs = key.public().to_peer_id();
        let ours = ours_of(&theirs).expect("an ed25519 key");
        assert_eq!(libp2p_of(ours), theirs);
        assert_eq!(ours.to_string(), theirs.to_string());
    }
}
