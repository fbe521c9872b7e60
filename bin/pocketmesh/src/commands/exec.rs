//! `exec`: one task, here, as any peer would run it; for authors who try a program before they submit a job.

mod account;

use crate::cli::Exec;
use crate::context::Context;
use crate::exit::{Error, Exit, Outcome};
use crate::fresh_folder::FreshFolder;
use crate::inputs::{Inputs, Named};
use crate::output;
use crate::sources::{Program, Source};
use account::Account;
use futures::StreamExt;
use pocketmesh_node::home::{Sandbox, SandboxBackend, SandboxExecutor};
use pocketmesh_node::local::{self, LocalError, LocalFile, LocalRun, LocalTask};
use pocketmesh_types::limits::BLOB_BYTES_MAX;
use std::io::{self, IsTerminal};
use std::path::Path;

/// Runs it.
pub async fn run(context: &Context, args: Exec) -> Outcome {
    let (task, sandbox) = (task(&args).await?, sandbox(&args));
    let limits = task.limits;
    let ran = tokio::task::spawn_blocking(move || local::run(task, sandbox)).await.map_err(Error::failed)?;
    let ran = ran.map_err(failure)?;
    if let Some(dir) = &args.output {
        write(dir, &ran.files)?;
    }
    let account = Account::new(&ran, &limits);
    if context.json {
        output::json(&account)?;
    } else {
        output::whole(&ran.stdout).await?;
        output::foreign_note(&ran.stderr);
        let gap = if leaves_a_line_open(&ran) { "\n" } else { "" };
        context.note(format!("{gap}{}", account.text(args.output.as_deref())));
    }
    Ok(if ran.outcome.is_success() { Exit::Complete } else { Exit::Failed })
}

/// Whether what the program wrote ends in the middle of a line of the terminal.
fn leaves_a_line_open(ran: &LocalRun) -> bool {
    let is_open = |bytes: &[u8]| bytes.last().is_some_and(|&last| last != b'\n');
    io::stdout().is_terminal() && is_open(&ran.stdout) || io::stderr().is_terminal() && is_open(&ran.stderr)
}

/// Checks all that was asked for, and reads all that is needed for it.
async fn task(args: &Exec) -> Result<LocalTask, Error> {
    let named = Named::new(&args.input)?;
    let program = Program::read(&args.program, "the program")?;
    let limits = args.task.limits().resolve();
    let Inputs { streams, files, name } = named.find(&args.args, limits.memory)?;
    if let Some(dir) = &args.output {
        FreshFolder::check(dir)?;
    }
    let read = |file: &crate::input_files::InputFile| {
        let bytes = file.read()?;
        Ok(LocalFile { path: file.place.clone(), bytes })
    };
    Ok(LocalTask {
        program: program.bytes.to_vec(),
        name: program.name,
        args: args.args.clone(),
        env: args.task.env.clone(),
        index: args.index,
        stdin: join(&streams).await?,
        files: files.files().iter().map(read).collect::<Result<_, Error>>()?,
        input_name: name,
        limits,
    })
}

fn sandbox(args: &Exec) -> Sandbox {
    Sandbox {
        executor: if args.in_process { SandboxExecutor::InProcess } else { SandboxExecutor::Sealed },
        backend: if args.interpreted { SandboxBackend::Interpreted } else { SandboxBackend::Compiled },
    }
}

/// All sources, one after the other.
async fn join(sources: &[Source]) -> Result<Vec<u8>, Error> {
    let mut joined = Vec::new();
    for source in sources {
        let mut chunks = source.open().await?;
        while let Some(chunk) = chunks.next().await {
            joined.extend_from_slice(&chunk.map_err(|error| source.cannot_read(&error))?);
            if joined.len() as u64 > BLOB_BYTES_MAX {
                return Err(Error::usage(format!("the input is larger than {} MiB", BLOB_BYTES_MAX >> 20)));
            }
        }
    }
    Ok(joined)
}

fn write(dir: &Path, files: &[LocalFile]) -> Result<(), Error> {
    let fresh = FreshFolder::begin(dir)?;
    for file in files {
        let mut new = fresh.create("", &file.path)?;
        new.write(&file.bytes)?;
        new.finish()?;
    }
    fresh.finish()
}

fn failure(error: LocalError) -> Error {
    match error {
        LocalError::Refused(_) => Error::usage(error),
        _ => Error::failed(error),
    }
}
