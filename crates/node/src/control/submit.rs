//! Taking on a job: checked, split, signed, on disk.

use super::{Desk, files::InputFiles, stopping};
use crate::{journal::Entry, promise, reduce::Plan, split, trees};
use pocketmesh_api::{Answer, Code, Failure, Input, Refusal, SubmitJob, Submitted};
use pocketmesh_protocol::{Command, Inputs, Reply};
use pocketmesh_sandbox::{LoadError, ProgramError};
use pocketmesh_types::{BlobId, Job, JobId, Price, TaskInput, job::TaskLimits, limits};
use pocketmesh_wire::{cbor, envelope};
use std::sync::Arc;

/// The ceiling of a job that names none: ten times what a peer asks by default.
const DEFAULT_CEILING: Price = Price(1_000);
/// The job's record must fit into the journal; its inputs are most of it.
const INPUTS_BYTES_MAX: usize = 48 << 20;

/// Takes a job on. When this returns, the job survives a restart.
pub async fn submit(desk: &Desk, request: SubmitJob) -> Answer<Submitted> {
    let limits = request.limits.resolve();
    let files = InputFiles::lay(&desk.store, request.files).await?;
    check_input_name(&request.input_name, &request.input, &files)?;
    let (tasks, first_index, inputs) = inputs_of(desk, &request.input).await?;
    // The files come first: a program that needs more than they leave could never start.
    let left = files.memory_left(limits.memory, &request.input_name, longest(&inputs))?;
    let start = TaskLimits { memory: left, ..limits };
    let program_len = check_program(desk, request.program, start, "the program").await?;
    if let Some(reduce) = &request.reduce {
        check_program(desk, reduce.program, start, "the reduce program").await?;
    }
    let job = Job {
        program: request.program,
        program_len,
        name: request.name,
        args: request.args,
        env: request.env,
        files: files.list,
        input_name: request.input_name,
        tasks,
        first_index,
        limits,
        policy: request.verification.into(),
        max_price: request.max_price.unwrap_or(DEFAULT_CEILING),
        profile: desk.executor.profile(),
        epoch: crate::clock::wall(),
        nonce: nonce()?,
    };
    job.check().map_err(Refusal::Bounds)?;
    let id = JobId(envelope::id(&job.clone().into()));
    let plan = request.reduce.map(|reduce| Plan { program: reduce.program, args: reduce.args, outcome: None });
    pin_all(desk, &id, &job, &inputs, plan.as_ref());
    let reply = desk
        .ask_and_act(move |driver| {
            if let Some(plan) = plan {
                let entry = Entry::Reduce { job: id, program: plan.program, args: plan.args.clone() };
                // A journal that has failed ends the loop at its next step, and with it this request.
                let _ = driver.journal.append_entry(&entry);
                driver.ledger.of_mut(id).reduce = Some(plan);
            }
            driver.command(Command::Submit { job: Box::new(job), inputs })
        })
        .await?;
    match reply.await.map_err(|_| stopping())? {
        Reply::Submitted(id) => {
            let promise = desk.ask(move |driver| Some(promise::promise(driver, driver.peer.jobs().get(&id)?))).await?;
            Ok(Submitted { id, tasks, promise: promise.ok_or_else(|| Failure::no_job(&id))? })
        }
        Reply::Refused(reason) => {
            desk.store.unpin_all(id.0);
            Err(Failure::new(Code::Invalid, reason))
        }
        other => Err(Failure::internal(format!("an unexpected reply: {other:?}"))),
    }
}

fn nonce() -> Answer<[u8; 16]> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(Failure::internal)?;
    Ok(nonce)
}

/// What the job needs must stay as long as the job does.
fn pin_all(desk: &Desk, id: &JobId, job: &Job, inputs: &Inputs, plan: Option<&Plan>) {
    desk.store.pin(job.program, id.0);
    trees::pin(&desk.store, job.files, id.0);
    if let Some(plan) = plan {
        desk.store.pin(plan.program, id.0);
    }
    if let Inputs::Parts(parts) = inputs {
        for part in parts {
            if let TaskInput::Blob(blob, _) = part {
                desk.store.pin(*blob, id.0);
            }
        }
    }
}

