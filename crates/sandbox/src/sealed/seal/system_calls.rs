//! The filter of system calls: those that running a program takes, and no others.
//!
//! What is not listed fails with "not permitted" instead of killing, because libraries try things and live without
//! them. There is no way here to open, connect, start or signal anything.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition as Condition,
    SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// Whatever its arguments.
const ALLOWED: &[libc::c_long] = &[
    // The pipes, and the images of initial memory.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_memfd_create,
    // Memory: the allocator's, the programs' and their code.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Threads that are there already, waiting for one another and ending.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_membarrier,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Traps of a program arrive as signals to its own thread.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Clocks and dice for our own use; programs get neither.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
];

/// What the engine asks its own page map: which pages a program wrote (`PAGEMAP_SCAN`, `_IOWR('f', 16, [u8; 96])`).
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// Makes every thread of this process subject to the filter.
pub(super) fn filter() -> Result<(), Box<dyn std::error::Error>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|&call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_ioctl, vec![argument(1, Is::Eq, PAGEMAP_SCAN)?]);
    // An image of initial memory is made read-only by its seals.
    rules.insert(libc::SYS_fcntl, vec![argument(1, Is::Eq, libc::F_ADD_SEALS as u64)?]);
    // How a process aborts: a signal to one of its own threads.
    rules.insert(libc::SYS_tgkill, vec![argument(0, Is::Eq, u64::from(std::process::id()))?]);
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter_all_threads(&program)?;
    Ok(())
}

/// A rule about one argument, of which the kernel looks at the lower half.
fn argument(number: u8, is: Is, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![Condition::new(number, Width::Dword, is, value)?])
}
