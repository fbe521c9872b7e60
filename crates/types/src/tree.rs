//! A tree of files: what a task finds under `/in`, and what it leaves under `/out`.
//!
//! A tree is named by the hash of its list, a text of one line a file, `HASH LENGTH PATH`, sorted by path. There is one
//! text for each tree, so equal trees have equal names; and the text is a blob like any other.

use crate::{BlobId, Output, limits};
use alloc::{string::String, vec::Vec};
use core::fmt::Write as _;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Where it is, relative to the tree's root: names joined by `/`.
    pub path: String,
    /// Its bytes, and how many.
    pub content: Output,
}

/// Files, sorted by path. No path is another's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(Vec<File>);

/// Why some files are no tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// More files than a tree may have, or their list is too long.
    #[error("there are more than {max} files, or their paths are too long", max = limits::TREE_FILES_MAX)]
    TooMany,
    /// A path that not every system could have.
    #[error(
        "{0:?} is no path: use names joined by `/`, without `.`, `..` and control characters, {max} bytes at most",
        max = limits::PATH_BYTES_MAX
    )]
    Path(String),
    /// Two files at one place, or a file where a folder should be.
    #[error("{0:?} is there twice, or is both a file and a folder")]
    Twice(String),
    /// Files of so many bytes cannot be.
    #[error("the files have too many bytes")]
    TooLarge,
    /// A text that no tree has.
    #[error("line {0} is no line of a list of files")]
    Line(usize),
}

/// What a line has besides the path: a hash, two blanks, a length of at most 20 digits, the line's end.
const LINE_BYTES_MAX: usize = 64 + 2 + 20 + 1;

/// Whether this is a path that a tree may have.
pub fn is_path(path: &str) -> bool {
    path.len() <= limits::PATH_BYTES_MAX && path.split('/').all(is_name)
}

/// Whether this is a name that a file or folder may have: the same on every system that has folders.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= limits::NAME_BYTES_MAX
        && name != "."
        && name != ".."
        && !name.chars().any(|c| c == '/' || c == '\\' || c.is_control())
}

impl Tree {
    /// A tree of these files, in any order.
    pub fn new(mut files: Vec<File>) -> Result<Self, TreeError> {
        files.sort_unstable();
        Self::of_sorted(files)
    }

    fn of_sorted(files: Vec<File>) -> Result<Self, TreeError> {
        let list: usize = files.iter().map(|file| LINE_BYTES_MAX + file.path.len()).sum();
        if files.len() > limits::TREE_FILES_MAX || list as u64 > limits::TREE_BYTES_MAX {
            return Err(TreeError::TooMany);
        }
        if let Some(file) = files.iter().find(|file| !is_path(&file.path)) {
            return Err(TreeError::Path(file.path.clone()));
        }
        let has = |path: &str| files.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok();
        let is_inside = |file: &&File| file.path.match_indices('/').any(|(end, _)| has(&file.path[..end]));
        let twice = files.windows(2).find(|pair| pair[0].path == pair[1].path).map(|pair| &pair[0]);
        if let Some(file) = twice.or_else(|| files.iter().find(is_inside)) {
            return Err(TreeError::Twice(file.path.clone()));
        }
        let total = files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.content.len));
        total.map(|_| Self(files)).ok_or(TreeError::TooLarge)
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &[File] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All files together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|file| file.content.len).sum()
    }

    /// The list: what the tree is named by.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for File { path, content } in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} {} {path}", content.id, content.len);
        }
        text
    }

    /// The tree of a list. Only the text that [`to_text`](Self::to_text) makes is taken.
    pub fn from_text(text: &str) -> Result<Self, TreeError> {
        let mut files = Vec::new();
        for (number, line) in text.split_terminator('\n').enumerate() {
            if files.len() == limits::TREE_FILES_MAX {
                return Err(TreeError::TooMany);
            }
            files.push(file_of(line).ok_or(TreeError::Line(number + 1))?);
        }
        if let Some(pair) = files.windows(2).position(|pair| pair[0].path >= pair[1].path) {
            return Err(TreeError::Line(pair + 2));
        }
        let tree = Self::of_sorted(files)?;
        if tree.to_text() == text { Ok(tree) } else { Err(TreeError::Line(tree.0.len())) }
    }
}

fn file_of(line: &str) -> Option<File> {
    let (id, rest) = line.split_once(' ')?;
    let (len, path) = rest.split_once(' ')?;
    let id: BlobId = id.parse().ok()?;
    Some(File { path: path.into(), content: Output { id, len: len.parse().ok()? } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString, vec};

    fn file(path: &str, bytes: &[u8]) -> File {
        File { path: path.into(), content: Output::of(bytes) }
    }

    fn tree(paths: &[&str]) -> Result<Tree, TreeError> {
        Tree::new(paths.iter().map(|path| file(path, path.as_bytes())).collect())
    }

    #[test]
    fn order_does_not_matter_and_the_text_comes_back() {
        let tree = tree(&["b", "a/c", "a/b", "ä ö"]).expect("a tree");
        assert_eq!(tree.files().iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a/b", "a/c", "b", "ä ö"]);
        assert_eq!(Tree::from_text(&tree.to_text()), Ok(tree.clone()));
        assert_eq!(tree.bytes(), 3 + 3 + 1 + 5);
        assert_eq!(Tree::from_text(""), Ok(Tree::default()));
    }

    #[test]
    fn bad_paths_are_refused() {
        let long = "x".repeat(limits::NAME_BYTES_MAX + 1);
        let deep = vec!["x"; limits::PATH_BYTES_MAX].join("/");
        for bad in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "a\nb", "a\0b", &long, &deep] {
            assert_eq!(tree(&[bad]), Err(TreeError::Path(bad.into())), "{bad:?}");
        }
    }

    #[test]
    fn one_place_holds_one_file() {
        assert_eq!(tree(&["a", "a"]), Err(TreeError::Twice("a".into())));
        assert_eq!(tree(&["a", "a.b", "a/b/c"]), Err(TreeError::Twice("a/b/c".into())));
        assert!(tree(&["a-b", "a/b", "ab"]).is_ok());
    }

    #[test]
    fn a_tree_has_one_text_only() {
        let good = tree(&["a", "b"]).expect("a tree").to_text();
        let lines: Vec<&str> = good.lines().collect();
        let bad = [
            format!("{}\n{}\n", lines[1], lines[0]),
            good.trim_end().to_string(),
            format!("{good}\n"),
            good.replace(" 1 ", " 01 "),
            good.replace(" 1 ", " +1 "),
            good.to_uppercase(),
            good.replace('\n', "\r\n"),
            format!("{}{}", good, "junk\n"),
        ];
        for text in bad {
            assert!(Tree::from_text(&text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_sum_of_lengths_is_bounded() {
        let huge = |path: &str| File { path: path.into(), content: Output { id: BlobId::default(), len: u64::MAX } };
        assert_eq!(Tree::new(vec![huge("a"), huge("b")]), Err(TreeError::TooLarge));
    }
}
