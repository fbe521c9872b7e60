//! The folder of a result: complete or not there. It is written beside its place and renamed when all of it is on disk.

use crate::exit::Error;
use futures::StreamExt;
use pocketmesh_api::{Client, Report};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// All tasks' standard output, joined in task order.
const STDOUT: &str = "stdout";
/// How it came to be.
const REPORT: &str = "report.json";

/// Fails unless `dir` can become a result folder: it is empty, or does not exist and its parent does.
pub fn check(dir: &Path) -> Result<(), Error> {
    let shown = dir.display();
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(false) => Err(Error::usage(format!("the folder {shown} is not empty: name a new one with -o"))),
        Ok(true) => place_beside(dir).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match parent(dir) {
            Some(parent) if parent.is_dir() => place_beside(dir).map(drop),
            _ => Err(Error::usage(format!("the folder in which {shown} should be made does not exist"))),
        },
        Err(error) => Err(Error::usage(format!("cannot put the result into {shown}: {error}"))),
    }
}

/// Fetches a finished job's result into `dir`.
pub async fn write(client: &Client, id: &str, dir: &Path) -> Result<Report, Error> {
    check(dir)?;
    let fresh = Fresh::make(place_beside(dir)?)?;
    let report = client.job_report(id).await?;
    let mut chunks = client.job_stdout(id).await?;
    let mut stdout = fs::File::create(fresh.0.join(STDOUT)).map_err(|error| cannot(dir, &error))?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Error::failed(format!("the result broke off: {error}")))?;
        stdout.write_all(&chunk).map_err(|error| cannot(dir, &error))?;
    }
    let mut text = serde_json::to_vec_pretty(&report).map_err(|error| cannot(dir, &error.into()))?;
    text.push(b'\n');
    let mut file = fs::File::create(fresh.0.join(REPORT)).map_err(|error| cannot(dir, &error))?;
    let synced = file.write_all(&text).and_then(|()| file.sync_all()).and_then(|()| stdout.sync_all());
    synced.and_then(|()| fs::rename(&fresh.0, dir)).map_err(|error| cannot(dir, &error))?;
    Ok(report)
}

/// A folder that goes again unless it was renamed.
struct Fresh(PathBuf);

impl Fresh {
    fn make(path: PathBuf) -> Result<Self, Error> {
        fs::create_dir(&path).map_err(|error| cannot(&path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // After the rename there is nothing; on the way of another error that one is to be reported.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn place_beside(dir: &Path) -> Result<PathBuf, Error> {
    let name = dir.file_name().ok_or_else(|| Error::usage(format!("{} is no name for a new folder", dir.display())))?;
    Ok(dir.with_file_name(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id())))
}

fn parent(dir: &Path) -> Option<&Path> {
    dir.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

fn cannot(dir: &Path, error: &io::Error) -> Error {
    Error::failed(format!("cannot write the result to {}: {error}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_or_a_new_folder_will_do() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("empty")).expect("made");
        fs::create_dir(at("full")).expect("made");
        fs::write(at("full/file"), "").expect("written");
        check(&at("empty")).expect("empty");
        check(&at("new")).expect("new");
        for bad in ["full", "full/file", "none/new", "empty/.."] {
            check(&at(bad)).expect_err(bad);
        }
    }

    #[test]
    fn what_was_begun_and_not_finished_goes_again() {
        let root = tempfile::tempdir().expect("a folder");
        let fresh = Fresh::make(place_beside(&root.path().join("out")).expect("a place")).expect("made");
        fs::write(fresh.0.join(STDOUT), "half").expect("written");
        drop(fresh);
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 0);
    }
}
