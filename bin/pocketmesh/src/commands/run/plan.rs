//! What `run` was asked to do, checked as far as it can be without a daemon.

use crate::cli::{Run, Task};
use crate::context::Context;
use crate::exit::Error;
use crate::fresh_folder::FreshFolder;
use crate::input_files::InputFiles;
use crate::inputs::{Inputs, Named};
use crate::quantity;
use crate::sources::{self, Program, Source};
use crate::uploads::Uploads;
use pocketmesh_api::{self as api, Client, Input, Limits, Reduce, Split, SubmitJob, Submitted, Verification};
use pocketmesh_node::home::Size;
use pocketmesh_types::limits::TASKS_PER_JOB_MAX;
use pocketmesh_types::{Credits, PerGib, Price};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// A job that this side has no objection to.
#[derive(Debug)]
pub struct Plan {
    program: Program,
    reduce: Option<Program>,
    fan_in: Option<u32>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    work: Work,
    files: InputFiles,
    input_name: String,
    verification: Verification,
    max_price: Option<u64>,
    per_gib: Option<u64>,
    budget: Option<Credits>,
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
        let named = named(args)?;
        let program = Program::read(&args.program, "the program")?;
        let reduce = args.reduce.as_ref().map(|path| Program::read(path, "the reduce program")).transpose()?;
        let limits = args.task.limits();
        let Inputs { streams, files, name } = named.find(&args.args, limits.resolve().memory)?;
        sources::check_not_empty(&streams)?;
        let split = args.split.unwrap_or(Split::File);
        if split == Split::File {
            sources::check_whole(&streams)?;
        }
        let work = match &args.range {
            Some(range) => Work::Range(countable(range)?),
            None if streams.is_empty() => Work::Once,
            None => Work::Split(streams, split),
        };
        if let Some(dir) = &args.output {
            FreshFolder::check(dir)?;
        }
        Ok(Self {
            program,
            reduce,
            fan_in: args.fan_in,
            args: args.args.clone(),
            env: args.task.env.clone(),
            work,
            files,
            input_name: name,
            verification: args.trust.verification(),
            max_price: args.max_price,
            per_gib: args.per_gib,
            budget: args.budget,
            limits,
        })
    }

    /// Uploads what the job needs and hands it over.
    pub async fn submit(&self, context: &Context, client: &Client) -> Result<Submitted, Error> {
        let uploads = Uploads::new(context, self.bytes());
        let program = self.program.upload(client).await?.id;
        let reduce = match &self.reduce {
            Some(reduce) => {
                Some(Reduce { program: reduce.upload(client).await?.id, args: Vec::new(), fan_in: self.fan_in })
            }
            None => None,
        };
        let input = match &self.work {
            Work::Once => Input::None,
            Work::Range(range) => Input::Range { start: range.start, end: range.end },
            Work::Split(sources, split) => {
                let sources = upload(client, &uploads, sources, *split).await?;
                Input::Split { sources, split: *split }
            }
        };
        let files = self.files.upload(client, &uploads).await?;
        uploads.end(context);
        let job = SubmitJob {
            name: self.program.name.clone(),
            program,
            args: self.args.clone(),
            env: self.env.clone(),
            input,
            files,
            input_name: self.input_name.clone(),
            reduce,
            verification: self.verification,
            max_price: self.max_price.map(Price),
            per_gib: self.per_gib.map(PerGib),
            budget: self.budget,
            limits: self.limits,
        };
        Ok(client.submit(&job).await?)
    }

    /// What is to be uploaded, in bytes, as far as it is known.
    fn bytes(&self) -> u64 {
        let streams: u64 = match &self.work {
            Work::Once | Work::Range(_) => 0,
            Work::Split(sources, _) => sources.iter().filter_map(Source::len).sum(),
        };
        self.files.bytes() + streams
    }

    /// The job as TOML, for `--dry-run`.
    pub fn to_toml(&self) -> Result<String, Error> {
        let (range, inputs, split) = match &self.work {
            Work::Once => (None, Vec::new(), None),
            Work::Range(range) => (Some(format!("{}..{}", range.start, range.end)), Vec::new(), None),
            Work::Split(sources, split) => {
                (None, sources.iter().map(Source::shown).collect(), Some(split_text(*split)))
            }
        };
        let written = Written {
            name: &self.program.name,
            program: self.program.path.display().to_string(),
            args: &self.args,
            env: self.env.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            reduce: self.reduce.as_ref().map(|reduce| reduce.path.display().to_string()),
            fan_in: self.fan_in,
            range,
            inputs,
            split,
            input_name: &self.input_name,
            trust: trust(self.verification),
            max_price: self.max_price,
            per_gib: self.per_gib,
            budget: self.budget.map(quantity::nano_exact),
            limits: self.limits,
            files: self.files.files().iter().map(|file| (&*file.place, file.path.display().to_string())).collect(),
        };
        toml::to_string(&written).map_err(|error| Error::failed(format!("cannot write this as TOML: {error}")))
    }
}

