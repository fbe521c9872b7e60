//! Command lines of positive numbers, whole streams, and the way every program here ends.

use std::io::{self, Read, Write};
use std::process::ExitCode;

/// The end of a program whose arguments make no sense.
pub fn usage(text: &str) -> ExitCode {
    eprintln!("usage: {text}");
    ExitCode::from(2)
}

/// The end of a program that has done its work, or whose input makes no sense, or whose streams broke.
pub fn finish(result: Result<(), impl std::fmt::Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(1)
        }
    }
}

/// Writes all of it to standard output.
pub fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Reads all of standard input.
pub fn read_all() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The arguments as numbers: the first must be there, the others have defaults. `None` if there are too few, too many,
/// or one is not a number.
pub fn numbers<const N: usize>(args: &[String], defaults: [u32; N]) -> Option<(u32, [u32; N])> {
    let (first, rest) = args.split_first()?;
    if rest.len() > N {
        return None;
    }
    let mut values = defaults;
    for (value, text) in values.iter_mut().zip(rest) {
        *value = text.parse().ok()?;
    }
    Some((first.parse().ok()?, values))
}
