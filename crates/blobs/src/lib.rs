//! Content-addressed data: on this disk, and to and from other peers.
//!
//! A blob is bytes named by their BLAKE3 hash. The [`Store`] keeps them as files under a quota; [`serve`] and [`fetch`]
//! exchange them over streams, a part at a time and from several peers at once. A blob is visible only when its hash has
//! been checked, so whatever a peer or a crash does, a name never yields other bytes. Nothing here knows what a blob is
//! for, or which peers there are.

mod buffers;
mod exchange;
mod offload;
pub mod store;
mod tree;

pub use exchange::{
    fetch::{Connect, Fault, FetchError, Fetched, Options, Progress, Providers, Sharing, Wanted, fetch},
    serve::{ServeError, Served, serve},
    uplink::{Rates, Uplink},
};
pub use store::{Durability, Store};
