//! Pictures in the plainest format there is: a line of text and the samples (PGM: grey, PPM: red, green, blue).

use std::ops::Range;

/// A picture of 8-bit samples, row after row.
pub struct Picture<'a> {
    pub width: usize,
    pub height: usize,
    /// 1 for grey, 3 for colours.
    pub channels: usize,
    pub samples: std::borrow::Cow<'a, [u8]>,
}

impl<'a> Picture<'a> {
    /// Reads a picture; says what is wrong with bytes that are none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let channels = match bytes.get(..2) {
            Some(b"P5") => 1,
            Some(b"P6") => 3,
            _ => return Err("neither a binary PGM nor a binary PPM picture"),
        };
        let (width, rest) = header_number(&bytes[2..])?;
        let (height, rest) = header_number(rest)?;
        let (largest, rest) = header_number(rest)?;
        if largest != 255 {
            return Err("only samples from 0 to 255 are understood");
        }
        let size = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(channels));
        let samples =
            rest.get(1..).filter(|samples| Some(samples.len()) == size).ok_or("too few or too many samples")?;
        Ok(Self { width, height, channels, samples: samples.into() })
    }

    /// The samples of these rows.
    pub fn row_samples(&self, rows: Range<usize>) -> &[u8] {
        let stride = self.width * self.channels;
        &self.samples[rows.start * stride..rows.end * stride]
    }

    /// As a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let kind = if self.channels == 1 { "P5" } else { "P6" };
        let mut bytes = format!("{kind}\n{} {}\n255\n", self.width, self.height).into_bytes();
        bytes.extend_from_slice(&self.samples);
        bytes
    }

    /// What such files are called.
    pub fn extension(&self) -> &'static str {
        if self.channels == 1 { "pgm" } else { "ppm" }
    }
}

/// The next number of the header, after blanks and comments, and what follows it.
fn header_number(mut bytes: &[u8]) -> Result<(usize, &[u8]), &'static str> {
    bytes = bytes.trim_ascii_start();
    while bytes.first() == Some(&b'#') {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        bytes = bytes[end..].trim_ascii_start();
    }
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&bytes[..digits]).ok().and_then(|text| text.parse().ok());
    number.map(|number| (number, &bytes[digits..])).ok_or("a header without width, height and largest sample")
}
