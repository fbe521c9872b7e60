//! A keeper: the thread that starts one runner, hands it tasks, keeps the clock, and ends it.
//!
//! Only one side talks at a time: the keeper writes a batch to its end before the runner answers the first of it. So
//! neither pipe can fill up against the other, unless the runner is hostile, and then a deadline ends it.

use super::batch::Batch;
use super::held::{Held, Place};
use super::link::{Broken, Link, Ready, Vigil, wait_for};
use super::queue::{Entry, Shared};
use super::receipt;
use crate::LoadError;
use crate::blob::Blob;
use crate::cache::Needs;
use crate::executor::unless_panicked;
use crate::sealed::answer;
use crate::sealed::frame::{BULK_BYTES_MAX, Head};
use crate::sealed::request;
use crate::task::{Failure, Stdin, Task};
use pocketmesh_types::Tree;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For handing over a program, a tree or a batch: seconds at most on a busy machine.
const HAND_OVER_WAIT: Duration = Duration::from_secs(60);
/// Standard input that goes into one batch.
const BATCH_BYTES: u64 = 4 << 20;
/// Executors that die while a task runs alone before the task is given up.
const DEATHS_MAX: u8 = 2;
/// Runners in a row that could not be started before tasks are failed.
const FAILED_STARTS_MAX: u32 = 3;
/// Wait after the first runner that could not be started; twice as long after the next, up to the most.
const BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// A keeper's life: until everything is closed.
pub(in crate::sealed) fn keep(shared: &Shared, number: usize) {
    let mut keeper = Keeper { shared, number, runner: None, failed_starts: 0, sequence: 0 };
    while !keeper.leaves_off() {
        match shared.take(number) {
            Some(entry) => keeper.serve(entry),
            None => keeper.idle(),
        }
    }
}

struct Keeper<'a> {
    shared: &'a Shared,
    number: usize,
    runner: Option<Runner>,
    failed_starts: u32,
    /// The number of the next task.
    sequence: u64,
}

struct Runner {
    link: Link,
    held: Held,
}

