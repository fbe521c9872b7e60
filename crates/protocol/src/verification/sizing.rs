//! How many audits a window needs. specs/verification.md §4.
//!
//! A worker's window holds n results, c of them wrong. After delivery k of them are drawn and executed once more: by the
//! requester, or on late seats, which belong to the saboteurs with the same chance f as every other seat and then hide
//! the cheat. With
//!
//! ```text
//! h(c)  = chance that no audit exposes the window
//!       = C(n−c, k) / C(n, k)                        own audits
//!       = Σᵢ Hypergeom(i; n, c, k) · fⁱ              late seats
//! error = max_c  f·h·(c/n) / (1 − f + f·h)           a voided window is seated again, in the same pool
//! ```
//!
//! the number of audits is the smallest k whose error is at most the target, whatever c the saboteurs choose.
//!
//! Every machine must come to the same k: logarithms and exponentials are those of `libm`, which is Rust alone, and the
//! rest is IEEE arithmetic. Nothing is tabulated. Measured: 0.2 ms for a window of 10,000, 0.6 ms for one of 10,000,000.
//! A longer one than a job can fill is taken for that, as differences of large logarithms lose their digits.

use core::cmp::Ordering;
use pocketmesh_types::limits;

/// Parts per billion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ppb(pub u32);

/// Parts per million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ppm(pub u32);

impl Ppb {
    fn share(self) -> f64 {
        f64::from(self.0) / 1e9
    }
}

impl Ppm {
    /// As a share of one; all but a millionth at most, so that something is accepted at all.
    fn share(self) -> f64 {
        f64::from(self.0.min(999_999)) / 1e6
    }
}

/// What audits are to achieve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The most of the accepted results that may be wrong.
    pub error: Ppb,
    /// The share of the seats that saboteurs hold.
    pub saboteurs: Ppm,
}

/// Who executes once more what was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The requester: what it finds is so.
    Own,
    /// Other workers, who belong to the saboteurs as often as any.
    Seats,
}

/// The smallest number of audits with which a window of n results keeps the target; none if even n do not.
pub fn audits(n: u32, target: Target, by: By) -> Option<u32> {
    if !reachable(n, target, by) {
        return None;
    }
    let keeps = |k| error(n, k, target.saboteurs, by) <= target.error.share();
    let n = n.min(limits::TASKS_PER_JOB_MAX);
    // The error falls with k: a smaller draw is a part of a larger one. So the first k that keeps the target is between
    // the last power of two that does not and the first that does, or n, which does.
    let mut high = 1.min(n);
    while !keeps(high) {
        high = high.saturating_mul(2).min(n);
    }
    let mut low = high / 2;
    while low < high {
        let middle = low + (high - low) / 2;
        (low, high) = if keeps(middle) { (low, middle) } else { (middle + 1, high) };
    }
    Some(low)
}

/// Whether auditing every result of a window of n keeps the target.
pub fn reachable(n: u32, target: Target, by: By) -> bool {
    error(n, n, target.saboteurs, by) <= target.error.share()
}

/// The share of accepted results that is wrong at worst, with k audits in windows of n results.
pub fn error(n: u32, k: u32, saboteurs: Ppm, by: By) -> f64 {
    worst_cheat(n, k, saboteurs, by).1
}

/// How many wrong results in a window of n serve the saboteurs best, and the share of accepted results that is wrong then.
pub fn worst_cheat(n: u32, k: u32, saboteurs: Ppm, by: By) -> (u32, f64) {
    let n = n.min(limits::TASKS_PER_JOB_MAX);
    Worst { n, k: k.min(n), f: saboteurs.share(), by, seats: 1 }.find(n)
}

/// The share of accepted results that is wrong at worst where every task has `replicas` agreeing seats, the saboteurs
/// know all of their seats and cheat only where every one of a task is theirs, and each worker has windows of n results
/// with k audits.
///
/// Of a saboteur's results, a share of f^(r−1) is of such tasks. A wrong one is accepted if all r windows that it is in
/// pass, a right one if its seats are honest or their windows pass:
///
/// ```text
/// error = max_{c ≤ n·f^(r−1)}  f·(c/n)·hʳ / (1 − f + f·h)ʳ   ≤ fʳ
/// ```
///
/// This is `f·x(1−x)^(rk)` of the literature with draws without replacement, auditors that lie, and voided results
/// seated again. For one seat it is [`error`].
pub fn replicas_bound(replicas: u8, n: u32, k: u32, saboteurs: Ppm, by: By) -> f64 {
    let (n, f) = (n.min(limits::TASKS_PER_JOB_MAX), saboteurs.share());
    let others = libm::pow(f, f64::from(replicas.max(1) - 1));
    // Windows are not all alike: the count is rounded up, and what is promised never above the vote alone.
    let most = libm::ceil(f64::from(n) * others) as u32;
    let worst = Worst { n, k: k.min(n), f, by, seats: replicas.max(1) };
    worst.find(most.clamp(1.min(n), n)).1.min(f * others)
}

