//! What a child tells its parent.
//!
//! The child may be in the hands of the program that it runs, so the parent takes nothing on trust: every length is
//! bounded by what the task may write, fuel by its limit, and the outcome is made here from the bytes that came.

use super::frame::{Fields, Head, Malformed, Outgoing, TooLarge};
use super::seal::Seal;
use crate::cache::{Fingerprint, Needs};
use crate::engine::LoadError;
use crate::program::ProgramError;
use crate::task::{Collected, Executed, Failure, Kept, Written};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{Exit, Fuel, Hash, ProfileId, limits};

/// The kinds of frame.
pub(super) mod kind {
    pub(in crate::sealed) const READY: u8 = 129;
    pub(in crate::sealed) const COMPILED: u8 = 130;
    pub(in crate::sealed) const UNFIT: u8 = 131;
    pub(in crate::sealed) const HELD: u8 = 132;
    pub(in crate::sealed) const REFUSED: u8 = 133;
    pub(in crate::sealed) const DONE: u8 = 134;
    pub(in crate::sealed) const FAILED: u8 = 135;
}

/// Of a reason in words.
const REASON_BYTES_MAX: usize = 4 << 10;

/// The tags of the failures that come with numbers.
const FAILED_MEMORY: u8 = 3;
const FAILED_FILES: u8 = 4;

/// What the head of an outcome takes for each file, besides its path.
const FILE_FIELDS_BYTES: usize = 12;

/// Cuts a reason so that the other side takes it.
fn reason(text: &str) -> &str {
    &text[..text.floor_char_boundary(REASON_BYTES_MAX)]
}

fn read_reason(mut fields: Fields<'_>) -> Result<String, Malformed> {
    let text = fields.text(REASON_BYTES_MAX)?.to_owned();
    fields.end()?;
    Ok(text)
}

/// The first answer, which comes before the first foreign byte went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) fingerprint: Fingerprint,
    /// Another than the daemon's if the binary was replaced since the daemon started.
    pub(super) profile: ProfileId,
    pub(super) seal: Seal,
}

pub(super) fn encode_ready(ready: &Ready) -> Head {
    let Ready { fingerprint, profile, seal } = ready;
    Head::default().array(&fingerprint.0).array(profile.as_bytes()).u64(seal.to_bits())
}

pub(super) fn decode_ready(mut fields: Fields<'_>) -> Result<Ready, Malformed> {
    let (fingerprint, profile) = (Fingerprint(fields.array()?), ProfileId(Hash(fields.array()?)));
    let seal = Seal::from_bits(fields.u64()?);
    fields.end()?;
    Ok(Ready { fingerprint, profile, seal })
}

/// What was to be held is refused.
pub(super) fn encode_refused(why: &str) -> Head {
    Head::default().text(reason(why))
}

pub(super) fn decode_refused(fields: Fields<'_>) -> Result<String, Malformed> {
    read_reason(fields)
}

/// The bulk is the code.
pub(super) fn encode_compiled(needs: Needs) -> Head {
    Head::default().u64(needs.memory)
}

pub(super) fn decode_compiled(mut fields: Fields<'_>) -> Result<Needs, Malformed> {
    let needs = Needs { memory: fields.u64()? };
    fields.end()?;
    Ok(needs)
}

/// Why the bytes are no program.
pub(super) fn encode_unfit(error: &ProgramError) -> Head {
    let head = Head::default();
    match error {
        ProgramError::Invalid(why) => head.u8(0).text(reason(why)),
        ProgramError::ImportType(why) => head.u8(1).text(reason(why)),
        ProgramError::NoStart => head.u8(2).text(""),
        ProgramError::Tables => head.u8(3).text(""),
        ProgramError::Import { module, name } => head.u8(4).text(reason(module)).text(reason(name)),
        // The rest is told before a compiler is started, or is no fault of the program.
        other => head.u8(5).text(reason(&other.to_string())),
    }
}

pub(super) fn decode_unfit(mut fields: Fields<'_>) -> Result<ProgramError, Malformed> {
    let tag = fields.u8()?;
    let text = fields.text(REASON_BYTES_MAX)?.to_owned();
    let error = match tag {
        0 => ProgramError::Invalid(text),
        1 => ProgramError::ImportType(text),
        2 => ProgramError::NoStart,
        3 => ProgramError::Tables,
        4 => ProgramError::Import { module: text, name: fields.text(REASON_BYTES_MAX)?.to_owned() },
        5 => ProgramError::NoCompiler(text),
        _ => return Err(Malformed),
    };
    fields.end()?;
    Ok(error)
}

/// Appends how a task ended. What cannot be handed over becomes a failure.
pub(super) fn push_result(to: &mut Outgoing, sequence: u64, result: &Result<Executed, Failure>) {
    let pushed = match result {
        Ok(executed) => push_done(to, sequence, executed),
        Err(failure) => push_failed(to, sequence, failure),
    };
    if let Err(error) = pushed {
        let failure = Failure::Host(format!("failed to hand its output over: {error}"));
        push_failed(to, sequence, &failure).expect("a short reason is never too large");
    }
}

