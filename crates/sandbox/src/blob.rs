//! Bytes that are read piece by piece, so that large ones are never in memory as a whole.

use std::fmt;
use std::io::{self, Read};

/// A program or a file on its way to where it is used.
pub struct Blob {
    len: u64,
    from: Box<dyn Read + Send>,
}

impl Blob {
    /// The next `len` bytes of `from`.
    pub fn new(len: u64, from: impl Read + Send + 'static) -> Self {
        Self { len, from: Box::new(from) }
    }

    pub(crate) fn into_vec(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.from.take(self.len).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == self.len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

#[cfg(unix)]
impl Blob {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The same, checked on the way.
    pub(crate) fn checked(self, hasher: blake3::Hasher, expected: [u8; 32]) -> Checked<impl Read> {
        Checked::new(self.len, self.from, hasher, expected)
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes.len() as u64, io::Cursor::new(bytes))
    }
}

impl Read for Blob {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.from.read(into)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.len)
    }
}

/// Reads bytes of a known length and hash. The last of them come only if all are right: whoever passes them on has not
/// passed on the whole of anything else.
pub(crate) struct Checked<R> {
    from: R,
    left: u64,
    hasher: blake3::Hasher,
    expected: [u8; 32],
}

impl<R: Read> Checked<R> {
    /// `hasher` has seen what the hash covers before these bytes.
    pub(crate) fn new(len: u64, from: R, hasher: blake3::Hasher, expected: [u8; 32]) -> Self {
        Self { from, left: len, hasher, expected }
    }
}

impl<R: Read> Read for Checked<R> {
    /// Fails as *invalid data* if the bytes are too few or have another hash.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.from.read(&mut into[..most])?;
        self.hasher.update(&into[..read]);
        self.left -= read as u64;
        let is_right = match self.left {
            0 => *self.hasher.finalize().as_bytes() == self.expected,
            _ => read > 0 || most == 0,
        };
        if !is_right {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(bytes: &[u8], len: u64) -> io::Result<Vec<u8>> {
        let expected = *blake3::hash(b"0123456789").as_bytes();
        let mut checked = Checked::new(len, bytes, blake3::Hasher::new(), expected);
        let (mut read, mut piece) = (Vec::new(), [0; 3]);
        loop {
            match checked.read(&mut piece) {
                Ok(0) => return Ok(read),
                Ok(count) => read.extend_from_slice(&piece[..count]),
                Err(error) => {
                    assert!(read.len() < 10, "not the whole of it");
                    return Err(error);
                }
            }
        }
    }

    #[test]
    fn what_is_not_right_is_never_read_as_a_whole() {
        assert_eq!(checked(b"0123456789", 10).expect("the right bytes"), b"0123456789");
        assert_eq!(checked(b"0123456789abc", 10).expect("the right bytes, and others behind them"), b"0123456789");
        for (bytes, len) in
            [(&b"x123456789"[..], 10), (b"012345678x", 10), (b"012345678", 10), (b"0123456789", 9), (b"", 0)]
        {
            assert_eq!(checked(bytes, len).expect_err("other bytes").kind(), io::ErrorKind::InvalidData);
        }
    }
}
