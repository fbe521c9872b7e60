//! The native side of what the examples compare: the works of the guests `primes` and `mandelbrot`, one task a call.

/// Trial division, as anybody would write it; wrapping, because the build's overflow checks are not part of it.
pub fn primes(task: u32) -> u64 {
    let low = 20_000_000 + task * 140_000;
    let is_prime = |n: u32| {
        if n.is_multiple_of(2) {
            return false;
        }
        let mut divisor = 3u32;
        while divisor.wrapping_mul(divisor) <= n {
            if n.is_multiple_of(divisor) {
                return false;
            }
            divisor = divisor.wrapping_add(2);
        }
        true
    };
    (low..low + 140_000).map(|n| u64::from(is_prime(n))).sum()
}

/// Escape times pixel by pixel, as anybody would write it; their sum.
pub fn mandelbrot(task: u32) -> u64 {
    let step = 2.5 / 3200.0;
    let mut sum = 0;
    for row in task * 16..task * 16 + 16 {
        let ci = -1.25 + step * f64::from(row);
        for x in 0..3200 {
            let cr = -2.0 + step * f64::from(x);
            let (mut zr, mut zi, mut rounds) = (0.0f64, 0.0f64, 0u16);
            while rounds < 1400 {
                let (rr, ii) = (zr * zr, zi * zi);
                if rr + ii > 4.0 {
                    break;
                }
                zi = (zr + zr) * zi + ci;
                zr = (rr - ii) + cr;
                rounds += 1;
            }
            sum += u64::from(rounds);
        }
    }
    sum
}
