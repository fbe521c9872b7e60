//! Taking on a job: checked, split, signed, on disk.

use super::{Desk, files::InputFiles, stopping};
use crate::{
    journal::Entry,
    pins, promise,
    reduce::{FanIn, Plan},
    split::{self, Cut, SplitError},
};
use pocketmesh_api::{Answer, Code, Failure, Input, Refusal, SubmitJob, Submitted};
use pocketmesh_protocol::{Command, Inputs, Reply};
use pocketmesh_sandbox::{LoadError, ProgramError};
use pocketmesh_types::{BlobId, Job, JobId, Output, PerGib, Price, job::TaskLimits, limits};
use pocketmesh_wire::envelope;
use std::sync::Arc;

/// The ceiling of a job that names none: ten times what a peer asks by default.
const DEFAULT_CEILING: Price = Price(1_000);
/// What a job that does not say pays for each GiB: what a core earns by default, at a third of a second a gigafuel, while a line of 100 Mbit/s
/// carries it, 86 s. Guess.
const DEFAULT_PER_GIB: PerGib = PerGib(25_000);

/// Takes a job on. When this returns, the job survives a restart.
pub async fn submit(desk: &Desk, request: SubmitJob) -> Answer<Submitted> {
    if let Some(reason) = desk.ask(|driver| driver.money_stopped().filter(|_| driver.journal.is_broken())).await? {
        return Err(Failure::new(Code::Internal, format!("no job can be taken on: {reason}")));
    }
    let limits = request.limits.resolve();
    let files = InputFiles::lay(&desk.store, request.files).await?;
    check_input_name(&request.input_name, &request.input, &files)?;
    let divided = divide(desk, &request.input).await?;
    // The files come first: a program that needs more than they leave could never start.
    let left = files.memory_left(limits.memory, &request.input_name, divided.longest())?;
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
        inputs: divided.table(),
        input_name: request.input_name,
        tasks: divided.tasks,
        first_index: divided.first_index,
        limits,
        policy: request.verification.into(),
        max_price: request.max_price.unwrap_or(DEFAULT_CEILING),
        per_gib: request.per_gib.unwrap_or(DEFAULT_PER_GIB),
        budget: request.budget,
        profile: desk.executor.profile(),
        epoch: crate::clock::wall(),
        nonce: nonce()?,
    };
    job.check().map_err(Refusal::Bounds)?;
    let id = JobId(envelope::id(&job.clone().into()));
    let plan = request.reduce.map(|reduce| Plan::new(reduce.program, reduce.args, FanIn::of(reduce.fan_in)));
    pin_all(desk, &id, &job, plan.as_ref());
    let (tasks, inputs) = (divided.tasks, divided.inputs());
    let reply = desk
        .ask_and_act(move |driver| {
            if let Some(plan) = plan {
                driver.journal.append_entry(&entry_of(id, &plan));
                driver.ledger.of_mut(id).reduce = Some(plan);
            }
            driver.command(Command::Submit { job: Box::new(job), inputs })
        })
        .await?;
    match reply.await.map_err(|_| stopping())? {
        Reply::Submitted(id) => {
            let outlook = move |driver: &mut crate::driver::Driver| {
                let active = driver.peer.jobs().get(&id)?;
                Some((promise::promise(driver, active), crate::wallet::spending(driver, active)))
            };
            let (promise, spending) = desk.ask(outlook).await?.ok_or_else(|| Failure::no_job(&id))?;
            Ok(Submitted { id, tasks, promise, spending })
        }
        Reply::Refused(reason) => {
            desk.store.unpin_all(pins::inputs_of(&id));
            Err(Failure::new(Code::Invalid, reason))
        }
        other => Err(Failure::internal(format!("an unexpected reply: {other:?}"))),
    }
}

fn entry_of(job: JobId, plan: &Plan) -> Entry {
    Entry::Reduce { job, program: plan.program, args: plan.args.clone(), fan_in: plan.fan_in.number() }
}

fn nonce() -> Answer<[u8; 16]> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(Failure::internal)?;
    Ok(nonce)
}

/// What the job needs must stay until it is over.
fn pin_all(desk: &Desk, id: &JobId, job: &Job, plan: Option<&Plan>) {
    pins::pin_inputs(&desk.store, job, id);
    if let Some(plan) = plan {
        desk.store.pin(plan.program, pins::inputs_of(id));
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

/// What is divided into tasks.
struct Divided {
    tasks: u32,
    first_index: u64,
    /// The tasks' inputs, if they have some.
    cut: Option<Cut>,
}

impl Divided {
    fn table(&self) -> Output {
        self.cut.as_ref().map(|cut| cut.table).unwrap_or_default()
    }

    fn inputs(&self) -> Inputs {
        self.cut.as_ref().map_or(Inputs::None, |cut| Inputs::Cut { bytes: cut.sources.bytes(), longest: cut.longest })
    }

    /// The longest input of a task, in bytes.
    fn longest(&self) -> u64 {
        self.cut.as_ref().map_or(0, |cut| cut.longest)
    }
}

async fn divide(desk: &Desk, input: &Input) -> Answer<Divided> {
    match input {
        Input::None => Ok(Divided { tasks: 1, first_index: 0, cut: None }),
        &Input::Range { start, end } => {
            let tasks = end.checked_sub(start).filter(|&tasks| tasks > 0).ok_or(Refusal::EmptyRange { start, end })?;
            let max = u64::from(limits::TASKS_PER_JOB_MAX);
            let tasks = u32::try_from(tasks).ok().filter(|&tasks| u64::from(tasks) <= max);
            let tasks = tasks.ok_or(Refusal::TooManyTasks { tasks: end - start, max })?;
            Ok(Divided { tasks, first_index: start, cut: None })
        }
        Input::Split { sources, split: how } => {
            super::bring::bring(desk, sources).await?;
            let (store, sources, how) = (desk.store.clone(), sources.clone(), *how);
            let split = tokio::task::spawn_blocking(move || split::split(&store, &sources, how));
            let cut = split.await.map_err(Failure::internal)?.map_err(refusal_of)?;
            Ok(Divided { tasks: cut.tasks, first_index: 0, cut: Some(cut) })
        }
    }
}

fn refusal_of(error: SplitError) -> Failure {
    match error {
        SplitError::Empty => Refusal::EmptyInput.into(),
        SplitError::NoBlob(blob) => Refusal::NoBlob(blob).into(),
        SplitError::TooMany | SplitError::TooManySources(_) | SplitError::TooLarge => {
            Failure::new(Code::Invalid, error.to_string())
        }
        SplitError::Store(error) => super::put_failure(&error),
        SplitError::Read(_) => Failure::internal(error),
    }
}
