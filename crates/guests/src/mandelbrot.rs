//! Escape times of the Mandelbrot set: `size` × `size` pixels of the square from -2 - 1.25i to 0.5 + 1.25i.
//!
//! Arithmetic is plain IEEE 754 `f64` in a fixed order without fused operations, so every build gives the same bytes.
//! Pixels are iterated in groups, lane by lane the same operations as one by one: a compiler turns a group into SIMD.

/// Rounds after which a pixel counts as inside.
pub const ROUNDS: u16 = 1400;
/// Pixels iterated together: four 128-bit vectors, which hide each other's latency.
const LANES: usize = 8;
/// Rounds between two looks at whether all lanes have escaped. Divides [`ROUNDS`].
const STRIDE: u16 = 8;

/// Escape times of `count` rows from row `first` on, row-major.
pub fn rows(size: u32, first: u32, count: u32) -> Vec<u16> {
    let step = 2.5 / f64::from(size);
    let mut times = Vec::with_capacity(size as usize * count as usize);
    for row in first..first + count {
        let ci = -1.25 + step * f64::from(row);
        for x in (0..size).step_by(LANES) {
            let group = escape_times(std::array::from_fn(|lane| -2.0 + step * (f64::from(x) + lane as f64)), ci);
            let wanted = LANES.min((size - x) as usize);
            times.extend(group[..wanted].iter().map(|&time| time as u16));
        }
    }
    times
}

/// The number of rounds that each lane stays inside, as wide as the floats so that vectors need no conversion.
fn escape_times(cr: [f64; LANES], ci: f64) -> [u64; LANES] {
    let (mut zr, mut zi) = ([0.0; LANES], [0.0; LANES]);
    let (mut inside, mut times) = ([u64::MAX; LANES], [0u64; LANES]);
    for _ in 0..ROUNDS / STRIDE {
        for _ in 0..STRIDE {
            for lane in 0..LANES {
                let (rr, ii) = (zr[lane] * zr[lane], zi[lane] * zi[lane]);
                // Once out, always out: what an escaped lane goes on to compute means nothing.
                inside[lane] &= if rr + ii > 4.0 { 0 } else { u64::MAX };
                // Minus all ones is plus one.
                times[lane] = times[lane].wrapping_sub(inside[lane]);
                zi[lane] = (zr[lane] + zr[lane]) * zi[lane] + ci;
                zr[lane] = (rr - ii) + cr[lane];
            }
        }
        if inside == [0; LANES] {
            break;
        }
    }
    times
}
