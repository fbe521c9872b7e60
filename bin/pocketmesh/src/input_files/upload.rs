//! Handing the files to the daemon, each distinct content once.

use super::{InputFile, InputFiles, cannot_read, changed};
use crate::exit::Error;
use crate::sources;
use crate::uploads::Uploads;
use pocketmesh_api::{self as api, Client};
use pocketmesh_types::limits::BLOB_BYTES_MAX;
use pocketmesh_types::{BlobId, Hash, Output};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes read and hashed at once.
const CHUNK_BYTES: usize = 256 << 10;

impl InputFiles {
    /// Uploads them; what the job says about each.
    pub async fn upload(&self, client: &Client, uploads: &Uploads) -> Result<Vec<api::InputFile>, Error> {
        let (mut sent, mut files) = (BTreeSet::new(), Vec::with_capacity(self.0.len()));
        for file in &self.0 {
            let content = name(file).await?;
            if sent.insert(content) {
                send(client, uploads, &file.path, content).await?;
            } else {
                uploads.skip(content.len);
            }
            files.push(api::InputFile { path: file.place.clone(), blob: content.id, len: content.len });
        }
        Ok(files)
    }
}

async fn send(client: &Client, uploads: &Uploads, path: &Path, content: Output) -> Result<(), Error> {
    let file = tokio::fs::File::open(path).await.map_err(|error| cannot_read(path, &error))?;
    let blob = client.put_blob(uploads.watch(sources::chunks(file))).await?;
    if (blob.id, blob.len) == (content.id, content.len) { Ok(()) } else { Err(changed(path)) }
}

/// Names what is in a file now.
async fn name(file: &InputFile) -> Result<Output, Error> {
    let (path, len) = (file.path.clone(), file.len);
    let hashed = tokio::task::spawn_blocking(move || hash(&path).map_err(|error| cannot_read(&path, &error)));
    let content = hashed.await.map_err(Error::failed)??;
    if content.len == len { Ok(content) } else { Err(changed(&file.path)) }
}

fn hash(path: &Path) -> io::Result<Output> {
    let (mut hasher, mut len) = (blake3::Hasher::new(), 0);
    let mut file = File::open(path)?.take(BLOB_BYTES_MAX + 1);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Output { id: BlobId(Hash(*hasher.finalize().as_bytes())), len }),
            read => {
                hasher.update(&chunk[..read]);
                len += read as u64;
            }
        }
    }
}
