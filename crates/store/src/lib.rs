//! What a restart must not lose, and what it can rebuild.
//!
//! The [`Journal`] is the truth: jobs' verdicts and all of money, acknowledged only when synced. The [`Index`] is sled,
//! for whatever is derived from the journal or from the network; it may be lost at any time. Both live in one data
//! folder, held by one daemon through a [`FolderLock`]. [`atomic_file`] writes the few small files beside them. Nothing
//! here knows what a record means.

pub mod atomic_file;
mod files;
mod folder_lock;
pub mod index;
pub mod journal;

pub use folder_lock::{FolderLock, LockError};
pub use index::Index;
pub use journal::Journal;
