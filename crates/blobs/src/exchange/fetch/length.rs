//! The length of a blob of which only the name is known.
//!
//! A provider's word is worth nothing: a wrong length would show only at the end, and others would be blamed for it. The
//! last part with its hashes proves it.

use super::{
    Connect, Fault, FetchError, Providers, Wanted,
    talk::{Reply, Subject, Talk},
    target::Target,
};
use crate::{buffers::Buffers, offload::blocking, store::partial::AcceptError, store::portion::Ask, tree};
use pocketmesh_types::PeerId;
use std::{collections::BTreeMap, io, sync::Mutex, time::Duration};

/// Asks one provider after the other until one proves it. Those that failed are named in `faults`.
pub async fn prove<C: Connect>(
    connect: &C,
    wanted: &Wanted,
    providers: &mut Providers,
    patience: Duration,
    faults: &mut BTreeMap<PeerId, Fault>,
) -> Result<u64, FetchError> {
    let mut asked = 0;
    loop {
        let peer = match providers.known.get(asked) {
            Some(peer) => *peer,
            None => match next(providers, patience).await {
                Some(peer) => {
                    providers.known.push(peer);
                    peer
                }
                None => return Err(FetchError::NotHere { id: wanted.id, faults: std::mem::take(faults) }),
            },
        };
        asked += 1;
        match ask(connect, wanted, peer, patience).await {
            Ok(len) => return Ok(len),
            Err(Fault::TooLong { len, max_bytes }) if providers.known.len() == 1 && providers.more.is_none() => {
                return Err(FetchError::TooLong { len, max_bytes });
            }
            Err(fault) => drop(faults.insert(peer, fault)),
        }
    }
}

async fn next(providers: &mut Providers, patience: Duration) -> Option<PeerId> {
    let more = providers.more.as_mut()?;
    tokio::time::timeout(patience, more.recv()).await.ok().flatten()
}

async fn ask<C: Connect>(connect: &C, wanted: &Wanted, peer: PeerId, patience: Duration) -> Result<u64, Fault> {
    let subject = Subject { id: wanted.id, len: None, max_bytes: wanted.max_bytes };
    let stream = connect.open(peer, true).await.map_err(Fault::Unreachable)?;
    let mut talk = Talk::new(stream, subject, patience, Buffers::default());
    talk.ask(Ask::Last).await?;
    let Reply::Given { len, encoded } = talk.answer(Ask::Last).await? else {
        // It has a part of the blob, but not the one that proves the length.
        return Err(Fault::NotHere);
    };
    let id = wanted.id;
    let checked = blocking(move || {
        let groups = Ask::Last.groups(len).unwrap_or(0..tree::groups_of(len));
        Target::Small { id, len, bytes: Mutex::default() }.accept(&groups, &encoded)
    });
    match checked.await.map_err(Fault::Stream)? {
        Ok(()) => {
            if let Some(stream) = talk.into_stream() {
                connect.keep(peer, stream);
            }
            Ok(len)
        }
        Err(AcceptError::Wrong(wrong)) => Err(Fault::WrongBytes { group: wrong.group }),
        Err(AcceptError::Put(error)) => Err(Fault::Stream(io::Error::other(error))),
    }
}
