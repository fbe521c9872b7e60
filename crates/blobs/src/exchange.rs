//! Blobs in parts over streams: from one peer to many, and from many to one.
//!
//! specs/blobs.md §4. Fixed frames, then bytes that prove themselves. Both ends bound what they wait for and what they
//! hold: a few parts for each stream.

pub mod fetch;
pub mod frames;
pub mod serve;
pub mod uplink;

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::{io, time::Duration};

/// Bytes that have to move within the patience.
const STEP_BYTES: usize = 64 << 10;

/// Runs one step of an exchange, which must end within `patience`.
async fn within<T>(patience: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(patience, step).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Reads until `buffer` is full or the stream ends, and says how many bytes it was. Each 64 KiB must come within
/// `patience`.
async fn read_full(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
    let mut filled = 0;
    for step in buffer.chunks_mut(STEP_BYTES) {
        let count = within(patience, fill(stream, step)).await?;
        filled += count;
        if count < step.len() {
            break;
        }
    }
    Ok(filled)
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> io::Result<usize> {
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

/// Writes bytes and sees them off.
async fn write_through(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], patience: Duration) -> io::Result<()> {
    within(patience, async {
        stream.write_all(bytes).await?;
        stream.flush().await
    })
    .await
}
