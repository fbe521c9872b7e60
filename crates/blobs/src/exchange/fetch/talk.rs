//! One stream to one provider: requests out, answers in, nothing believed.

use super::Fault;
use crate::{
    buffers::{Buffer, Buffers},
    exchange::{
        frames::{ANSWER_BYTES, Answer, Request},
        read_full, write_through,
    },
    store::portion::Ask,
    tree,
};
use futures::{
    AsyncReadExt,
    io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf},
};
use pocketmesh_types::BlobId;
use std::{io, time::Duration};

/// What a provider answered. Its length is the one that was wanted, or within the bound if none was.
#[derive(Debug)]
pub enum Reply {
    /// The groups that were asked for, unchecked, with the length of the blob.
    Given { len: u64, encoded: Buffer },
    /// Which parts it has.
    Held { parts: Vec<u8> },
}

/// What is asked for over a stream.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    pub id: BlobId,
    pub len: Option<u64>,
    pub max_bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Talk<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    subject: Subject,
    patience: Duration,
    buffers: Buffers,
    /// Whether the provider has ever answered over this stream.
    pub answered: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub fn new(stream: S, subject: Subject, patience: Duration, buffers: Buffers) -> Self {
        let (reader, writer) = stream.split();
        Self { reader, writer, subject, patience, buffers, answered: false }
    }

    /// The stream, for the next fetch. Only when every answer has been read.
    pub fn into_stream(self) -> Option<S> {
        self.reader.reunite(self.writer).ok()
    }

    pub async fn ask(&mut self, ask: Ask) -> Result<(), Fault> {
        let request = Request { id: self.subject.id, max_bytes: self.bound(), ask };
        write_through(&mut self.writer, &request.encode(), self.patience).await.map_err(broken)
    }

    /// The answer to the oldest question that has none yet.
    pub async fn answer(&mut self, ask: Ask) -> Result<Reply, Fault> {
        let mut bytes = [0; ANSWER_BYTES];
        if read_full(&mut self.reader, &mut bytes, self.patience).await.map_err(broken)? < ANSWER_BYTES {
            return Err(Fault::CutShort);
        }
        self.answered = true;
        let answer = Answer::decode(&bytes).ok_or(Fault::Malformed)?;
        match answer {
            Answer::NotHere => Err(Fault::NotHere),
            Answer::Given(len) | Answer::Held(len) | Answer::TooLong(len) if !self.fits(len) => Err(self.misfit(len)),
            Answer::TooLong(_) => Err(Fault::Malformed),
            Answer::Given(len) => {
                let groups = ask.groups(len).ok_or(Fault::Malformed)?;
                let mut encoded = self.buffers.take(tree::encoded_bytes(len, &groups));
                self.body(&mut encoded).await?;
                Ok(Reply::Given { len, encoded })
            }
            Answer::Held(len) => {
                let mut parts = vec![0; tree::parts_of(len).div_ceil(8) as usize];
                self.body(&mut parts).await?;
                Ok(Reply::Held { parts })
            }
        }
    }

    /// No more bytes than this may follow from an answer.
    fn bound(&self) -> u64 {
        self.subject.len.unwrap_or(self.subject.max_bytes).min(self.subject.max_bytes)
    }

    fn fits(&self, len: u64) -> bool {
        len <= self.bound() && self.subject.len.is_none_or(|wanted| wanted == len)
    }

    fn misfit(&self, announced: u64) -> Fault {
        match self.subject.len {
            Some(wanted) => Fault::WrongLength { announced, wanted },
            None => Fault::TooLong { len: announced, max_bytes: self.subject.max_bytes },
        }
    }

    async fn body(&mut self, body: &mut [u8]) -> Result<(), Fault> {
        if read_full(&mut self.reader, body, self.patience).await.map_err(broken)? < body.len() {
            return Err(Fault::CutShort);
        }
        Ok(())
    }
}

fn broken(error: io::Error) -> Fault {
    if error.kind() == io::ErrorKind::TimedOut { Fault::Stalled } else { Fault::Stream(error) }
}
