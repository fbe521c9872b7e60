//! The giving end of an exchange.

use super::{
    frames::{Answer, REQUEST_BYTES, Request},
    read_full, within,
};
use crate::{
    Store,
    offload::blocking,
    store::{CHUNK_BYTES, GetError},
};
use futures::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use pocketmesh_types::BlobId;
use std::{fs::File, io, io::Read, time::Duration};

/// What was given over a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests answered, refusals included.
    pub requests: u64,
    /// Bytes of blobs sent.
    pub bytes: u64,
}

/// Why serving a stream ended before the other end closed it. The stream is to be dropped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Not a request of this protocol.
    #[error("the peer sent what is no blob request")]
    Malformed,
    /// The other end took too long over a request that it had begun, or over taking a chunk.
    #[error("the peer stalled")]
    Stalled,
    /// The stream broke.
    #[error("the stream to the peer broke: {0}")]
    Stream(io::Error),
    /// Our disk failed us in the middle of a blob.
    #[error("cannot read a blob that is being sent: {0}")]
    Disk(#[source] GetError),
}

/// Answers requests until the other end closes the stream, or asks nothing for `patience`.
///
/// `authorise` is asked for each blob that is here; what it refuses is answered as if it were not. `patience` is also
/// how long one chunk of 64 KiB may take.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    store: &Store,
    authorise: impl Fn(BlobId) -> bool,
    patience: Duration,
) -> Result<Served, ServeError> {
    let mut served = Served::default();
    while let Some(request) = next_request(stream, patience).await? {
        served.requests += 1;
        served.bytes += answer(stream, store, request, &authorise, patience).await?;
    }
    Ok(served)
}

async fn next_request<S: AsyncRead + Unpin>(stream: &mut S, patience: Duration) -> Result<Option<Request>, ServeError> {
    let mut bytes = [0; REQUEST_BYTES];
    // Silence between requests is how an idle stream ends; silence within one is a fault.
    let first = match within(patience, read_full(stream, &mut bytes[..1])).await {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => 0,
        result => result.map_err(broken)?,
    };
    if first == 0 {
        return Ok(None);
    }
    if within(patience, read_full(stream, &mut bytes[1..])).await.map_err(broken)? < REQUEST_BYTES - 1 {
        return Err(ServeError::Malformed);
    }
    Request::decode(&bytes).map(Some).ok_or(ServeError::Malformed)
}

/// Answers one request, and says how many bytes of the blob went out.
async fn answer<S: AsyncWrite + Unpin>(
    stream: &mut S,
    store: &Store,
    request: Request,
    authorise: &impl Fn(BlobId) -> bool,
    patience: Duration,
) -> Result<u64, ServeError> {
    let (answer, file) = match store.len(request.id) {
        Some(_) if !authorise(request.id) => (Answer::NotHere, None),
        Some(len) if len > request.max_bytes => (Answer::TooLong(len), None),
        Some(_) => open(store, request.id).await?,
        None => (Answer::NotHere, None),
    };
    within(patience, stream.write_all(&answer.encode())).await.map_err(broken)?;
    let sent = match (answer, file) {
        (Answer::Here(len), Some(file)) => send(stream, store, request.id, file, len, patience).await?,
        _ => 0,
    };
    within(patience, stream.flush()).await.map_err(broken)?;
    Ok(sent)
}

async fn open(store: &Store, id: BlobId) -> Result<(Answer, Option<File>), ServeError> {
    let store = store.clone();
    match blocking(move || store.open_file(id)).await.map_err(broken)? {
        Ok((file, len)) => Ok((Answer::Here(len), Some(file))),
        Err(GetError::Missing(_)) => Ok((Answer::NotHere, None)),
        Err(error) => Err(ServeError::Disk(error)),
    }
}

async fn send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    store: &Store,
    id: BlobId,
    mut file: File,
    len: u64,
    patience: Duration,
) -> Result<u64, ServeError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = len;
    while left > 0 {
        let size = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        chunk.truncate(size);
        let read = blocking(move || file.read_exact(&mut chunk).map(|()| (file, chunk))).await.map_err(broken)?;
        let Ok(both) = read else { return Err(damaged(store, id).await) };
        (file, chunk) = both;
        within(patience, stream.write_all(&chunk)).await.map_err(broken)?;
        left -= size as u64;
    }
    Ok(len)
}

/// The file ended early: it is looked at again as a whole, so that nobody is served it next time.
async fn damaged(store: &Store, id: BlobId) -> ServeError {
    let store = store.clone();
    match blocking(move || store.verify(id)).await {
        Ok(Err(error)) => ServeError::Disk(error),
        Ok(Ok(())) => ServeError::Disk(GetError::Missing(id)),
        Err(error) => ServeError::Stream(error),
    }
}

fn broken(error: io::Error) -> ServeError {
    if error.kind() == io::ErrorKind::TimedOut { ServeError::Stalled } else { ServeError::Stream(error) }
}
