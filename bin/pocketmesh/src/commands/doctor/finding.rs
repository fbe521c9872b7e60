//! One thing that was looked at.

use crate::terminal::one_line;
use serde::Serialize;
use std::fmt;

/// One line of the answer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What that means.
    pub text: String,
    /// What to do, where something can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How something is. Scripts may rely on these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// A peer can do without it.
    Lacks,
    /// A peer cannot.
    Fails,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Ok, text: text.into(), remedy: None }
    }

    /// A peer can do without it.
    pub fn lacks(what: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Lacks, ..Self::ok(what, text) }
    }

    /// A peer cannot.
    pub fn fails(what: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fails, ..Self::ok(what, text) }
    }

    /// With what to do about it.
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Lacks => "lacks",
            Verdict::Fails => "FAILS",
        };
        writeln!(f, "{verdict:<6} {:<18} {}", self.what, one_line(&self.text))?;
        match &self.remedy {
            Some(remedy) => writeln!(f, "{:<26}{}", "", one_line(remedy)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_its_remedy_another() {
        assert_eq!(Finding::ok("disk", "1 GiB\nfree").to_string(), "ok     disk               1 GiB free\n");
        let lacking = Finding::lacks("daemon", "not running").remedy("start it");
        assert_eq!(lacking.to_string(), format!("lacks  daemon             not running\n{:26}start it\n", ""));
    }
}
