//! What a program that has broken out of WebAssembly would try, natively, with and without the seals.
//!
//! Started as `attempt WHAT HOW TARGET`, where `HOW` is `open`, `sealed`, or `unfiltered` for all seals but one; prints `done`, or why not. `TARGET` is something of the parent's that is there
//! to be had.

use std::ffi::CString;
use std::io::{self, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Tries something with a target.
type Attempt = fn(&str) -> io::Result<()>;

/// What is tried.
pub const ATTEMPTS: &[(&str, Attempt)] = &[
    ("open-a-file", |path| std::fs::File::open(path).map(drop)),
    ("write-a-file", |path| std::fs::write(path, "changed")),
    ("list-a-folder", |path| std::fs::read_dir(parent_of(path)).map(drop)),
    ("remove-a-file", |path| std::fs::remove_file(path)),
    ("connect-over-tcp", |address| TcpStream::connect(address).map(drop)),
    ("send-over-udp", |address| UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", address).map(drop)),
    ("connect-to-a-unix-socket", |path| UnixStream::connect(path).map(drop)),
    ("read-the-parents-memory-as-a-file", read_memory_file),
    ("read-the-parents-memory-by-a-call", read_memory),
    ("trace-the-parent", |_| raw(libc::SYS_ptrace, [0x4206, parent(), 0, 0])),
    ("signal-the-parent", |_| raw(libc::SYS_kill, [parent(), 0, 0, 0])),
    ("signal-a-thread-of-the-parent", |_| raw(libc::SYS_tgkill, [parent(), parent(), 0, 0])),
    ("fork", |_| fork()),
    ("start-a-program", |_| exec()),
    ("start-a-thread", |_| std::thread::Builder::new().spawn(|| ()).map(drop)),
    ("take-more-memory", |_| Vec::<u8>::new().try_reserve_exact(2 << 30).map_err(io::Error::other)),
    ("have-more-memory", |_| raw(libc::SYS_setrlimit, [libc::RLIMIT_DATA.into(), (&raw const UNBOUNDED) as i64, 0, 0])),
    ("be-dumpable-again", |_| raw(libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 1, 0, 0])),
    ("have-its-own-namespaces", |_| raw(libc::SYS_unshare, [libc::CLONE_FS.into(), 0, 0, 0])),
    ("set-up-a-ring", |_| raw(libc::SYS_io_uring_setup, [1, (&raw mut *Box::leak(Box::new([0u8; 120]))) as i64, 0, 0])),
];

static UNBOUNDED: [u64; 2] = [u64::MAX; 2];

pub fn main(mut args: impl Iterator<Item = String>) -> ExitCode {
    let mut arg = || args.next().unwrap_or_default();
    let (what, how, target) = (arg(), arg(), arg());
    if what == "say" {
        return say("done");
    }
    if how != "open" {
        pocketmesh_sandbox::sealed::seal_in(1 << 30, how == "sealed");
    }
    let attempt = ATTEMPTS.iter().find(|(name, _)| *name == what).expect("an attempt of this name").1;
    match attempt(&target) {
        Ok(()) => say("done"),
        Err(error) => say(&format!("refused: {error}")),
    }
}

fn say(text: &str) -> ExitCode {
    io::stdout().write_all(text.as_bytes()).expect("somebody listens");
    ExitCode::SUCCESS
}

fn parent_of(path: &str) -> &std::path::Path {
    std::path::Path::new(path).parent().expect("a folder")
}

fn parent() -> i64 {
    std::os::unix::process::parent_id().into()
}

#[expect(unsafe_code, reason = "what a hostile program would do")]
fn raw(call: libc::c_long, args: [i64; 4]) -> io::Result<()> {
    // SAFETY: whoever calls passes what the call takes.
    let result = unsafe { libc::syscall(call, args[0], args[1], args[2], args[3]) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The target is an address in the parent, which this binary's own bytes have too.
fn read_memory_file(address: &str) -> io::Result<()> {
    let memory = std::fs::File::open(format!("/proc/{}/mem", parent()))?;
    memory.read_exact_at(&mut [0], address.parse().expect("a number"))
}

#[expect(unsafe_code, reason = "what a hostile program would do")]
fn read_memory(address: &str) -> io::Result<()> {
    let mut byte = 0u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let address: usize = address.parse().expect("a number");
    let remote = libc::iovec { iov_base: std::ptr::with_exposed_provenance_mut(address), iov_len: 1 };
    // SAFETY: the local side is a live byte; the remote one is in another process.
    let read = unsafe { libc::process_vm_readv(parent() as i32, &raw const local, 1, &raw const remote, 1, 0) };
    if read == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[expect(unsafe_code, reason = "what a hostile program would do")]
fn fork() -> io::Result<()> {
    // SAFETY: the child does nothing but end.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => unsafe { libc::_exit(0) },
        _ => Ok(()),
    }
}

/// Does not return if it succeeds: this binary runs again and says so.
#[expect(unsafe_code, reason = "what a hostile program would do")]
fn exec() -> io::Result<()> {
    let strings = ["/proc/self/exe", "attempt", "say"].map(|text| CString::new(text).expect("no zero"));
    let args = [strings[0].as_ptr(), strings[1].as_ptr(), strings[2].as_ptr(), std::ptr::null()];
    // SAFETY: the list of arguments ends with a null, and all strings live.
    unsafe { libc::execv(args[0], args.as_ptr()) };
    Err(io::Error::last_os_error())
}