/// A search for the number of wrong results that serves the saboteurs best.
struct Worst {
    n: u32,
    k: u32,
    f: f64,
    by: By,
    seats: u8,
}

impl Worst {
    /// The best count up to `most`, and the error that it gives.
    ///
    /// ln h is concave in c, its image under x ↦ x − ln(1 − f + f·eˣ), which is concave and rises, too, and so the
    /// logarithm of the error, which adds ln c: it rises, then falls. (For own audits h is a product of falling factors.
    /// For late seats it was compared with a search through every c: the test `no_other_count_is_worse`.)
    fn find(&self, most: u32) -> (u32, f64) {
        if most == 0 || self.f == 0.0 {
            return (0, 0.0);
        }
        let rises = |c: u32| c < most && self.ln_error(c + 1) > self.ln_error(c);
        let mut high = 1;
        while rises(high) {
            high = high.saturating_mul(2).min(most);
        }
        let mut low = 1;
        while low < high {
            let middle = low + (high - low) / 2;
            (low, high) = if rises(middle) { (middle + 1, high) } else { (low, middle) };
        }
        (low, libm::exp(self.ln_error(low)))
    }

    /// The logarithm of the error with c wrong results in a window.
    fn ln_error(&self, c: u32) -> f64 {
        let ln_h = self.ln_unexposed(c);
        let accepted = libm::log(1.0 - self.f + self.f * libm::exp(ln_h));
        let share = libm::log(self.f * f64::from(c) / f64::from(self.n));
        share + f64::from(self.seats) * (ln_h - accepted)
    }

    /// The logarithm of the chance that no audit exposes a window with c wrong results.
    fn ln_unexposed(&self, c: u32) -> f64 {
        let Self { n, k, f, by, .. } = *self;
        // The fewest wrong results that the draw can have.
        let least = (u64::from(c) + u64::from(k)).saturating_sub(u64::from(n)) as u32;
        if by == By::Own && least > 0 {
            return f64::NEG_INFINITY;
        }
        let ln_all = ln_choose(n, k);
        let first = ln_choose(c, least) + ln_choose(n - c, k - least) - ln_all;
        if by == By::Own {
            return first;
        }
        first + f64::from(least) * libm::log(f) + self.ln_sum_from(c, least)
    }

    /// The logarithm of Σᵢ Hypergeom(i)·fⁱ, divided by its first term: every term follows from the one before.
    fn ln_sum_from(&self, c: u32, least: u32) -> f64 {
        let (mut term, mut sum, mut ln_scale) = (1.0, 1.0, 0.0);
        let terms = (least..c.min(self.k)).map(f64::from);
        let [n, k, c] = [self.n, self.k, c].map(f64::from);
        for i in terms {
            let ratio = self.f * (c - i) * (k - i) / ((i + 1.0) * (n - c - k + i + 1.0));
            term *= ratio;
            sum += term;
            // The ratios fall: from here on, all that is left is below the last digit of the sum.
            if ratio < 0.5 && term < sum * 1e-17 {
                break;
            }
            if sum > 1e200 {
                (term, sum, ln_scale) = (term / sum, 1.0, ln_scale + libm::log(sum));
            }
        }
        ln_scale + libm::log(sum)
    }
}

