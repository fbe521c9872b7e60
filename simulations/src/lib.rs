//! Thousands of peers in virtual time: the real protocol on modelled links, disks and sandboxes.
//!
//! The state machines are those of the daemon. What they stand on is a model, drawn from one seed: the same scenario and
//! seed give the same run to the last message. Nothing here reads a clock, a socket or the machine's randomness; only the
//! command line measures how long a run took.

pub mod attack;
pub mod checkers;
pub mod compare;
pub mod dice;
pub mod disk;
pub mod gossip;
pub mod grid;
pub mod journal;
pub mod life;
pub mod links;
pub mod meter;
pub mod node;
pub mod overlay;
pub mod plant;
pub mod plot;
pub mod purse;
pub mod queue;
pub mod report;
pub mod sandbox;
pub mod scenario;
pub mod sealing;
pub mod seen;
pub mod setup;
pub mod svg;
pub mod trace;
pub mod truth;
pub mod world;

pub use plant::Plant;
pub use report::Report;
pub use scenario::Scenario;
pub use world::World;
