//! `blob get`: fetch, then write out.

use super::bar::Bar;
use crate::context::Context;
use crate::exit::Error;
use crate::output;
use futures::StreamExt;
use pocketmesh_api::{Chunks, Client, ClientError, Code, FetchBlob, FetchUpdate, HeldBlob, PeerBytes};
use pocketmesh_node::home::Size;
use pocketmesh_types::{BlobId, PeerId};
use serde::Serialize;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;

/// A blob that is here now.
#[derive(Debug, Serialize)]
struct Got {
    #[serde(flatten)]
    blob: HeldBlob,
    from: Vec<PeerBytes>,
    liars: Vec<PeerId>,
}

/// Fetches a blob unless it is here, and writes it out: to `target`, or to standard output unless that is for JSON.
pub async fn run(context: &Context, id: BlobId, target: Option<PathBuf>, from: Vec<PeerId>) -> Result<(), Error> {
    let client = context.client();
    let got = match here(&client, id).await? {
        Some(blob) => Got { blob, from: Vec::new(), liars: Vec::new() },
        None => fetch(context, &client, id, from).await?,
    };
    tell(context, &got);
    match target {
        Some(path) => {
            let bar = Bar::new(context, "written", got.blob.len);
            write(bar.watch(client.get_blob(id).await?), &path).await?;
        }
        None if !context.json => output::bytes(client.get_blob(id).await?).await?,
        None => {}
    }
    if context.json { output::json(&got) } else { Ok(()) }
}

/// The blob, if all of it is here.
async fn here(client: &Client, id: BlobId) -> Result<Option<HeldBlob>, Error> {
    match client.blob(id).await {
        Ok(blob) => Ok(Some(blob).filter(|blob| blob.held == blob.len)),
        Err(ClientError::Failed(failure)) if failure.code == Code::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn fetch(context: &Context, client: &Client, id: BlobId, from: Vec<PeerId>) -> Result<Got, Error> {
    let bar = Bar::new(context, "here", 0);
    let mut updates = client.fetch_blob(id, &FetchBlob { from }).await?;
    while let Some(update) = updates.next().await {
        match update? {
            FetchUpdate::Progress { len, held, .. } => bar.set(held, len),
            FetchUpdate::Done { blob, from, liars } => return Ok(Got { blob, from, liars }),
            FetchUpdate::Failed(failure) => return Err(ClientError::Failed(failure).into()),
        }
    }
    Err(Error::failed("the daemon broke off: what has come so far stays, and the next `blob get` goes on from there"))
}

fn tell(context: &Context, got: &Got) {
    for one in &got.from {
        context.note(format!("{} from {}", Size(one.bytes), one.peer));
    }
    for liar in &got.liars {
        context.note(format!("{liar} sent what is not of this blob; that was not used"));
    }
}

/// Writes beside the target first, so that nobody ever finds half of it there.
async fn write(mut chunks: Chunks, path: &Path) -> Result<(), Error> {
    let cannot = |error| Error::failed(format!("cannot write {}: {error}", path.display()));
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut file = tokio::fs::File::create(&part).await.map_err(cannot)?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Error::failed(format!("the blob broke off: {error}")))?;
        file.write_all(&chunk).await.map_err(cannot)?;
    }
    file.flush().await.map_err(cannot)?;
    tokio::fs::rename(&part, path).await.map_err(cannot)
}