fn ln_choose(n: u32, k: u32) -> f64 {
    let ln_factorial = |m: u32| libm::lgamma(f64::from(m) + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// The share of a saboteur's windows that are voided when it cheats as often as serves it best, 1 − 1/e: from the share
/// of voided windows one can tell the share of saboteurs.
const VOIDED_BY_SABOTEURS: Ppm = Ppm(630_000);

/// The share of saboteurs to reckon with: what is assumed, or more if the windows seen so far contradict it.
///
/// The assumption is contradicted when `voided` or more of `ended` windows would be seen with a chance below 5 % if it held.
/// Then the share is taken so large that so few would be seen with a chance of 5 %. (These are the ends of the one-sided
/// 95 % intervals of Clopper and Pearson, divided by 0.63.) A few windows contradict nothing, and hidden cheats do not
/// show: what is seen never lowers the assumption.
pub fn observed(assumed: Ppm, voided: u64, ended: u64) -> Ppm {
    let voided = voided.min(ended);
    let chance = |saboteurs: u32, side| {
        let voids = Ppm(saboteurs).share() * VOIDED_BY_SABOTEURS.share();
        binomial_tail(voided, ended, voids, side)
    };
    if voided == 0 || chance(assumed.0, Ordering::Greater) >= 0.05 {
        return assumed;
    }
    let (mut low, mut high) = (assumed.0, 1_000_000.max(assumed.0));
    while low < high {
        let middle = low + (high - low) / 2;
        (low, high) = if chance(middle, Ordering::Less) > 0.05 { (middle + 1, high) } else { (low, middle) };
    }
    Ppm(low)
}

/// The chance of `count` or more (greater), or of `count` or fewer (less), among n with chance p each; 1 where it is at
/// least a half, as the median is a neighbour of the mean.
fn binomial_tail(count: u64, n: u64, p: f64, side: Ordering) -> f64 {
    let [x, n] = [count, n].map(|number| number as f64);
    if x.partial_cmp(&(n * p)) != Some(side) {
        return 1.0;
    }
    let ln_first = libm::lgamma(n + 1.0) - libm::lgamma(x + 1.0) - libm::lgamma(n - x + 1.0);
    let mut term = libm::exp(ln_first + x * libm::log(p) + (n - x) * libm::log1p(-p));
    let (mut sum, mut at, odds) = (term, x, p / (1.0 - p));
    // Away from the mean every term is smaller than the one before.
    while term > sum * 1e-17 && (0.0..=n).contains(&at) {
        term *= if side == Ordering::Less { at / (n - at + 1.0) / odds } else { (n - at) / (at + 1.0) * odds };
        sum += term;
        at += if side == Ordering::Less { -1.0 } else { 1.0 };
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const SABOTEURS: [u32; 5] = [10_000, 50_000, 100_000, 200_000, 300_000];

    fn target(error: u32, saboteurs: u32) -> Target {
        Target { error: Ppb(error), saboteurs: Ppm(saboteurs) }
    }

    /// What a whole search through the formula found: n, error in ppb, audits by share of saboteurs.
    type Table = [(u32, u32, [Option<u32>; 5]); 9];

    const OWN: Table = [
        (100, 10_000_000, [Some(0), Some(2), Some(4), Some(8), Some(13)]),
        (100, 1_000_000, [Some(4), Some(17), Some(32), Some(56), Some(75)]),
        (100, 100_000, [Some(31), Some(81), Some(91), Some(96), Some(98)]),
        (1_000, 10_000_000, [Some(0), Some(2), Some(4), Some(8), Some(14)]),
        (1_000, 1_000_000, [Some(4), Some(19), Some(39), Some(81), Some(128)]),
        (1_000, 100_000, [Some(36), Some(173), Some(323), Some(556), Some(741)]),
        (10_000, 10_000_000, [Some(0), Some(2), Some(4), Some(8), Some(14)]),
        (10_000, 1_000_000, [Some(4), Some(19), Some(39), Some(84), Some(136)]),
        (10_000, 100_000, [Some(37), Some(188), Some(385), Some(810), Some(1_283)]),
    ];

    const SEATS: Table = [
        (100, 10_000_000, [Some(0), Some(2), Some(4), Some(10), Some(18)]),
        (100, 1_000_000, [Some(4), Some(18), Some(36), Some(70), None]),
        (100, 100_000, [Some(31), Some(86), None, None, None]),
        (1_000, 10_000_000, [Some(0), Some(2), Some(4), Some(10), Some(19)]),
        (1_000, 1_000_000, [Some(4), Some(20), Some(43), Some(101), Some(183)]),
        (1_000, 100_000, [Some(37), Some(182), Some(359), Some(695), None]),
        (10_000, 10_000_000, [Some(0), Some(2), Some(4), Some(11), Some(20)]),
        (10_000, 1_000_000, [Some(4), Some(20), Some(44), Some(105), Some(195)]),
        (10_000, 100_000, [Some(37), Some(198), Some(428), Some(1_013), Some(1_833)]),
    ];

    #[test]
    fn audits_are_as_many_as_in_the_tables() {
        for (by, table) in [(By::Own, OWN), (By::Seats, SEATS)] {
            for (n, error, row) in table {
                let found = SABOTEURS.map(|saboteurs| audits(n, target(error, saboteurs), by));
                assert_eq!(found, row, "{by:?} n={n} error={error}");
            }
        }
    }

    #[test]
    fn one_audit_fewer_would_not_keep_the_target() {
        for by in [By::Own, By::Seats] {
            for (n, ppb, ppm) in [(50, 3_000_000, 70_000), (700, 900_000, 330_000), (123_456, 10_000, 490_000)] {
                let target = target(ppb, ppm);
                let k = audits(n, target, by).expect("within reach");
                assert!(k > 0 && error(n, k, target.saboteurs, by) <= target.error.share());
                assert!(error(n, k - 1, target.saboteurs, by) > target.error.share(), "{by:?} {n} {k}");
            }
        }
    }

    #[test]
    fn audits_grow_with_saboteurs_and_with_what_is_asked() {
        let endless = |k: Option<u32>| k.unwrap_or(u32::MAX);
        for by in [By::Own, By::Seats] {
            for n in [1, 2, 7, 100, 3_000] {
                for error in [50_000_000, 10_000_000, 1_000_000, 100_000, 1_000, 1] {
                    let by_saboteurs = (0..50).map(|f| endless(audits(n, target(error, f * 10_000), by)));
                    assert!(by_saboteurs.is_sorted(), "{by:?} {n} {error}");
                }
                for saboteurs in SABOTEURS {
                    let by_error = (0..9).map(|e| endless(audits(n, target(10_u32.pow(8 - e), saboteurs), by)));
                    assert!(by_error.is_sorted(), "{by:?} {n} {saboteurs}");
                }
            }
        }
    }

    #[test]
    fn the_longest_windows_need_what_endless_ones_do() {
        // The least k with max_x f·x·h/(1 − f + f·h) ≤ ε, where h = (1 − x)^k, or (1 − x(1 − f))^k for late seats.
        for (by, endless) in [(By::Own, [8, 84, 845]), (By::Seats, [11, 106, 1_056])] {
            for n in [limits::TASKS_PER_JOB_MAX, u32::MAX] {
                let found = [10_000_000, 1_000_000, 100_000].map(|error| audits(n, target(error, 200_000), by));
                assert_eq!(found, endless.map(Some));
            }
        }
    }

    #[test]
    fn no_other_count_is_worse() {
        for by in [By::Own, By::Seats] {
            for f in [0.001, 0.05, 0.3, 0.49, 0.9] {
                for n in [1, 2, 3, 10, 41, 130] {
                    for k in 0..=n {
                        let worst = Worst { n, k, f, by, seats: 1 };
                        let all = (1..=n).map(|c| libm::exp(worst.ln_error(c))).fold(0.0, f64::max);
                        let found = worst.find(n).1;
                        assert!((found - all).abs() <= all * 1e-9, "{by:?} f={f} n={n} k={k}: {found} {all}");
                    }
                }
            }
        }
    }

    #[test]
    fn chances_are_those_of_counting() {
        // Two wrong among four, two drawn: C(2,i)·C(2,2−i)/6 = 1/6, 4/6, 1/6.
        let of = |by, f| libm::exp(Worst { n: 4, k: 2, f, by, seats: 1 }.ln_unexposed(2));
        assert!((of(By::Own, 0.5) - 1.0 / 6.0).abs() < 1e-12);
        assert!((of(By::Seats, 0.5) - (1.0 + 4.0 * 0.5 + 0.25) / 6.0).abs() < 1e-12);
        // Three wrong among four, two drawn: at least one is.
        let three = libm::exp(Worst { n: 4, k: 2, f: 0.5, by: By::Seats, seats: 1 }.ln_unexposed(3));
        assert!((three - (0.5 * 0.5 + 0.5 * 0.25)).abs() < 1e-12);
        // Half of a million wrong, ten thousand drawn: nearly (1 − (1 − f)/2)^k, and e^6400 times the first term.
        let many = Worst { n: 1_000_000, k: 10_000, f: 0.9, by: By::Seats, seats: 1 }.ln_unexposed(500_000);
        assert!((many - 10_000.0 * libm::log(0.95)).abs() < 0.2, "{many}");
    }

    #[test]
    fn without_audits_every_saboteur_is_believed() {
        assert!((error(1_000, 0, Ppm(200_000), By::Seats) - 0.2).abs() < 1e-12);
        assert_eq!(error(1_000, 0, Ppm(0), By::Own), 0.0);
        assert_eq!(error(1_000, 1_000, Ppm(900_000), By::Own), 0.0);
        assert_eq!(audits(0, target(1, 490_000), By::Seats), Some(0));
        assert!(!reachable(100, target(1, 490_000), By::Seats) && reachable(100, target(1, 490_000), By::Own));
    }

    #[test]
    fn agreeing_seats_add_little_against_a_clique() {
        let of = |replicas, k| replicas_bound(replicas, 1_000, k, Ppm(200_000), By::Own);
        assert!((of(1, 81) - error(1_000, 81, Ppm(200_000), By::Own)).abs() < 1e-15);
        assert!((of(2, 0) - 0.04).abs() < 1e-12 && (of(3, 0) - 0.008).abs() < 1e-12);
        // One wrong result among ten is more than a share of 0.04: what counts is the vote.
        assert!((replicas_bound(3, 10, 0, Ppm(200_000), By::Own) - 0.008).abs() < 1e-12);
        assert!(of(2, 40) < of(2, 20) && of(2, 20) < of(2, 0));
        // A clique has all seats of 40 tasks in 990, and would cheat in more if it had more.
        let h: f64 = (0..5).map(|drawn| f64::from(950 - drawn) / f64::from(990 - drawn)).product();
        let in_all_of_them = 0.2 * 40.0 / 990.0 * libm::pow(h / (0.8 + 0.2 * h), 3.0);
        let found = replicas_bound(3, 990, 5, Ppm(200_000), By::Own);
        assert!((found - in_all_of_them).abs() < 1e-12, "{found} {in_all_of_them}");
        // f·x(1−x)^(rk) is its limit for long windows, but for the voided results that are seated again.
        let (rk, f) = (2.0 * 100.0, 0.2);
        let limit = f / (rk + 1.0) * libm::pow(rk / (rk + 1.0), rk);
        let found = replicas_bound(2, 1_000_000, 100, Ppm(200_000), By::Own);
        assert!(limit < found && found < limit / (0.8 * 0.8), "{limit} {found}");
    }

    #[test]
    fn tails_are_those_of_counting() {
        // Of four with chance ¼: C(4,i)·3^(4−i)/256 = 81, 108, 54, 12, 1 of 256; and of four with chance ¾ the same, turned round.
        for (count, of_256) in [(2, 67.0), (3, 13.0), (4, 1.0)] {
            let more = binomial_tail(count, 4, 0.25, Ordering::Greater);
            let fewer = binomial_tail(4 - count, 4, 0.75, Ordering::Less);
            assert!((more - of_256 / 256.0).abs() < 1e-12 && (fewer - of_256 / 256.0).abs() < 1e-12, "{more} {fewer}");
        }
        assert_eq!(binomial_tail(1, 4, 0.25, Ordering::Greater), 1.0, "as many as are expected");
    }

    #[test]
    fn what_is_seen_only_ever_raises_the_share_and_only_if_it_contradicts_it() {
        let of = |voided, ended| observed(Ppm(200_000), voided, ended).0;
        assert_eq!([of(0, 0), of(0, 10), of(0, 1 << 40), of(1, 1), of(1, 5), of(10, 100)], [200_000; 6]);
        // The upper end of 95 % for 30 of 100 is 0.3842206, and this divided by 0.63 is 0.609874.
        assert!((609_873..609_876).contains(&of(30, 100)), "{}", of(30, 100));
        assert!(of(300, 1_000) < of(30, 100) && of(40, 100) > of(30, 100));
        assert!((300_000 / 63 * 100..480_000).contains(&of(300_000_000, 1_000_000_000)));
        assert_eq!([of(100, 100), of(7, 3)], [1_000_000; 2]);
        assert!(observed(Ppm(0), 1, 1_000).0 > 0);
    }
}
