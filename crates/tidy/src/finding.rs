//! What a rule has to say: where, what is wrong, and what to do about it, in one sentence.

use std::fmt;

/// One breach of one rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// From the root of the repository, with `/` between the parts.
    pub path: String,
    /// Counted from 1; `None` where the whole file is meant.
    pub line: Option<usize>,
    /// What is wrong, a colon, and the remedy.
    pub message: String,
}

impl Finding {
    /// About a file as a whole.
    pub fn of_file(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), line: None, message: message.into() }
    }

    /// About one line of a file.
    pub fn at(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line: Some(line), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

/// All findings as one text, sorted by place: what a failing test prints.
pub fn report(findings: &[Finding]) -> String {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort();
    sorted.iter().map(|finding| format!("  {finding}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_sorted_by_place_and_names_file_and_line() {
        let findings = [Finding::at("b.rs", 2, "x: do y"), Finding::of_file("a.rs", "z: do w")];
        assert_eq!(report(&findings), "  a.rs: z: do w\n  b.rs:2: x: do y\n");
    }
}
