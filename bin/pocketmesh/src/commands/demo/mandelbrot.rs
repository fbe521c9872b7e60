//! The picture computed here, one pixel after the other: what the mesh's is compared with. The arithmetic is the guest's,
//! written again from its description, so that a fault in one would not be in the other.

/// Pixels in a row, and rows.
pub const SIZE: u32 = 1024;
/// Rows in a tile.
pub const ROWS: u32 = 4;
/// Tiles.
pub const TASKS: u32 = SIZE / ROWS;
/// Rounds after which a pixel counts as inside.
pub const ROUNDS: u16 = 1400;

/// Escape times of all pixels, row-major.
pub fn escape_times() -> Vec<u16> {
    let step = 2.5 / f64::from(SIZE);
    let pixel = |row: u32, x: u32| escape_time(-2.0 + step * f64::from(x), -1.25 + step * f64::from(row));
    (0..SIZE).flat_map(|row| (0..SIZE).map(move |x| pixel(row, x))).collect()
}

/// Rounds of z² + c until |z| > 2: plain `f64`, nothing fused, in exactly this order.
fn escape_time(cr: f64, ci: f64) -> u16 {
    let (mut zr, mut zi) = (0.0, 0.0);
    for round in 0..ROUNDS {
        let (rr, ii) = (zr * zr, zi * zi);
        if rr + ii > 4.0 {
            return round;
        }
        zi = (zr + zr) * zi + ci;
        zr = (rr - ii) + cr;
    }
    ROUNDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_inside_never_escape_and_points_far_off_do_at_once() {
        assert_eq!(escape_time(0.0, 0.0), ROUNDS);
        assert_eq!(escape_time(-1.0, 0.0), ROUNDS);
        assert_eq!(escape_time(2.0, 2.0), 1);
    }
}
