//! The daemon's journal: the protocol's records and our own, in one chain.

use crate::{
    driver::journal_context,
    home::{Home, KeyError},
};
use pocketmesh_ledger as ledger;
use pocketmesh_protocol::{Record, RecordId, settlement::StoreId};
use pocketmesh_store::{
    FolderLock, Journal, LockError,
    index::{Tree, UseError},
    journal::{AppendError, BehindMark, Failure, Mark, OpenError, Recovered},
};
use pocketmesh_types::{BlobId, JobId, UnixTime, outcome::Outcome};
use pocketmesh_wire::{Key, Signer, cbor};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The largest record that is read back: as large as a journal takes.
const ENTRY_BYTES_MAX: usize = usize::MAX;
/// The token of entries that nobody waits for.
const NOBODY: u64 = 0;
/// Set in the tokens of money, whose records count for themselves.
const MONEY: u64 = 1 << 63;
/// How the bytes of money begin: a map of one entry, and its key.
const MONEY_PREFIX: &[u8] = b"\xa1\x65Money";

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A fact of the protocol.
    Protocol(Box<Record>),
    /// Something about money.
    Money {
        /// When, by the wall clock: for people, and for nothing else.
        at: UnixTime,
        /// What.
        record: Box<ledger::Record>,
    },
    /// Once all tasks of a job are done, this program makes one output of theirs.
    Reduce {
        /// The job.
        job: JobId,
        /// The program.
        program: BlobId,
        /// Its arguments.
        args: Vec<String>,
        /// How many outputs one run reads; 0 is all, nothing as many as their sizes allow.
        fan_in: Option<u32>,
    },
    /// A level of the tree that this makes.
    ReduceLevel {
        /// The job.
        job: JobId,
        /// The job that is the level.
        level: JobId,
    },
    /// What the reduce program came to; its standard output is a blob here.
    Reduced {
        /// The job.
        job: JobId,
        /// The outcome, or why there is none.
        outcome: Result<Outcome, String>,
    },
}

impl Entry {
    /// Reads an entry of ours back.
    pub fn decode(bytes: &[u8]) -> Result<Self, cbor::DecodeError> {
        cbor::decode(bytes, ENTRY_BYTES_MAX)
    }

    /// Whether these are the bytes of something about money: told without reading all of them.
    pub fn is_money(bytes: &[u8]) -> bool {
        bytes.starts_with(MONEY_PREFIX)
    }
}

/// What is on the disk now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// A fact of the protocol.
    Record(RecordId),
    /// Something about money.
    Money(StoreId),
}

/// Why a journal cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A daemon has it open, or the folder cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The identity cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Shows all entries of a data folder's journal, in order, as JSON. Nobody may have it open.
pub fn read(home: &Home, mut show: impl FnMut(serde_json::Value)) -> Result<(), ReadError> {
    let lock = FolderLock::acquire(home.dir())?;
    let me = Key::from_seed(home.seed()?.bytes()).peer();
    Journal::open(&lock, journal_context(&home.config().network, &me), |_, payload| {
        let entry = match Entry::decode(payload)? {
            Entry::Protocol(record) => serde_json::to_value(&*record)?,
            other => serde_json::to_value(&other)?,
        };
        show(entry);
        Ok(())
    })?;
    Ok(())
}

/// The appending side: what the journal cannot take at once waits here, in order. After a failure nothing more is taken, and nothing
/// more is acknowledged.
#[derive(Debug)]
pub struct Appender {
    journal: Option<Journal>,
    waiting: VecDeque<(Vec<u8>, u64)>,
    /// Why it has failed, until somebody has asked.
    failure: Option<Failure>,
}

impl Appender {
    /// Appends to this journal.
    pub fn new(journal: Journal) -> Self {
        Self { journal: Some(journal), waiting: VecDeque::new(), failure: None }
    }

    /// Where there is no journal that can be relied upon.
    pub fn broken() -> Self {
        Self { journal: None, waiting: VecDeque::new(), failure: None }
    }

    /// Whether nothing is taken any more.
    pub fn is_broken(&self) -> bool {
        self.journal.is_none()
    }

    /// Why it has failed; said once.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// The journal has failed: whatever waits is not entered any more.
    pub fn fail(&mut self, failure: Failure) {
        if self.journal.take().is_some() {
            self.waiting.clear();
            self.failure = Some(failure);
        }
    }

