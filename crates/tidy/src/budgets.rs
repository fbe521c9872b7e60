//! Budgets: a file has at most 500 lines, its tests not counted, and a function at most 70.
//!
//! What is larger is split by protocol event before it grows further, or stands in the ratchet with a reason.

use crate::ratchet::{self, Exception, Ratchet};
use crate::{Finding, Outline};

/// Lines of a file, `#[cfg(test)]` modules not counted; files under `tests/` have no budget.
pub const FILE_LINES_MAX: usize = 500;
/// Lines of a function, signature and closing brace included.
pub const FUNCTION_LINES_MAX: usize = 70;

/// A file or function over its budget.
struct Oversize<'a> {
    path: &'a str,
    function: Option<&'a str>,
    line: usize,
    lines: usize,
}

/// Files and functions over budget that the ratchet does not tolerate, and exceptions that are out of date.
pub fn check(outlines: &[Outline], ratchet: &Ratchet) -> Vec<Finding> {
    let oversizes: Vec<_> = outlines.iter().flat_map(oversizes_of).collect();
    let mut findings: Vec<_> = oversizes.iter().filter_map(|oversize| judge(oversize, ratchet)).collect();
    findings.extend(ratchet.exceptions.iter().filter_map(|exception| judge_exception(exception, &oversizes)));
    findings
}

fn oversizes_of(outline: &Outline) -> Vec<Oversize<'_>> {
    let path = outline.path.as_str();
    let lines = outline.lines_without_tests();
    let file_is_large = lines > FILE_LINES_MAX && !outline.is_test_file();
    let file = file_is_large.then_some(Oversize { path, function: None, line: 1, lines });
    let functions = outline
        .functions
        .iter()
        .filter(|function| function.lines > FUNCTION_LINES_MAX)
        .map(|function| Oversize { path, function: Some(&function.name), line: function.line, lines: function.lines });
    file.into_iter().chain(functions).collect()
}

impl Oversize<'_> {
    fn is_meant_by(&self, exception: &Exception) -> bool {
        self.path == exception.path && self.function == exception.function.as_deref()
    }

    fn describe(&self) -> String {
        match self.function {
            Some(name) => format!("`{name}` has {} lines", self.lines),
            None => format!("has {} lines without its tests", self.lines),
        }
    }
}

fn judge(oversize: &Oversize<'_>, ratchet: &Ratchet) -> Option<Finding> {
    let described = oversize.describe();
    let message = match ratchet.exceptions.iter().find(|exception| oversize.is_meant_by(exception)) {
        Some(exception) if oversize.lines > exception.lines => {
            format!("{described}, tolerated were {}: take out what was added", exception.lines)
        }
        Some(_) => return None,
        None if oversize.function.is_some() => {
            format!("{described}, the budget is {FUNCTION_LINES_MAX}: give its steps names of their own")
        }
        None => format!("{described}, the budget is {FILE_LINES_MAX}: split it by protocol event"),
    };
    Some(Finding::at(oversize.path, oversize.line, message))
}

fn judge_exception(exception: &Exception, oversizes: &[Oversize<'_>]) -> Option<Finding> {
    let subject = match &exception.function {
        Some(function) => format!("the exception for `{function}` in {}", exception.path),
        None => format!("the exception for {}", exception.path),
    };
    // Functions of one name in one file share an exception: the largest counts.
    let lines =
        oversizes.iter().filter(|oversize| oversize.is_meant_by(exception)).map(|oversize| oversize.lines).max();
    let message = match lines {
        None => format!("{subject} is stale, the code fits its budget or is gone: delete the entry"),
        Some(lines) if lines < exception.lines => format!("{subject} shrank: write `lines = {lines}` to keep the gain"),
        Some(_) if exception.reason.trim().is_empty() => format!("{subject} has no reason: say why it may stay large"),
        Some(_) => return None,
    };
    Some(Finding::of_file(ratchet::PATH, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_of(lines: usize) -> Outline {
        let body = "    call();\n".repeat(lines - 2);
        Outline::of("crates/x/src/a.rs", &format!("//! A.\nimpl A {{\nfn long() {{\n{body}}}\n}}\n")).unwrap()
    }

    fn file_of(lines: usize, path: &str) -> Outline {
        Outline::of(path, &"//! Line.\n".repeat(lines)).unwrap()
    }

    fn tolerating(function: Option<&str>, lines: usize) -> Ratchet {
        let exception = Exception {
            path: "crates/x/src/a.rs".to_owned(),
            function: function.map(str::to_owned),
            lines,
            reason: "measured: faster in one piece".to_owned(),
        };
        Ratchet { exceptions: vec![exception] }
    }

    fn messages(outline: Outline, ratchet: &Ratchet) -> Vec<String> {
        check(&[outline], ratchet).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_function_over_budget_is_found_at_its_line() {
        let found = messages(function_of(71), &Ratchet::default());
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/x/src/a.rs:3: `A::long` has 71 lines, the budget is 70"), "{found:?}");
        assert!(messages(function_of(70), &Ratchet::default()).is_empty());
    }

    #[test]
    fn a_file_over_budget_is_found_unless_it_is_a_test() {
        let found = messages(file_of(501, "crates/x/src/a.rs"), &Ratchet::default());
        assert!(found[0].contains("has 501 lines without its tests, the budget is 500"), "{found:?}");
        assert!(messages(file_of(500, "crates/x/src/a.rs"), &Ratchet::default()).is_empty());
        assert!(messages(file_of(501, "crates/x/tests/a.rs"), &Ratchet::default()).is_empty());
    }

    #[test]
    fn test_modules_do_not_count_towards_the_file() {
        let text = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    // claim\n".repeat(600));
        assert!(messages(Outline::of("crates/x/src/a.rs", &text).unwrap(), &Ratchet::default()).is_empty());
    }

    #[test]
    fn a_tolerated_function_may_stay_but_not_grow() {
        assert!(messages(function_of(90), &tolerating(Some("A::long"), 90)).is_empty());
        let found = messages(function_of(91), &tolerating(Some("A::long"), 90));
        assert!(found[0].contains("has 91 lines, tolerated were 90"), "{found:?}");
    }

    #[test]
    fn a_gain_is_written_down_so_that_it_is_kept() {
        let found = messages(function_of(80), &tolerating(Some("A::long"), 90));
        assert!(found[0].starts_with(ratchet::PATH) && found[0].contains("write `lines = 80`"), "{found:?}");
    }

    #[test]
    fn a_stale_exception_is_found() {
        let found = messages(function_of(70), &tolerating(Some("A::long"), 90));
        assert!(found[0].contains("is stale"), "{found:?}");
        let found = messages(file_of(10, "crates/x/src/a.rs"), &tolerating(None, 600));
        assert!(found[0].contains("is stale"), "{found:?}");
    }
}
