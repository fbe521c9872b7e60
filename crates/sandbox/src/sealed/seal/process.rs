//! What a process can give up by itself on Linux: descriptors, rights, memory, priority, and its life after its parent's.

use super::super::request::{Role, Start};
use super::Seal;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Open files: the three pipes, the map of its own pages, and one image of initial memory for each program held.
const OPEN_FILES_MAX: u64 = 128;
/// Such an image is a file to the kernel, and as large as the initial memory of a program. No other can be written to.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// The number of the policy that runs a thread only when no other wants to run.
const SCHED_IDLE: libc::c_int = 5;
const LOWEST_PRIORITY: i32 = 19;
/// Where the kernel shares processor time by session, as desktops have it, this is the session's own priority.
const SESSION_PRIORITY: &str = "/proc/self/autogroup";

/// What has to come before anything is opened or started.
pub(super) fn cut_loose() -> Seal {
    // SAFETY: this is the first thing that the process does, so nothing in it owns a descriptor from 3 on.
    #[expect(unsafe_code, reason = "nobody offers a safe call for it")]
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    let dies = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // Whatever it may still manage to make is nobody else's to read.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // Last words that nobody reads must not hold it up. The other descriptors are shared with nobody either.
    let _ = rustix::io::ioctl_fionbio(std::io::stderr(), true);
    Seal { descriptors_closed: closed == 0, dies_with_parent: dies.is_ok(), ..Seal::default() }
}

/// What has to come after the engine has read of the machine what it needs.
pub(super) fn close_in(seal: &mut Seal, start: &Start) {
    // First, so that no core dump has what comes after.
    seal.undumpable = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
    seal.resource_limits = limit_resources(start);
    seal.idle_priority = step_back();
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    seal.no_capabilities = rustix::thread::set_capabilities(None, sets).is_ok();
    // Landlock and seccomp ask for it of whoever is not root.
    seal.no_new_privileges = rustix::thread::set_no_new_privs(true).is_ok();
}

/// Bounds that nobody needs to exceed; address space that is only reserved counts for none of them.
fn limit_resources(start: &Start) -> bool {
    let limits = [
        (Resource::Core, 0),
        (Resource::Nofile, OPEN_FILES_MAX),
        (Resource::Fsize, FILE_BYTES_MAX),
        (Resource::Data, start.data_bytes),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
    ];
    let cpu = (start.role == Role::Compiler && start.cpu_s > 0).then_some((Resource::Cpu, start.cpu_s));
    limits.into_iter().chain(cpu).all(|(resource, bound)| lower(resource, bound))
}

/// Lowers a limit, or leaves one that is lower still.
fn lower(resource: Resource, bound: u64) -> bool {
    let maximum = rustix::process::getrlimit(resource).maximum;
    let bound = Some(maximum.map_or(bound, |maximum| maximum.min(bound)));
    rustix::process::setrlimit(resource, Rlimit { current: bound, maximum: bound }).is_ok()
}

/// The owner's own programs come first.
fn step_back() -> bool {
    let nice = rustix::process::setpriority_process(None, LOWEST_PRIORITY).is_ok();
    // A process's priority counts within its session only, if time is shared by session: so it gets one of its own. It
    // is missing where time is not, and refused now and then where many ask: the rest holds without it.
    if rustix::process::setsid().is_ok() {
        let _ = std::fs::write(SESSION_PRIORITY, LOWEST_PRIORITY.to_string());
    }
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a live value of the right type. musl has a wrapper that always fails, hence the call.
    #[expect(unsafe_code, reason = "nobody offers a safe call for it")]
    let idle = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, SCHED_IDLE, &raw const param) };
    nice && idle == 0
}
