//! What is said when the command line itself cannot be understood: one line, like every other error.

use crate::exit::{Error, Exit};
use clap::error::ErrorKind;
use std::process::ExitCode;

/// Shows help and version as they are, everything else as one line.
pub fn show(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe means that the reader has seen enough.
            let _ = error.print();
            Exit::Complete.into()
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Exit::Usage.into()
        }
        _ => Error::usage(line(&error.render().to_string())).report(),
    }
}

/// clap's message without its layout, and the command whose help explains more.
fn line(rendered: &str) -> String {
    let (message, usage) = rendered.split_once("Usage: ").unwrap_or((rendered, ""));
    let message = message.split("For more information").next().unwrap_or_default();
    let words: Vec<_> = message.strip_prefix("error: ").unwrap_or(message).split_whitespace().collect();
    let command: Vec<_> = usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
    let command = if command.is_empty() { "pocketmesh".into() } else { command.join(" ") };
    format!("{}; `{command} --help` explains more", words.join(" ").trim_end_matches(['.', ';']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn said(args: &[&str]) -> String {
        let args = std::iter::once(&"pocketmesh").chain(args);
        line(&Cli::try_parse_from(args).map(drop).expect_err("bad usage").render().to_string())
    }

    #[test]
    fn a_slip_is_one_line_that_names_it() {
        assert_eq!(
            said(&["job", "describe"]),
            "the following required arguments were not provided: <JOB>; `pocketmesh job describe --help` explains more"
        );
        assert!(said(&["run", "a.wasm", "--replikas", "3"]).contains("--replikas"));
        assert!(said(&["nonsense"]).contains("nonsense"));
        assert!(!said(&["run", "a.wasm", "--range", "x"]).contains('\n'));
    }
}
