//! What a task came to, besides what it wrote: for people and for scripts.

use crate::quantity;
use crate::terminal::one_line;
use pocketmesh_node::home::Size;
use pocketmesh_node::local::{LocalFile, LocalRun};
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{BlobId, Hash, Output, ProfileId};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// Files named one by one for people; the rest are counted.
const FILES_NAMED_MAX: usize = 20;

/// The account, as JSON has it.
#[derive(Debug, Serialize)]
pub struct Account {
    /// How it ended, one line.
    exit: String,
    /// Whether that is exit code 0.
    success: bool,
    /// What replicas of the task would be compared by.
    digest: Hash,
    /// Fuel used.
    fuel: u64,
    /// How long the task took, in milliseconds: of this machine, and no part of the outcome.
    wall_ms: f64,
    /// That, in nanoseconds for each unit of fuel; absent if none was used.
    ns_per_fuel: Option<f64>,
    /// How long the program took to get ready, in milliseconds: compiled, above all.
    prepare_ms: f64,
    /// What all of this holds under.
    profile: ProfileId,
    /// Memory that it was allowed, in bytes.
    memory: u64,
    /// What it wrote.
    stdout: Stream,
    stderr: Stream,
    /// What it left under `/out`.
    files: Vec<Named>,
}

/// A stream's name, and its content where that is text.
#[derive(Debug, Serialize)]
struct Stream {
    #[serde(flatten)]
    output: Output,
    text: Option<String>,
}

#[derive(Debug, Serialize)]
struct Named {
    path: String,
    blob: BlobId,
    len: u64,
}

impl Account {
    /// The account of a task that had these limits.
    pub fn new(ran: &LocalRun, limits: &TaskLimits) -> Self {
        let fuel = ran.outcome.fuel.0;
        let named = |file: &LocalFile| {
            let Output { id, len } = Output::of(&file.bytes);
            Named { path: file.path.clone(), blob: id, len }
        };
        Self {
            exit: ran.outcome.exit.to_string(),
            success: ran.outcome.is_success(),
            digest: ran.outcome.digest(),
            fuel,
            wall_ms: millis(ran.ran_in),
            ns_per_fuel: (fuel > 0).then(|| ran.ran_in.as_secs_f64() * 1e9 / fuel as f64),
            prepare_ms: millis(ran.prepared_in),
            profile: ran.profile,
            memory: limits.memory,
            stdout: Stream::new(ran.outcome.stdout, &ran.stdout),
            stderr: Stream::new(ran.outcome.stderr, &ran.stderr),
            files: ran.files.iter().map(named).collect(),
        }
    }

    /// For people; `folder` is where the files went.
    pub fn text(&self, folder: Option<&Path>) -> String {
        let pace = self.ns_per_fuel.map(|pace| format!(", {pace:.2} ns per unit of fuel")).unwrap_or_default();
        format!(
            "exit     {}\ndigest   {}\nfuel     {}\ntime     {}{pace}; {} to get the program ready\nmemory   {} allowed\n\
             profile  {}\nfiles    {}",
            self.exit,
            self.digest,
            quantity::grouped(self.fuel),
            quantity::millis(self.wall_ms),
            quantity::millis(self.prepare_ms),
            Size(self.memory),
            self.profile,
            self.files_text(folder),
        )
    }

    fn files_text(&self, folder: Option<&Path>) -> String {
        let bytes = Size(self.files.iter().map(|file| file.len).sum());
        let count = quantity::count(self.files.len() as u64, "file");
        match (self.files.is_empty(), folder) {
            (true, _) => "none under /out".into(),
            (false, Some(dir)) => format!("{count}, {bytes}, in {}", dir.display()),
            (false, None) => {
                let names = self.files.iter().take(FILES_NAMED_MAX);
                let names: String = names.map(|file| format!("\n           {}", one_line(&file.path))).collect();
                let more = self.files.len().saturating_sub(FILES_NAMED_MAX);
                let more = if more > 0 { format!("\n           and {more} more") } else { String::new() };
                format!("{count}, {bytes}, under /out and not kept: -o DIR keeps them{names}{more}")
            }
        }
    }
}

impl Stream {
    fn new(output: Output, bytes: &[u8]) -> Self {
        Self { output, text: std::str::from_utf8(bytes).ok().map(Into::into) }
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
