//! How much memory this process has in use, and how much it had at most: what a hostile program must not drive up.

use std::fs;

/// Memory of this process that is in RAM, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Now.
    pub now: u64,
    /// The most since [`restart_peak`].
    pub peak: u64,
}

/// What the system says; `None` where it does not say.
pub fn read() -> Option<Resident> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
    };
    Some(Resident { now: field("VmRSS:")?, peak: field("VmHWM:")? })
}

/// From now on the peak is counted anew, where the system can do that.
pub fn restart_peak() {
    drop(fs::write("/proc/self/clear_refs", "5"));
}

/// From now on freed memory goes back to the system, where the allocator can do that: what stays is what is held, and
/// not what an animal's making left behind.
pub fn keep_nothing_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it sets numbers of the allocator's, before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 << 10);
    }
}
