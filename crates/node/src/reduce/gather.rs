//! Bringing outputs together for the reduce program: all of them for one run, or group by group for a level of its tree.
//!
//! They pass from the disk to the disk; memory does not grow with them.

use super::FanIn;
use crate::results::{Results, Shown, stdout_of};
use crate::split::{Cut, SplitError, tabulate};
use pocketmesh_blobs::{
    Durability, Store,
    store::{GetError, PutError, Writer},
};
use pocketmesh_protocol::FinalTask;
use pocketmesh_sandbox::Stdin;
use pocketmesh_store::index::UseError;
use pocketmesh_types::parts::{NoTable, Sources};
use pocketmesh_types::{BlobId, Hash, JobId, Outcome, Output, TaskIndex, limits};
use std::io::{self, Read};

/// Outputs that together have no more bytes are reduced here: handing them out would take longer. Guess.
const HERE_BYTES_MAX: u64 = 8 << 20;
/// What one run of a level reads, where sizes decide: enough to be worth a task, little enough to be sent. Guess.
const NODE_BYTES: u64 = 16 << 20;
/// The least that a level takes together, whatever the sizes: else the tree would never end.
const GROUP_MIN: u32 = 2;
/// Copied at once.
const PIECE_BYTES: usize = 64 << 10;

/// The outputs of a job.
pub struct Outputs<'a> {
    pub store: &'a Store,
    pub results: &'a Results,
    pub shown: Shown,
    pub job: JobId,
}

/// What is to be done with them.
pub enum Gathered {
    /// Nothing: there is one, and it was reduced.
    Reduced(Outcome),
    /// One run reads them all.
    Joined(Stdin),
    /// A level of the tree reads them.
    Level(Cut),
}

