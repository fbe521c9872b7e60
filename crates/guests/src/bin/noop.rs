//! `noop`: reads 64 bytes and writes 32, the first half XOR the second. What a task costs that does nothing.

use pocketmesh_guests::arguments;
use std::io::{self, Read};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        return arguments::usage("noop < 64-BYTES");
    }
    arguments::finish(run())
}

fn run() -> io::Result<()> {
    let mut input = [0; 64];
    io::stdin().read_exact(&mut input)?;
    let (first, second) = input.split_at(32);
    let output: Vec<u8> = first.iter().zip(second).map(|(a, b)| a ^ b).collect();
    arguments::print(&output)
}
