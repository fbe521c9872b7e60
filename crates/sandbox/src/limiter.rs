//! The memory limit: what decides, alone, whether a memory, a table or a file may grow.
//!
//! Growth within the limit succeeds and growth beyond it fails, on every machine: the program can see which, so it is
//! part of the outcome. A machine that cannot give what the limit allows fails the task instead.

use crate::run::Halt;
use wasmtime::ResourceLimiter;

/// Tables of a program: compilers make one.
pub(crate) const TABLES_MAX: u32 = 4;
/// Elements of a table: large interpreters have some ten thousand functions to point to.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 1 << 17;
/// What an element counts as, whatever it takes on this machine.
const ELEMENT_BYTES: u64 = 8;
/// How the engine says that a growth was beyond the type's own bound, which it never asked us about.
const BEYOND_TYPE: &str = "memory growth exceeds memory type's limits";

/// The memory, tables and files of one task.
#[derive(Debug)]
pub(crate) struct Limiter {
    allowed: u64,
    left: u64,
    /// What would have been needed when a memory or table was last refused.
    refused: Option<u64>,
}

impl Limiter {
    /// Nothing used yet of `bytes`.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { allowed: bytes, left: bytes, refused: None }
    }

    /// Takes `bytes` if there are so many.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// Takes them for a memory or table, and remembers if there are not so many.
    fn take_to_grow(&mut self, bytes: u64) -> bool {
        let taken = self.take(bytes);
        if !taken {
            self.refused = Some((self.allowed - self.left).saturating_add(bytes));
        }
        taken
    }

    /// Why a program could not even be set up: what it needs at least and what is allowed, if that is why.
    pub(crate) fn shortage(&self) -> Option<Halt> {
        Some(Halt::Memory { needs: self.refused?, allowed: self.allowed })
    }

    /// Gives back what was taken.
    pub(crate) fn give(&mut self, bytes: u64) {
        self.left += bytes;
    }

    /// What can still be taken.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let declared = maximum.is_none_or(|maximum| desired <= maximum);
        Ok(declared && self.take_to_grow((desired - current) as u64))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if error.to_string() == BEYOND_TYPE {
            return Ok(());
        }
        Err(Halt::Host(format!("not enough memory: {error:#}")).into())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let declared = desired <= maximum.unwrap_or(usize::MAX).min(TABLE_ELEMENTS_MAX);
        Ok(declared && self.take_to_grow((desired - current) as u64 * ELEMENT_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_tables_share_one_limit() -> wasmtime::Result<()> {
        let mut limiter = Limiter::new(65536 + 80);
        assert!(limiter.memory_growing(0, 65536, None)?);
        assert!(!limiter.table_growing(0, 11, None)?);
        assert!(limiter.table_growing(0, 10, None)?);
        assert!(!limiter.memory_growing(65536, 131_072, None)?);
        Ok(())
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() -> wasmtime::Result<()> {
        let mut limiter = Limiter::new(65536);
        assert!(limiter.take(1));
        assert!(!limiter.memory_growing(0, 65536, None)?);
        limiter.give(1);
        assert!(limiter.memory_growing(0, 65536, None)?);
        assert_eq!(limiter.left(), 0);
        Ok(())
    }

    #[test]
    fn what_the_program_declares_binds_it() -> wasmtime::Result<()> {
        let mut limiter = Limiter::new(u64::MAX);
        assert!(!limiter.memory_growing(0, 131_072, Some(65536))?);
        assert!(!limiter.table_growing(0, TABLE_ELEMENTS_MAX + 1, None)?);
        Ok(())
    }
}