/// Why outputs cannot be brought together.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// A node of the level before did not end well.
    #[error("its run {0} on the mesh did not end well: {1}")]
    Failed(TaskIndex, String),
    /// More than one run can read.
    #[error(
        "outputs that one run would have to read together have more than {max} bytes: let it read fewer with --fan-in",
        max = limits::BLOB_BYTES_MAX
    )]
    TooLarge,
    /// The index.
    #[error(transparent)]
    Index(#[from] UseError),
    /// An output is gone.
    #[error(transparent)]
    Blob(#[from] GetError),
    /// There is no room.
    #[error(transparent)]
    Put(#[from] PutError),
    /// The table of the level's inputs.
    #[error(transparent)]
    Table(#[from] SplitError),
    /// Too many blobs.
    #[error("its inputs are too many: {0}")]
    Sources(#[from] NoTable),
    /// The disk.
    #[error("cannot read an output: {0}")]
    Io(#[from] io::Error),
}

impl Outputs<'_> {
    /// Looks at the outputs, and brings them together. What is written is kept for `owner`.
    pub fn gather(&self, fan_in: FanIn, is_level: bool, owner: Hash) -> Result<Gathered, GatherError> {
        let (mut total, mut tasks, mut last) = (0u64, 0u32, None);
        for task in self.tasks() {
            let FinalTask { task, outcome, .. } = task?;
            let outcome = outcome.filter(|outcome| !is_level || outcome.is_success());
            if let Some(outcome) = outcome {
                total = total.saturating_add(outcome.stdout.len);
                last = Some(outcome);
            } else if is_level {
                return Err(GatherError::Failed(task, "it has no outcome, or not exit code 0".into()));
            }
            tasks += 1;
        }
        match last {
            Some(outcome) if is_level && tasks == 1 => Ok(Gathered::Reduced(outcome)),
            _ if fan_in == FanIn::All || total <= HERE_BYTES_MAX => Ok(Gathered::Joined(self.join(total, owner)?)),
            _ => Ok(Gathered::Level(self.group(fan_in, owner)?)),
        }
    }

    fn tasks(&self) -> impl Iterator<Item = Result<FinalTask, UseError>> + '_ {
        self.results.of_job(&self.job, self.shown.clone())
    }

    /// All outputs in one blob.
    fn join(&self, total: u64, owner: Hash) -> Result<Stdin, GatherError> {
        if total > limits::BLOB_BYTES_MAX {
            return Err(GatherError::TooLarge);
        }
        if total == 0 {
            return Ok(Stdin::default());
        }
        let mut writer = self.store.writer(total)?;
        for task in self.tasks() {
            copy(stdout_of(&task?, self.store)?, |bytes| Ok(writer.write(bytes)?))?;
        }
        let len = writer.len();
        let id = writer.finish(Durability::Refetchable)?;
        self.store.pin(id, owner);
        Ok(Stdin::Blob(Output { id, len }))
    }

    /// Outputs that follow one another are joined to the inputs of a level's tasks.
    fn group(&self, fan_in: FanIn, owner: Hash) -> Result<Cut, GatherError> {
        let mut groups = Groups { store: self.store, owner, writer: None, sources: Vec::new(), parts: Vec::new() };
        let mut group = Group::default();
        for task in self.tasks() {
            let task = task?;
            let len = task.outcome.map_or(0, |outcome| outcome.stdout.len);
            if group.is_full(fan_in, len) {
                groups.end(&mut group)?;
            }
            groups.take(&mut group, len, stdout_of(&task, self.store)?)?;
        }
        groups.end(&mut group)?;
        groups.finish()
    }
}

/// A group that grows.
#[derive(Default)]
struct Group {
    hasher: blake3::Hasher,
    outputs: u32,
    len: u64,
}

impl Group {
    /// Whether the next output, of this length, does not belong to it any more.
    fn is_full(&self, fan_in: FanIn, next: u64) -> bool {
        match fan_in {
            FanIn::Count(count) => self.outputs >= count.max(GROUP_MIN),
            FanIn::Sizes | FanIn::All => self.outputs >= GROUP_MIN && self.len + next > NODE_BYTES,
        }
    }
}

/// Groups as they are written, one after the other, into as few blobs as can be.
struct Groups<'a> {
    store: &'a Store,
    owner: Hash,
    writer: Option<Writer>,
    sources: Vec<Output>,
    parts: Vec<(BlobId, u64)>,
}

impl Groups<'_> {
    fn take(&mut self, group: &mut Group, len: u64, from: impl Read) -> Result<(), GatherError> {
        if group.len + len > limits::BLOB_BYTES_MAX {
            return Err(GatherError::TooLarge);
        }
        if self.writer.is_none() {
            self.writer = Some(self.store.writer(2 * limits::BLOB_BYTES_MAX)?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        copy(from, |bytes| {
            group.hasher.update(bytes);
            group.len += bytes.len() as u64;
            Ok(writer.write(bytes)?)
        })?;
        group.outputs += 1;
        Ok(())
    }

    fn end(&mut self, group: &mut Group) -> Result<(), GatherError> {
        let Group { hasher, outputs, len } = std::mem::take(group);
        if outputs > 0 && len > 0 {
            self.parts.push((BlobId(Hash(*hasher.finalize().as_bytes())), len));
        }
        if self.writer.as_ref().is_some_and(|writer| writer.len() >= limits::BLOB_BYTES_MAX / 2) {
            self.end_blob()?;
        }
        Ok(())
    }

    fn end_blob(&mut self) -> Result<(), GatherError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let len = writer.len();
        let id = writer.finish(Durability::Durable)?;
        self.store.pin(id, self.owner);
        self.sources.push(Output { id, len });
        Ok(())
    }

    fn finish(mut self) -> Result<Cut, GatherError> {
        self.end_blob()?;
        let cut = tabulate(self.store, Sources::new(self.sources)?, self.parts.into_iter())?;
        self.store.pin(cut.table.id, self.owner);
        Ok(cut)
    }
}

fn copy(mut from: impl Read, mut to: impl FnMut(&[u8]) -> Result<(), GatherError>) -> Result<(), GatherError> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            read => to(&piece[..read])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Cutter;
    use pocketmesh_store::{FolderLock, Index};
    use pocketmesh_types::{Bytes, Exit, Fuel, TaskInput};

    struct Rig {
        store: Store,
        results: Results,
        _folder: tempfile::TempDir,
        _lock: FolderLock,
    }

    impl Rig {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let lock = FolderLock::acquire(folder.path()).expect("a lock");
            let (index, _) = Index::open(&lock, 1 << 20).expect("an index");
            let results = Results::new(index.tree("results").expect("a tree"));
            let store = Store::open(folder.path().join("blobs"), 1 << 30).expect("a store");
            Self { store, results, _folder: folder, _lock: lock }
        }

        /// A job with these outputs.
        fn outputs(&self, outputs: &[Vec<u8>], exit: Exit) -> Outputs<'_> {
            let job = JobId(Hash::of_parts("test job", &[&outputs.len().to_le_bytes()]));
            for (task, bytes) in (0..).zip(outputs) {
                let (stdout, empty) = (Output::of(bytes), Output::of(b""));
                let is_small = bytes.len() <= limits::INLINE_BYTES_MAX;
                self.store.put(bytes).expect("stored");
                let outcome =
                    Some(Outcome { exit, fuel: Fuel(1), stdout, stderr: empty, files: empty, files_bytes: 0 });
                let stdout = is_small.then(|| Bytes(bytes.clone()));
                let result = FinalTask { task, outcome, stdout, stderr: None, workers: vec![], input_len: 0 };
                self.results.put(&job, &[result]).expect("put");
            }
            Outputs { store: &self.store, results: &self.results, shown: Shown::all(), job }
        }

        fn inputs(&self, cut: &Cut) -> Vec<Vec<u8>> {
            let tasks: Vec<TaskIndex> = (0..cut.tasks).collect();
            let read = Cutter::new(self.store.clone()).read(Hash::default(), cut.table, &tasks);
            let (parts, problem) = (read.parts, read.problem);
            assert_eq!(problem, None);
            let bytes = |input: TaskInput| match input {
                TaskInput::None => Vec::new(),
                TaskInput::Inline(bytes) => bytes.0,
                TaskInput::Blob(id, len) => self.store.get(id, len).expect("here"),
            };
            parts.into_iter().map(|(_, input)| bytes(input.expect("here"))).collect()
        }
    }

    #[test]
    fn small_outputs_are_reduced_in_one_run() {
        let rig = Rig::new();
        let outputs: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; 1000]).collect();
        let gathered = rig.outputs(&outputs, Exit::Code(0)).gather(FanIn::Sizes, false, Hash::default());
        let Ok(Gathered::Joined(Stdin::Blob(joined))) = gathered else { panic!("joined") };
        assert_eq!(rig.store.get(joined.id, joined.len).expect("here"), outputs.concat());
    }

    #[test]
    fn large_outputs_make_a_level_whose_inputs_are_all_of_them_in_order() {
        let rig = Rig::new();
        let outputs: Vec<Vec<u8>> = (0..40u8).map(|n| vec![n; 1 << 20]).collect();
        for (fan_in, nodes) in [(FanIn::Sizes, 3), (FanIn::Count(7), 6), (FanIn::Count(1), 20)] {
            let gathered = rig.outputs(&outputs, Exit::Code(0)).gather(fan_in, false, Hash::default());
            let Ok(Gathered::Level(cut)) = gathered else { panic!("a level") };
            assert_eq!(cut.tasks, nodes, "{fan_in:?}");
            assert_eq!(rig.inputs(&cut).concat(), outputs.concat(), "{fan_in:?}");
        }
        let gathered = rig.outputs(&outputs, Exit::Code(0)).gather(FanIn::All, false, Hash::default());
        assert!(matches!(gathered, Ok(Gathered::Joined(_))));
    }

    #[test]
    fn a_tree_ends_even_if_its_program_makes_nothing_smaller() {
        let rig = Rig::new();
        let mut outputs: Vec<Vec<u8>> = (0..4u8).map(|n| vec![n; 20 << 20]).collect();
        let whole = outputs.concat();
        for level in 0..3 {
            match rig.outputs(&outputs, Exit::Code(0)).gather(FanIn::Sizes, level > 0, Hash::default()) {
                Ok(Gathered::Level(cut)) => outputs = rig.inputs(&cut),
                Ok(Gathered::Reduced(outcome)) => assert_eq!(outcome.stdout, Output::of(&whole)),
                _ => panic!("a level, or the end"),
            }
            assert!(level < 2 || outputs.len() == 1, "{} after level {level}", outputs.len());
        }
    }

    #[test]
    fn a_node_that_failed_ends_the_tree() {
        let rig = Rig::new();
        let outputs = vec![vec![1; 100], vec![2; 100]];
        let gathered = rig.outputs(&outputs, Exit::Trap).gather(FanIn::Sizes, true, Hash::default());
        assert!(matches!(gathered, Err(GatherError::Failed(0, _))));
        let gathered = rig.outputs(&outputs, Exit::Trap).gather(FanIn::Sizes, false, Hash::default());
        assert!(matches!(gathered, Ok(Gathered::Joined(_))), "what a task wrote counts, however it ended");
    }
}
