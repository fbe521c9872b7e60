//! Every file opens with `//!`: what it is, why it exists, what it never does.

use crate::{Finding, Outline};

/// Files that do not open with a `//!` comment.
pub fn check(outlines: &[Outline]) -> Vec<Finding> {
    outlines.iter().filter(|outline| !opens_with_doc(outline)).map(finding).collect()
}

fn opens_with_doc(outline: &Outline) -> bool {
    outline.comments.first().is_some_and(|first| first.line == 1 && first.text.starts_with("//! "))
}

fn finding(outline: &Outline) -> Finding {
    let message = "does not open with `//!`: begin its first line with what the file is, why it exists and what it \
                   never does";
    Finding::at(&outline.path, 1, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(text: &str) -> bool {
        !check(&[Outline::of("crates/x/src/a.rs", text).unwrap()]).is_empty()
    }

    #[test]
    fn a_file_without_an_opening_is_found() {
        assert!(finds("use core::fmt;\n"));
        assert!(finds("// Only a plain comment.\n"));
        assert!(finds("\n//! Too late by a line.\n"));
        assert!(finds("/// About the item, not the file.\nstruct A;\n"));
        assert!(finds(""));
    }

    #[test]
    fn a_file_with_an_opening_passes() {
        assert!(!finds("//! What it is.\nuse core::fmt;\n"));
    }
}
