//! A look over CBOR bytes before any decoder touches them. specs/wire.md §2.
//!
//! It refuses what serde_cbor would let pass: lengths that are not minimal, indefinite lengths, tags, floats, nesting
//! deeper than [`limits::CBOR_DEPTH_MAX`], strings longer than what is left, and bytes after the end. It allocates
//! nothing: the work is linear in the input, whatever the input claims.

use pocketmesh_types::limits;

/// Why bytes are not the CBOR we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The bytes end inside an item.
    #[error("the bytes end inside an item")]
    Truncated,
    /// There are bytes after the item.
    #[error("there are bytes after the end")]
    Trailing,
    /// A number or length is not in its shortest form.
    #[error("a number is not in its shortest form")]
    NotMinimal,
    /// An indefinite length, a tag, a float or a reserved value.
    #[error("initial byte {0:#04x} is not used on this wire")]
    Forbidden(u8),
    /// Nested too deeply.
    #[error("nested deeper than {max}", max = limits::CBOR_DEPTH_MAX)]
    TooDeep,
    /// A text string is not UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
}

const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const SIMPLE: u8 = 7;
const FALSE: u8 = 20;
const NULL: u8 = 22;

/// Checks that `bytes` are exactly one item in the form of specs/wire.md §2.
pub fn scan(bytes: &[u8]) -> Result<(), ScanError> {
    let mut scanner = Scanner { rest: bytes };
    scanner.item(0)?;
    if scanner.rest.is_empty() { Ok(()) } else { Err(ScanError::Trailing) }
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn item(&mut self, depth: usize) -> Result<(), ScanError> {
        if depth > limits::CBOR_DEPTH_MAX {
            return Err(ScanError::TooDeep);
        }
        let initial = self.take(1)?[0];
        let (major, info) = (initial >> 5, initial & 0x1f);
        if major == SIMPLE {
            return if (FALSE..=NULL).contains(&info) { Ok(()) } else { Err(ScanError::Forbidden(initial)) };
        }
        let argument = self.argument(initial, info)?;
        match major {
            UINT | NEGATIVE => Ok(()),
            BYTES => self.take_long(argument).map(drop),
            TEXT => core::str::from_utf8(self.take_long(argument)?).map(drop).map_err(|_| ScanError::NotText),
            ARRAY => self.items(argument, 1, depth),
            MAP => self.items(argument, 2, depth),
            _ => Err(ScanError::Forbidden(initial)),
        }
    }

    /// `count` times `width` items. Each takes a byte at least, so a false count ends at the end of the bytes.
    fn items(&mut self, count: u64, width: u64, depth: usize) -> Result<(), ScanError> {
        let total = count.checked_mul(width).ok_or(ScanError::Truncated)?;
        if total > self.rest.len() as u64 {
            return Err(ScanError::Truncated);
        }
        (0..total).try_for_each(|_| self.item(depth + 1))
    }

    fn argument(&mut self, initial: u8, info: u8) -> Result<u64, ScanError> {
        let (width, floor) = match info {
            0..=23 => return Ok(u64::from(info)),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(ScanError::Forbidden(initial)),
        };
        let value = self.take(width)?.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        if value < floor { Err(ScanError::NotMinimal) } else { Ok(value) }
    }

    fn take_long(&mut self, len: u64) -> Result<&'a [u8], ScanError> {
        self.take(usize::try_from(len).map_err(|_| ScanError::Truncated)?)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ScanError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(ScanError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_write_passes() {
        for good in [&[0x00][..], &[0x18, 24], &[0x43, 1, 2, 3], &[0x82, 0x01, 0xf6], &[0xa1, 0x61, b'a', 0x20]] {
            assert_eq!(scan(good), Ok(()), "{good:x?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let bad: [(&[u8], ScanError); 12] = [
            (&[], ScanError::Truncated),
            (&[0x18, 23], ScanError::NotMinimal),
            (&[0x19, 0, 255], ScanError::NotMinimal),
            (&[0x1b, 0, 0, 0, 0, 255, 255, 255, 255], ScanError::NotMinimal),
            (&[0x9f, 0xff], ScanError::Forbidden(0x9f)),
            (&[0xc0, 0x00], ScanError::Forbidden(0xc0)),
            (&[0xf9, 0, 0], ScanError::Forbidden(0xf9)),
            (&[0xf7], ScanError::Forbidden(0xf7)),
            (&[0x01, 0x01], ScanError::Trailing),
            (&[0x5b, 255, 255, 255, 255, 255, 255, 255, 255], ScanError::Truncated),
            (&[0xbb, 255, 255, 255, 255, 255, 255, 255, 255], ScanError::Truncated),
            (&[0x61, 0xff], ScanError::NotText),
        ];
        for (bytes, error) in bad {
            assert_eq!(scan(bytes), Err(error), "{bytes:x?}");
        }
        assert_eq!(scan(&[0x81; 64]), Err(ScanError::TooDeep));
    }
}
