//! Time and signals as the commands see them.

use pocketmesh_types::UnixTime;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

/// How long ago `time` was by this device's clock; zero if it is to come.
pub fn since(time: UnixTime) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(time.0))
}

/// Completes when the person, or the system, asks this process to end. Listens from the moment of the call.
pub fn interrupted() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    for signal in &mut signals {
        if let Err(error) = signal {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
    }
    Ok(async move {
        let [Ok(int), Ok(term), Ok(hup)] = &mut signals else { return };
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
    })
}

/// From now on a file that has reached the largest length that is allowed (`ulimit -f`) is an error like any other; the
/// system would end the process.
pub fn survive_full_files() -> io::Result<()> {
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}
