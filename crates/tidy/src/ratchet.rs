//! The exceptions to the budgets that are tolerated for now, each with its reason: they may shrink, never grow.

use serde::Deserialize;

/// The file that holds the exceptions, from the root of the repository.
pub const PATH: &str = "crates/tidy/ratchet.toml";

/// All exceptions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratchet {
    /// In the order of the file.
    #[serde(default, rename = "exception")]
    pub exceptions: Vec<Exception>,
}

/// One file or function that is over its budget.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// From the root of the repository.
    pub path: String,
    /// `name` or `Type::name`; left out where the file as a whole is meant.
    pub function: Option<String>,
    /// Its size when it was last written down.
    pub lines: usize,
    /// Why it may be that large.
    pub reason: String,
}

/// Why the exceptions cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{PATH} is not a list of `[[exception]]` with path, lines and reason: {0}")]
pub struct RatchetError(#[from] toml::de::Error);

impl Ratchet {
    /// Reads the text of the ratchet file.
    ///
    /// # Errors
    /// If it is not TOML, or has fields that no exception has.
    pub fn parse(text: &str) -> Result<Self, RatchetError> {
        Ok(toml::from_str(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_without_a_reason_cannot_be_read() {
        let error = Ratchet::parse("[[exception]]\npath = \"a.rs\"\nlines = 501\n").unwrap_err();
        assert!(error.to_string().contains("reason"), "{error}");
    }

    #[test]
    fn no_exceptions_are_the_normal_case() {
        assert!(Ratchet::parse("# nothing\n").unwrap().exceptions.is_empty());
    }
}
