//! Reading the inputs of tasks from a job's table, and out of the blobs that they are cut from. specs/jobs.md §8.
//!
//! Only what is in work is ever here as a blob of its own; the rest is a range of bytes in a blob that the owner gave.

use pocketmesh_blobs::{
    Durability, Store,
    store::{GetError, PutError},
};
use pocketmesh_types::parts::{HEAD_BYTES, NoTable, Part, ROW_BYTES, SOURCE_BYTES, Sources};
use pocketmesh_types::{BlobId, Bytes, Hash, Job, JobId, Output, TaskIndex, TaskInput, limits};
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Copied at once.
const PIECE_BYTES: usize = 64 << 10;
/// How often it is tried to make room for a part, and the wait in between: tasks that end give room.
const ROOM_TRIES: u32 = 30;
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// Inputs that were read, each for its task; nothing where it is gone.
pub type Inputs = Vec<(TaskIndex, Option<TaskInput>)>;

/// A table's name, and the blobs that it cuts.
type Known = (BlobId, Arc<Sources>);

/// Inputs of a job of ours that were read.
#[derive(Debug, Default)]
pub struct Read {
    /// The inputs.
    pub parts: Inputs,
    /// Tasks for whose inputs there is no room now.
    pub no_room: Vec<TaskIndex>,
    /// What is wrong, if one is gone.
    pub problem: Option<String>,
}

/// Reads inputs. Calls block on the disk.
#[derive(Debug, Clone)]
pub struct Cutter {
    store: Store,
    /// The last table's list of blobs.
    last: Arc<Mutex<Option<Known>>>,
    /// Between two tries to make room.
    room_wait: Duration,
}

