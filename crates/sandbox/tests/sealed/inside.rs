//! What is refused from inside, on kernels that can refuse it.
//!
//! Each attempt is made twice: without the seals it has to succeed, or it would show nothing; with them it must not.
//! What this kernel cannot refuse is skipped, and said.

use crate::Claim;
use crate::attempts::ATTEMPTS;
use crate::watch::{ROOM, children, honest, next, start, submit, task_of};
use pocketmesh_sandbox::sealed::Seal;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::sync_channel;

pub const CLAIMS: &[Claim] = &[
    ("a_sealed_process_reaches_nothing", a_sealed_process_reaches_nothing),
    ("what_the_filter_might_let_through_landlock_refuses", what_the_filter_might_let_through_landlock_refuses),
    ("an_executor_says_what_the_kernel_granted", an_executor_says_what_the_kernel_granted),
    ("an_executor_has_nothing_open_but_its_pipes", an_executor_has_nothing_open_but_its_pipes),
    ("an_executor_knows_nothing_of_its_environment", an_executor_knows_nothing_of_its_environment),
];

/// Something in this process that a child might read.
static SECRET: &str = "a key";

fn attempt(what: &str, how: &str, target: &str) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    let output = command.args(["attempt", what, how, target]).output().expect("an attempt");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.is_empty() {
        format!("ended by {}: {}", output.status, String::from_utf8_lossy(&output.stderr))
    } else {
        said
    }
}

fn granted() -> Seal {
    start(honest(1), &[]).seal().expect("an executor")
}

/// Whether the kernel can refuse it, as far as the seals say.
fn can_be_refused(what: &str, seal: Seal) -> bool {
    seal.system_calls || can_be_refused_by_landlock(what, seal) || what == "take-more-memory" && seal.resource_limits
}

/// Whether the kernel's version of landlock can.
fn can_be_refused_by_landlock(what: &str, seal: Seal) -> bool {
    let since = match what {
        "open-a-file" | "write-a-file" | "list-a-folder" | "remove-a-file" => 1,
        "connect-over-tcp" => 4,
        "signal-the-parent" | "signal-a-thread-of-the-parent" => 6,
        "trace-the-parent" | "read-the-parents-memory-as-a-file" | "read-the-parents-memory-by-a-call" => 1,
        _ => return false,
    };
    seal.landlock.is_some_and(|version| version >= since)
}

fn target(what: &str, file: &Path, tcp: &str, udp: &str, unix: &Path) -> String {
    let text = |path: &Path| path.to_str().expect("a path of letters").to_owned();
    match what {
        "connect-over-tcp" => tcp.to_owned(),
        "send-over-udp" => udp.to_owned(),
        "connect-to-a-unix-socket" => text(unix),
        _ if what.contains("memory") => SECRET.as_ptr().expose_provenance().to_string(),
        _ => text(file),
    }
}

fn a_sealed_process_reaches_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, unix) = (directory.path().join("secret"), directory.path().join("socket"));
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let _listener = UnixListener::bind(&unix).expect("a socket");
    let tcp = (tcp.local_addr().expect("an address").to_string(), tcp);
    let udp = udp.local_addr().expect("an address").to_string();
    let (seal, mut shown) = (granted(), 0);
    for (what, _) in ATTEMPTS {
        std::fs::write(&file, "secret").expect("a file");
        let target = target(what, &file, &tcp.0, &udp, &unix);
        let open = attempt(what, "open", &target);
        std::fs::write(&file, "secret").expect("a file");
        if open != "done" {
            println!("{what}: skipped, because it is refused even without the seals ({open})");
        } else if !can_be_refused(what, seal) {
            println!("{what}: skipped, because this kernel cannot refuse it ({seal:?})");
        } else {
            let sealed = attempt(what, "sealed", &target);
            assert!(sealed.starts_with("refused: "), "{what}: {sealed}");
            shown += 1;
        }
    }
    println!("{shown} of {} attempts were refused", ATTEMPTS.len());
    assert!(shown > 0 || !seal.is_tight());
}

fn what_the_filter_might_let_through_landlock_refuses() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("secret");
    std::fs::write(&file, "secret").expect("a file");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = tcp.local_addr().expect("an address").to_string();
    let seal = granted();
    for (what, _) in ATTEMPTS.iter().filter(|(what, _)| can_be_refused_by_landlock(what, seal)) {
        let said = attempt(what, "unfiltered", &target(what, &file, &address, "", &file));
        assert!(said.starts_with("refused: "), "{what}: {said}");
    }
    if seal.landlock.is_none() {
        println!("skipped, because this kernel has no landlock");
    }
}

fn an_executor_says_what_the_kernel_granted() {
    let seal = granted();
    let missing = seal.missing();
    println!("{seal:?}\nmissing: {missing:?}");
    assert!(children().is_empty(), "{:?}", children());
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        assert!(seal.no_new_privileges && seal.undumpable && seal.resource_limits && seal.dies_with_parent);
    }
}

fn runner_with(check: impl FnOnce(&Path)) {
    let wasm = crate::rig::guest("noop");
    let sealed = start(honest(1), &[&wasm]);
    let (done, ends) = sync_channel(ROOM);
    submit(&sealed, task_of(&wasm), &done);
    assert!(next(&ends).is_ok());
    let child = children().pop().expect("a runner");
    check(Path::new(&format!("/proc/{}", child.pid)));
}

fn an_executor_has_nothing_open_but_its_pipes() {
    // Without the flag that closes it when another program is started, and so inherited.
    let leaked = std::fs::File::open("/dev/null").expect("a file");
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).expect("flags");
    runner_with(|process| {
        let Ok(open) = std::fs::read_dir(process.join("fd")) else {
            return println!("skipped: only root may look at what an undumpable process has open");
        };
        let names = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.contains("wasm-memory-image") && !name.ends_with("/pagemap"));
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("pipe:")), "{names:?}");
    });
}

fn an_executor_knows_nothing_of_its_environment() {
    runner_with(|process| match std::fs::read(process.join("environ")) {
        Ok(environment) => assert!(environment.is_empty(), "{environment:?}"),
        Err(error) => println!("skipped: only root may look at an undumpable process ({error})"),
    });
}
