//! Counting primes by trial division: slow on purpose, and even in its cost.

/// How many primes p there are with `low <= p < high`: every odd number is divided by 3, 5, 7, … up to its root.
pub fn count(low: u32, high: u32) -> u32 {
    (low..high).map(|n| u32::from(is_prime(n))).sum()
}

fn is_prime(n: u32) -> bool {
    if n < 2 || n.is_multiple_of(2) {
        return n == 2;
    }
    let root = n.isqrt();
    let mut divisor = 3;
    while divisor <= root {
        if n.is_multiple_of(divisor) {
            return false;
        }
        divisor += 2;
    }
    true
}
