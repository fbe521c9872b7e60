//! Disks: records on their way, and what a crash does to them.
//!
//! A journal is a sequence: a crash loses what was not written yet, never something from its middle.

use crate::{
    plant::Plant,
    seen::Seen,
    world::{MS, SECOND, What, World},
};
use pocketmesh_protocol::{Input, Record, RecordId};

/// How long a record takes to the disk, at the least and the most.
const WRITE: (u64, u64) = (MS, 8 * MS);

impl World {
    /// A peer stores a record. With some chance it dies before that is done, or after, untold.
    pub(crate) fn store(&mut self, at: u32, id: RecordId, record: Record) {
        let dice = &mut self.dice.faults;
        let crashes = dice.chance(self.faults.crash_per_record);
        let before = crashes && dice.chance(0.5);
        let took = dice.between(WRITE.0, WRITE.1);
        let life = self.nodes[at as usize].life;
        if before {
            return self.crash(at);
        }
        let overtakes = self.plant == Some(Plant::WritesOvertake) && is_result(&record);
        if self.plant == Some(Plant::StoredEarly) {
            self.later(0, What::Written { at, life, id, record: Box::new(record.clone()), tell: true });
            self.later(took + SECOND, What::Written { at, life, id, record: Box::new(record), tell: false });
            return;
        }
        let node = &mut self.nodes[at as usize];
        let done = (self.now + took).max(node.disk_free);
        node.disk_free = done;
        let late = if overtakes { 5 * SECOND } else { 0 };
        if overtakes {
            self.queue.push(done, What::Written { at, life, id, record: Box::new(record.clone()), tell: true });
        }
        let tell = !crashes && !overtakes;
        self.queue.push(done + late, What::Written { at, life, id, record: Box::new(record), tell });
        if crashes {
            // The peer dies once the record is on disk, before it learns of it.
            self.queue.push(done, What::Crash { at, life });
        }
    }

    /// A record is written, if its writer still lives, and told.
    pub(crate) fn written(&mut self, at: u32, life: u32, id: RecordId, mut record: Record, tell: bool) {
        if !self.lives(at, life) {
            return;
        }
        let is_end = matches!(record, Record::Closed { .. });
        let told_only = tell && matches!(self.plant, Some(Plant::StoredEarly))
            || tell && self.plant == Some(Plant::WritesOvertake) && is_result(&record);
        if !told_only {
            self.rot(&mut record);
            self.see(&Seen::OnDisk { at, record: &record });
            if let Some((job, tasks)) = self.journal.take(&record) {
                self.see(&Seen::Final { at, job, tasks: &tasks });
            }
            self.nodes[at as usize].disk.push(record);
        }
        if tell && !(is_end && self.plant == Some(Plant::NeverStored)) {
            self.tell(at, Input::Stored { record: id });
        }
    }

    fn rot(&mut self, record: &mut Record) {
        if self.plant != Some(Plant::BitRot) {
            return;
        }
        if let Record::Final { tasks, .. } | Record::Delivered { tasks, .. } = record {
            for task in tasks {
                if self.dice.faults.chance(0.02)
                    && let Some(outcome) = &mut task.outcome
                {
                    outcome.fuel.0 ^= 1;
                }
            }
        }
    }

    /// What a peer finds on its disk when it starts.
    pub(crate) fn journal_of(&self, at: u32) -> Vec<Record> {
        let disk = &self.nodes[at as usize].disk;
        let mut records = disk.clone();
        match self.plant {
            Some(Plant::RecordLost) if disk.len() > 1 => drop(records.pop()),
            Some(Plant::OldJournal) => records.truncate(disk.len().div_ceil(2)),
            Some(Plant::DrawRepeated) => records.retain(|record| !matches!(record, Record::Drawn { .. })),
            Some(Plant::AuditsForgotten) => records.iter_mut().for_each(|record| {
                if let Record::Drawn { audits, .. } = record {
                    audits.clear();
                }
            }),
            _ => {}
        }
        records
    }
}

fn is_result(record: &Record) -> bool {
    matches!(record, Record::Final { .. } | Record::WindowFinal { .. })
}
