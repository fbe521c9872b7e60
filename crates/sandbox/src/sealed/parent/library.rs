//! Compiled programs, as the daemon keeps them: files, made by compiler processes.
//!
//! The daemon neither compiles nor loads any of it, and it all passes through in pieces. A compiler knows one program and
//! nothing else, so one that a hostile program has taken over can answer nonsense for that program alone, and that runs where
//! the program would have run.

use super::launch::{Launch, LaunchError};
use super::link::{Broken, Link, Vigil};
use crate::LoadError;
use crate::blob::Blob;
use crate::cache::{Compiled, Fingerprint, Incoming, Label, Loaded, Needs, Programs, Stored};
use crate::program::{self, ProgramError};
use crate::sealed::answer::{self, Ready};
use crate::sealed::frame::Head;
use crate::sealed::request::{self, Role};
use crate::sealed::seal::Seal;
use pocketmesh_types::BlobId;
use std::convert::Infallible;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Programs whose files are open, and their bytes: for runners that start, which is seldom. The disk has the others, but for a
/// cache that is off, where files are memory of the system's.
const PROGRAMS_MAX: usize = 64;
const PROGRAM_BYTES_MAX: usize = 8 << 20;
/// Of machine code: what the largest programs compile to.
const CODE_BYTES_MAX: u64 = 512 << 20;
/// Machine code for each byte of a program, and for none: several times what is usual.
const CODE_BYTES_PER_BYTE: u64 = 32;
const CODE_BYTES_LEAST: u64 = 32 << 20;
/// Of a program, looked at before a compiler is started for it.
const BEGINNING_BYTES: u64 = 4 << 10;

const COMPILE_CPU_S: u64 = 45;
const COMPILE_CPU_S_PER_MIB: u64 = 15;

/// Opens the bytes of a program.
type Load = dyn Fn(BlobId) -> io::Result<Blob> + Send + Sync;

impl Loaded for Arc<Stored> {
    fn bytes(&self) -> usize {
        usize::try_from(self.len()).unwrap_or(usize::MAX)
    }
}

/// The compiled programs.
pub(in crate::sealed) struct Library {
    launch: Launch,
    compile_time: Duration,
    held: Programs<Arc<Stored>>,
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

    /// The program, if it was compiled. No child has to be started for it once there was one.
    pub(super) fn get(&self, id: BlobId) -> Option<Arc<Stored>> {
        self.held.get(id).or_else(|| {
            // Not under the lock of somebody who compiles it just now: that may take long.
            let stored = self.open(id)?;
            self.held.get_or(id, || Ok::<_, Infallible>(stored)).ok()
        })
    }

    /// Forgets a program whose file turned out to be damaged.
    pub(super) fn forget(&self, id: BlobId) {
        tracing::warn!(program = %id.short(), "compiled program damaged, compiling again");
        self.held.remove(id);
        if let (Some(disk), Some(label)) = (&self.disk, self.label(id)) {
            disk.remove(label);
        }
    }

    /// The program, compiled from the bytes that `load` opens if need be.
    pub(super) fn load(&self, id: BlobId, load: &Load, vigil: &Vigil<'_>) -> Result<Arc<Stored>, LoadError> {
        self.held.get_or(id, || match self.open(id) {
            Some(stored) => Ok(stored),
            None => self.compile(id, load(id)?, vigil),
        })
    }

    /// What a program needs, for somebody of this device who waits for the answer.
    pub(super) fn check(&self, id: BlobId, load: &Load) -> Result<Needs, LoadError> {
        let _one_at_a_time = self.visitor.lock().unwrap_or_else(PoisonError::into_inner);
        let vigil = Vigil { until: self.compiled_by(), bell: None, leave_off: &|| false };
        Ok(self.load(id, load, &vigil)?.needs())
    }

    /// When a compiler that is started now has to be done: it may take its time to start, too.
    pub(super) fn compiled_by(&self) -> Instant {
        Instant::now() + super::launch::START_WAIT + self.compile_time
    }

    fn label(&self, id: BlobId) -> Option<Label> {
        Some(Label { engine: *self.fingerprint.get()?, id })
    }

    fn open(&self, id: BlobId) -> Option<Arc<Stored>> {
        self.disk.as_ref()?.get(self.label(id)?).map(Arc::new)
    }

