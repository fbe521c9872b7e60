//! What a task came to, as its runner tells it. What it wrote passes on as it comes, and is nowhere as a whole.

use super::link::{Broken, Link, Vigil};
use super::queue::Entry;
use crate::executor::Saver;
use crate::sealed::answer;
use crate::sealed::frame::{BULK_BYTES_MAX, Malformed};
use crate::task::{Executed, Failure, Kept};
use pocketmesh_types::limits;
use std::io::{self, Read};

/// Of all that a task wrote: from here on even its small files are saved one by one.
const LARGE_BYTES: usize = 64 << 10;

/// Takes the answer about the task that runs now. Until it has begun it can be interrupted by `vigil` and taken again.
pub(super) fn receive(
    link: &mut Link,
    (entry, expected): (&Entry, u64),
    saver: Option<&Saver>,
    vigil: &Vigil<'_>,
    begun: &Vigil<'_>,
) -> Result<Result<Executed<Kept>, Failure>, Broken> {
    let limits = &entry.task.limits;
    let output_max = usize::try_from(limits.output).unwrap_or(usize::MAX).min(BULK_BYTES_MAX);
    let (frame, bytes) = link.receive_head(output_max, vigil)?;
    let done = match frame.kind {
        answer::kind::DONE => answer::decode_done(frame.fields(), bytes, expected, limits)?,
        answer::kind::FAILED if bytes == 0 => return Ok(Err(answer::decode_failed(frame.fields(), expected)?)),
        _ => return Err(Malformed.into()),
    };
    let take = |len: u64, is_file: bool| {
        let is_small = len <= limits::INLINE_BYTES_MAX as u64 && !(is_file && bytes > LARGE_BYTES);
        let mut part = Part { link, left: len, vigil: begun, broken: None };
        let saver = saver.filter(|_| !is_small && len > 0);
        let kept = match saver {
            Some(saver) => saver(&mut part, len).map(Kept::Saved),
            None => {
                let mut here = Vec::new();
                part.read_to_end(&mut here).map(|_| Kept::Here(here))
            }
        };
        part.broken.map_or(Ok(()), Err)?;
        kept.map_err(Broken::Unsaved)
    };
    Ok(Ok(done.into_executed(limits, take)?))
}

/// The next bytes of the answer, to be read like a file.
struct Part<'a> {
    link: &'a mut Link,
    left: u64,
    vigil: &'a Vigil<'a>,
    /// Why they do not come.
    broken: Option<Broken>,
}

impl Read for Part<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        match self.link.receive_some(most, self.vigil) {
            Ok(bytes) => {
                into[..bytes.len()].copy_from_slice(bytes);
                self.left -= bytes.len() as u64;
                Ok(bytes.len())
            }
            Err(broken) => {
                self.broken = Some(broken);
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }
}
