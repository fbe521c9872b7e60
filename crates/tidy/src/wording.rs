//! What may not be written: bare `#[allow]`, unfinished code, modules named after nothing, glob re-exports, prints.

use crate::{Finding, Outline};

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "common", "misc", "manager"];
/// Marks of unfinished work in comments.
const MARKS: [&str; 2] = ["TODO", "FIXME"];
/// Macros for code that is not there.
const UNFINISHED: [&str; 2] = ["todo", "unimplemented"];
/// Macros that write to the terminal, which belongs to the command line.
const PRINTS: [&str; 4] = ["println", "eprintln", "print", "eprint"];

/// Everything in `outlines` that may not be written.
pub fn check(outlines: &[Outline]) -> Vec<Finding> {
    let rules = [allows, marks, unfinished, empty_names, glob_exports, prints];
    outlines.iter().flat_map(|outline| rules.iter().flat_map(move |rule| rule(outline))).collect()
}

fn at_lines(outline: &Outline, lines: impl IntoIterator<Item = usize>, message: &str) -> Vec<Finding> {
    lines.into_iter().map(|line| Finding::at(&outline.path, line, message)).collect()
}

fn allows(outline: &Outline) -> Vec<Finding> {
    let message = "bare `allow`: write `#[expect(lint, reason = \"…\")]`, which speaks up when it is no longer needed";
    let (alone, conditional) = (["[", "allow", "("].as_slice(), [",", "allow", "(", "clippy"].as_slice());
    at_lines(outline, [alone, conditional].into_iter().flat_map(|pattern| outline.lines_with(pattern)), message)
}

fn marks(outline: &Outline) -> Vec<Finding> {
    let marked = outline.comments.iter().flat_map(|comment| {
        let lines = comment.text.lines().enumerate();
        lines.filter(|(_, text)| words(text).any(|word| MARKS.contains(&word))).map(|(at, _)| comment.line + at)
    });
    at_lines(outline, marked, "a mark of unfinished work: finish it, or make it an issue and delete the mark")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

fn unfinished(outline: &Outline) -> Vec<Finding> {
    let lines = UNFINISHED.iter().flat_map(|name| macro_lines(outline, name));
    at_lines(outline, lines, "a macro for code that is not there: write the code, or leave the way to it out")
}

/// Where the macro is called: a bracket follows, for `todo != 1` calls nothing.
fn macro_lines(outline: &Outline, name: &str) -> Vec<usize> {
    ["(", "[", "{"].iter().flat_map(|bracket| outline.lines_with(&[name, "!", bracket])).collect()
}

fn empty_names(outline: &Outline) -> Vec<Finding> {
    let lines = EMPTY_NAMES.iter().flat_map(|name| outline.lines_with(&["mod", name]));
    at_lines(outline, lines, "a module whose name says nothing: name it after the one thing that it knows")
}

fn glob_exports(outline: &Outline) -> Vec<Finding> {
    let texts: Vec<_> = outline.tokens.iter().map(|token| token.text.as_str()).collect();
    let lines = (0..texts.len()).filter(|&at| is_glob_export(&texts[at..])).map(|at| outline.tokens[at].line);
    at_lines(outline, lines, "a glob re-export: name what is exported, so that the surface of the crate can be read")
}

/// Whether `tokens` begin with a re-export (`pub use`, `pub(crate) use`) that has a `*` before its `;`.
fn is_glob_export(tokens: &[&str]) -> bool {
    let after_visibility = match tokens {
        ["pub", "(", rest @ ..] => rest.iter().position(|&token| token == ")").map(|close| &rest[close + 1..]),
        ["pub", rest @ ..] => Some(rest),
        _ => None,
    };
    let Some(["use", path @ ..]) = after_visibility else { return false };
    path.iter().take_while(|&&token| token != ";").any(|&token| token == "*")
}

fn prints(outline: &Outline) -> Vec<Finding> {
    let mut lines = macro_lines(outline, "dbg");
    if !may_print(outline) {
        let printed = PRINTS.iter().flat_map(|name| macro_lines(outline, name));
        lines.extend(printed.filter(|&line| !outline.is_test_line(line)));
    }
    let message = "prints to the terminal, which belongs to the command line: return the text, or use `tracing`";
    at_lines(outline, lines, message)
}

/// The command line of the simulator, which is one file of its crate.
const SIMULATOR: &str = "simulations/src/main.rs";

/// The command lines, build scripts, examples and benchmarks, tests, and guests, whose standard output is their result.
fn may_print(outline: &Outline) -> bool {
    let path = outline.path.as_str();
    let is_of_a_program = ["/examples/", "/benches/", "/build.rs"].iter().any(|part| path.contains(part));
    path.starts_with("bin/")
        || path == SIMULATOR
        || path.starts_with("crates/guests/")
        || is_of_a_program
        || outline.is_test_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_in(path: &str, text: &str) -> Vec<usize> {
        let outline = Outline::of(path, text).unwrap();
        check(&[outline]).into_iter().filter_map(|finding| finding.line).collect()
    }

    fn found(text: &str) -> Vec<usize> {
        found_in("crates/x/src/a.rs", text)
    }

    #[test]
    fn a_bare_allow_is_found() {
        assert_eq!(found("#![allow(dead_code)]\n#[allow(unused)]\nfn f() {}"), [1, 2]);
        assert_eq!(found("#[cfg_attr(test, allow(clippy::unwrap_used))]\nfn f() {}"), [1]);
        assert!(found("#[expect(dead_code, reason = \"…\")]\nfn f() { allow(1); }").is_empty());
    }

    #[test]
    fn marks_in_comments_are_found_wherever_they_stand() {
        assert_eq!(found("/// Docs.\n/// TODO: more\nfn f() {} // FIXME\n/* first\n TODO second */"), [2, 3, 5]);
        assert!(found("const NAME: &str = \"TODO\"; // TODOS is another word\n").is_empty());
    }

    #[test]
    fn unfinished_code_is_found_inside_macros_too() {
        assert_eq!(found("fn f() {\n select! { _ = a => todo!(), }\n unimplemented!()\n}"), [2, 3]);
        assert!(found("fn f() { let todo = 1; if todo != 1 {} }").is_empty());
    }

    #[test]
    fn modules_named_after_nothing_are_found() {
        assert_eq!(found("mod utils;\npub mod helpers { mod misc; }"), [1, 2, 2]);
        assert!(found("mod utilisation;").is_empty());
    }

    #[test]
    fn glob_re_exports_are_found_and_glob_imports_in_tests_are_not() {
        assert_eq!(found("pub use id::*;\npub(crate) use a::{b, c::*};\npub(in crate::x) use y::*;"), [1, 2, 3]);
        assert!(found("use super::*;\npub use id::Hash;\npub const N: u32 = 2 * 3;").is_empty());
    }

    #[test]
    fn prints_belong_to_the_command_line() {
        let text =
            "fn f() {\n println!(\"x\");\n eprintln!(\"y\");\n}\n#[cfg(test)]\nmod tests { fn g() { println!(); } }";
        assert_eq!(found(text), [2, 3]);
        for path in ["bin/pocketmesh/src/main.rs", "crates/guests/src/bin/a.rs", "crates/x/tests/a.rs"] {
            assert!(found_in(path, text).is_empty(), "{path}");
        }
        assert!(found_in("simulations/src/main.rs", "fn f() { println!(); }").is_empty());
        assert_eq!(found_in("simulations/src/report.rs", "fn f() { println!(); }"), [1]);
        assert_eq!(found_in("bin/pocketmesh/src/main.rs", "fn f() { dbg!(1); }"), [1]);
    }
}
