//! From a file or folder to the files in it, with where each will lie.

use super::{InputFile, Laid, cannot_read};
use crate::exit::Error;
use pocketmesh_types::limits::{BLOB_BYTES_MAX, TREE_FILES_MAX};
use pocketmesh_types::tree::{self, TreeError};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// One walk through a folder.
struct Walk<'a> {
    /// The folder as it is without symbolic links: what leads out of it is refused.
    root: PathBuf,
    /// The folders from there to here, likewise: a link to one of them has no end.
    above: Vec<PathBuf>,
    files: &'a mut Vec<InputFile>,
}

/// Adds all files of what a person laid.
pub(super) fn walk(laid: &Laid, files: &mut Vec<InputFile>) -> Result<(), Error> {
    let source = &laid.source;
    let metadata = fs::metadata(source).map_err(|error| cannot_read(source, &error))?;
    if !metadata.is_dir() {
        return add(source, place_of_file(laid)?, &metadata, files);
    }
    let before = files.len();
    let root = fs::canonicalize(source).map_err(|error| cannot_read(source, &error))?;
    Walk { above: vec![root.clone()], root, files }.folder(source, &laid.place)?;
    if files.len() == before {
        return Err(Error::usage(format!("there is no file in the folder {}", source.display())));
    }
    Ok(())
}

fn place_of_file(laid: &Laid) -> Result<String, Error> {
    if !laid.is_folder {
        return Ok(laid.place.clone());
    }
    let name = laid.source.file_name().ok_or_else(|| Error::usage(format!("{} has no name", laid.source.display())))?;
    place(&laid.place, name, &laid.source)
}

/// The place of something called `name` in the folder at `folder`.
fn place(folder: &str, name: &std::ffi::OsStr, path: &Path) -> Result<String, Error> {
    let shown = path.display();
    let name =
        name.to_str().ok_or_else(|| Error::usage(format!("cannot lay {shown} under /in: its name is not UTF-8")))?;
    let place = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    match tree::is_path(&place) {
        true => Ok(place),
        false => Err(Error::usage(format!("cannot lay {shown} under /in: {}", TreeError::Path(place)))),
    }
}

