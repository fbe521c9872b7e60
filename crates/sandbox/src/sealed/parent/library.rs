//! Compiled programs, as the daemon keeps them: bytes, made by compiler processes, kept in memory and on disk.
//!
//! The daemon neither compiles nor loads any of it. A compiler knows one program and nothing else, so one that a hostile
//! program has taken over can answer nonsense for that program alone, and that runs where the program would have run.

use super::launch::{Launch, LaunchError};
use super::link::{Broken, Link, Vigil};
use crate::LoadError;
use crate::cache::{Artifact, Compiled, Fingerprint, Loaded, Programs};
use crate::program::{self, ProgramError};
use crate::sealed::answer::{self, Ready};
use crate::sealed::frame::Head;
use crate::sealed::request::{self, Role};
use crate::sealed::seal::Seal;
use pocketmesh_types::BlobId;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Programs in memory, and their bytes: for runners that start, which is seldom. The disk has the others, but for a cache
/// that is off.
const PROGRAMS_MAX: usize = 64;
const PROGRAM_BYTES_MAX: usize = 8 << 20;
/// Of machine code: what the largest programs compile to.
const CODE_BYTES_MAX: usize = 512 << 20;
/// Machine code for each byte of a program, and for none: several times what is usual.
const CODE_BYTES_PER_BYTE: usize = 32;
const CODE_BYTES_LEAST: usize = 32 << 20;

const COMPILE_CPU_S: u64 = 45;
const COMPILE_CPU_S_PER_MIB: u64 = 15;

impl Loaded for Arc<Artifact> {
    fn bytes(&self) -> usize {
        self.code.len()
    }
}

/// The compiled programs.
pub(in crate::sealed) struct Library {
    launch: Launch,
    compile_time: Duration,
    held: Programs<Arc<Artifact>>,
    disk: Option<Compiled>,
    /// Of the first child: all have it, or they are not believed.
    fingerprint: OnceLock<Fingerprint>,
    seal: OnceLock<Seal>,
    /// Taken by whoever compiles on a thread that is not ours: one at a time.
    visitor: Mutex<()>,
}

impl Library {
    pub(in crate::sealed) fn new(launch: Launch, compile_time: Duration, disk: Option<Compiled>) -> Self {
        Self {
            launch,
            compile_time,
            held: Programs::new(PROGRAMS_MAX, PROGRAM_BYTES_MAX),
            disk,
            fingerprint: OnceLock::new(),
            seal: OnceLock::new(),
            visitor: Mutex::default(),
        }
    }

    /// What the kernel granted to the first child; `None` before there was one.
    pub(in crate::sealed) fn seal(&self) -> Option<Seal> {
        self.seal.get().copied()
    }

    /// Starts a runner, and notes what all children have in common.
    pub(super) fn start_runner(&self, vigil: &Vigil<'_>) -> Result<Link, LaunchError> {
        self.start(Role::Runner, 0, vigil)
    }

    fn start(&self, role: Role, cpu_s: u64, vigil: &Vigil<'_>) -> Result<Link, LaunchError> {
        let (link, Ready { fingerprint, seal, .. }) = self.launch.start(role, cpu_s, vigil)?;
        if *self.fingerprint.get_or_init(|| fingerprint) != fingerprint {
            return Err(LaunchError::OtherVersion(self.launch.command.clone()));
        }
        self.seal.get_or_init(|| seal);
        Ok(link)
    }

    /// Starts a runner to learn what the kernel grants.
    pub(in crate::sealed) fn probe(&self) -> Result<(), LaunchError> {
        let vigil = Vigil { until: Instant::now() + super::launch::START_WAIT, bell: None, leave_off: &|| false };
        self.start_runner(&vigil).map(drop)
    }

    /// Whether it is in memory, or might be on disk: what is there can be told only after the first child was started,
    /// and that is better a runner, which is needed in any case.
    pub(super) fn may_have(&self, id: BlobId) -> bool {
        self.fingerprint.get().is_none() || self.held.get(id).is_some()
    }

    /// The program, from memory or disk. No child has to be started for it once there was one.
    pub(super) fn get(&self, id: BlobId) -> Option<Arc<Artifact>> {
        self.held.get(id).or_else(|| {
            // Not under the lock of somebody who compiles it just now: that may take long.
            let artifact = self.read_disk(id)?;
            self.held.get_or(id, || Ok::<_, Infallible>(artifact)).ok()
        })
    }

