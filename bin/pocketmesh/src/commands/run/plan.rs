//! What `run` was asked to do, checked as far as it can be without a daemon.

use crate::cli::Run;
use crate::exit::Error;
use crate::result_folder;
use crate::sources::{self, Program, Source};
use pocketmesh_api::{self as api, Client, Input, Limits, Reduce, Split, SubmitJob, Submitted};
use pocketmesh_types::Price;
use pocketmesh_types::limits::TASKS_PER_JOB_MAX;
use serde::Serialize;
use std::ops::Range;

/// A job that this side has no objection to.
#[derive(Debug)]
pub struct Plan {
    program: Program,
    reduce: Option<Program>,
    args: Vec<String>,
    work: Work,
    replicas: u8,
    max_price: Option<u64>,
    limits: Limits,
}

#[derive(Debug)]
enum Work {
    Once,
    Range(Range<u64>),
    Split(Vec<Source>, Split),
}

impl Plan {
    /// Checks all that can be checked here.
    pub fn check(args: &Run) -> Result<Self, Error> {
        let program = Program::read(&args.program, "the program")?;
        let reduce = args.reduce.as_ref().map(|path| Program::read(path, "the reduce program")).transpose()?;
        let work = match (&args.range, args.input.as_slice()) {
            (Some(range), _) => Work::Range(countable(range)?),
            (None, []) => Work::Once,
            (None, paths) => Work::Split(sources::inputs(paths)?, args.split.unwrap_or(Split::File)),
        };
        if let Some(dir) = &args.output {
            result_folder::check(dir)?;
        }
        let wall_ms = args.timeout.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        let memory = args.memory.map(|size| size.0);
        Ok(Self {
            program,
            reduce,
            args: args.args.clone(),
            work,
            replicas: args.replicas,
            max_price: args.max_price,
            limits: Limits { fuel: args.fuel, memory, output: None, wall_ms },
        })
    }

    /// Uploads what the job needs and hands it over.
    pub async fn submit(&self, client: &Client) -> Result<Submitted, Error> {
        let program = self.program.upload(client).await?.id;
        let reduce = match &self.reduce {
            Some(reduce) => Some(Reduce { program: reduce.upload(client).await?.id, args: Vec::new() }),
            None => None,
        };
        let input = match &self.work {
            Work::Once => Input::None,
            Work::Range(range) => Input::Range { start: range.start, end: range.end },
            Work::Split(sources, split) => Input::Split { sources: upload(client, sources).await?, split: *split },
        };
        let job = SubmitJob {
            name: self.program.name.clone(),
            program,
            args: self.args.clone(),
            env: Vec::new(),
            input,
            reduce,
            replicas: self.replicas,
            max_price: self.max_price.map(Price),
            limits: self.limits,
        };
        Ok(client.submit(&job).await?)
    }

    /// The job as TOML, for `--dry-run`.
    pub fn to_toml(&self) -> Result<String, Error> {
        let (range, inputs, split) = match &self.work {
            Work::Once => (None, Vec::new(), None),
            Work::Range(range) => (Some(format!("{}..{}", range.start, range.end)), Vec::new(), None),
            Work::Split(sources, split) => (None, sources.iter().map(shown).collect(), Some(split_text(*split))),
        };
        let written = Written {
            name: &self.program.name,
            program: self.program.path.display().to_string(),
            args: &self.args,
            reduce: self.reduce.as_ref().map(|reduce| reduce.path.display().to_string()),
            range,
            inputs,
            split,
            replicas: self.replicas,
            max_price: self.max_price,
            limits: self.limits,
        };
        toml::to_string(&written).map_err(|error| Error::failed(format!("cannot write this as TOML: {error}")))
    }
}

fn countable(range: &Range<u64>) -> Result<Range<u64>, Error> {
    let tasks = range.end - range.start;
    let max = u64::from(TASKS_PER_JOB_MAX);
    if tasks > max { Err(Error::usage(api::Refusal::TooManyTasks { tasks, max })) } else { Ok(range.clone()) }
}

async fn upload(client: &Client, sources: &[Source]) -> Result<Vec<api::Source>, Error> {
    let mut uploaded = Vec::new();
    for source in sources {
        let blob = source.upload(client).await?;
        uploaded.push(api::Source { name: source.name(), blob: blob.id, len: blob.len });
    }
    // Standard input tells only now that there is nothing in it.
    if uploaded.iter().all(|source| source.len == 0) { Err(sources::empty()) } else { Ok(uploaded) }
}

fn shown(source: &Source) -> String {
    match source {
        Source::Stdin => "-".into(),
        Source::File(path) => path.display().to_string(),
    }
}

fn split_text(split: Split) -> String {
    match split {
        Split::Lines(lines) => format!("lines={lines}"),
        Split::Bytes(bytes) => format!("bytes={bytes}"),
        Split::File => "file".into(),
    }
}

/// The TOML of a job: the same words as the flags.
#[derive(Serialize)]
struct Written<'a> {
    name: &'a str,
    program: String,
    args: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    reduce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<String>,
    replicas: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_price: Option<u64>,
    limits: Limits,
}