fn push_done(to: &mut Outgoing, sequence: u64, executed: &Executed) -> Result<(), TooLarge> {
    let (outcome, written) = (&executed.outcome, &executed.written);
    let (tag, code) = match outcome.exit {
        Exit::Code(code) => (0, code),
        Exit::Trap => (1, 0),
        Exit::OutOfFuel => (2, 0),
        Exit::OutputLimit => (3, 0),
    };
    let mut head = Head::default().u64(sequence).u8(tag).u32(code.cast_unsigned()).u64(outcome.fuel.0);
    head = head.u64(written.stdout.len() as u64).u64(written.stderr.len() as u64).u32(written.files.len() as u32);
    head = written.files.iter().fold(head, |head, file| head.u64(file.bytes.len() as u64).text(&file.path));
    let files = written.files.iter().map(|file| file.bytes.as_slice());
    let bulk = [written.stdout.as_slice(), written.stderr.as_slice()].into_iter().chain(files);
    to.push_parts(kind::DONE, &head, bulk)
}

fn push_failed(to: &mut Outgoing, sequence: u64, failure: &Failure) -> Result<(), TooLarge> {
    let (tag, why) = match failure {
        &Failure::Load(LoadError::Program(ProgramError::Memory { needs, allowed })) => {
            return push_short(to, sequence, FAILED_MEMORY, needs, allowed);
        }
        &Failure::Load(LoadError::Program(ProgramError::Files { files, allowed })) => {
            return push_short(to, sequence, FAILED_FILES, files, allowed);
        }
        Failure::StackExhausted => (0, String::new()),
        Failure::Host(why) => (1, why.clone()),
        Failure::Panicked(why) => (2, why.clone()),
        // The parent keeps the clock and the programs: it is no runner's business to say these.
        other => (1, other.to_string()),
    };
    to.push(kind::FAILED, &Head::default().u64(sequence).u8(tag).text(reason(&why)), &[]).map(drop)
}

/// The task needs more memory than it may have.
fn push_short(to: &mut Outgoing, sequence: u64, tag: u8, needs: u64, allowed: u64) -> Result<(), TooLarge> {
    to.push(kind::FAILED, &Head::default().u64(sequence).u8(tag).u64(needs).u64(allowed), &[]).map(drop)
}

fn decode_short(mut fields: Fields<'_>, tag: u8) -> Result<Failure, Malformed> {
    let (needs, allowed) = (fields.u64()?, fields.u64()?);
    fields.end()?;
    let files = ProgramError::Files { files: needs, allowed };
    let error = if tag == FAILED_FILES { files } else { ProgramError::Memory { needs, allowed } };
    Ok(LoadError::Program(error).into())
}

pub(super) fn decode_failed(mut fields: Fields<'_>, expected: u64) -> Result<Failure, Malformed> {
    let (sequence, tag) = (fields.u64()?, fields.u8()?);
    if sequence != expected {
        return Err(Malformed);
    }
    if tag == FAILED_MEMORY || tag == FAILED_FILES {
        return decode_short(fields, tag);
    }
    let why = read_reason(fields)?;
    match tag {
        0 => Ok(Failure::StackExhausted),
        1 => Ok(Failure::Host(why)),
        2 => Ok(Failure::Panicked(why)),
        _ => Err(Malformed),
    }
}

/// What a child says that a task came to, but for the bytes that it wrote: they follow in this order.
pub(super) struct Done {
    exit: Exit,
    fuel: Fuel,
    stdout: u64,
    stderr: u64,
    /// Paths and lengths.
    files: Vec<(String, u64)>,
}

/// Checks what a child says about the task `expected`, which wrote so many bytes in all.
pub(super) fn decode_done(
    mut fields: Fields<'_>,
    bytes: usize,
    expected: u64,
    limits: &TaskLimits,
) -> Result<Done, Malformed> {
    let (sequence, tag, code) = (fields.u64()?, fields.u8()?, fields.u32()?.cast_signed());
    let exit = match (tag, code) {
        (0, code) => Exit::Code(code),
        (1, 0) => Exit::Trap,
        (2, 0) => Exit::OutOfFuel,
        (3, 0) => Exit::OutputLimit,
        _ => return Err(Malformed),
    };
    let fuel = Fuel(fields.u64()?);
    if sequence != expected || fuel > limits.fuel || (exit == Exit::OutOfFuel && fuel != limits.fuel) {
        return Err(Malformed);
    }
    let (stdout, stderr) = (fields.u64()?, fields.u64()?);
    let count = fields.count(FILE_FIELDS_BYTES)?;
    if count > limits::TREE_FILES_MAX {
        return Err(Malformed);
    }
    let mut files = Vec::with_capacity(count);
    for _ in 0..count {
        let len = fields.u64()?;
        files.push((fields.text(limits::PATH_BYTES_MAX)?.to_owned(), len));
    }
    fields.end()?;
    // Sorted, as an honest child has them: replicas are compared byte by byte.
    let sorted = files.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let sum = files.iter().map(|(_, len)| *len).chain([stdout, stderr]).try_fold(0, u64::checked_add);
    if sum != Some(bytes as u64) || !sorted {
        return Err(Malformed);
    }
    Ok(Done { exit, fuel, stdout, stderr, files })
}

