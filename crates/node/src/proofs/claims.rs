//! Sealed claims, as they were received, for as long as they may be refuted: a claim that was refuted is shown to others.
//!
//! They are on disk, so that a result that was delivered before a restart can be proved wrong after it.

use pocketmesh_protocol::jobs::Jobs;
use pocketmesh_store::index::{Tree, UseError};
use pocketmesh_types::{ClaimId, Hash, JobId};
use std::collections::BTreeMap;

/// The name of the tree in the index.
pub const TREE: &str = "claims";
/// Claims of all jobs together, in bytes: a claim that finds no room is not kept, and can then be refuted but not proved
/// to others. Some 300 bytes a result: as many as are held for two jobs.
const CLAIMS_BYTES_MAX: usize = 256 << 20;

/// The claims that are kept.
#[derive(Debug)]
pub struct Claims {
    tree: Tree,
    kept: BTreeMap<(JobId, ClaimId), usize>,
    bytes: usize,
}

impl Claims {
    /// Those in this tree.
    pub fn open(tree: Tree) -> Result<Self, UseError> {
        let mut claims = Self { tree: tree.clone(), kept: BTreeMap::new(), bytes: 0 };
        for entry in tree.scan_prefix(b"") {
            let (key, value) = entry?;
            if let Some(key) = name(&key) {
                claims.bytes += value.len();
                claims.kept.insert(key, value.len());
            }
        }
        Ok(claims)
    }

    /// Keeps an envelope, if there is room.
    pub fn keep(&mut self, job: JobId, claim: ClaimId, envelope: &[u8]) {
        if self.bytes + envelope.len() > CLAIMS_BYTES_MAX || self.kept.contains_key(&(job, claim)) {
            return;
        }
        match self.tree.put(&key(&job, &claim), envelope) {
            Ok(()) => {
                self.bytes += envelope.len();
                self.kept.insert((job, claim), envelope.len());
            }
            Err(error) => tracing::warn!(%error, "a claim could not be kept"),
        }
    }

    /// The envelope of a claim.
    pub fn get(&self, job: JobId, claim: ClaimId) -> Option<Vec<u8>> {
        self.tree.get(&key(&job, &claim)).ok().flatten()
    }

    /// Drops a claim.
    pub fn drop(&mut self, job: JobId, claim: ClaimId) {
        if let Some(len) = self.kept.remove(&(job, claim)) {
            self.bytes -= len;
            if let Err(error) = self.tree.remove(&key(&job, &claim)) {
                tracing::debug!(%error, "a claim could not be dropped");
            }
        }
    }

    /// Drops what cannot be refuted any more: what is final, void, or of jobs that are over.
    pub fn sweep(&mut self, jobs: &Jobs) {
        let mut stale: Vec<(JobId, ClaimId)> = self.kept.keys().copied().collect();
        let ids: std::collections::BTreeSet<JobId> = stale.iter().map(|(job, _)| *job).collect();
        for id in ids {
            let open = jobs.get(&id).map(|active| active.claims_open()).unwrap_or_default();
            stale.retain(|(job, claim)| *job != id || !open.contains(claim));
        }
        for (job, claim) in stale {
            self.drop(job, claim);
        }
    }
}

fn key(job: &JobId, claim: &ClaimId) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(job.as_bytes());
    key[32..].copy_from_slice(claim.as_bytes());
    key
}

fn name(key: &[u8]) -> Option<(JobId, ClaimId)> {
    let (job, claim) = (key.get(..32)?.try_into().ok()?, key.get(32..)?.try_into().ok()?);
    Some((JobId(Hash(job)), ClaimId(Hash(claim))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmesh_store::{FolderLock, Index};

    #[test]
    fn claims_are_there_after_a_restart_and_go_with_their_job() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = FolderLock::acquire(folder.path()).expect("a lock");
        let (index, _) = Index::open(&lock, 1 << 20).expect("an index");
        let (job, claim) = (JobId(Hash([1; 32])), ClaimId(Hash([2; 32])));
        let mut claims = Claims::open(index.tree(TREE).expect("a tree")).expect("claims");
        claims.keep(job, claim, b"sealed");
        let mut again = Claims::open(index.tree(TREE).expect("a tree")).expect("claims");
        assert_eq!((again.get(job, claim), again.bytes), (Some(b"sealed".to_vec()), 6));
        again.sweep(&Jobs::default());
        assert_eq!((again.get(job, claim), again.bytes), (None, 0));
    }

    #[test]
    fn what_finds_no_room_is_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = FolderLock::acquire(folder.path()).expect("a lock");
        let (index, _) = Index::open(&lock, 1 << 20).expect("an index");
        let mut claims = Claims::open(index.tree(TREE).expect("a tree")).expect("claims");
        claims.bytes = CLAIMS_BYTES_MAX - 3;
        let (job, claim) = (JobId::default(), ClaimId::default());
        claims.keep(job, claim, b"four");
        assert_eq!(claims.get(job, claim), None);
        claims.keep(job, claim, b"all");
        assert!(claims.get(job, claim).is_some());
    }
}
