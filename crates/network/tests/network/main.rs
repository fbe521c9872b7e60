//! The network over real sockets on loopback: every claim of `specs/network.md`, honest and hostile peers alike.
//!
//! Timeouts are nets for a hang; nothing here depends on how fast the machine is.

mod discovery;
mod gossip;
mod hostile;
mod measurement;
mod messages;
mod node;
mod overlay;
mod providers;
mod starting;
