//! What an animal is: a program that means harm, what it may use, and the one end that it must come to.

use pocketmesh_sandbox::{Executed, Failure, LoadError, ProgramError};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{Exit, Fuel, limits};

/// What a person may be told about why a program was refused, in bytes.
const REASON_BYTES_MAX: usize = 2048;

/// One hostile program, or a herd of them that differ in a detail.
pub struct Animal {
    /// `group/what it does`.
    pub name: String,
    /// Its bytes.
    pub wasm: Wasm,
    /// What its task may use.
    pub limits: TaskLimits,
    /// What must come of it.
    pub expect: Expect,
}

/// How an animal's bytes come about. Large ones are made when they are needed and not before.
pub enum Wasm {
    /// Text to be translated.
    Text(String),
    /// Made by a function.
    Made(fn() -> Vec<u8>),
    /// Made by a function, one after the other.
    Herd(fn() -> Vec<Vec<u8>>),
}

/// What must come of an animal.
#[derive(Debug, Clone)]
pub enum Expect {
    /// This and nothing else, on every machine.
    Always(End),
    /// This, or that the program is too dear to compile: which, the machine's speed decides.
    UnlessTooDear(End),
    /// So many of a herd each.
    Tally(&'static [(End, usize)]),
}

/// How a task can end. A fault of the machine or of ours is none of these, so no animal can expect it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// An outcome.
    Exit(Exit),
    /// No program.
    Refused(Refusal),
    /// [`Failure::StackExhausted`].
    StackExhausted,
    /// [`Failure::WallClock`].
    WallClock,
}

/// The kinds of [`ProgramError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    TooLarge,
    NotWasm,
    Invalid,
    Import,
    ImportType,
    NoStart,
    Memory,
    Files,
    Tables,
    TooExpensive,
}

pub const OUT_OF_FUEL: End = End::Exit(Exit::OutOfFuel);
pub const OUTPUT_LIMIT: End = End::Exit(Exit::OutputLimit);
pub const TRAP: End = End::Exit(Exit::Trap);
pub const DONE: End = End::Exit(Exit::Code(0));
pub const INVALID: End = End::Refused(Refusal::Invalid);

/// Exits with this code. In most animals it is the errno that the host answered.
pub const fn code(code: i32) -> End {
    End::Exit(Exit::Code(code))
}

/// Enough for what a well-behaved program of this size does, and no more. The wall clock is a net that nobody reaches.
pub const MODEST: TaskLimits =
    TaskLimits { fuel: Fuel(20_000_000), memory: 4 << 20, output: 64 << 10, wall_ms: 120_000 };

/// All the fuel there is, and no time: only the wall clock ends it.
pub const IMPATIENT: TaskLimits = TaskLimits { fuel: Fuel(limits::TASK_FUEL_MAX), wall_ms: 50, ..MODEST };

impl Animal {
    /// An animal written as text, with modest limits.
    pub fn text(name: &str, text: impl Into<String>, expect: End) -> Self {
        let wasm = Wasm::Text(text.into());
        Self { name: name.into(), wasm, limits: MODEST, expect: Expect::Always(expect) }
    }

    /// An animal made by a function, with modest limits.
    pub fn made(name: &str, make: fn() -> Vec<u8>, expect: Expect) -> Self {
        Self { name: name.into(), wasm: Wasm::Made(make), limits: MODEST, expect }
    }

    /// Animals of one kind, with modest limits.
    pub fn herd(name: &str, make: fn() -> Vec<Vec<u8>>, tally: &'static [(End, usize)]) -> Self {
        Self { name: name.into(), wasm: Wasm::Herd(make), limits: MODEST, expect: Expect::Tally(tally) }
    }

    /// The same animal with other limits.
    pub fn with(self, change: impl FnOnce(&mut TaskLimits)) -> Self {
        let mut limits = self.limits;
        change(&mut limits);
        Self { limits, ..self }
    }

    /// Two animals of one that never ends by itself: fuel ends the first, which is an outcome; time ends the second,
    /// which is none.
    pub fn endless(name: &str, text: impl Into<String>) -> [Self; 2] {
        let text = text.into();
        let patient = Self::text(name, text.clone(), OUT_OF_FUEL);
        let impatient = Self::text(&format!("{name}, with fuel for a day"), text, End::WallClock);
        [patient, Self { limits: IMPATIENT, ..impatient }]
    }

    /// The bytes of each of its programs.
    pub fn programs(&self) -> Vec<Vec<u8>> {
        match &self.wasm {
            Wasm::Text(text) => vec![wat::parse_str(text).unwrap_or_else(|error| panic!("{}: {error}", self.name))],
            Wasm::Made(make) => vec![make()],
            Wasm::Herd(make) => make(),
        }
    }
}

impl End {
    /// How a task ended, or in words what must never happen.
    pub fn of(result: &Result<Executed, Failure>) -> Result<Self, String> {
        match result {
            Ok(executed) => Ok(Self::Exit(executed.outcome.exit)),
            Err(Failure::StackExhausted) => Ok(Self::StackExhausted),
            Err(Failure::WallClock) => Ok(Self::WallClock),
            Err(failure) if !is_printable(&failure.to_string()) => {
                let words: String = failure.to_string().escape_debug().take(300).collect();
                Err(format!("words that a terminal would obey, or too many: {words}"))
            }
            Err(Failure::Load(LoadError::Program(error))) if !matches!(error, ProgramError::NoCompiler(_)) => {
                Ok(Self::Refused(Refusal::of(error)))
            }
            Err(fault) => Err(format!("a fault: {fault:?}")),
        }
    }
}

/// A person will read it: some lines at most, and nothing that a terminal obeys or that turns the text around.
fn is_printable(text: &str) -> bool {
    let acts =
        |letter: char| letter.is_control() || matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
    text.len() <= REASON_BYTES_MAX && !text.contains(acts)
}

impl Refusal {
    fn of(error: &ProgramError) -> Self {
        match error {
            ProgramError::TooLarge(_) => Self::TooLarge,
            ProgramError::NotWasm(_) => Self::NotWasm,
            ProgramError::Invalid(_) => Self::Invalid,
            ProgramError::Import { .. } => Self::Import,
            ProgramError::ImportType(_) => Self::ImportType,
            ProgramError::NoStart => Self::NoStart,
            ProgramError::Memory { .. } => Self::Memory,
            ProgramError::Files { .. } => Self::Files,
            ProgramError::Tables => Self::Tables,
            ProgramError::TooExpensive | ProgramError::NoCompiler(_) => Self::TooExpensive,
        }
    }
}