fn add(path: &Path, place: String, metadata: &Metadata, files: &mut Vec<InputFile>) -> Result<(), Error> {
    let shown = path.display();
    if !metadata.is_file() {
        return Err(Error::usage(format!("{shown} is neither a file nor a folder: it cannot be laid under /in")));
    }
    if metadata.len() > BLOB_BYTES_MAX {
        return Err(Error::usage(format!("the input {shown} is larger than {} MiB", BLOB_BYTES_MAX >> 20)));
    }
    if files.len() == TREE_FILES_MAX {
        return Err(Error::usage(format!(
            "there are more than {TREE_FILES_MAX} files to lay under /in: put them into an archive that the program reads"
        )));
    }
    fs::File::open(path).map_err(|error| cannot_read(path, &error))?;
    files.push(InputFile { place, path: path.into(), len: metadata.len() });
    Ok(())
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, at: &str) -> Result<(), Error> {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = entries.map_err(|error| cannot_read(folder, &error))?;
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let place = place(at, &entry.file_name(), &path)?;
            self.entry(&path, place)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, place: String) -> Result<(), Error> {
        let cannot = |error| cannot_read(path, &error);
        if fs::symlink_metadata(path).map_err(cannot)?.is_symlink() {
            self.check_link(path, &fs::canonicalize(path).map_err(cannot)?)?;
        }
        let metadata = fs::metadata(path).map_err(cannot)?;
        if !metadata.is_dir() {
            return add(path, place, &metadata, self.files);
        }
        self.above.push(fs::canonicalize(path).map_err(cannot)?);
        self.folder(path, &place)?;
        self.above.pop();
        Ok(())
    }

    fn check_link(&self, link: &Path, target: &Path) -> Result<(), Error> {
        let (shown, target_shown) = (link.display(), target.display());
        if !target.starts_with(&self.root) {
            return Err(Error::usage(format!(
                "{shown} is a symbolic link that leads out of the folder, to {target_shown}: lay that under /in by itself"
            )));
        }
        if self.above.iter().any(|above| above == target) {
            return Err(Error::usage(format!("{shown} is a symbolic link to a folder that it is in: it has no end")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::fs::symlink;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[&str]) -> Self {
            let tree = Self(tempfile::tempdir().expect("a folder"));
            for file in files {
                let path = tree.at(file);
                fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                fs::write(path, file).expect("written");
            }
            tree
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn places(&self, source: &str, place: &str) -> Result<Vec<String>, String> {
            let mut files = Vec::new();
            let laid = Laid::new(&self.at(source), OsStr::new(place)).expect("a place");
            walk(&laid, &mut files).map_err(|error| error.message().to_owned())?;
            Ok(files.into_iter().map(|file| file.place).collect())
        }
    }

    #[test]
    fn a_file_lies_at_its_place_or_in_it() {
        let tree = Tree::new(&["a.txt"]);
        for (place, lies) in [("", "a.txt"), (".", "a.txt"), ("x", "x"), ("x/y", "x/y"), ("x/", "x/a.txt")] {
            assert_eq!(tree.places("a.txt", place), Ok(vec![lies.into()]), "{place:?}");
        }
    }

    #[test]
    fn a_folders_contents_lie_at_its_place_in_order() {
        let tree = Tree::new(&["data/b", "data/a/z", "data/a/y", "data/.hidden"]);
        assert_eq!(tree.places("data", "").expect("found"), [".hidden", "a/y", "a/z", "b"]);
        assert_eq!(tree.places("data", "x/").expect("found"), ["x/.hidden", "x/a/y", "x/a/z", "x/b"]);
        assert_eq!(tree.places("data/.", "x").expect("found").len(), 4);
    }

    #[test]
    fn links_within_the_folder_are_followed() {
        let tree = Tree::new(&["data/a/x", "data/b"]);
        symlink("../b", tree.at("data/a/link")).expect("linked");
        symlink("a", tree.at("data/c")).expect("linked");
        assert_eq!(tree.places("data", "").expect("found"), ["a/link", "a/x", "b", "c/link", "c/x"]);
        symlink("data", tree.at("named")).expect("linked");
        assert_eq!(tree.places("named", "").expect("a person may name a link").len(), 5);
    }

    #[test]
    fn links_that_lead_out_or_nowhere_or_round_are_refused() {
        for (target, said) in
            [("..", "leads out"), ("../secret", "leads out"), ("none", "No such file"), (".", "no end")]
        {
            let tree = Tree::new(&["data/a", "secret"]);
            symlink(target, tree.at("data/link")).expect("linked");
            let error = tree.places("data", "").expect_err(target);
            assert!(error.contains(said) && error.contains("data/link"), "{error}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let tree = Tree::new(&["data/a"]);
        let _socket = std::os::unix::net::UnixListener::bind(tree.at("data/socket")).expect("bound");
        assert!(tree.places("data", "").expect_err("a socket").contains("neither a file nor a folder"));
        assert!(tree.places("data/socket", "x").expect_err("a socket").contains("neither a file nor a folder"));
        assert!(tree.places("none", "x").expect_err("nothing").contains("No such file"));
        fs::create_dir(tree.at("empty")).expect("made");
        assert!(tree.places("empty", "x").expect_err("empty").contains("no file in the folder"));
    }

    #[test]
    fn names_that_other_systems_cannot_have_are_refused() {
        use std::os::unix::ffi::OsStrExt;
        for name in [b"a\\b".as_slice(), b"a\nb", b"a\xff"] {
            let tree = Tree::new(&["data/a"]);
            fs::write(tree.at("data").join(OsStr::from_bytes(name)), "x").expect("written");
            tree.places("data", "").expect_err("no name");
        }
    }

    #[test]
    fn a_forest_is_refused_before_it_is_walked_to_its_end() {
        let tree = Tree::new(&[]);
        (0..=TREE_FILES_MAX).for_each(|n| fs::write(tree.at(&n.to_string()), "").expect("written"));
        assert!(tree.places(".", "").expect_err("too many").contains("more than 4096 files"));
    }
}
