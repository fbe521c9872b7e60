//! Handing an input of any length to the daemon: as blobs that each end where a task's part does.
//!
//! No part spans two blobs, so a cut anywhere else would make a part shorter than it was asked to be.

use super::Source;
use crate::exit::Error;
use crate::uploads::Uploads;
use futures::{SinkExt, StreamExt, channel::mpsc};
use pocketmesh_api::{self as api, Chunk, Chunks, Client, Split};
use std::io;

/// A blob ends at the first end of a part from here on: well below what a blob may have.
const SEGMENT_BYTES: u64 = 512 << 20;
/// Chunks on their way to the daemon.
const CHUNKS_AHEAD: usize = 4;

/// Where blobs end in bytes that come.
struct Ends {
    split: Split,
    least: u64,
    /// Bytes of the blob so far.
    len: u64,
    /// Lines of the part so far.
    lines: u64,
}

impl Ends {
    fn new(split: Split, least: u64) -> Self {
        Self { split, least, len: 0, lines: 0 }
    }

    /// How many of the bytes that come belong to the blob, if it ends among them.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let end = match self.split {
            Split::File => None,
            Split::Bytes(part) => {
                let end = self.least.max(1).div_ceil(part.max(1)).saturating_mul(part.max(1));
                usize::try_from(end - self.len).ok().filter(|&end| end <= bytes.len())
            }
            Split::Lines(part) => self.find_line(bytes, part.max(1)),
        };
        self.len = end.map_or(self.len + bytes.len() as u64, |_| 0);
        end
    }

    fn find_line(&mut self, bytes: &[u8], part: u64) -> Option<usize> {
        for end in memchr::memchr_iter(b'\n', bytes).map(|place| place + 1) {
            self.lines = (self.lines + 1) % part;
            if self.lines == 0 && self.len + end as u64 >= self.least {
                return Some(end);
            }
        }
        None
    }
}

/// What is still to be handed over.
struct Rest {
    chunks: Chunks,
    /// What of the last chunk belongs to the next blob.
    left: Option<Chunk>,
    ends: Ends,
}

impl Rest {
    /// Passes on the bytes of one blob. Whether there may be another one.
    async fn feed(&mut self, mut into: mpsc::Sender<io::Result<Chunk>>) -> bool {
        loop {
            let next = match self.left.take() {
                Some(left) => Some(Ok(left)),
                None => self.chunks.next().await,
            };
            let Some(Ok(mut chunk)) = next else {
                // How it broke off is told to the daemon, which says so in its answer.
                if let Some(broken) = next {
                    let _ = into.send(broken).await;
                }
                return false;
            };
            let end = self.ends.find(&chunk);
            self.left = end.map(|end| chunk.split_off(end)).filter(|left| !left.is_empty());
            // A daemon that takes no more says why in its answer.
            if into.send(Ok(chunk)).await.is_err() || end.is_some() {
                return end.is_some();
            }
        }
    }
}

impl Source {
    /// Hands it to the daemon, as fast as it comes, in as many blobs as it takes.
    pub async fn upload(&self, client: &Client, uploads: &Uploads, split: Split) -> Result<Vec<api::Source>, Error> {
        let named = |blob, len| api::Source { name: self.name(), blob, len };
        if let Self::Blob(blob) = self {
            return Ok(vec![named(*blob, 0)]);
        }
        let chunks = uploads.watch(self.open().await?);
        let mut rest = Rest { chunks, left: None, ends: Ends::new(split, SEGMENT_BYTES) };
        let mut blobs = Vec::new();
        loop {
            let (into, from) = mpsc::channel(CHUNKS_AHEAD);
            let (is_more, blob) = futures::join!(rest.feed(into), client.put_blob(from.boxed()));
            let blob = blob?;
            if blob.len > 0 || blobs.is_empty() {
                blobs.push(named(blob.id, blob.len));
            }
            if !is_more {
                return Ok(blobs);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    /// The blobs that a text becomes when it comes in chunks of this length.
    async fn blobs(text: &[u8], chunk: usize, split: Split, least: u64) -> Vec<Vec<u8>> {
        let chunks: Vec<_> = text.chunks(chunk).map(|chunk| Ok(Chunk::copy_from_slice(chunk))).collect();
        let mut rest = Rest { chunks: stream::iter(chunks).boxed(), left: None, ends: Ends::new(split, least) };
        let mut blobs = Vec::new();
        loop {
            let (into, from) = mpsc::channel(CHUNKS_AHEAD);
            let (is_more, blob) = futures::join!(rest.feed(into), from.collect::<Vec<_>>());
            blobs.push(blob.into_iter().flat_map(|chunk| chunk.expect("bytes").to_vec()).collect());
            if !is_more {
                return blobs;
            }
        }
    }

    #[tokio::test]
    async fn blobs_end_where_parts_do() {
        let text = b"one\ntwo\nthree\nfour\nfive\nsix\nseven";
        for chunk in 1..=text.len() {
            for (split, least, lengths) in [
                (Split::Lines(2), 10, vec![19, 14]),
                (Split::Lines(1), 5, vec![8, 6, 5, 5, 9]),
                (Split::Bytes(4), 10, vec![12, 12, 9]),
                (Split::Bytes(100), 10, vec![33]),
                (Split::File, 10, vec![33]),
            ] {
                let found = blobs(text, chunk, split, least).await;
                assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), lengths, "{split:?} in chunks of {chunk}");
                assert_eq!(found.concat(), text);
            }
        }
    }
}
