//! Amounts as people write and read them: durations, fuel, ranges, ages.

use pocketmesh_types::limits::{ERROR_PPB_MAX, SABOTEURS_PPM_MAX};
use pocketmesh_types::{Credits, UnixTime};
use std::ops::Range;
use std::time::Duration;

/// Reads `90s`, `10m`, `2h`, `500ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    millis.map(Duration::from_millis).ok_or_else(|| "write a whole number with its unit: 500ms, 90s, 10m, 2h".into())
}

/// Reads units of fuel: a whole number, or one of thousands (k), millions (M), billions (G) or trillions (T).
pub fn fuel(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" => Some(1),
        "k" => Some(1_000),
        "M" => Some(1_000_000),
        "G" => Some(1_000_000_000),
        "T" => Some(1_000_000_000_000),
        _ => None,
    };
    let units = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    units.ok_or_else(|| "write a whole number of units, or one with k, M, G or T: 5000000, 200M, 50G".into())
}

/// Reads `A..B`: from A up to, not including, B. An empty one is told apart from one that is no range.
pub fn range(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let (start, end): (u64, u64) = ends.ok_or("write two whole numbers, as in 0..256: the second is not included")?;
    if start >= end {
        return Err(format!(
            "the range {start}..{end} is empty: it runs from the first up to, not including, the second"
        ));
    }
    Ok(start..end)
}

/// `--fan-in`: a number from 2 on; `all` is 0.
pub fn fan_in(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count) if count >= 2 => Ok(count),
        _ if text == "all" => Ok(0),
        _ => Err("give a number from 2 on, or `all`".into()),
    }
}

/// Reads a confidence below 1, as in `0.999` or `99.9%`; what is left to 1, in parts per billion.
pub fn confidence(text: &str) -> Result<u32, String> {
    const ONE: u64 = 1_000_000_000;
    let share = share(text, 9).ok_or("write a share below 1 with at most nine decimals, as in 0.999 or 99.9%")?;
    match u32::try_from(ONE.saturating_sub(share)) {
        Ok(0) => {
            Err("nothing short of running all of it here gives a confidence of 1: use `exec`, or one below 1".into())
        }
        Ok(error) if error <= ERROR_PPB_MAX => Ok(error),
        _ => Err(format!("it must be at least {}", 1.0 - f64::from(ERROR_PPB_MAX) / 1e9)),
    }
}

/// Reads a share of saboteurs, as in `20%` or `0.2`, in parts per million.
pub fn saboteurs(text: &str) -> Result<u32, String> {
    let share = share(text, 6).ok_or("write a share with at most six decimals, as in 20% or 0.2")?;
    let most = SABOTEURS_PPM_MAX / 10_000;
    let share = u32::try_from(share).ok().filter(|&share| share <= SABOTEURS_PPM_MAX);
    share.ok_or_else(|| format!("it may be at most {most}%: nothing holds against a majority"))
}

/// Reads a share of one, or a percentage, exactly: so many decimal places of it, as a whole number.
fn share(text: &str, places: usize) -> Option<u64> {
    let (number, places) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), places - 2),
        None => (text, places),
    };
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    let is_number = !whole.is_empty() && whole.len() < 9 && rest.len() <= places;
    let digits = format!("{whole}{rest:0<places$}");
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok()).flatten().filter(|_| is_number)
}

/// A share as people write it: `20 %`, `0.1 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 || percent == 0.0 { format!("{percent:.0} %") } else { format!("{percent:.2} %") }
}

/// An amount in nano-credits, the unit of prices, rounded down.
pub fn nano(amount: Credits) -> String {
    format!("{}.{:03}", amount.0 / 1_000_000_000, amount.0 / 1_000_000 % 1_000)
}

/// How many of something.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

const ATTO_PER_NANO: u128 = 1_000_000_000;

/// Reads an amount in nano-credits with at most nine decimals, which is as many as there are.
pub fn amount(text: &str) -> Result<Credits, String> {
    let error = || "write nano-credits with at most nine decimals, as in 250 or 0.5".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !are_digits(whole) || !are_digits(part) || text.ends_with('.') {
        return Err(error());
    }
    let part: u128 = format!("{part:0<9}").parse().map_err(|_| error())?;
    let whole = whole.parse::<u128>().ok().and_then(|whole| whole.checked_mul(ATTO_PER_NANO));
    whole.and_then(|whole| whole.checked_add(part)).map(Credits).ok_or_else(error)
}

/// Nano-credits with all their decimals.
pub fn nano_exact(amount: Credits) -> String {
    format!("{}.{:09}", amount.0 / ATTO_PER_NANO, amount.0 % ATTO_PER_NANO)
}

/// The first less the second, with its sign; nothing where they are the same.
pub fn signed(plus: Credits, minus: Credits) -> String {
    difference(plus, minus, nano).unwrap_or_default()
}

/// The same with all decimals, as programs read it.
pub fn signed_exact(plus: Credits, minus: Credits) -> String {
    difference(plus, minus, nano_exact).map_or("0".into(), |text| text.trim_start_matches('+').to_owned())
}

fn difference(plus: Credits, minus: Credits, show: impl Fn(Credits) -> String) -> Option<String> {
    match (plus.checked_sub(minus), minus.checked_sub(plus)) {
        (Some(Credits(0)), _) => None,
        (Some(more), _) => Some(format!("+{}", show(more))),
        (None, less) => Some(format!("-{}", show(less.unwrap_or_default()))),
    }
}

