//! `mandelbrot INDEX [SIZE=3200] [ROWS=16]`: rows from INDEX × ROWS on of a SIZE × SIZE picture of the Mandelbrot set,
//! as escape times: 16-bit little-endian, row-major, on standard output.

use pocketmesh_guests::{arguments, mandelbrot};
use std::process::ExitCode;

/// Larger pictures than this are a slip of the finger.
const SIZE_MAX: u32 = 1 << 20;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let tile = arguments::numbers(&args, [3200, 16]).and_then(|(index, [size, rows])| {
        let first = index.checked_mul(rows)?;
        (size > 0 && size <= SIZE_MAX && rows > 0 && first.checked_add(rows)? <= size).then_some((size, first, rows))
    });
    let Some((size, first, rows)) = tile else {
        return arguments::usage("mandelbrot INDEX [SIZE=3200] [ROWS=16], with (INDEX + 1) * ROWS at most SIZE");
    };
    let times = mandelbrot::rows(size, first, rows);
    let bytes: Vec<u8> = times.into_iter().flat_map(u16::to_le_bytes).collect();
    arguments::finish(arguments::print(&bytes))
}
