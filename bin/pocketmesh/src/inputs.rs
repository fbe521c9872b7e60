//! What a person names with `-i`: standard input for tasks, and files for all of them.

use crate::exit::Error;
use crate::input_files::{InputFiles, Laid};
use crate::sources::{self, Source};
use pocketmesh_types::tree;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Stands in arguments for the path of the task's input.
const INPUT: &str = "{input}";
/// What the task's input is called under `/in`, before its extension.
const INPUT_NAME: &str = "input";

/// All that was named, told apart.
#[derive(Debug, Default)]
pub struct Named {
    streams: Vec<PathBuf>,
    laid: Vec<Laid>,
}

/// All that was named, found and checked.
#[derive(Debug)]
pub struct Inputs {
    /// For standard input, in order.
    pub streams: Vec<Source>,
    /// For `/in`.
    pub files: InputFiles,
    /// Under which name a task finds its standard input under `/in` too, if its arguments ask for it; else empty.
    pub name: String,
}

impl Named {
    /// Tells `SRC` from `SRC:DST`. The last colon counts, unless a file of the whole name exists.
    pub fn new(values: &[PathBuf]) -> Result<Self, Error> {
        let mut named = Self::default();
        for value in values {
            match split(value).filter(|_| !value.exists()) {
                None => named.streams.push(value.clone()),
                Some((source, _)) if source.as_os_str() == "-" => {
                    return Err(Error::usage("standard input (`-`) cannot be laid under /in: save it to a file first"));
                }
                Some((source, place)) => named.laid.push(Laid::new(source, place)?),
            }
        }
        Ok(named)
    }

    /// Whether anything goes to standard input.
    pub fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Finds and checks all of it, for a program with these arguments and so much memory.
    pub fn find(&self, args: &[String], memory: u64) -> Result<Inputs, Error> {
        let streams = sources::inputs(&self.streams)?;
        let name = if args.iter().any(|arg| arg.contains(INPUT)) { name_of(&streams)? } else { String::new() };
        let files = InputFiles::find(&self.laid)?;
        files.check_input_name(&name)?;
        files.check_memory(memory)?;
        Ok(Inputs { streams, files, name })
    }
}

/// `SRC:DST` at its last colon.
fn split(value: &Path) -> Option<(&Path, &OsStr)> {
    let bytes = value.as_os_str().as_bytes();
    let colon = bytes.iter().rposition(|&byte| byte == b':').filter(|&colon| colon > 0)?;
    Some((Path::new(OsStr::from_bytes(&bytes[..colon])), OsStr::from_bytes(&bytes[colon + 1..])))
}

/// `input`, with the extension that all sources have in common: programs tell formats by it.
fn name_of(streams: &[Source]) -> Result<String, Error> {
    let mut extensions = streams.iter().map(Source::extension);
    let Some(first) = extensions.next() else {
        return Err(Error::usage(format!(
            "`{INPUT}` in the program's arguments is the path of a task's own input: name one with -i SRC"
        )));
    };
    let name = first.filter(|first| extensions.all(|other| other == Some(first)));
    let name = name.map(|extension| format!("{INPUT_NAME}.{extension}")).filter(|name| tree::is_name(name));
    Ok(name.unwrap_or_else(|| INPUT_NAME.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_colon_counts() {
        let split =
            |text: &'static str| split(Path::new(text)).map(|(source, place)| (source.to_str(), place.to_str()));
        assert_eq!(split("data"), None);
        assert_eq!(split("data:x"), Some((Some("data"), Some("x"))));
        assert_eq!(split("data:"), Some((Some("data"), Some(""))));
        assert_eq!(split("a:b:x/y"), Some((Some("a:b"), Some("x/y"))));
        assert_eq!(split(":x"), None);
    }

    #[test]
    fn a_name_with_a_colon_is_the_file_that_has_it() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("10:30.log");
        std::fs::write(&path, "x").expect("written");
        let named = Named::new(&[path, "-".into()]).expect("named");
        assert_eq!((named.streams.len(), named.laid.len()), (2, 0));
    }

    #[test]
    fn a_tasks_input_has_the_extension_that_all_have() {
        let name = |paths: &[&str]| {
            let source = |path: &&str| if *path == "-" { Source::Stdin } else { Source::File(path.into()) };
            name_of(&paths.iter().map(source).collect::<Vec<_>>()).expect("a name")
        };
        assert_eq!(name(&["a.png"]), "input.png");
        assert_eq!(name(&["x/a.png", "y/b.png"]), "input.png");
        assert_eq!(name(&["a.png", "b.jpg"]), "input");
        assert_eq!(name(&["a.png", "b"]), "input");
        assert_eq!(name(&["a.png", "-"]), "input");
        assert_eq!(name(&["-"]), "input");
        assert_eq!(name(&["archive.tar.gz"]), "input.gz");
        assert_eq!(name(&["a.b\\c"]), "input");
        name_of(&[]).expect_err("there is none");
    }
}
