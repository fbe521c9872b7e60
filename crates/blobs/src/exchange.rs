//! Whole blobs over one stream: ask, answer, ask again.
//!
//! specs/blobs.md §4. Two fixed frames and then the bytes. Both ends bound what they wait for and what they hold: one
//! chunk, and one unfinished file in the store.

pub mod fetch;
pub mod frames;
pub mod serve;

use futures::io::{AsyncRead, AsyncReadExt};
use std::{io, time::Duration};

/// Runs one step of an exchange, which must end within `patience`.
async fn within<T>(patience: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(patience, step).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Reads until `buffer` is full or the stream ends, and says how many bytes it was.
async fn read_full(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]).await {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
