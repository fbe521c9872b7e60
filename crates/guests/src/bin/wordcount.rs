//! `wordcount`: counts the words on standard input and lists them as `sort | uniq -c` would.

use pocketmesh_guests::{arguments, words};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        return arguments::usage("wordcount < TEXT");
    }
    let counted = arguments::read_all().map(|text| words::list(&words::count(&text)));
    arguments::finish(counted.and_then(|listing| arguments::print(&listing)))
}