/// Why an input cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// A blob that it is read from.
    #[error(transparent)]
    Blob(#[from] GetError),
    /// The table.
    #[error("the table of inputs is damaged: {0}")]
    Table(#[from] NoTable),
    /// The bytes are others than they were.
    #[error("blob {0} does not hold any more what was cut from it")]
    Changed(BlobId),
    /// It cannot be stored as a blob, for now: there is no room, or the disk refuses.
    #[error(transparent)]
    Put(#[from] PutError),
    /// The disk.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
}

/// Who holds the parts of a job that are blobs of their own.
pub fn owner(job: &JobId) -> Hash {
    Hash::of_parts("pocketmesh parts in work 1", &[job.as_bytes()])
}

/// Keeps what a job's inputs are read from, for `owner`.
pub fn pin(store: &Store, job: &Job, owner: Hash) {
    if job.has_inputs() {
        store.pin(job.inputs.id, owner);
        let sources = Cutter::new(store.clone()).open(job.inputs).map(|(_, sources)| sources);
        for blob in sources.iter().flat_map(|sources| sources.blobs()) {
            store.pin(blob.id, owner);
        }
    }
}

impl Cutter {
    /// Reads from this store, and puts into it what is too large to be sent along.
    pub fn new(store: Store) -> Self {
        Self { store, last: Arc::default(), room_wait: ROOM_WAIT }
    }

    /// Reads the inputs of these tasks beside the loop, and tells of them as they are there. Those that are blobs are pinned for
    /// `owner`. Where the store is full, tasks that are done will make room.
    pub async fn bring(self, owner: Hash, table: Output, mut tasks: Vec<TaskIndex>, tell: impl AsyncFn(Read)) {
        for attempt in 1..=ROOM_TRIES {
            let this = self.clone();
            let read = tokio::task::spawn_blocking(move || this.read(owner, table, &tasks)).await;
            // It fails only when the daemon stops.
            let Ok(mut read) = read else { return };
            tasks = std::mem::take(&mut read.no_room);
            if attempt == ROOM_TRIES {
                read.parts.extend(tasks.iter().map(|&task| (task, None)));
            } else if !tasks.is_empty() {
                read.problem = None;
            }
            tell(read).await;
            if tasks.is_empty() {
                return;
            }
            tokio::time::sleep(self.room_wait).await;
        }
    }

    /// The inputs of these tasks.
    pub fn read(&self, owner: Hash, table: Output, tasks: &[TaskIndex]) -> Read {
        let (mut file, sources) = match self.open(table) {
            Ok(opened) => opened,
            Err(error) => {
                let parts = tasks.iter().map(|&task| (task, None)).collect();
                return Read { parts, problem: Some(error.to_string()), ..Read::default() };
            }
        };
        let mut read = Read::default();
        for &task in tasks {
            match row(&mut file, &sources, task).and_then(|part| self.input(owner, &sources, part)) {
                Ok(input) => read.parts.push((task, Some(input))),
                Err(error) => {
                    // A store that is full, or a disk that refuses, may do better in a moment; bytes that are gone do not come back.
                    let may_pass = matches!(error, PartError::Put(_));
                    read.problem = Some(error.to_string());
                    if may_pass { read.no_room.push(task) } else { read.parts.push((task, None)) }
                }
            }
        }
        read
    }

    /// A table's file, and the blobs that are cut.
    fn open(&self, table: Output) -> Result<(File, Arc<Sources>), PartError> {
        let (mut file, _) = self.store.open_file(table.id)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, sources)) = last.as_ref().filter(|(id, _)| *id == table.id) {
            return Ok((file, Arc::clone(sources)));
        }
        let mut head = [0; HEAD_BYTES as usize];
        file.read_exact(&mut head)?;
        let mut list = vec![0; Sources::count(&head)? * SOURCE_BYTES as usize];
        file.read_exact(&mut list)?;
        let sources = Arc::new(Sources::from_list(&list)?);
        *last = Some((table.id, Arc::clone(&sources)));
        Ok((file, sources))
    }

    fn input(&self, owner: Hash, sources: &Sources, part: Part) -> Result<TaskInput, PartError> {
        if part.len == 0 {
            return Ok(TaskInput::None);
        }
        let (source, inside) = sources.find(&part).ok_or(NoTable)?;
        if part.len <= limits::INLINE_BYTES_MAX as u64 {
            let mut bytes = Vec::new();
            self.range(source, inside, part.len)?.read_to_end(&mut bytes)?;
            if BlobId::of(&bytes) != part.id {
                return Err(PartError::Changed(source.id));
            }
            return Ok(TaskInput::Inline(Bytes(bytes)));
        }
        let input = TaskInput::Blob(part.id, part.len);
        if part.id == source.id {
            let is_here = self.store.contains(source.id);
            return is_here.then_some(input).ok_or(GetError::Missing(source.id).into());
        }
        self.store.pin(part.id, owner);
        let copied = self.copy(source, inside, part);
        if copied.is_err() {
            self.store.unpin(part.id, owner);
        }
        copied.map(|()| input)
    }

    fn range(&self, source: Output, inside: u64, len: u64) -> Result<io::Take<File>, PartError> {
        let (mut file, _) = self.store.open_file(source.id)?;
        file.seek(SeekFrom::Start(inside))?;
        Ok(file.take(len))
    }

    /// Makes a part a blob of its own, unless it is one.
    fn copy(&self, source: Output, inside: u64, part: Part) -> Result<(), PartError> {
        if self.store.len(part.id) == Some(part.len) {
            return Ok(());
        }
        let mut from = self.range(source, inside, part.len)?;
        let (mut writer, mut piece) = (self.store.writer(part.len)?, vec![0; PIECE_BYTES]);
        loop {
            match from.read(&mut piece)? {
                0 => break,
                read => writer.write(&piece[..read])?,
            }
        }
        writer.finish_as(part.id, Durability::Refetchable).map_err(|error| match error {
            PutError::WrongHash { .. } => PartError::Changed(source.id),
            error => error.into(),
        })
    }
}