impl Done {
    /// Makes the outcome of the bytes that came. `take` takes so many of them, and is told whether they are a file's.
    pub(super) fn into_executed<E: From<Malformed>>(
        self,
        limits: &TaskLimits,
        mut take: impl FnMut(u64, bool) -> Result<Kept, E>,
    ) -> Result<Executed<Kept>, E> {
        let (stdout, stderr) = (take(self.stdout, false)?, take(self.stderr, false)?);
        let mut file = |(path, len)| Ok::<_, E>(Collected { path, bytes: take(len, true)? });
        let files = self.files.into_iter().map(&mut file).collect::<Result<_, E>>()?;
        let executed = Executed::new(self.exit, self.fuel, Written { stdout, stderr, files }, limits.output);
        // A child that keeps to the profile has made the same of it already.
        if executed.outcome.exit == self.exit { Ok(executed) } else { Err(Malformed.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{HEADER_BYTES, Header};
    use super::*;

    const LIMITS: TaskLimits = TaskLimits { fuel: Fuel(100), memory: 0, output: 10, wall_ms: 0 };

    fn executed(exit: Exit, fuel: u64, stdout: &[u8], files: &[&str]) -> Executed {
        let files = files.iter().map(|path| Collected { path: (*path).into(), bytes: b"f".to_vec() }).collect();
        let written = Written { stdout: stdout.to_vec(), stderr: b"e".to_vec(), files };
        Executed::new(exit, Fuel(fuel), written, u64::MAX)
    }

    fn through(result: &Result<Executed, Failure>, expected: u64) -> Result<Executed, Malformed> {
        let mut outgoing = Outgoing::default();
        push_result(&mut outgoing, 5, result);
        let header = Header::decode(*outgoing.0.first_chunk().expect("a header"), 1 << 20)?;
        let (head, bulk) = outgoing.0[HEADER_BYTES..].split_at(header.head);
        assert_eq!(header.kind, kind::DONE);
        let (done, mut rest) = (decode_done(Fields(head), bulk.len(), expected, &LIMITS)?, bulk);
        let executed = done.into_executed(&LIMITS, |len, _| {
            let (bytes, behind) = rest.split_at_checked(len as usize).ok_or(Malformed)?;
            rest = behind;
            Ok::<_, Malformed>(Kept::Here(bytes.to_vec()))
        })?;
        Ok(executed.here().expect("all of it was kept here"))
    }

    #[test]
    fn an_outcome_comes_through_whole() {
        for exit in [Exit::Code(-3), Exit::Trap, Exit::OutputLimit] {
            let sent = executed(exit, 7, b"out", &["a", "b/c"]);
            assert_eq!(through(&Ok(sent.clone()), 5), Ok(sent));
        }
    }

    #[test]
    fn what_the_task_cannot_have_done_is_refused() {
        let honest = || executed(Exit::Code(0), 7, b"out", &[]);
        assert_eq!(through(&Ok(honest()), 6), Err(Malformed), "another task's");
        assert_eq!(through(&Ok(executed(Exit::Code(0), 101, b"", &[])), 5), Err(Malformed), "more fuel than it had");
        assert_eq!(through(&Ok(executed(Exit::OutOfFuel, 99, b"", &[])), 5), Err(Malformed), "fuel was left");
        assert_eq!(through(&Ok(executed(Exit::Code(0), 1, &[0; 10], &[])), 5), Err(Malformed), "too much output");
        assert_eq!(through(&Ok(executed(Exit::Code(0), 1, b"", &["b", "a"])), 5), Err(Malformed), "no order");
        let mut dots = honest();
        dots.written.files.push(Collected { path: "../x".into(), bytes: Vec::new() });
        assert_eq!(through(&Ok(dots), 5), Err(Malformed), "no path");
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let why = "ä".repeat(REASON_BYTES_MAX);
        let mut outgoing = Outgoing::default();
        push_result(&mut outgoing, 1, &Err(Failure::Host(why)));
        let failure = decode_failed(Fields(&outgoing.0[HEADER_BYTES..]), 1).expect("a failure");
        assert!(matches!(failure, Failure::Host(why) if why.len() == REASON_BYTES_MAX));
        assert!(decode_failed(Fields(&outgoing.0[HEADER_BYTES..]), 2).is_err());
    }

    #[test]
    fn reasons_why_a_program_is_none_come_through() {
        let import = ProgramError::Import { module: "m".into(), name: "n".into() };
        for error in [ProgramError::NoStart, ProgramError::Tables, ProgramError::Invalid("x".into()), import] {
            let mut outgoing = Outgoing::default();
            outgoing.push(kind::UNFIT, &encode_unfit(&error), b"").expect("small");
            assert_eq!(decode_unfit(Fields(&outgoing.0[HEADER_BYTES..])), Ok(error));
        }
    }
}
