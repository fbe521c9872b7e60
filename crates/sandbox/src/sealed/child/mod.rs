//! The child: seals itself in, then does what its parent asks until the parent closes the pipe.
//!
//! No runtime, no logger, no file: bytes come in at standard input and go out at standard output. Everything that is
//! allocated in advance (the engine and its pool, threads) is made before the seals are on, for afterwards it cannot be.

mod compiler;
mod outbox;
mod runner;

use super::answer::{self, Ready};
use super::frame::{Head, Outgoing};
use super::request::{Request, Role, Start};
use super::seal::{self, Seal};
use crate::engine::{Config, Deadline, Engine};
use crate::profile::{Backend, WASM_STACK_BYTES};
use outbox::Outbox;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;

/// Stack of the thread that works: a program's, the host's, and room for the compiler.
const STACK_BYTES: usize = WASM_STACK_BYTES + (7 << 20);

/// The whole `main` of an executor process. To be called before anything else: it closes every descriptor from 3 on.
///
/// It reads what a [`Sealed`](super::Sealed) asks from standard input, and answers on standard output.
pub fn executor_main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The parent logs what stands here.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Seals this process in as a runner is, for good: for whoever wants to see from inside what is refused.
///
/// To be called before anything else, like [`executor_main`]. `memory` is what may be written to, in bytes. Without
/// `filtered`, all system calls can still be made, which shows what the other seals are good for.
pub fn seal_in(memory: u64, filtered: bool) -> Seal {
    let mut seal = seal::cut_loose();
    let (role, backend, parent) = (Role::Runner, Backend::Cranelift, std::os::unix::process::parent_id());
    let start = Start { role, backend, scarce_address_space: false, parent, data_bytes: memory, cpu_s: 0 };
    seal::close_in(&mut seal, &start);
    if filtered {
        seal::filter_system_calls(&mut seal);
    }
    seal
}

fn serve() -> io::Result<()> {
    let mut seal = seal::cut_loose();
    let Some(Request::Start(start)) = Request::read(&mut io::stdin().lock())? else {
        return Err(io::Error::other("this is started by the daemon, and of no use by itself"));
    };
    if !is_child_of(start.parent) {
        return Ok(());
    }
    let engine = Engine::new(&config(&start)).map_err(io::Error::other)?;
    seal::close_in(&mut seal, &start);
    match start.role {
        Role::Runner => work_sealed(seal, &engine, runner::serve),
        Role::Compiler => {
            compiler::start_threads(&engine);
            work_sealed(seal, &engine, compiler::serve)
        }
    }
}

/// Whether the parent still lived when the order to die with it was in force.
fn is_child_of(parent: u32) -> bool {
    cfg!(not(target_os = "linux")) || std::os::unix::process::parent_id() == parent
}

fn config(start: &Start) -> Config {
    Config {
        cache_dir: None,
        backend: start.backend,
        // The same for both roles: what a compiler accepts, a runner takes.
        pooling: !start.scarce_address_space && cfg!(target_pointer_width = "64"),
        slots: 1,
        deadline: Deadline::Outside,
        scarce_address_space: start.scarce_address_space,
        ..Config::default()
    }
}

/// Starts the threads, filters system calls, says that it is ready, and lets `work` go on a thread of its own, whose
/// stack is as large as on any other machine.
fn work_sealed(mut seal: Seal, engine: &Engine, work: fn(&Engine, &Outbox) -> io::Result<()>) -> io::Result<()> {
    let outbox = Outbox::default();
    // Threads that are still being set up would make calls that the filter refuses.
    let (here, all_here) = sync_channel(2);
    let (go, gate) = sync_channel(1);
    std::thread::scope(|scope| {
        let (outbox, worker_here) = (&outbox, here.clone());
        let flush = move || here.send(()).map(|()| outbox.flush_in_time()).unwrap_or_default();
        std::thread::Builder::new().name("flush".into()).spawn_scoped(scope, flush)?;
        let worker = std::thread::Builder::new().name("work".into()).stack_size(STACK_BYTES);
        let worker = worker.spawn_scoped(scope, move || {
            let let_go = worker_here.send(()).is_ok() && gate.recv().is_ok();
            let done = if let_go { work(engine, outbox) } else { Ok(()) };
            outbox.close();
            done
        })?;
        for _ in 0..2 {
            all_here.recv().map_err(io::Error::other)?;
        }
        seal::filter_system_calls(&mut seal);
        let ready = Ready { fingerprint: engine.fingerprint(), profile: engine.profile(), seal };
        let ready = answer::encode_ready(&ready);
        let said = outbox.send(|to| push(to, answer::kind::READY, &ready, &[]), true);
        // If nobody hears, nobody is let go.
        let let_go = said.map(|()| go.send(()));
        drop(go);
        let_go?.map_err(io::Error::other)?;
        worker.join().unwrap_or_else(|_| Err(io::Error::other("the executor panicked")))
    })
}

/// Appends an answer whose size is bounded by what it says.
fn push(to: &mut Outgoing, kind: u8, head: &Head, bulk: &[u8]) {
    let pushed = to.push_parts(kind, head, [bulk].into_iter());
    pushed.expect("reasons and code are bounded well below a frame");
}
