//! The taking end of an exchange: trusts nothing but the hash.

use super::{
    frames::{ANSWER_BYTES, Answer, Request},
    read_full, within,
};
use crate::{
    Durability, Store,
    offload::blocking,
    store::{CHUNK_BYTES, PutError},
};
use futures::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use pocketmesh_types::BlobId;
use std::{io, time::Duration};

/// The blob that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub id: BlobId,
    /// Its length in bytes, if it is known: any other is refused before a byte is taken.
    pub len: Option<u64>,
    /// The most that is taken.
    pub max_bytes: u64,
}

/// Why a blob was not fetched. Nothing of it is left. After [`FetchError::NotHere`] the stream can take the next request;
/// after any other error it is to be dropped.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The peer does not have it, or not for us.
    #[error("the peer does not have blob {0}")]
    NotHere(BlobId),
    /// It has more bytes than are wanted, by the peer's own word.
    #[error("the peer's blob has {len} bytes, and at most {max_bytes} are wanted")]
    TooLong {
        /// What the peer says it has.
        len: u64,
        /// What may come.
        max_bytes: u64,
    },
    /// The peer announced another length than the blob has.
    #[error("the peer announced {announced} bytes of a blob that has {wanted}")]
    WrongLength {
        /// What the peer says it has.
        announced: u64,
        /// What the blob has.
        wanted: u64,
    },
    /// The peer sent other bytes.
    #[error("the peer sent bytes that hash to {found} for blob {wanted}")]
    WrongBytes {
        /// What was asked for.
        wanted: BlobId,
        /// What came.
        found: BlobId,
    },
    /// The stream ended too soon.
    #[error("the peer closed the stream after {got} of {len} bytes")]
    CutShort {
        /// What came.
        got: u64,
        /// What was announced; 0 before any announcement.
        len: u64,
    },
    /// The peer took too long over a chunk.
    #[error("the peer stalled")]
    Stalled,
    /// Not an answer of this protocol.
    #[error("the peer sent what is no answer to a blob request")]
    Malformed,
    /// The stream broke.
    #[error("the stream to the peer broke: {0}")]
    Stream(#[source] io::Error),
    /// Our store could not take it.
    #[error(transparent)]
    Store(PutError),
}

/// Asks for a blob over `stream` and stores it, [`Durability::Refetchable`], when its hash has been checked. Returns its
/// length. Each chunk of 64 KiB has to arrive within `patience`. Dropping the future leaves nothing.
pub async fn fetch<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    wanted: Wanted,
    store: &Store,
    patience: Duration,
) -> Result<u64, FetchError> {
    let max_bytes = wanted.len.unwrap_or(u64::MAX).min(wanted.max_bytes);
    let request = Request { id: wanted.id, max_bytes }.encode();
    within(patience, stream.write_all(&request)).await.map_err(broken)?;
    within(patience, stream.flush()).await.map_err(broken)?;
    let len = announced(stream, wanted, max_bytes, patience).await?;
    receive(stream, wanted.id, len, store, patience).await?;
    Ok(len)
}

async fn announced<S: AsyncRead + Unpin>(
    stream: &mut S,
    wanted: Wanted,
    max_bytes: u64,
    patience: Duration,
) -> Result<u64, FetchError> {
    let mut bytes = [0; ANSWER_BYTES];
    if within(patience, read_full(stream, &mut bytes)).await.map_err(broken)? < ANSWER_BYTES {
        return Err(FetchError::CutShort { got: 0, len: 0 });
    }
    match (Answer::decode(&bytes).ok_or(FetchError::Malformed)?, wanted.len) {
        (Answer::NotHere, _) => Err(FetchError::NotHere(wanted.id)),
        (Answer::Here(len) | Answer::TooLong(len), Some(wanted)) if len != wanted => {
            Err(FetchError::WrongLength { announced: len, wanted })
        }
        (Answer::Here(len), _) if len <= max_bytes => Ok(len),
        (Answer::TooLong(len), _) if len <= max_bytes => Err(FetchError::Malformed),
        (Answer::Here(len) | Answer::TooLong(len), _) => Err(FetchError::TooLong { len, max_bytes }),
    }
}

async fn receive<S: AsyncRead + Unpin>(
    stream: &mut S,
    id: BlobId,
    len: u64,
    store: &Store,
    patience: Duration,
) -> Result<(), FetchError> {
    let store = store.clone();
    let mut writer = stored(blocking(move || store.writer(len)).await)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut got = 0;
    while got < len {
        let size = chunk.len().min(usize::try_from(len - got).unwrap_or(usize::MAX));
        chunk.truncate(size);
        let count = within(patience, read_full(stream, &mut chunk)).await.map_err(broken)?;
        got += count as u64;
        if count < size {
            return Err(FetchError::CutShort { got, len });
        }
        (writer, chunk) = stored(blocking(move || writer.write(&chunk).map(|()| (writer, chunk))).await)?;
    }
    stored(blocking(move || writer.finish_as(id, Durability::Refetchable)).await)
}

fn stored<T>(result: io::Result<Result<T, PutError>>) -> Result<T, FetchError> {
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(PutError::WrongHash { wanted, found })) => Err(FetchError::WrongBytes { wanted, found }),
        Ok(Err(error)) => Err(FetchError::Store(error)),
        Err(error) => Err(FetchError::Store(error.into())),
    }
}

fn broken(error: io::Error) -> FetchError {
    if error.kind() == io::ErrorKind::TimedOut { FetchError::Stalled } else { FetchError::Stream(error) }
}
