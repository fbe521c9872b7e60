//! The daemon's side: threads that each keep one executor, and a thread that gets programs compiled.

pub(super) mod bell;
pub(super) mod launch;
pub(super) mod library;
pub(super) mod queue;

mod batch;
mod held;
mod keeper;
mod link;
mod press;
mod receipt;

pub(super) use keeper::keep;
pub(super) use press::compile_wanted;