/// Why a task cannot be handed over now.
enum Trouble {
    /// It has an end.
    Failed(Failure),
    /// Its program has to be compiled again.
    NoProgram,
    /// There is no runner.
    NotStarted(String),
    /// The runner is of no more use.
    Broken(Broken),
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<'a> Keeper<'a> {
    /// Whether everything is closed. Looks after stopped tasks on the way.
    fn leaves_off(&self) -> bool {
        self.shared.tell_stopped();
        self.shared.is_closed()
    }

    /// Waits for something to do, and notices when the runner ends meanwhile.
    fn idle(&mut self) {
        let fd = self.runner.as_ref().map(|runner| runner.link.unasked());
        if matches!(wait_for(fd, Some(&self.shared.bells[self.number]), None), Ok(Ready::Fd)) {
            self.end_runner("an idle executor ended");
        }
    }

    fn end_runner(&mut self, why: &str) {
        if let Some(runner) = self.runner.take() {
            let end = runner.link.end();
            tracing::warn!(why, end, "an executor was ended");
        }
    }

    fn serve(&mut self, mut entry: Box<Entry>) {
        if entry.stop.is_raised() {
            return entry.tell(Err(Failure::Stopped));
        }
        if !request::can_carry(&entry.task) {
            let why = "its arguments, environment or input have more bytes than can be handed to an executor";
            return entry.tell(Err(Failure::Host(why.into())));
        }
        match self.make_ready(&entry) {
            Ok(place) => self.serve_batch(entry, place),
            Err(trouble) => self.on_trouble(trouble, entry),
        }
    }

    fn on_trouble(&mut self, trouble: Trouble, mut entry: Box<Entry>) {
        match trouble {
            Trouble::Failed(failure) => entry.tell(Err(failure)),
            Trouble::NoProgram => self.shared.park(entry),
            Trouble::NotStarted(why) => self.on_failed_start(&why, entry),
            Trouble::Broken(broken) => {
                self.end_runner(&broken.to_string());
                entry.suspect = true;
                self.on_death(entry);
            }
        }
    }

    fn on_failed_start(&mut self, why: &str, mut entry: Box<Entry>) {
        self.failed_starts += 1;
        tracing::warn!(why, times = self.failed_starts, "no executor could be started");
        if self.failed_starts >= FAILED_STARTS_MAX {
            let failure = format!("no executor could be started ({why}); `pocketmesh doctor` says more");
            entry.tell(Err(Failure::Host(failure)));
        } else {
            self.shared.put_back([entry].into_iter());
        }
        let doublings = (self.failed_starts - 1).min(10);
        self.pause((BACKOFF * 2u32.pow(doublings)).min(BACKOFF_MAX));
    }

    /// Does nothing for a while, unless everything is closed.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.leaves_off() {
            let waited = wait_for(None, Some(&self.shared.bells[self.number]), Some(until));
            if !matches!(waited, Ok(Ready::Bell)) {
                return;
            }
        }
    }

    /// An executor died while this task ran alone.
    fn on_death(&self, mut entry: Box<Entry>) {
        entry.deaths += 1;
        if entry.deaths >= DEATHS_MAX {
            let failure = format!("its executor died {DEATHS_MAX} times while nothing else ran in it");
            entry.tell(Err(Failure::Host(failure)));
        } else {
            self.shared.put_back([entry].into_iter());
        }
    }

    /// Sees to it that there is a runner which holds the task's program and files.
    fn make_ready(&mut self, entry: &Entry) -> Result<Place, Trouble> {
        let shared = self.shared;
        let leave_off = || {
            shared.tell_stopped();
            shared.is_closed()
        };
        let bell = Some(&shared.bells[self.number]);
        let vigil = Vigil { until: Instant::now() + HAND_OVER_WAIT, bell, leave_off: &leave_off };
        if self.runner.is_none() {
            let link = shared.library.start_runner(&vigil);
            let link = link.map_err(|error| Trouble::NotStarted(error.to_string()))?;
            self.failed_starts = 0;
            self.runner = Some(Runner { link, held: Held::new(shared.tree_bytes) });
        }
        let runner = self.runner.as_mut().expect("it was just started, if it was not there");
        runner.hold_program(shared, entry, &vigil)?;
        runner.hold_tree(shared, &entry.task.files, &vigil)?;
        let place = runner.held.place(entry.task.program, &entry.task.files);
        place.ok_or_else(|| Trouble::Failed(Failure::Host("the executor does not hold what it was handed".into())))
    }

    /// Hands the task over, with others like it, and takes the answers. One whose input passes through goes alone.
    fn serve_batch(&mut self, mut entry: Box<Entry>, place: Place) {
        let input = match self.open_input(&entry.task) {
            Ok(input) => input,
            Err(failure) => return entry.tell(Err(failure)),
        };
        let Some(runner) = &mut self.runner else { return self.shared.put_back([entry].into_iter()) };
        let mut tasks = vec![(entry, place)];
        if !tasks[0].0.suspect && input.is_none() {
            let mut bytes = tasks[0].0.task.stdin.len();
            let mut count = 1;
            let mut fits = |entry: &Entry| {
                let place = runner.held.place(entry.task.program, &entry.task.files)?;
                let can_carry = request::can_carry(&entry.task);
                bytes += entry.task.stdin.len();
                count += 1;
                let is_here = matches!(entry.task.stdin, Stdin::Here(_));
                (can_carry && is_here && count <= place.pace && bytes <= BATCH_BYTES).then_some(place)
            };
            tasks.extend(self.shared.take_more(place.pace - 1, &mut fits));
        }
        let mut batch = Batch::new(tasks, self.sequence);
        self.sequence += batch.tasks().count() as u64;
        match self.run(&mut batch, input) {
            Ok(()) => self.learn(&batch),
            Err(broken) => self.on_broken(&broken, batch),
        }
    }

    /// What a task's standard input is read from while it is handed over.
    fn open_input(&self, task: &Task) -> Result<Option<Blob>, Failure> {
        let Stdin::Blob(input) = task.stdin else { return Ok(None) };
        let blob = unless_panicked(|| Ok((self.shared.loader)(input.id).map_err(LoadError::Read)?))?;
        if blob.len() == input.len { Ok(Some(blob)) } else { Err(LoadError::WrongBytes(input.id).into()) }
    }

    fn run(&mut self, batch: &mut Batch, mut input: Option<Blob>) -> Result<(), Broken> {
        let (shared, bell) = (self.shared, Some(&self.shared.bells[self.number]));
        let Some(runner) = &mut self.runner else { return Err(Broken::Died("it is gone".into())) };
        let closed = || shared.is_closed();
        let vigil = Vigil { until: Instant::now() + HAND_OVER_WAIT, bell, leave_off: &closed };
        for (sequence, entry, place) in batch.tasks() {
            let head = request::encode_task(sequence, place.program, place.tree, &entry.task);
            match (&entry.task.stdin, input.take()) {
                (Stdin::Here(bytes), _) => runner.link.push(request::kind::TASK, &head, bytes, &vigil)?,
                (Stdin::Blob(output), blob) => {
                    let blob = blob.ok_or_else(|| Broken::Unread(io::ErrorKind::NotFound.into()))?;
                    runner.link.push_from(request::kind::TASK, &head, output.len, blob, &vigil)?;
                }
            }
        }
        runner.link.push(request::kind::RUN, &Head::default(), &[], &vigil)?;
        runner.link.flush(&vigil)?;
        batch.start();
        while let Some(running) = batch.running() {
            let leave_off = || {
                shared.tell_stopped();
                shared.is_closed() || batch.has_stopped()
            };
            let vigil = Vigil { until: batch.due(), bell, leave_off: &leave_off };
            let stopped = || shared.is_closed() || running.stop.is_raised();
            // However fast the disk is that takes what the task wrote.
            let begun = Vigil { until: batch.due() + HAND_OVER_WAIT, bell, leave_off: &stopped };
            let (told, saver) = ((running, batch.expected()), shared.saver.as_ref());
            match receipt::receive(&mut runner.link, told, saver, &vigil, &begun) {
                Ok(result) => batch.on_end(result),
                Err(Broken::Interrupted) if !shared.is_closed() => batch.tell_stopped(),
                Err(broken) => return Err(broken),
            }
        }
        Ok(())
    }

    fn learn(&mut self, batch: &Batch) {
        if let Some(runner) = &mut self.runner {
            let (task_time, programs) = batch.times();
            let mut programs: Vec<_> = programs.collect();
            programs.dedup();
            programs.into_iter().for_each(|program| runner.held.learn(program, task_time));
        }
    }

    /// The runner is ended. The task that was running has its end, or runs again alone; the others run again.
    fn on_broken(&mut self, broken: &Broken, batch: Batch) {
        // It computes no more from here on; until it is gone, a busy machine may take its time.
        self.runner.iter_mut().for_each(|runner| runner.link.kill());
        let is_single = batch.is_single();
        let mut rest = batch.into_rest();
        let running = rest.next();
        // The others first, so that this one stands before them.
        self.shared.put_back(rest);
        if let Some(mut running) = running {
            match broken {
                Broken::Late => running.tell(Err(Failure::WallClock)),
                Broken::Interrupted => running.tell(Err(Failure::Stopped)),
                Broken::Unsaved(_) => running.tell(Err(Failure::Host(broken.to_string()))),
                Broken::Died(_) | Broken::Unread(_) if running.is_told() => {}
                Broken::Died(_) | Broken::Unread(_) => {
                    running.suspect = true;
                    if is_single { self.on_death(running) } else { self.shared.put_back([running].into_iter()) }
                }
            }
        }
        self.end_runner(&broken.to_string());
    }
}

