//! Rules of architecture and style, as tests: what a reviewer would otherwise have to remember.
//!
//! Every rule is a pure function from a model of the repository to [`Finding`]s; only [`workspace`] reads the disk.
//! `tests/tidy.rs` runs the rules on this repository, and beside each rule stand tests that feed it a bad example and
//! see it fail. Nothing here changes a file: a finding says what to change and the person decides.

pub mod arrows;
pub mod bans;
pub mod budgets;
pub mod features;
pub mod finding;
pub mod floors;
pub mod layout;
pub mod manifests;
pub mod openings;
pub mod outline;
pub mod purity;
pub mod ratchet;
pub mod wording;
pub mod workspace;

pub use finding::Finding;
pub use outline::Outline;
pub use workspace::Workspace;