/// What was named, as far as it goes together with how the work is divided.
fn named(args: &Run) -> Result<Named, Error> {
    let named = Named::new(&args.input)?;
    if args.range.is_some() && named.has_streams() {
        return Err(Error::usage(
            "-i SRC cannot be used with --range, which leaves standard input empty; -i SRC:DST lays a file under /in",
        ));
    }
    if args.split.is_some() && !named.has_streams() {
        return Err(Error::usage("--split cuts up standard input: name what it cuts with -i SRC, without a colon"));
    }
    Ok(named)
}

impl Task {
    /// The limits as the daemon is told them.
    pub fn limits(&self) -> Limits {
        let bytes = |size: Option<Size>| size.map(|size| size.0);
        let wall_ms = self.timeout.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        Limits { fuel: self.fuel, memory: bytes(self.memory), output: bytes(self.output_limit), wall_ms }
    }
}

fn countable(range: &Range<u64>) -> Result<Range<u64>, Error> {
    let tasks = range.end - range.start;
    let max = u64::from(TASKS_PER_JOB_MAX);
    if tasks > max { Err(Error::usage(api::Refusal::TooManyTasks { tasks, max })) } else { Ok(range.clone()) }
}

async fn upload(
    client: &Client,
    uploads: &Uploads,
    sources: &[Source],
    split: Split,
) -> Result<Vec<api::Source>, Error> {
    let mut uploaded = Vec::new();
    for source in sources {
        uploaded.extend(source.upload(client, uploads, split).await?);
    }
    // Standard input tells only now that there is nothing in it.
    let is_blob = |source: &Source| matches!(source, Source::Blob(_));
    if uploaded.iter().all(|source| source.len == 0) && !sources.iter().any(is_blob) {
        Err(sources::empty())
    } else {
        Ok(uploaded)
    }
}

fn split_text(split: Split) -> String {
    match split {
        Split::Lines(lines) => format!("lines={lines}"),
        Split::Bytes(bytes) => format!("bytes={bytes}"),
        Split::File => "file".into(),
    }
}

/// How results are checked, in the words of the flags: a target and who audits, or a number of replicas.
#[derive(Serialize)]
struct Trust {
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assume_saboteurs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<u8>,
}

fn trust(verification: Verification) -> Trust {
    // As texts: a binary fraction would be another number.
    let decimal = |scaled: u32, places: usize| {
        let text = format!("0.{scaled:0places$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match verification {
        Verification::Replicas(count) => {
            Trust { confidence: None, assume_saboteurs: None, audit: None, replicas: Some(count) }
        }
        Verification::Audits(audits) => Trust {
            confidence: Some(decimal(1_000_000_000 - audits.error_ppb, 9)),
            assume_saboteurs: Some(decimal(audits.saboteurs_ppm, 6)),
            audit: Some(audits.by.name()),
            replicas: None,
        },
    }
}

/// The TOML of a job: the same words as the flags.
#[derive(Serialize)]
struct Written<'a> {
    name: &'a str,
    program: String,
    args: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reduce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fan_in: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<String>,
    /// What the task's input is called under `/in`.
    #[serde(skip_serializing_if = "str::is_empty")]
    input_name: &'a str,
    #[serde(flatten)]
    trust: Trust,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_price: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_gib: Option<u64>,
    /// In nano-credits.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<String>,
    limits: Limits,
    /// What lies where under `/in`, and where it comes from.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<&'a str, String>,
}