impl Runner {
    fn hold_program(&mut self, shared: &Shared, entry: &Entry, vigil: &Vigil<'_>) -> Result<(), Trouble> {
        let id = entry.task.program;
        let fits = |needs: Needs| needs.check(&entry.task.limits).map_err(LoadError::Program);
        if let Some(needs) = self.held.needs(id) {
            return Ok(fits(needs).map_err(Failure::from)?);
        }
        let stored = shared.library.get(id).ok_or(Trouble::NoProgram)?;
        fits(stored.needs()).map_err(Failure::from)?;
        let (number, gone) = self.held.add_program(id, stored.needs(), stored.len());
        self.forget(&gone, vigil)?;
        let head = request::encode_program(number, id, stored.needs());
        let sent = self.link.push_from(request::kind::PROGRAM, &head, stored.len(), stored.code(), vigil);
        if let Err(Broken::Unread(_)) = &sent {
            // The runner has got a part and goes; the task runs again, with a program that is compiled again.
            shared.library.forget(id);
        }
        sent?;
        self.acknowledged(number, vigil)
    }

    fn hold_tree(&mut self, shared: &Shared, tree: &Arc<Tree>, vigil: &Vigil<'_>) -> Result<(), Trouble> {
        if self.held.has_tree(tree) {
            return Ok(());
        }
        let (number, gone) = self.held.add_tree(Arc::clone(tree));
        self.forget(&gone, vigil)?;
        self.link.push(request::kind::TREE, &request::encode_tree(number, tree), &[], vigil)?;
        for file in tree.files() {
            let opened = unless_panicked(|| Ok((shared.loader)(file.content.id).map_err(LoadError::Read)?));
            let blob = match opened {
                Ok(blob) if blob.len() == file.content.len && blob.len() <= BULK_BYTES_MAX as u64 => blob,
                Ok(_) => return self.give_up(number, LoadError::WrongBytes(file.content.id).into(), vigil),
                Err(failure) => return self.give_up(number, failure, vigil),
            };
            self.link.push_from(request::kind::FILE, &Head::default(), blob.len(), blob, vigil)?;
        }
        self.acknowledged(number, vigil)
    }

    /// Takes back what is not complete, or was refused.
    fn give_up(&mut self, number: u64, failure: Failure, vigil: &Vigil<'_>) -> Result<(), Trouble> {
        self.held.remove(number);
        self.forget(&[number], vigil)?;
        Err(Trouble::Failed(failure))
    }

    fn forget(&mut self, numbers: &[u64], vigil: &Vigil<'_>) -> Result<(), Broken> {
        let tell = |&number| self.link.push(request::kind::FORGET, &request::encode_forget(number), &[], vigil);
        numbers.iter().try_for_each(tell)
    }

    fn acknowledged(&mut self, number: u64, vigil: &Vigil<'_>) -> Result<(), Trouble> {
        self.link.flush(vigil)?;
        let frame = self.link.receive(vigil)?;
        match frame.kind {
            answer::kind::HELD => Ok(()),
            answer::kind::REFUSED => {
                let why = answer::decode_refused(frame.fields());
                let why = why.map_err(Broken::from)?;
                self.give_up(number, Failure::Host(format!("the executor refused what it needs: {why}")), vigil)
            }
            _ => Err(Broken::Died("it answered something else".into()).into()),
        }
    }
}
