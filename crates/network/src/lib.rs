//! The libp2p swarm: discovery, gossip and direct streams.
