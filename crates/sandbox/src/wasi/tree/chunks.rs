//! The bytes of a file that the program writes, in chunks: growing moves nothing that is there already, what was never
//! written takes no memory, and the rest takes a quarter more than it has bytes, at most.
//!
//! What may be held is for others to decide, beforehand. Only the machine itself can refuse here.

use std::collections::TryReserveError;

/// Of a chunk: a multiple of every page size, and few enough chunks that a list of them is short.
const CHUNK_BYTES: usize = 64 << 10;

/// A file's bytes.
#[derive(Debug, Default)]
pub(in crate::wasi) struct Chunks {
    len: u64,
    /// Each begins at a multiple of [`CHUNK_BYTES`]. What one lacks, up to the next or to the end of the file, is zeros.
    chunks: Vec<Vec<u8>>,
}

/// The chunk that has the byte at `at`, and where in it.
fn place(at: u64) -> (usize, usize) {
    let chunk = CHUNK_BYTES as u64;
    ((at / chunk) as usize, (at % chunk) as usize)
}

impl Chunks {
    pub(in crate::wasi) fn len(&self) -> u64 {
        self.len
    }

    /// Copies the bytes from `at` on, of which there must be enough.
    pub(in crate::wasi) fn read(&self, mut at: u64, mut into: &mut [u8]) {
        while !into.is_empty() {
            let (index, start) = place(at);
            let (part, rest) = into.split_at_mut(into.len().min(CHUNK_BYTES - start));
            let held = self.chunks[index].get(start..).unwrap_or_default();
            let (copied, zeros) = part.split_at_mut(held.len().min(part.len()));
            copied.copy_from_slice(&held[..copied.len()]);
            zeros.fill(0);
            at += part.len() as u64;
            into = rest;
        }
    }

    /// Cuts the file off, or lets zeros follow.
    pub(in crate::wasi) fn set_len(&mut self, len: u64) -> Result<(), TryReserveError> {
        let (index, end) = place(len);
        let count = index + usize::from(end > 0);
        self.chunks.try_reserve(count.saturating_sub(self.chunks.len()))?;
        self.chunks.resize_with(count, Vec::new);
        if len < self.len {
            self.chunks.shrink_to(2 * count);
            if let Some(last) = self.chunks.last_mut().filter(|_| end > 0) {
                last.truncate(end);
                // Not by every little cut: a file that shrinks and grows by turns would be moved each time.
                if last.capacity() > end + end / 4 {
                    last.shrink_to_fit();
                }
            }
        }
        self.len = len;
        Ok(())
    }

    /// Puts `bytes` at `at`; the file must be long enough.
    pub(in crate::wasi) fn write(&mut self, mut at: u64, mut bytes: &[u8]) -> Result<(), TryReserveError> {
        let spare = (self.len / 8).min(CHUNK_BYTES as u64) as usize;
        while !bytes.is_empty() {
            let (index, start) = place(at);
            let (part, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES - start));
            put(&mut self.chunks[index], start, part, spare)?;
            at += part.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// All of it in one piece. Each chunk is given back as soon as it has been copied.
    pub(in crate::wasi) fn into_vec(mut self) -> Vec<u8> {
        let len = usize::try_from(self.len).expect("a file fits the memory limit, and so the address space");
        if self.chunks.len() <= 1 {
            let mut only = self.chunks.pop().unwrap_or_default();
            only.resize(len, 0);
            return only;
        }
        let mut whole = Vec::with_capacity(len);
        for chunk in self.chunks {
            let end = len.min(whole.len() + CHUNK_BYTES);
            whole.extend_from_slice(&chunk);
            whole.resize(end, 0);
        }
        whole
    }
}

/// Puts `part` into a chunk at `start`, with zeros before it if the chunk does not reach that far. A chunk that is too
/// small gets an eighth more than it needs, or `spare` if that is more: a file that grows by small writes is not moved by
/// each.
fn put(chunk: &mut Vec<u8>, start: usize, part: &[u8], spare: usize) -> Result<(), TryReserveError> {
    let end = start + part.len();
    if end > chunk.capacity() {
        let room = (end + end / 8).max(spare).min(CHUNK_BYTES);
        chunk.try_reserve_exact(room - chunk.len())?;
    }
    if start > chunk.len() {
        chunk.resize(start, 0);
    }
    let (over, beyond) = part.split_at(part.len().min(chunk.len() - start));
    chunk[start..start + over.len()].copy_from_slice(over);
    chunk.extend_from_slice(beyond);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &Chunks) -> Vec<u8> {
        let mut all = vec![9; chunks.len() as usize];
        chunks.read(0, &mut all);
        all
    }

    fn write(chunks: &mut Chunks, at: usize, bytes: &[u8]) {
        let end = (at + bytes.len()) as u64;
        chunks.set_len(chunks.len().max(end)).expect("memory");
        chunks.write(at as u64, bytes).expect("memory");
    }

    fn held(chunks: &Chunks) -> usize {
        chunks.chunks.iter().map(Vec::capacity).sum()
    }

    #[test]
    fn it_is_one_array_however_it_was_written() {
        let (mut chunks, mut model) = (Chunks::default(), Vec::new());
        let steps = [(0, 10), (5, 10), (65_530, 20), (200_000, 1), (131_072, 70_000), (65_536, 65_536), (3, 300_000)];
        for (step, (at, len)) in steps.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..len).map(|i: usize| (i + step) as u8 | 1).collect();
            write(&mut chunks, at, &bytes);
            model.resize(model.len().max(at + len), 0);
            model[at..at + len].copy_from_slice(&bytes);
            assert_eq!(read(&chunks), model, "after step {step}");
        }
        assert_eq!(chunks.into_vec(), model);
    }

    #[test]
    fn what_was_cut_off_is_zeros_when_it_comes_back() {
        for cut in [0, 1, 100, 65_535, 65_536, 65_537, 150_000] {
            let mut chunks = Chunks::default();
            write(&mut chunks, 0, &[7; 200_000]);
            chunks.set_len(cut).expect("memory");
            assert!(held(&chunks) <= cut as usize + CHUNK_BYTES.min(cut as usize), "{cut}: {}", held(&chunks));
            chunks.set_len(200_000).expect("memory");
            let all = read(&chunks);
            assert!(
                all[..cut as usize].iter().all(|&b| b == 7) && all[cut as usize..].iter().all(|&b| b == 0),
                "{cut}"
            );
            assert_eq!(chunks.into_vec(), all);
        }
    }

    #[test]
    fn zeros_take_nothing_and_the_rest_little_more_than_it_has() {
        let mut chunks = Chunks::default();
        chunks.set_len(1 << 32).expect("memory");
        assert_eq!(held(&chunks), 0);
        let mut grown = Chunks::default();
        for at in (0..1_000_000).step_by(100) {
            write(&mut grown, at, &[1; 100]);
            assert!(held(&grown) <= (at + 100) * 9 / 8, "{} for {at}", held(&grown));
        }
    }
}
