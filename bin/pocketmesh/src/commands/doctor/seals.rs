//! What the kernel keeps a sealed executor from, one line each.

use super::finding::Finding;
use pocketmesh_node::local::Seal;

/// One wall: what it is called, what it does, what its absence means, and what to do about that.
struct Wall {
    what: &'static str,
    is_up: bool,
    does: &'static str,
    without: &'static str,
    remedy: &'static str,
}

/// All walls, as this machine's kernel has put them up.
pub fn findings(seal: &Seal) -> Vec<Finding> {
    let walls = walls(seal);
    let mut findings = vec![match seal.is_tight() {
        true => Finding::ok("seal", "a program that broke out of WebAssembly would reach no file, socket or process"),
        false => Finding::lacks("seal", "a program that broke out of WebAssembly would reach what this user may reach")
            .remedy("run jobs of people you trust only, or run the daemon as a user that owns nothing else"),
    }];
    findings.extend(walls.into_iter().map(|wall| match wall.is_up {
        true => Finding::ok(wall.what, wall.does),
        false => Finding::lacks(wall.what, wall.without).remedy(wall.remedy),
    }));
    findings
}

fn landlock(seal: &Seal) -> Wall {
    Wall {
        what: "seal: landlock",
        is_up: seal.landlock.is_some(),
        does: match seal.landlock {
            Some(6..) => "no file can be opened, no TCP connection made, no signal sent",
            Some(4 | 5) => "no file can be opened, no TCP connection made",
            _ => "no file can be opened",
        },
        without: "files are kept from executors by seccomp alone",
        remedy: "use Linux 5.13 or later, with `landlock` among the kernel's security modules (lsm=…)",
    }
}

fn walls(seal: &Seal) -> Vec<Wall> {
    let wall = |what, is_up, does, without, remedy| Wall { what, is_up, does, without, remedy };
    vec![
        wall(
            "seal: seccomp",
            seal.system_calls,
            "the kernel refuses all but the few calls that running a program takes",
            "executors can make any system call",
            "use Linux on x86-64 or ARM64, with seccomp; containers may have to allow it",
        ),
        landlock(seal),
        wall(
            "seal: descriptors",
            seal.descriptors_closed,
            "executors have three pipes open and nothing else",
            "executors may inherit what the daemon has open",
            "use Linux 5.9 or later",
        ),
        wall(
            "seal: privileges",
            seal.no_new_privileges,
            "no program that they could start would have more rights",
            "executors could gain rights by starting another program",
            "use Linux 3.5 or later",
        ),
        wall(
            "seal: capabilities",
            seal.no_capabilities,
            "none is left, whoever started the daemon",
            "executors keep the daemon's capabilities",
            "do not run the daemon as root",
        ),
        wall(
            "seal: privacy",
            seal.undumpable,
            "nobody looks into an executor's memory, and it leaves no core dump",
            "other programs of this user can look into an executor's memory",
            "a Linux kernel can shut that off",
        ),
        wall(
            "seal: limits",
            seal.resource_limits,
            "the kernel bounds their memory, time and files",
            "only the sandbox itself bounds what executors use",
            "allow the daemon to lower its limits (setrlimit)",
        ),
        wall(
            "seal: priority",
            seal.idle_priority,
            "they get processor time that nothing else wants",
            "tasks of others compete with your own programs",
            "give fewer cores in [provide]",
        ),
        wall(
            "seal: lifeline",
            seal.dies_with_parent,
            "the kernel ends them when the daemon dies",
            "an executor may outlive a daemon that was killed, until its task ends",
            "a Linux kernel can end them",
        ),
    ]
}
