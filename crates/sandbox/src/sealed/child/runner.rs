//! A runner: holds programs and trees of files by their numbers, and runs tasks one after another.
//!
//! It decides nothing. The parent says what to hold and what to forget, keeps the clock, and keeps what comes out.

use super::super::answer;
use super::super::frame::Head;
use super::super::request::{Assigned, Request};
use super::Outbox;
use crate::cache::Artifact;
use crate::engine::Engine;
use crate::executor::unless_panicked;
use crate::program::Program;
use crate::task::{Contents, Executed, Failure};
use pocketmesh_types::Tree;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Files of one task, as many as share its tree.
struct Files {
    tree: Arc<Tree>,
    contents: Contents,
}

/// A tree whose files are still coming.
struct Arriving {
    number: u64,
    tree: Tree,
    contents: Vec<Arc<[u8]>>,
}

struct Runner<'a> {
    engine: &'a Engine,
    outbox: &'a Outbox,
    programs: BTreeMap<u64, Program>,
    trees: BTreeMap<u64, Files>,
    arriving: Option<Arriving>,
    batch: Vec<Assigned>,
}

/// Does what the parent asks until it asks no more.
pub(super) fn serve(engine: &Engine, outbox: &Outbox) -> io::Result<()> {
    let (programs, trees) = (BTreeMap::new(), BTreeMap::new());
    let mut runner = Runner { engine, outbox, programs, trees, arriving: None, batch: Vec::new() };
    let mut from = io::stdin().lock();
    while let Some(request) = Request::read(&mut from)? {
        runner.on_request(request)?;
    }
    Ok(())
}

impl Runner<'_> {
    fn on_request(&mut self, request: Request) -> io::Result<()> {
        match request {
            Request::Program { number, id, needs, code } => {
                // SAFETY: the parent sends what a compiler of ours made for the engine whose fingerprint we told it.
                #[expect(unsafe_code, reason = "the compiler is a process of its own")]
                let adopted = unsafe { self.engine.adopt(id, &Artifact { needs, code }) };
                let held = adopted.map(|program| drop(self.programs.insert(number, program)));
                self.answer(held)
            }
            Request::Tree { number, tree } => {
                self.arriving = Some(Arriving { number, tree, contents: Vec::new() });
                self.settle()
            }
            Request::File(bytes) => {
                let arriving = self.arriving.as_mut().ok_or_else(|| io::Error::other("a file of no tree"))?;
                arriving.contents.push(bytes);
                self.settle()
            }
            Request::Forget(number) => {
                self.programs.remove(&number);
                self.trees.remove(&number);
                self.arriving.take_if(|arriving| arriving.number == number);
                Ok(())
            }
            Request::Task(task) => {
                self.batch.push(*task);
                Ok(())
            }
            Request::Run => self.run_batch(),
            Request::Start(_) | Request::Compile(_) => Err(io::Error::other("this is a runner")),
        }
    }

    /// Holds the tree if all of its files are there.
    fn settle(&mut self) -> io::Result<()> {
        let complete = |arriving: &mut Arriving| arriving.contents.len() == arriving.tree.files().len();
        match self.arriving.take_if(complete) {
            Some(Arriving { number, tree, contents }) => {
                let files = Files { tree: Arc::new(tree), contents: Contents(contents.into()) };
                self.trees.insert(number, files);
                self.answer(Ok(()))
            }
            None => Ok(()),
        }
    }

    fn answer(&self, held: Result<(), String>) -> io::Result<()> {
        let (kind, head) = match held {
            Ok(()) => (answer::kind::HELD, Head::default()),
            Err(why) => (answer::kind::REFUSED, answer::encode_refused(&why)),
        };
        self.outbox.send(|to| super::push(to, kind, &head, &[]), true)
    }

    fn run_batch(&mut self) -> io::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let last = batch.len().saturating_sub(1);
        for (index, assigned) in batch.into_iter().enumerate() {
            let sequence = assigned.sequence;
            let result = self.run(assigned);
            self.outbox.send(|to| answer::push_result(to, sequence, &result), index == last)?;
        }
        Ok(())
    }

    fn run(&self, assigned: Assigned) -> Result<Executed, Failure> {
        let Assigned { program, tree, mut task, .. } = assigned;
        let program = self.programs.get(&program).ok_or_else(|| Failure::Host("the program is not here".into()))?;
        let files = self.trees.get(&tree).ok_or_else(|| Failure::Host("the files are not here".into()))?;
        task.program = program.id();
        task.files = Arc::clone(&files.tree);
        unless_panicked(|| self.engine.run(program, task, files.contents.clone()))
    }
}