/// Bytes in MiB.
pub fn mebibytes(bytes: u128) -> String {
    let tenths = bytes / (1 << 20) * 10 + bytes % (1 << 20) * 10 / (1 << 20);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Fuel in billions.
pub fn gigafuel(fuel: u128) -> String {
    format!("{}.{:03}", fuel / 1_000_000_000, fuel % 1_000_000_000 / 1_000_000)
}

/// A moment as spreadsheets read it: `2026-11-25 01:22:33`, in UTC.
pub fn utc(time: UnixTime) -> String {
    let seconds = time.0 / 1000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// The date of a day since 1970, in the Gregorian calendar: years are counted from 1 March, so that a leap day ends one, and 719,468 days
/// lie between 1 March of the year 0 and 1970. Source: Hinnant, "chrono-compatible low-level date algorithms".
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Milliseconds, with as many places as matter.
pub fn millis(millis: f64) -> String {
    match millis {
        ..10.0 => format!("{millis:.2} ms"),
        10.0..1000.0 => format!("{millis:.0} ms"),
        _ => span(Duration::from_secs_f64(millis / 1e3)),
    }
}

/// A span of time, in the two largest units that matter.
pub fn span(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        seconds @ 1..10 => format!("{seconds}.{} s", span.subsec_millis() / 100),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds @ 3_600..172_800 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for bad in ["", "90", "s", "-1s", "1.5h", "1 d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fuel_may_be_counted_in_billions() {
        assert_eq!(fuel("50G"), Ok(50_000_000_000));
        assert_eq!(fuel("7"), Ok(7));
        for bad in ["", "G", "5g", "-5", "20000000000G"] {
            assert!(fuel(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_are_half_open_and_not_empty() {
        assert_eq!(range("0..256"), Ok(0..256));
        for empty in ["5..5", "9..3"] {
            assert!(range(empty).expect_err("empty").contains("is empty"), "{empty}");
        }
        for bad in ["", "5", "..", "1..", "..2", "a..b", "1..=2", "-1..2", "0..99999999999999999999"] {
            assert!(range(bad).expect_err("bad").contains("two whole numbers"), "{bad}");
        }
    }

    #[test]
    fn confidences_are_exact_and_below_one() {
        let cases = [
            ("0.999", 1_000_000),
            ("99.9%", 1_000_000),
            ("0.9999", 100_000),
            ("0.999999999", 1),
            ("99.9999999 %", 1),
            ("0.9", 100_000_000),
        ];
        for (text, error) in cases {
            assert_eq!(confidence(text), Ok(error), "{text}");
        }
        for bad in ["", ".", "0,999", "1e-3", "-0.9", "0.9999999999", "%", "nine", ".999", "99999999999.1", "0.99 9"] {
            assert!(confidence(bad).expect_err(bad).contains("as in 0.999"), "{bad}");
        }
        assert!(confidence("1").expect_err("one").contains("below 1") && confidence("100%").is_err());
        assert!(confidence("2").is_err() && confidence("0.5").expect_err("too low").contains("at least 0.9"));
    }

    #[test]
    fn saboteurs_are_a_percentage_or_a_fraction() {
        for (text, ppm) in
            [("20%", 200_000), ("0.2", 200_000), ("0", 0), ("0.0001%", 1), ("49%", 490_000), ("7.5 %", 75_000)]
        {
            assert_eq!(saboteurs(text), Ok(ppm), "{text}");
        }
        assert!(saboteurs("50%").expect_err("half").contains("at most 49%") && saboteurs("20").is_err());
        assert!(saboteurs("a fifth").expect_err("words").contains("20% or 0.2"));
    }

    #[test]
    fn amounts_are_in_the_unit_of_prices() {
        assert_eq!(nano(Credits(1_234_567_890)), "1.234");
        assert_eq!(nano(Credits(999_999)), "0.000");
    }

    #[test]
    fn amounts_are_read_and_shown_exactly() {
        assert_eq!(amount("250"), Ok(Credits(250_000_000_000)));
        assert_eq!(amount("0.000000001"), Ok(Credits(1)));
        for bad in ["", ".5", "5.", "-1", "1e3", "1,5", "0.0000000001", "999999999999999999999999999999999999999"] {
            assert!(amount(bad).is_err(), "{bad}");
        }
        assert_eq!(nano_exact(Credits(1_000_000_001)), "1.000000001");
        let sums = [(5, 2), (2, 5), (2, 2)].map(|(a, b)| signed_exact(Credits(a), Credits(b)));
        assert_eq!(sums, ["0.000000003", "-0.000000003", "0"]);
        assert_eq!(signed(Credits(7_000_000_000), Credits(0)), "+7.000");
    }

    #[test]
    fn moments_are_dates_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_764_034_977, "2025-11-25 01:42:57"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ];
        for (seconds, text) in cases {
            assert_eq!(utc(UnixTime(seconds * 1000)), text);
        }
    }

    #[test]
    fn counts_and_thousands_are_easy_to_read() {
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".into(), "0 files".into()));
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
        assert_eq!([0.5, 42.4, 2_500.0].map(millis), ["0.50 ms", "42 ms", "2.5 s"]);
    }

    #[test]
    fn spans_are_short() {
        let cases = [
            (0.25, "250 ms"),
            (7.24, "7.2 s"),
            (16.9, "16 s"),
            (75.0, "1 min 15 s"),
            (7_260.0, "2 h 01 min"),
            (1e6, "11 days"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(Duration::from_secs_f64(seconds)), text);
        }
    }
}