/// The row of a task. That it is one of the table's is checked with the job.
fn row(file: &mut File, sources: &Sources, task: TaskIndex) -> Result<Part, PartError> {
    let mut bytes = [0; ROW_BYTES as usize];
    file.seek(SeekFrom::Start(sources.row_at(task)))?;
    file.read_exact(&mut bytes)?;
    Ok(Part::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::split;
    use pocketmesh_api::{Source, Split};

    fn store(quota: u64) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), quota).expect("a store");
        (folder, store)
    }

    fn source(store: &Store, bytes: &[u8]) -> Source {
        Source { name: "text".into(), blob: store.put(bytes).expect("stored"), len: bytes.len() as u64 }
    }

    #[test]
    fn a_part_takes_room_only_while_it_is_in_work() {
        let (_folder, store) = store(1 << 30);
        let text: Vec<u8> = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect();
        let text = source(&store, &text);
        let cut = split(&store, &[text], Split::Bytes(100_000)).expect("cut");
        let before = store.usage().blobs;
        let cutter = Cutter::new(store.clone());
        let Read { parts, no_room, problem } = cutter.read(Hash::default(), cut.table, &[3, 1]);
        assert_eq!((no_room, problem, store.usage().blobs), (vec![], None, before + 2));
        for (task, input) in parts {
            let Some(TaskInput::Blob(id, len)) = input else { panic!("a blob") };
            let bytes = store.get(id, len).expect("it is here");
            assert_eq!(bytes[..4], (task * 25_000).to_le_bytes());
            assert_eq!(BlobId::of(&bytes), id);
        }
    }

    #[test]
    fn a_blob_that_is_gone_is_named() {
        let (_folder, store) = store(1 << 30);
        let (one, two) = (source(&store, &[1; 20_000]), source(&store, &[2; 20_000]));
        let cut = split(&store, &[one.clone(), two], Split::Bytes(8_000)).expect("cut");
        store.remove(one.blob).expect("removed");
        let cutter = Cutter::new(store.clone());
        let Read { parts, problem, .. } = cutter.read(Hash::default(), cut.table, &[0, 2, 3]);
        assert_eq!(parts.iter().map(|(_, input)| input.is_some()).collect::<Vec<_>>(), [false, false, true]);
        assert!(problem.is_some_and(|problem| problem.contains(&one.blob.to_string())));
        store.remove(cut.table.id).expect("removed");
        let Read { parts, problem, .. } = cutter.read(Hash::default(), cut.table, &[4]);
        assert!(parts[0].1.is_none() && problem.is_some());
    }

    #[test]
    fn what_its_job_needs_is_not_evicted() {
        let (_folder, store) = store(200_000);
        let text = source(&store, &[1; 100_000]);
        let cut = split(&store, std::slice::from_ref(&text), Split::Bytes(50_000)).expect("cut");
        let id = JobId::default();
        store.pin(cut.table.id, id.0);
        store.pin(text.blob, id.0);
        for fill in 2..20u8 {
            // Some of these do not fit; none of them pushes out what is pinned.
            drop(store.put(&[fill; 60_000]));
        }
        let Read { parts, no_room, problem } = Cutter::new(store.clone()).read(owner(&id), cut.table, &[0, 1]);
        assert!(no_room.is_empty() && parts.iter().all(|(_, input)| input.is_some()), "{problem:?}");
    }

    #[tokio::test]
    async fn a_full_store_is_waited_for_and_not_for_ever() {
        let (_folder, store) = store(300_000);
        let text = source(&store, &[[1; 70_000], [2; 70_000]].concat());
        let cut = split(&store, std::slice::from_ref(&text), Split::Bytes(70_000)).expect("cut");
        let filler = store.put(&[3; 140_000]).expect("stored");
        let id = JobId::default();
        [cut.table.id, text.blob, filler].into_iter().for_each(|blob| store.pin(blob, id.0));
        let cutter = Cutter { room_wait: Duration::ZERO, ..Cutter::new(store.clone()) };
        let told = Mutex::new(Vec::new());
        let hear = async |read: Read| told.lock().expect("no panic").push(read.parts);
        cutter.clone().bring(owner(&id), cut.table, vec![0, 1], hear).await;
        let heard = std::mem::take(&mut *told.lock().expect("no panic"));
        assert_eq!(heard.len(), ROOM_TRIES as usize);
        assert_eq!(heard.concat(), [(0, None), (1, None)]);
        let hear = async |read: Read| {
            store.unpin(filler, id.0);
            told.lock().expect("no panic").push(read.parts);
        };
        cutter.bring(owner(&id), cut.table, vec![0, 1], hear).await;
        let heard = told.lock().expect("no panic").concat();
        assert!(heard.len() == 2 && heard.iter().all(|(_, input)| input.is_some()), "{heard:?}");
    }
}
