//! Sizes in bytes as people write them: `64 MiB`, `10GB`, `4096`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Size(pub u64);

/// The text was not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size: write a whole number of bytes, or one with a unit, as in 64KiB, 256MiB, 2GiB, 10GB")]
pub struct ParseError(String);

/// A size as it may stand in a configuration: a plain number, or text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Bytes(u64),
    Text(String),
}

const UNITS: [(&str, u64); 14] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

impl FromStr for Size {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start().to_ascii_lowercase();
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| ParseError(text.chars().take(40).flat_map(char::escape_debug).collect()))
    }
}

impl TryFrom<Written> for Size {
    type Error = ParseError;
    fn try_from(written: Written) -> Result<Self, ParseError> {
        match written {
            Written::Bytes(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl fmt::Display for Size {
    /// With the largest binary unit that is at least one; exact if that is a whole number, else one decimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.into_iter().find(|(factor, _)| self.0 >= *factor) {
            None => write!(f, "{} bytes", self.0),
            Some((factor, unit)) if self.0.is_multiple_of(factor) => write!(f, "{} {unit}", self.0 / factor),
            Some((factor, unit)) => write!(f, "{:.1} {unit}", self.0 as f64 / factor as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let cases = [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            (" 2 GiB ", 2 << 30),
            ("10gb", 10_000_000_000),
            ("1m", 1 << 20),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "-1", "1.5GiB", "1 XiB", "99999999999999999999", "18446744073709551615 TiB", "1\n2"] {
            let error = text.parse::<Size>().expect_err(text);
            assert!(!error.to_string().contains('\n'), "one line");
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        let cases = [(5, "5 bytes"), (65_536, "64 KiB"), (1_500_000, "1.4 MiB"), (2 << 30, "2 GiB")];
        for (bytes, text) in cases {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
