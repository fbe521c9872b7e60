//! Files and folders of the person that every task finds under `/in`: found and checked before anything is uploaded.

mod upload;
mod walk;

use crate::exit::Error;
use pocketmesh_node::home::Size;
use pocketmesh_types::Output;
use pocketmesh_types::limits::BLOB_BYTES_MAX;
use pocketmesh_types::tree::{self, Tree, TreeError};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file or folder, and where it is to lie.
#[derive(Debug, PartialEq, Eq)]
pub struct Laid {
    source: PathBuf,
    /// Names joined by `/`; none for `/in` itself.
    place: String,
    /// Whether the place is a folder in which a file keeps its own name.
    is_folder: bool,
}

/// A file, and where it will lie.
#[derive(Debug, PartialEq, Eq)]
pub struct InputFile {
    /// Relative to `/in`.
    pub place: String,
    /// Here.
    pub path: PathBuf,
    /// Its length in bytes when it was found.
    pub len: u64,
}

/// All of them, sorted by place.
#[derive(Debug, Default)]
pub struct InputFiles(Vec<InputFile>);

impl Laid {
    /// `SRC:DST`: DST is relative to `/in`, and a folder if it is empty, `.`, or ends with `/`.
    pub fn new(source: &Path, place: &OsStr) -> Result<Self, Error> {
        let shown = place.display();
        let text = place.to_str().ok_or_else(|| Error::usage(format!("{shown}: paths under /in are UTF-8")))?;
        if text.starts_with('/') {
            return Err(Error::usage(format!(
                "{shown}: the place after the colon is relative to /in: leave out the `/`"
            )));
        }
        let names: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        let is_folder = matches!(text.rsplit('/').next(), None | Some("" | "."));
        let place = names.join("/");
        if !place.is_empty() && !tree::is_path(&place) {
            return Err(Error::usage(format!("cannot lay {} under /in: {}", source.display(), TreeError::Path(place))));
        }
        Ok(Self { source: source.into(), place, is_folder })
    }
}

impl InputFiles {
    /// Finds and checks all files.
    pub fn find(laid: &[Laid]) -> Result<Self, Error> {
        let mut files = Vec::new();
        for laid in laid {
            walk::walk(laid, &mut files)?;
        }
        files.sort_unstable_by(|a, b| a.place.cmp(&b.place));
        check_places(&files)?;
        Ok(Self(files))
    }

    /// Fails if they leave a task no memory of the `memory` bytes it has.
    pub fn check_memory(&self, memory: u64) -> Result<(), Error> {
        let bytes = self.bytes();
        if self.0.is_empty() || bytes < memory {
            return Ok(());
        }
        let (bytes, memory) = (Size(bytes), Size(memory));
        Err(Error::usage(format!(
            "the files under /in have {bytes} together, and a task may use {memory} for them and itself: raise that with \
             --memory"
        )))
    }

    /// Fails if the task's own input, called `name`, would lie where one of them, or its folder, does.
    pub fn check_input_name(&self, name: &str) -> Result<(), Error> {
        match self.0.iter().find(|file| file.place.split('/').next() == Some(name)) {
            None => Ok(()),
            Some(file) => Err(Error::usage(format!(
                "/in/{name} is where `{{input}}` puts each task's own input: lay {} elsewhere",
                file.path.display()
            ))),
        }
    }

    /// The files.
    pub fn files(&self) -> &[InputFile] {
        &self.0
    }

    /// All together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.0.iter().fold(0, |sum, file| sum.saturating_add(file.len))
    }
}

impl InputFile {
    /// Reads all of it.
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let read =
            std::fs::File::open(&self.path).and_then(|file| file.take(BLOB_BYTES_MAX + 1).read_to_end(&mut bytes));
        read.map_err(|error| cannot_read(&self.path, &error))?;
        if bytes.len() as u64 == self.len { Ok(bytes) } else { Err(changed(&self.path)) }
    }
}

/// Fails unless the files make a tree. What is in them does not matter for that.
fn check_places(files: &[InputFile]) -> Result<(), Error> {
    let file = |file: &InputFile| tree::File {
        path: file.place.clone(),
        content: Output { len: file.len, ..Output::default() },
    };
    let tree = Tree::new(files.iter().map(file).collect());
    tree.map(drop).map_err(|error| Error::usage(format!("cannot lay these files under /in: {error}")))
}

fn cannot_read(path: &Path, error: &io::Error) -> Error {
    Error::usage(format!("cannot read the input {}: {error}", path.display()))
}

fn changed(path: &Path) -> Error {
    Error::failed(format!("{} changed while it was read: try again", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(place: &str) -> Result<(String, bool), Error> {
        Laid::new(Path::new("x"), OsStr::new(place)).map(|laid| (laid.place, laid.is_folder))
    }

    #[test]
    fn places_are_relative_to_in() {
        let cases = [
            ("", "", true),
            (".", "", true),
            ("./", "", true),
            ("a", "a", false),
            ("./a", "a", false),
            ("a/b", "a/b", false),
            ("a//b", "a/b", false),
            ("a/", "a", true),
            ("a/.", "a", true),
        ];
        for (text, place, is_folder) in cases {
            assert_eq!(laid(text).expect("a place"), (place.into(), is_folder), "{text:?}");
        }
        for bad in ["/", "/in/a", "..", "a/../b", "a\\b", "a\nb"] {
            laid(bad).expect_err(bad);
        }
    }

    #[test]
    fn one_place_is_for_one_file() {
        let file = |place: &str| InputFile { place: place.into(), path: place.into(), len: 1 };
        check_places(&[file("a"), file("b/c")]).expect("a tree");
        check_places(&[file("a"), file("a")]).expect_err("twice");
        check_places(&[file("a"), file("a/b")]).expect_err("a file and a folder");
        let many: Vec<_> = (0..5000).map(|n| file(&n.to_string())).collect();
        let error = check_places(&many).expect_err("too many");
        assert!(error.message().contains("more than 4096 files"), "{}", error.message());
    }

    #[test]
    fn files_need_memory_of_their_own() {
        let files = InputFiles(vec![InputFile { place: "a".into(), path: "a".into(), len: 1 << 20 }]);
        files.check_memory(2 << 20).expect("there is room");
        let error = files.check_memory(1 << 20).expect_err("none is left");
        assert!(error.message().contains("1 MiB together") && error.message().contains("--memory"), "{error:?}");
    }

    #[test]
    fn a_tasks_own_input_needs_a_place_of_its_own() {
        let files = InputFiles(vec![InputFile { place: "input.png/a".into(), path: "a".into(), len: 1 }]);
        files.check_input_name("").expect("it is not asked for");
        files.check_input_name("input").expect("another name");
        files.check_input_name("input.png").expect_err("taken");
    }
}
