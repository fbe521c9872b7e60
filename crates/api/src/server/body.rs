//! Request bodies, bounded in size and in time.

use crate::{Chunk, Chunks, Code, Failure, control::Answer};
use axum::body::{Body, BodyDataStream};
use futures::{StreamExt, stream};
use serde::de::DeserializeOwned;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A JSON request. The largest is a job with thousands of named sources.
pub(crate) const JSON_BYTES_MAX: usize = 4 << 20;
/// The whole of a JSON request must be here by then.
const JSON_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence within an upload; a person may be typing it.
const UPLOAD_SILENCE_MAX: Duration = Duration::from_secs(600);
/// How long the rest of a refused upload is read and dropped, so that its sender gets to read the refusal.
const DRAIN: Duration = Duration::from_secs(5);
/// Chunks between the socket and the disk.
const UPLOAD_CHUNKS: usize = 8;

/// Reads and decodes a JSON body.
pub(super) async fn json<T: DeserializeOwned>(body: Body) -> Answer<T> {
    let mut body = body.into_data_stream();
    let collected = timeout(JSON_TIMEOUT, collect(&mut body)).await;
    let bytes = collected.map_err(|_| Failure::new(Code::Timeout, "the request did not arrive in time"))?;
    if bytes.is_err() {
        drain(body).await;
    }
    serde_json::from_slice(&bytes?)
        .map_err(|error| Failure::new(Code::Invalid, format!("the request cannot be understood: {error}")))
}

async fn collect(body: &mut BodyDataStream) -> Answer<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Failure::new(Code::Invalid, format!("the request broke off: {error}")))?;
        if bytes.len() + chunk.len() > JSON_BYTES_MAX {
            let message = format!("the request is larger than {JSON_BYTES_MAX} bytes: send large data as blobs");
            return Err(Failure::new(Code::TooLarge, message));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Reads the rest and drops it: the sender must get to read why it was refused, or it sees only a broken pipe.
async fn drain(mut body: BodyDataStream) {
    let _ = timeout(DRAIN, async { while let Some(Ok(_)) = body.next().await {} }).await;
}

/// Splits an upload into the stream that is stored and the future that feeds it; run both together.
pub(super) fn upload(body: Body) -> (Chunks, impl Future<Output = ()>) {
    let (sender, receiver) = mpsc::channel(UPLOAD_CHUNKS);
    let chunks =
        stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|chunk| (chunk, receiver)) });
    (chunks.boxed(), feed(body.into_data_stream(), sender))
}

async fn feed(mut body: BodyDataStream, sender: mpsc::Sender<io::Result<Chunk>>) {
    loop {
        let next = tokio::select! {
            () = sender.closed() => break,
            next = timeout(UPLOAD_SILENCE_MAX, body.next()) => next,
        };
        let chunk = match next {
            Ok(None) => return,
            Ok(Some(chunk)) => chunk.map_err(io::Error::other),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let broken = chunk.is_err();
        if sender.send(chunk).await.is_err() {
            break;
        }
        if broken {
            return;
        }
    }
    drain(body).await;
}
