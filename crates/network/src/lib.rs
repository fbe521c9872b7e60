//! The libp2p side of pocketmesh: discovery, gossip and direct streams, behind channels.
//!
//! [`start`] binds the addresses, runs the swarm in one task and returns a [`Handle`] (commands in) and [`Events`]
//! (events out). Payloads are opaque bytes: this crate never signs, verifies or decodes one, and it never decides what a
//! peer is worth beyond the manners of the transport. The swarm's type stays in here, so no other crate compiles it.
//!
//! What is bounded, and what happens when a bound is met: `specs/network.md`.

mod address;
mod behaviour;
mod config;
mod dial;
mod discovery;
mod driver;
mod event;
mod frame;
mod gate;
mod gossip;
mod handle;
mod identity;
mod kademlia;
mod names;
mod outbox;
mod peers;
mod place;
mod providers;
mod session;
mod start;
mod streams;

pub use address::Prefix;
pub use config::{BadNetworkName, Config, DhtRole, Limits, check_network_name};
pub use dial::DialError;
pub use event::{Event, Events, GossipToken, Misbehaviour, Via};
pub use handle::{Direction, DisconnectReason, Handle, PeerInfo, PublishError, Stopped, Verdict};
pub use libp2p::{Multiaddr, Stream};
pub use outbox::SendError;
pub use place::deepest;
pub use providers::Provider;
pub use start::{StartError, start};
pub use streams::OpenError;
