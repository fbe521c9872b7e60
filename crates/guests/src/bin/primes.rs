//! `primes INDEX [BASE=20000000] [SPAN=140000] [--text]`: how many primes there are in SPAN numbers from
//! BASE + INDEX × SPAN on, as four little-endian bytes on standard output, or as text.

use pocketmesh_guests::{arguments, primes};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let text = args.pop_if(|last| last == "--text").is_some();
    let range = arguments::numbers(&args, [20_000_000, 140_000]).and_then(|(index, [base, span])| {
        let low = base.checked_add(index.checked_mul(span)?)?;
        Some((low, low.checked_add(span)?))
    });
    let Some((low, high)) = range else {
        return arguments::usage("primes INDEX [BASE=20000000] [SPAN=140000] [--text], the range below 2^32");
    };
    let count = primes::count(low, high);
    let bytes = if text { format!("{count}\n").into_bytes() } else { count.to_le_bytes().to_vec() };
    arguments::finish(arguments::print(&bytes))
}
