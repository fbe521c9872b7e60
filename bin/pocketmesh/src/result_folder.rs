//! The folder of a job's result: all standard output, each task's files, and how they came to be.

use crate::exit::Error;
use crate::fresh_folder::{FreshFolder, NewFile};
use futures::{Stream, StreamExt};
use pocketmesh_api::{Chunk, Client, OutputFile, Report, TaskFiles, Which};
use pocketmesh_types::{BlobId, Hash, Output};
use std::io;
use std::path::Path;

/// All tasks' standard output, joined in task order.
const STDOUT: &str = "stdout";
/// How it came to be.
const REPORT: &str = "report.json";
/// What was paid for it.
const RECEIPTS: &str = "receipts.cbor";
/// Each task's files, in a folder named by its `{index}`.
const TASKS: &str = "tasks";

/// Fetches a job's result into `dir`.
pub async fn write(client: &Client, id: &str, which: Which, dir: &Path) -> Result<Report, Error> {
    let fresh = FreshFolder::begin(dir)?;
    // First: while the last payments are made, nothing is lost by waiting, and the report then counts them.
    let receipts = client.job_receipts(id).await?;
    let mut report = client.job_report(id, which).await?;
    let (mut hasher, stdout) = (blake3::Hasher::new(), client.job_stdout(id, which).await?);
    let watched = stdout.inspect(|chunk| drop(chunk.as_ref().map(|chunk| hasher.update(chunk))));
    let stdout = copy(watched, fresh.create("", STDOUT)?).await?;
    let len = stdout.len();
    stdout.finish()?;
    if which == Which::SoFar {
        // More tasks may have become final between the two requests.
        report.stdout = Output { id: BlobId(Hash(*hasher.finalize().as_bytes())), len };
    }
    let mut lists = client.job_files(id, which).await?;
    while let Some(TaskFiles { index, files }) = lists.next().await.transpose()? {
        let folder = format!("{TASKS}/{index}");
        for file in &files {
            fetch(client, file, fresh.create(&folder, &file.path)?).await?;
        }
    }
    copy(receipts, fresh.create("", RECEIPTS)?).await?.finish()?;
    let text = serde_json::to_string_pretty(&report).map_err(|error| Error::failed(format!("{REPORT}: {error}")))?;
    let mut file = fresh.create("", REPORT)?;
    file.write(text.as_bytes())?;
    file.write(b"\n")?;
    file.finish()?;
    fresh.finish()?;
    Ok(report)
}

async fn fetch(client: &Client, file: &OutputFile, into: NewFile) -> Result<(), Error> {
    let copied = copy(client.get_blob(file.blob).await?, into).await?;
    if copied.len() != file.len {
        let (path, is, len) = (&file.path, copied.len(), file.len);
        return Err(Error::failed(format!("the file {path:?} of the result has {is} bytes and should have {len}")));
    }
    copied.finish()
}

async fn copy(mut chunks: impl Stream<Item = io::Result<Chunk>> + Unpin, mut file: NewFile) -> Result<NewFile, Error> {
    while let Some(chunk) = chunks.next().await {
        file.write(&chunk.map_err(|error| Error::failed(format!("the result broke off: {error}")))?)?;
    }
    Ok(file)
}
