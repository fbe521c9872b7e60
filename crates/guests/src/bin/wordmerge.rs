//! `wordmerge`: adds up the listings of `wordcount` on standard input and lists the sums in the same form.

use pocketmesh_guests::{arguments, words};
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        return arguments::usage("wordmerge < LISTINGS");
    }
    arguments::finish(merge())
}

fn merge() -> Result<(), Box<dyn Error>> {
    let counts = words::merge(&arguments::read_all()?)?;
    Ok(arguments::print(&words::list(&counts))?)
}
