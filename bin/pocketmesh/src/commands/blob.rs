//! `blob`: the blobs of this peer, and those of others.

mod bar;
mod get;

use crate::cli::Blob;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::sources::Source;
use crate::table::Table;
use crate::{output, quantity};
use bar::Bar;
use pocketmesh_api::{Chunks, CollectBlobs, CollectedBlobs, HeldBlob, HeldBlobs};
use pocketmesh_node::home::Size;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A file that has become a blob.
#[derive(Debug, Serialize)]
struct Added {
    path: PathBuf,
    #[serde(flatten)]
    blob: HeldBlob,
}

/// Runs one of the commands.
pub async fn dispatch(context: &Context, command: Blob) -> Outcome {
    match command {
        Blob::Add { files, no_keep } => add(context, files, !no_keep).await?,
        Blob::Get { id, output, from } => get::run(context, id, output, from).await?,
        Blob::Ls => list(context, &context.client().blobs().await?)?,
        Blob::Stat { id } => show(context, &context.client().blob(id).await?)?,
        Blob::Pin { id } => show(context, &context.client().keep_blob(id, true).await?)?,
        Blob::Unpin { id } => show(context, &context.client().keep_blob(id, false).await?)?,
        Blob::Gc { check } => collected(context, &context.client().collect_blobs(&CollectBlobs { check }).await?)?,
    }
    Ok(Exit::Complete)
}

async fn add(context: &Context, files: Vec<PathBuf>, keep: bool) -> Result<(), Error> {
    let client = context.client();
    let mut all = Vec::with_capacity(files.len());
    for path in files {
        let (chunks, len) = open(&path).await?;
        let bar = Bar::new(context, "stored", len);
        let stored = client.put_blob(bar.watch(chunks)).await?;
        drop(bar);
        let blob = if keep { client.keep_blob(stored.id, true).await? } else { client.blob(stored.id).await? };
        if !context.json {
            output::text(format!(
                "{}  {}  {}",
                blob.id,
                Size(blob.len),
                crate::terminal::one_line(&path.to_string_lossy())
            ))?;
        }
        all.push(Added { path, blob });
    }
    if context.json { output::json(&all) } else { Ok(()) }
}

async fn open(path: &Path) -> Result<(Chunks, u64), Error> {
    if path.is_dir() {
        return Err(Error::usage(format!("{} is a folder: add its files", path.display())));
    }
    let source = if path == Path::new("-") { Source::Stdin } else { Source::File(path.to_owned()) };
    Ok((source.open().await?, source.len().unwrap_or(0)))
}

fn list(context: &Context, held: &HeldBlobs) -> Result<(), Error> {
    if context.json {
        return output::json(held);
    }
    let mut table = Table::new(&["blob", ">size", ">here", ""]);
    for blob in &held.blobs {
        let here = if blob.held == blob.len { "all".into() } else { share(blob) };
        table.row([blob.id.to_string(), Size(blob.len).to_string(), here, standing(blob).into()]);
    }
    let sent: u64 = held.sent.iter().map(|one| one.bytes).sum();
    output::text(format!(
        "{table}{} of {} in use, {} of them may not go; {} sent to {} since the start",
        Size(held.used),
        Size(held.quota),
        Size(held.pinned),
        Size(sent),
        quantity::count(held.sent.len() as u64, "peer"),
    ))
}

fn show(context: &Context, blob: &HeldBlob) -> Result<(), Error> {
    if context.json {
        return output::json(blob);
    }
    let here = if blob.held == blob.len { "all of it".into() } else { share(blob) };
    let standing = match standing(blob) {
        "" => "may go when room is needed",
        standing => standing,
    };
    output::text(format!(
        "blob   {}\nsize   {} ({} bytes)\nhere   {here}\nstays  {standing}\n",
        blob.id,
        Size(blob.len),
        quantity::grouped(blob.len)
    ))
}

fn collected(context: &Context, collected: &CollectedBlobs) -> Result<(), Error> {
    if context.json {
        return output::json(collected);
    }
    let mut text = format!(
        "{} removed, and what had been fetched of {}: {} are free again\n",
        quantity::count(collected.blobs, "blob"),
        quantity::count(collected.partial, "blob"),
        Size(collected.bytes)
    );
    if collected.good > 0 || !collected.damaged.is_empty() {
        text += &format!("{} read and found right\n", quantity::count(collected.good, "blob"));
    }
    for id in &collected.damaged {
        text += &format!("damaged and put aside: {id}\n");
    }
    output::text(text)
}

fn share(blob: &HeldBlob) -> String {
    quantity::percent(blob.held as f64 / blob.len.max(1) as f64)
}

fn standing(blob: &HeldBlob) -> &'static str {
    match blob {
        HeldBlob { kept: true, .. } => "kept",
        HeldBlob { pinned: true, .. } => "needed by a job",
        _ => "",
    }
}
