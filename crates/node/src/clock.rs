//! The two clocks that the protocol is told of.

use pocketmesh_types::{Instant, UnixTime};
use std::time::{SystemTime, UNIX_EPOCH};

/// A monotonic clock that starts at zero with the daemon.
#[derive(Debug, Clone, Copy)]
pub struct Clock(tokio::time::Instant);

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    /// The time since the start.
    pub fn now(&self) -> Instant {
        Instant(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// When that moment is for tokio's timers.
    pub fn at(&self, instant: Instant) -> tokio::time::Instant {
        self.0 + std::time::Duration::from_micros(instant.0)
    }
}

/// The wall clock.
pub fn wall() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
