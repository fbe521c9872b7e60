//! Room in memory for parts that come and go, used again.
//!
//! A part's bytes would else be new memory each time, which the system has to find and clear. A few buffers are kept when
//! nobody uses them; how many are in use at a time is bounded by whoever uses them.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Idle buffers that are kept: what one exchange at full speed has in use. Each is of little more than a part.
const KEPT_MAX: usize = 8;

/// Buffers that nobody uses. Clones are handles to the same ones.
#[derive(Debug, Clone, Default)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// Bytes in use, given back when dropped.
#[derive(Debug)]
pub struct Buffer {
    /// At least `size` bytes.
    bytes: Vec<u8>,
    size: usize,
    home: Buffers,
}

impl Buffers {
    /// So many bytes. What they are is left from earlier uses: all are to be overwritten.
    pub fn take(&self, size: usize) -> Buffer {
        let mut bytes = self.idle().pop().unwrap_or_default();
        if bytes.len() < size {
            bytes.resize(size, 0);
        }
        Buffer { bytes, size, home: self.clone() }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.size]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.home.idle();
        if idle.len() < KEPT_MAX {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_has_the_size_that_was_asked_for_whatever_was_used_before() {
        let buffers = Buffers::default();
        for size in [10, 100, 0, 50, 100, 101] {
            let mut buffer = buffers.take(size);
            assert_eq!(buffer.len(), size);
            buffer.fill(1);
        }
        assert_eq!(buffers.idle().len(), 1);
    }

    #[test]
    fn no_more_idle_buffers_are_kept_than_the_bound() {
        let buffers = Buffers::default();
        let used: Vec<Buffer> = (0..KEPT_MAX * 3).map(|size| buffers.take(size)).collect();
        drop(used);
        assert_eq!(buffers.idle().len(), KEPT_MAX);
    }
}