/// Tasks can find their input by a name only if they have one, and if nothing else lies there.
fn check_input_name(name: &str, input: &Input, files: &InputFiles) -> Result<(), Refusal> {
    match input {
        _ if name.is_empty() => Ok(()),
        Input::None | Input::Range { .. } => Err(Refusal::NoInput(name.into())),
        Input::Split { .. } => files.check_input_name(name),
    }
}

/// Checks that a program can run here, and so everywhere; returns its length.
async fn check_program(desk: &Desk, id: BlobId, limits: TaskLimits, what: &'static str) -> Answer<u64> {
    let (store, executor) = (desk.store.clone(), Arc::clone(&desk.executor));
    let checked = tokio::task::spawn_blocking(move || {
        let len = store.len(id).ok_or(Refusal::NoBlob(id))?;
        executor.check(id, &limits).map_err(|error| match error {
            LoadError::Program(error) => program_refusal(what, error),
            LoadError::Read(_) | LoadError::WrongBytes(_) => Refusal::NoBlob(id),
        })?;
        Ok::<_, Refusal>(len)
    });
    Ok(checked.await.map_err(Failure::internal)??)
}

/// Why a program is none for the mesh, as its owner is told.
pub(crate) fn program_refusal(what: &'static str, error: ProgramError) -> Refusal {
    match error {
        ProgramError::Import { module, name } => Refusal::UnknownImport { what, module, name },
        error => Refusal::BadProgram { what, why: error.to_string() },
    }
}

/// How many tasks, the first index, and each task's input.
async fn inputs_of(desk: &Desk, input: &Input) -> Answer<(u32, u64, Inputs)> {
    match input {
        Input::None => Ok((1, 0, Inputs::None)),
        &Input::Range { start, end } => {
            let tasks = end.checked_sub(start).filter(|&tasks| tasks > 0).ok_or(Refusal::EmptyRange { start, end })?;
            let max = u64::from(limits::TASKS_PER_JOB_MAX);
            let tasks = u32::try_from(tasks).ok().filter(|&tasks| u64::from(tasks) <= max);
            let tasks = tasks.ok_or(Refusal::TooManyTasks { tasks: end - start, max })?;
            Ok((tasks, start, Inputs::None))
        }
        Input::Split { sources, split: how } => {
            let (store, sources, how) = (desk.store.clone(), sources.clone(), *how);
            let split = tokio::task::spawn_blocking(move || split::split(&store, &sources, how));
            let parts = split.await.map_err(Failure::internal)?.map_err(refusal_of)?;
            if cbor::encode(&parts).len() > INPUTS_BYTES_MAX {
                let message = "so many small parts are more than a job's record can hold: use larger parts";
                return Err(Failure::new(Code::Invalid, message));
            }
            let tasks = u32::try_from(parts.len()).map_err(Failure::internal)?;
            Ok((tasks, 0, Inputs::Parts(parts)))
        }
    }
}

/// The longest input of a task, in bytes.
fn longest(inputs: &Inputs) -> u64 {
    let len = |part: &TaskInput| match part {
        TaskInput::None => 0,
        TaskInput::Inline(bytes) => bytes.len() as u64,
        TaskInput::Blob(_, len) => *len,
    };
    match inputs {
        Inputs::None => 0,
        Inputs::Parts(parts) => parts.iter().map(len).max().unwrap_or(0),
    }
}

fn refusal_of(error: split::SplitError) -> Failure {
    match error {
        split::SplitError::Empty => Refusal::EmptyInput.into(),
        split::SplitError::NoBlob(blob) => Refusal::NoBlob(blob).into(),
        split::SplitError::TooMany | split::SplitError::TooLarge => Failure::new(Code::Invalid, error.to_string()),
        split::SplitError::Store(_) | split::SplitError::Read(_) => Failure::internal(error),
    }
}