    /// Compiles in a process of its own.
    fn compile(&self, id: BlobId, wasm: Blob, vigil: &Vigil<'_>) -> Result<Arc<Stored>, LoadError> {
        let wasm = Wasm::new(id, wasm)?;
        let unavailable = |error: LaunchError| ProgramError::NoCompiler(error.to_string());
        let mut link = self.start(Role::Compiler, cpu_s_of(wasm.len), vigil).map_err(unavailable)?;
        // What the disk has is known only now, if this is the first child.
        if let Some(stored) = self.open(id) {
            return Ok(stored);
        }
        let vigil = Vigil { until: vigil.until.min(Instant::now() + self.compile_time), ..*vigil };
        let answer = self.exchange(id, &mut link, wasm, &vigil);
        let end = link.end();
        let stored = answer.map_err(|broken| {
            tracing::warn!(program = %id.short(), %broken, end, "a compiler came to nothing");
            match broken {
                Broken::Interrupted => ProgramError::NoCompiler(broken.to_string()).into(),
                Broken::Late | Broken::Died(_) | Broken::Unsaved(_) => ProgramError::TooExpensive.into(),
                Broken::Unread(error) => unread(id, error),
            }
        })??;
        Ok(Arc::new(stored))
    }

    /// Hands the program over and writes down the answer.
    fn exchange(
        &self,
        id: BlobId,
        link: &mut Link,
        wasm: Wasm,
        vigil: &Vigil<'_>,
    ) -> Result<Result<Stored, ProgramError>, Broken> {
        let code_max =
            CODE_BYTES_PER_BYTE.saturating_mul(wasm.len).saturating_add(CODE_BYTES_LEAST).min(CODE_BYTES_MAX);
        link.push_from(request::kind::COMPILE, &Head::default(), wasm.len, wasm.bytes, vigil)?;
        link.flush(vigil)?;
        let (frame, code_len) = link.receive_head(code_max as usize, vigil)?;
        let needs = match frame.kind {
            answer::kind::COMPILED if code_len > 0 => answer::decode_compiled(frame.fields())?,
            answer::kind::UNFIT => return Ok(Err(answer::decode_unfit(frame.fields())?)),
            _ => return Err(Broken::Died("it answered something else".into())),
        };
        let label = self.label(id).expect("this child has said it");
        let mut incoming = match &self.disk {
            Some(disk) => disk.incoming(label, needs),
            None => Incoming::unnamed(label, needs),
        };
        let mut left = code_len;
        while left > 0 {
            let piece = link.receive_some(left, vigil)?;
            left -= piece.len();
            incoming = incoming.and_then(|mut incoming| incoming.write(piece).map(|()| incoming));
        }
        let stored = incoming.and_then(Incoming::finish);
        Ok(stored.map_err(|error| ProgramError::NoCompiler(format!("what it compiles to cannot be kept: {error}"))))
    }
}

/// The bytes of a program, looked at and not yet read.
struct Wasm {
    len: u64,
    bytes: Box<dyn Read>,
}

impl Wasm {
    fn new(id: BlobId, blob: Blob) -> Result<Self, LoadError> {
        let len = blob.len();
        let mut bytes = blob.checked(blake3::Hasher::new(), *id.as_bytes());
        let mut beginning = Vec::new();
        let read = bytes.by_ref().take(BEGINNING_BYTES).read_to_end(&mut beginning);
        read.map_err(|error| unread(id, error))?;
        if let Err(unfit) = program::check_beginning(len, &beginning) {
            // Nothing is said about a program whose bytes these are not.
            io::copy(&mut bytes, &mut io::sink()).map_err(|error| unread(id, error))?;
            return Err(unfit.into());
        }
        Ok(Self { len, bytes: Box::new(io::Cursor::new(beginning).chain(bytes)) })
    }
}

/// Why a program's bytes did not come to their end.
fn unread(id: BlobId, error: io::Error) -> LoadError {
    match error.kind() {
        io::ErrorKind::InvalidData => LoadError::WrongBytes(id),
        _ => LoadError::Read(error),
    }
}

/// Processor time that compiling a program may take, in seconds. Large programs that people use take 3 s a mebibyte on a
/// desktop and several times that on a phone; bombs take minutes whatever their size.
fn cpu_s_of(wasm_len: u64) -> u64 {
    COMPILE_CPU_S + COMPILE_CPU_S_PER_MIB * (wasm_len >> 20)
}
