//! How a child is started, and what it has to say before it is believed to be one.

use super::link::{Broken, Link, Vigil};
use crate::profile::{self, Backend};
use crate::sealed::answer::{self, Ready};
use crate::sealed::request::{self, Role, Start};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// From the start of a process to its seals being on: milliseconds, but on a machine that is busy with other things.
pub(in crate::sealed) const START_WAIT: Duration = Duration::from_secs(30);

/// Why no child was started.
#[derive(Debug, thiserror::Error)]
pub(in crate::sealed) enum LaunchError {
    /// The system refused.
    #[error("failed to start {command:?}: {error}")]
    Spawn {
        /// What was to be started.
        command: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It ended, or said something else.
    #[error("it was started and is no executor: {why} ({end})")]
    Mute {
        /// What went wrong.
        why: Broken,
        /// How it ended.
        end: String,
    },
    /// The binary was replaced.
    #[error("{0:?} is another version than this daemon: restart the daemon")]
    OtherVersion(PathBuf),
}

/// How children are started.
pub(in crate::sealed) struct Launch {
    pub(in crate::sealed) command: PathBuf,
    pub(in crate::sealed) args: Vec<OsString>,
    pub(in crate::sealed) backend: Backend,
    pub(in crate::sealed) scarce_address_space: bool,
    /// Memory that a runner may write to, in bytes.
    pub(in crate::sealed) runner_bytes: u64,
    /// Memory that a compiler may write to, in bytes.
    pub(in crate::sealed) compiler_bytes: u64,
}

impl Launch {
    /// A process with no environment, no folder, and three pipes.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.command);
        command.args(&self.args).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a child and waits until its seals are on. It dies with the calling thread. A compiler may take so much
    /// processor time, in seconds.
    pub(in crate::sealed) fn start(
        &self,
        role: Role,
        cpu_s: u64,
        vigil: &Vigil<'_>,
    ) -> Result<(Link, Ready), LaunchError> {
        let spawn = |error| LaunchError::Spawn { command: self.command.clone(), error };
        let mut link = Link::open(self).map_err(spawn)?;
        let vigil = Vigil { until: vigil.until.min(Instant::now() + START_WAIT), ..*vigil };
        match self.greet(role, cpu_s, &mut link, &vigil) {
            Ok(ready) if ready.profile == profile::id() => Ok((link, ready)),
            Ok(_) => Err(LaunchError::OtherVersion(self.command.clone())),
            Err(why) => Err(LaunchError::Mute { why, end: link.end() }),
        }
    }

    fn greet(&self, role: Role, cpu_s: u64, link: &mut Link, vigil: &Vigil<'_>) -> Result<Ready, Broken> {
        let data_bytes = match role {
            Role::Runner => self.runner_bytes,
            Role::Compiler => self.compiler_bytes,
        };
        let (backend, scarce_address_space) = (self.backend, self.scarce_address_space);
        let start = Start { role, backend, scarce_address_space, parent: std::process::id(), data_bytes, cpu_s };
        link.push(request::kind::START, &start.encode(), &[], vigil)?;
        link.flush(vigil)?;
        let frame = link.receive(vigil)?;
        match (frame.kind, answer::decode_ready(frame.fields())) {
            (answer::kind::READY, Ok(ready)) => Ok(ready),
            _ => Err(Broken::Died("it answered something else".into())),
        }
    }
}
