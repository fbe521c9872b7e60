//! How a command ends: five exit codes that scripts rely on, and one line for people.

use pocketmesh_api::{ClientError, Failure};
use pocketmesh_node::home::{EditError, InitError, OpenError, address::AddressError};
use std::fmt;
use std::io;
use std::process::ExitCode;

/// DESIGN §12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; a job is complete and verified.
    Complete,
    /// It was tried and failed.
    Failed,
    /// It cannot work as asked: the person has to change something.
    Usage,
    /// A job ended with part of its result.
    Partial,
    /// There is nobody to ask.
    NoDaemon,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Complete => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Partial => 3,
            Exit::NoDaemon => 4,
        }
        .into()
    }
}

/// What a command answers.
pub type Outcome = Result<Exit, Error>;

/// A failure on its way to the person.
#[derive(Debug)]
pub struct Error {
    /// The exit code.
    pub exit: Exit,
    /// One line; none if there is nobody left to read it.
    message: Option<String>,
}

impl Error {
    /// It was tried and failed.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: Some(message.to_string()) }
    }

    /// The person has to change something.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: Some(message.to_string()) }
    }

    /// Writing to standard output failed. A reader who has seen enough is no failure.
    pub fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { exit: Exit::Complete, message: None },
            _ => Self::failed(format!("cannot write to standard output: {error}")),
        }
    }

    /// Says it on standard error, on one line whatever the message holds.
    pub fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            use io::Write;
            // There may be nobody to tell.
            let _ = writeln!(io::stderr(), "error: {}", crate::terminal::one_line(&message));
        }
        self.exit.into()
    }

    /// The line, for tests and for those who add to it.
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::NoDaemon(_) | ClientError::NotOurs(_) => Exit::NoDaemon,
            ClientError::Failed(Failure { code, .. }) if code.is_bad_input() => Exit::Usage,
            _ => Exit::Failed,
        };
        Self { exit, message: Some(error.to_string()) }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(..) => Self::failed(error),
            _ => Self::usage(error),
        }
    }
}

impl From<InitError> for Error {
    fn from(error: InitError) -> Self {
        match error {
            InitError::Io(..) | InitError::Key(_) => Self::failed(error),
            _ => Self::usage(error),
        }
    }
}

impl From<EditError> for Error {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Io(..) => Self::failed(error),
            EditError::Open(error) => error.into(),
            _ => Self::usage(error),
        }
    }
}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Self {
        Self::usage(error)
    }
}
