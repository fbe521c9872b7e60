//! The seals: what a child gives up for good before it reads the first foreign byte.
//!
//! They overlap on purpose, for no kernel has all of them and none is without faults: what the filter of system calls
//! lets through, landlock refuses, and the other way round. A seal that this kernel lacks is reported and never
//! fatal: the daemon's owner decides, and `doctor` says what is missing.

#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod process;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod system_calls;

use super::request::Start;

/// What the kernel granted of the seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seal {
    /// No descriptor is open but the three pipes, whatever the daemon had open.
    pub descriptors_closed: bool,
    /// The kernel ends the child when the daemon dies.
    pub dies_with_parent: bool,
    /// No core dump, and no other process of the same user may look into its memory.
    pub undumpable: bool,
    /// Memory, processor time of compilers, open files and core dumps are bounded by the kernel.
    pub resource_limits: bool,
    /// It gets only processor time that nothing else wants.
    pub idle_priority: bool,
    /// No capability is left, even if the daemon runs as root.
    pub no_capabilities: bool,
    /// No program that it could start would have more rights than it has.
    pub no_new_privileges: bool,
    /// The version of landlock that refuses it every file, and, from 4 on, TCP, and, from 6 on, signals to others.
    pub landlock: Option<u8>,
    /// System calls are refused but for those that running a program takes: no file, socket, process or thread.
    pub system_calls: bool,
}

impl Seal {
    /// What is missing, in words; nothing where all seals are on.
    pub fn missing(&self) -> Vec<&'static str> {
        let seals = [
            (self.descriptors_closed, "inherited descriptors could not be closed at once (Linux 5.9 can)"),
            (self.dies_with_parent, "executors are not ended by the system when the daemon is killed"),
            (self.undumpable, "other programs of this user can look into the executors' memory"),
            (self.resource_limits, "the system does not bound the executors' memory"),
            (self.idle_priority, "executors compete with other programs for the processor"),
            (self.no_capabilities, "executors keep the capabilities of the daemon: do not run it as root"),
            (self.no_new_privileges, "executors could gain rights by starting another program"),
            (self.landlock.is_some(), "landlock does not shut files off (Linux 5.13 can, if it is switched on)"),
            (self.system_calls, "seccomp does not refuse system calls (Linux on x86-64 and ARM64 can)"),
        ];
        seals.into_iter().filter_map(|(is_on, without)| (!is_on).then_some(without)).collect()
    }

    /// Whether a program that breaks out of WebAssembly still reaches no file, no socket and no other process.
    pub fn is_tight(&self) -> bool {
        self.descriptors_closed && self.no_new_privileges && self.system_calls
    }

    pub(super) fn to_bits(self) -> u64 {
        let bits = self.flags().into_iter().rev().fold(0, |bits, flag| bits << 1 | u64::from(flag));
        bits | u64::from(self.landlock.unwrap_or(0)) << 32
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        let bit = |number: u32| bits >> number & 1 == 1;
        Self {
            descriptors_closed: bit(0),
            dies_with_parent: bit(1),
            undumpable: bit(2),
            resource_limits: bit(3),
            idle_priority: bit(4),
            no_capabilities: bit(5),
            no_new_privileges: bit(6),
            system_calls: bit(7),
            landlock: Some((bits >> 32) as u8).filter(|version| *version > 0),
        }
    }

    fn flags(self) -> [bool; 8] {
        [
            self.descriptors_closed,
            self.dies_with_parent,
            self.undumpable,
            self.resource_limits,
            self.idle_priority,
            self.no_capabilities,
            self.no_new_privileges,
            self.system_calls,
        ]
    }
}

/// The first thing a child does, while it is one thread and has opened nothing.
#[cfg(target_os = "linux")]
pub(super) fn cut_loose() -> Seal {
    process::cut_loose()
}

/// Nothing of it is known here.
#[cfg(not(target_os = "linux"))]
pub(super) fn cut_loose() -> Seal {
    Seal::default()
}

/// Puts on what binds a thread and those that it starts, so before it starts any; after this, no file can be opened.
#[cfg(target_os = "linux")]
pub(super) fn close_in(seal: &mut Seal, start: &Start) {
    process::close_in(seal, start);
    seal.landlock = landlock::shut_out();
}

/// Nothing of it is known here.
#[cfg(not(target_os = "linux"))]
pub(super) fn close_in(_seal: &mut Seal, _start: &Start) {}

/// The last seal, on all threads at once: after this, none can be started.
pub(super) fn filter_system_calls(seal: &mut Seal) {
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        seal.system_calls = system_calls::filter().is_ok();
    }
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    {
        seal.system_calls = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_comes_through_whole() {
        for bits in (0..8).map(|bit| 1 << bit).chain([0, 0xff, 7 << 32]) {
            assert_eq!(Seal::from_bits(bits).to_bits(), bits);
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(Seal::default().missing().len(), 9);
        assert!(Seal::from_bits(0xff | 1 << 32).missing().is_empty());
        assert!(Seal::from_bits(0xff).missing()[0].contains("landlock"));
    }
}