    /// Appends a record of the protocol; its id comes back when it is on disk.
    pub fn append_record(&mut self, id: RecordId, record: Record) {
        self.append(&Entry::Protocol(Box::new(record)), id.0);
    }

    /// Appends something about money; its id comes back when it is on disk.
    pub fn append_money(&mut self, id: StoreId, at: UnixTime, content: ledger::record::Content) {
        let record = Box::new(ledger::Record::new(content));
        self.append(&Entry::Money { at, record }, MONEY | id.0);
    }

    /// Appends an entry that nobody waits for.
    pub fn append_entry(&mut self, entry: &Entry) {
        self.append(entry, NOBODY);
    }

    fn append(&mut self, entry: &Entry, token: u64) {
        if self.journal.is_some() {
            self.waiting.push_back((cbor::encode(entry), token));
            self.push_waiting();
        }
    }

    /// Hands over what waits, as far as there is room.
    pub fn push_waiting(&mut self) {
        let Some(journal) = &self.journal else { return };
        while let Some((payload, token)) = self.waiting.pop_front() {
            match journal.append(payload, token) {
                Ok(()) => {}
                Err(AppendError::Full { payload }) => return self.waiting.push_front((payload, token)),
                Err(AppendError::TooLong(bytes)) => {
                    let reason = format!("a record of {bytes} bytes is longer than the journal takes");
                    return self.fail(Failure { step: "written", reason, disk_full: false });
                }
                Err(AppendError::Failed(failure)) => return self.fail(failure),
            }
        }
    }

    /// What of these tokens somebody waits for.
    pub fn stored(tokens: &[u64]) -> impl Iterator<Item = Stored> + '_ {
        tokens.iter().filter(|&&token| token != NOBODY).map(|&token| match token & MONEY {
            0 => Stored::Record(RecordId(token)),
            _ => Stored::Money(StoreId(token & !MONEY)),
        })
    }
}

/// How far the journal is known to have come: kept in the index, so that a journal that was cut, or an older copy of it, is noticed.
#[derive(Debug)]
pub struct Marker {
    tree: Tree,
    /// Nothing where the journal is behind: the mark stays as it is, to be found again.
    next_sequence: Option<u64>,
}

impl Marker {
    /// The name of the tree that holds the mark.
    pub const TREE: &str = "journal";
    const KEY: &[u8] = b"mark";

    /// Compares what was found with the mark that the run before has left; says whether the journal is behind it.
    pub fn check(tree: Tree, recovered: &Recovered) -> Result<(Self, Option<BehindMark>), UseError> {
        let mark = tree.get(Self::KEY)?.and_then(|bytes| Mark::decode(&bytes));
        let behind = mark.and_then(|mark| mark.check(recovered).err());
        let next_sequence = behind.is_none().then_some(recovered.next_sequence);
        if let Some(next_sequence) = next_sequence {
            tree.put(Self::KEY, &Mark { next_sequence, chain: Some(recovered.chain) }.encode())?;
        }
        Ok((Self { tree, next_sequence }, behind))
    }

    /// Where there is no journal that can be compared.
    pub fn blind(tree: Tree) -> Self {
        Self { tree, next_sequence: None }
    }

    /// So many more records are on the disk.
    pub fn advance(&mut self, records: usize) {
        if let Some(next) = &mut self.next_sequence {
            *next += records as u64;
        }
    }

    /// Leaves the mark. An index that cannot be written notices less at the next start, and no more is lost.
    pub fn leave(&self) {
        let Some(next_sequence) = self.next_sequence else { return };
        if let Err(error) = self.tree.put(Self::KEY, &Mark { next_sequence, chain: None }.encode()) {
            tracing::warn!(%error, "how far the journal is could not be noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_told_by_its_first_bytes_and_its_tokens() {
        let record = Box::new(ledger::Record::new(ledger::record::Content::Closed(JobId::default())));
        let money = Entry::Money { at: UnixTime(7), record };
        let bytes = cbor::encode(&money);
        assert!(Entry::is_money(&bytes));
        assert_eq!(Entry::decode(&bytes), Ok(money));
        let level = Entry::ReduceLevel { job: JobId::default(), level: JobId::default() };
        assert!(!Entry::is_money(&cbor::encode(&level)));
        let stored: Vec<_> = Appender::stored(&[3, NOBODY, MONEY | 3]).collect();
        assert_eq!(stored, [Stored::Record(RecordId(3)), Stored::Money(StoreId(3))]);
    }
}
