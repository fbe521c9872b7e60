//! The giving end of an exchange.

use super::{
    STEP_BYTES,
    frames::{Answer, REQUEST_BYTES, Request},
    read_full,
    uplink::{Lane, Uplink},
    within, write_through,
};
use crate::{Store, offload::blocking, store::portion::Portion};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use pocketmesh_types::{BlobId, PeerId};
use std::{io, time::Duration};

/// What was given over a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests answered, refusals included.
    pub requests: u64,
    /// Bytes of blobs and their hashes sent.
    pub bytes: u64,
}

/// Why serving a stream ended before the other end closed it. The stream is to be dropped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Not a request of this protocol.
    #[error("the peer sent what is no blob request")]
    Malformed,
    /// The other end took too long over a request that it had begun, or over taking bytes.
    #[error("the peer stalled")]
    Stalled,
    /// The stream broke.
    #[error("the stream to the peer broke: {0}")]
    Stream(io::Error),
    /// Our disk failed us.
    #[error("cannot read a blob that was asked for: {0}")]
    Disk(#[source] io::Error),
}

/// Answers a peer's requests until the other end closes the stream, or asks nothing for `patience`.
///
/// `authorise` is asked for each blob; what it refuses is answered as if it were not here. `patience` is also how long
/// 64 KiB may take, waits for the uplink not counted. While an answer goes out the next one is read: two parts are held
/// in memory.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    peer: PeerId,
    store: &Store,
    uplink: &Uplink,
    authorise: impl Fn(BlobId) -> bool,
    patience: Duration,
) -> Result<Served, ServeError> {
    let (mut reader, mut writer) = stream.split();
    let lane = uplink.lane(peer);
    let mut served = Served::default();
    let mut next = prepare(&mut reader, store, &authorise, patience).await?;
    while let Some(portion) = next {
        served.requests += 1;
        let sending = send(&mut writer, portion, (uplink, &lane), patience);
        let (sent, following) = futures::try_join!(sending, prepare(&mut reader, store, &authorise, patience))?;
        served.bytes += sent;
        next = following;
    }
    Ok(served)
}

/// Reads a request and what answers it; `None` when the peer asks nothing more.
async fn prepare(
    reader: &mut (impl AsyncRead + Unpin),
    store: &Store,
    authorise: &impl Fn(BlobId) -> bool,
    patience: Duration,
) -> Result<Option<Portion>, ServeError> {
    let Some(request) = next_request(reader, patience).await? else { return Ok(None) };
    if !authorise(request.id) {
        return Ok(Some(Portion::NotHere));
    }
    let store = store.clone();
    let portion = blocking(move || store.portion(request.id, request.max_bytes, request.ask)).await;
    portion.and_then(|portion| portion).map(Some).map_err(ServeError::Disk)
}

async fn next_request(
    reader: &mut (impl AsyncRead + Unpin),
    patience: Duration,
) -> Result<Option<Request>, ServeError> {
    let mut bytes = [0; REQUEST_BYTES];
    // Silence between requests is how an idle stream ends; silence within one is a fault.
    let first = match read_full(reader, &mut bytes[..1], patience).await {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => 0,
        result => result.map_err(broken)?,
    };
    if first == 0 {
        return Ok(None);
    }
    if read_full(reader, &mut bytes[1..], patience).await.map_err(broken)? < REQUEST_BYTES - 1 {
        return Err(ServeError::Malformed);
    }
    Request::decode(&bytes).map(Some).ok_or(ServeError::Malformed)
}

/// Sends one answer, and says how many bytes its body had.
async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    portion: Portion,
    (uplink, lane): (&Uplink, &Lane),
    patience: Duration,
) -> Result<u64, ServeError> {
    let (answer, body): (_, &[u8]) = match &portion {
        Portion::Given { len, encoded } => (Answer::Given(*len), encoded),
        Portion::Held { len, parts } => (Answer::Held(*len), parts),
        Portion::TooLong(len) => (Answer::TooLong(*len), &[]),
        Portion::NotHere => (Answer::NotHere, &[]),
    };
    within(patience, writer.write_all(&answer.encode())).await.map_err(broken)?;
    for step in body.chunks(STEP_BYTES) {
        uplink.take(lane, step.len()).await;
        within(patience, writer.write_all(step)).await.map_err(broken)?;
    }
    write_through(writer, &[], patience).await.map_err(broken)?;
    Ok(body.len() as u64)
}

fn broken(error: io::Error) -> ServeError {
    if error.kind() == io::ErrorKind::TimedOut { ServeError::Stalled } else { ServeError::Stream(error) }
}
