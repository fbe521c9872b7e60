//! Children that lie. All but the plainest pass an honest executor's words on, up to the one that they change.
//!
//! They know frames by their layout in `specs/execution.md` and share no code with what they deceive.

use std::io::{self, Read, Write};
use std::process::{ChildStdin, Command, ExitCode, Stdio};

const HEADER: usize = 9;
const READY: u8 = 129;
const COMPILED: u8 = 130;
const HELD: u8 = 132;
const DONE: u8 = 134;

pub fn main(mut args: impl Iterator<Item = String>) -> ExitCode {
    let mode = args.next().unwrap_or_default();
    let done = match mode.as_str() {
        "mute" => last_words(),
        "babble" => last_words().and_then(|()| io::stdout().write_all(&[b'x'; 4096])),
        _ => relay(&mode, args.next()),
    };
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn last_words() -> io::Result<()> {
    io::stderr().write_all(b"last words of a fake")
}

fn read_frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; HEADER];
    from.read_exact(&mut frame)?;
    let len = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().expect("four bytes")) as usize;
    let len = len(1) + len(5);
    let mut rest = vec![0; len];
    from.read_exact(&mut rest)?;
    frame.extend(rest);
    Ok(frame)
}

fn relay(mode: &str, notes: Option<String>) -> io::Result<()> {
    let mut start = read_frame(&mut io::stdin().lock())?;
    if let Some(notes) = notes {
        let mut notes = std::fs::OpenOptions::new().append(true).create(true).open(notes)?;
        notes.write_all(if start[HEADER] == 0 { b"R" } else { b"C" })?;
    }
    // The executor asks whose child it is.
    start[HEADER + 3..HEADER + 7].copy_from_slice(&std::process::id().to_le_bytes());
    let mut executor = Command::new(std::env::current_exe()?);
    let mut executor = executor.arg("executor").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (mut to, mut from) = (executor.stdin.take().expect("a pipe"), executor.stdout.take().expect("a pipe"));
    to.write_all(&start)?;
    std::thread::spawn(move || pass_on(&mut to));
    loop {
        let frame = read_frame(&mut from)?;
        match frame[0] {
            READY | COMPILED | HELD => io::stdout().write_all(&frame)?,
            _ => lie(mode, frame)?,
        }
        io::stdout().flush()?;
    }
}

fn pass_on(to: &mut ChildStdin) -> io::Result<()> {
    loop {
        let frame = read_frame(&mut io::stdin().lock())?;
        to.write_all(&frame)?;
    }
}

/// Says something else than the task's end.
fn lie(mode: &str, mut frame: Vec<u8>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match mode {
        "garbage" => frame.iter_mut().for_each(|byte| *byte ^= 0x5a),
        "huge" => frame[5..HEADER].copy_from_slice(&u32::MAX.to_le_bytes()),
        "other-task" => frame[HEADER] ^= 1,
        // The fuel stands after the task's number, the kind of end and the exit code.
        "more-fuel" => frame[HEADER + 8 + 1 + 4 + 7] = 0xff,
        "other-kind" => frame[0] = if frame[0] == DONE { HELD } else { DONE },
        "half" => {
            out.write_all(&frame[..frame.len() / 2])?;
            return Err(io::ErrorKind::Other.into());
        }
        _ => {}
    }
    out.write_all(&frame)
}