    /// The program, compiled from the bytes that `read` returns if need be.
    pub(super) fn load(
        &self,
        id: BlobId,
        read: &dyn Fn(BlobId) -> io::Result<Vec<u8>>,
        vigil: &Vigil<'_>,
    ) -> Result<Arc<Artifact>, LoadError> {
        self.held.get_or(id, || {
            if let Some(artifact) = self.read_disk(id) {
                return Ok(artifact);
            }
            let wasm = read(id)?;
            if BlobId::of(&wasm) != id {
                return Err(LoadError::WrongBytes(id));
            }
            Ok(self.compile(id, &wasm, vigil)?)
        })
    }

    /// The same for bytes that somebody of this device has at hand.
    pub(in crate::sealed) fn check(&self, wasm: &[u8]) -> Result<Arc<Artifact>, ProgramError> {
        program::check_bytes(wasm)?;
        let id = BlobId::of(wasm);
        let _one_at_a_time = self.visitor.lock().unwrap_or_else(PoisonError::into_inner);
        let vigil = Vigil { until: self.compiled_by(), bell: None, leave_off: &|| false };
        self.held.get_or(id, || match self.read_disk(id) {
            Some(artifact) => Ok(artifact),
            None => self.compile(id, wasm, &vigil),
        })
    }

    /// When a compiler that is started now has to be done: it may take its time to start, too.
    pub(super) fn compiled_by(&self) -> Instant {
        Instant::now() + super::launch::START_WAIT + self.compile_time
    }

    fn read_disk(&self, id: BlobId) -> Option<Arc<Artifact>> {
        self.disk.as_ref()?.get(*self.fingerprint.get()?, id).map(Arc::new)
    }

    /// Compiles in a process of its own.
    fn compile(&self, id: BlobId, wasm: &[u8], vigil: &Vigil<'_>) -> Result<Arc<Artifact>, ProgramError> {
        program::check_bytes(wasm)?;
        let unavailable = |error: LaunchError| ProgramError::NoCompiler(error.to_string());
        let mut link = self.start(Role::Compiler, cpu_s_of(wasm), vigil).map_err(unavailable)?;
        // What the disk has is known only now, if this is the first child.
        if let Some(artifact) = self.read_disk(id) {
            return Ok(artifact);
        }
        let vigil = Vigil { until: vigil.until.min(Instant::now() + self.compile_time), ..*vigil };
        let answer = exchange(&mut link, wasm, &vigil);
        let end = link.end();
        let artifact = answer.map_err(|broken| {
            tracing::warn!(program = %id.short(), %broken, end, "a compiler came to nothing");
            match broken {
                Broken::Interrupted => ProgramError::NoCompiler(broken.to_string()),
                Broken::Late | Broken::Died(_) => ProgramError::TooExpensive,
            }
        })??;
        if let (Some(disk), Some(fingerprint)) = (&self.disk, self.fingerprint.get()) {
            disk.put(*fingerprint, id, &artifact);
        }
        Ok(Arc::new(artifact))
    }
}

/// Processor time that compiling a program may take, in seconds. Large programs that people use take 3 s a mebibyte on a
/// desktop and several times that on a phone; bombs take minutes whatever their size.
fn cpu_s_of(wasm: &[u8]) -> u64 {
    COMPILE_CPU_S + COMPILE_CPU_S_PER_MIB * (wasm.len() as u64 >> 20)
}

/// Hands the program over and takes the answer.
fn exchange(link: &mut Link, wasm: &[u8], vigil: &Vigil<'_>) -> Result<Result<Artifact, ProgramError>, Broken> {
    let code_max = CODE_BYTES_MAX.min(wasm.len().saturating_mul(CODE_BYTES_PER_BYTE) + CODE_BYTES_LEAST);
    link.push(request::kind::COMPILE, &Head::default(), wasm, vigil)?;
    link.flush(vigil)?;
    let frame = link.receive(code_max, vigil)?;
    let answer = match frame.kind {
        answer::kind::COMPILED => answer::decode_compiled(frame.fields(), frame.bulk).map(Ok),
        answer::kind::UNFIT => answer::decode_unfit(frame.fields()).map(Err),
        _ => return Err(Broken::Died("it answered something else".into())),
    };
    answer.map_err(|error| Broken::Died(format!("it sent {error}")))
}
