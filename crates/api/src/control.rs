//! What a daemon can be asked to do.

use crate::{
    Blob, Bootstrap, Chunks, Connected, Failure, FileLists, HoldsBlobs, JobDetail, JobSummary, Peer, Report,
    Reputation, Status, SubmitJob, Submitted, Update, Wallet,
};
use futures::stream::BoxStream;
use pocketmesh_types::{BlobId, JobId};
use std::future::Future;

/// A job's progress and events as they come; it ends after the final snapshot. When its reader is slow, older progress
/// snapshots may be left out, but never the last.
pub type Updates = BoxStream<'static, Update>;

/// Which results of a job are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Which {
    /// Those of a job that is over, all of them final.
    #[default]
    Final,
    /// All that are here once every task has one, also those that are held until their audits agree.
    Provisional,
    /// Those that are final by now, while the job is under way: also where some tasks have none.
    SoFar,
}

/// The answer to a request.
pub type Answer<T> = Result<T, Failure>;

/// The daemon's side. Write the methods as `async fn`; their futures must be `Send`. The server takes care of bounds on
/// request bodies, of timeouts while reading them, and of resolving job id prefixes: a job id that arrives here was
/// given in full, or is the one job of [`jobs`](Self::jobs) that the prefix fits. A future is dropped where it stands
/// when its caller goes away or the daemon stops.
pub trait Control: HoldsBlobs {
    /// The whole daemon at a glance.
    fn status(&self) -> impl Future<Output = Answer<Status>> + Send;

    /// Connected peers.
    fn peers(&self) -> impl Future<Output = Answer<Vec<Peer>>> + Send;

    /// Dials a multiaddr and says who is there.
    fn connect(&self, address: String) -> impl Future<Output = Answer<Connected>> + Send;

    /// Stores a blob. Fails with [`Code::Quota`](crate::Code::Quota) or [`Code::TooLarge`](crate::Code::TooLarge) as soon as that is clear, and
    /// keeps nothing of a stream that ends in an error.
    fn put_blob(&self, bytes: Chunks) -> impl Future<Output = Answer<Blob>> + Send;

    /// The bytes of a blob that is here.
    fn get_blob(&self, id: BlobId) -> impl Future<Output = Answer<Chunks>> + Send;

    /// Takes on a job: it is on disk when this returns. Refusals are [`Refusal`](crate::Refusal)s.
    fn submit(&self, job: SubmitJob) -> impl Future<Output = Answer<Submitted>> + Send;

    /// All jobs, newest first.
    fn jobs(&self) -> impl Future<Output = Answer<Vec<JobSummary>>> + Send;

    /// One job; [`Failure::no_job`] if there is none of that id.
    fn job(&self, id: JobId) -> impl Future<Output = Answer<JobDetail>> + Send;

    /// A job's progress and events until it is final.
    fn job_events(&self, id: JobId) -> impl Future<Output = Answer<Updates>> + Send;

    /// The result's standard output: all tasks' in task order, or that of the reduce program.
    fn job_stdout(&self, id: JobId, which: Which) -> impl Future<Output = Answer<Chunks>> + Send;

    /// The files that the tasks of a finished job left under `/out`; their bytes are blobs.
    fn job_files(&self, id: JobId, which: Which) -> impl Future<Output = Answer<FileLists>> + Send;

    /// The account of a finished job.
    fn job_report(&self, id: JobId, which: Which) -> impl Future<Output = Answer<Report>> + Send;

    /// What was paid for a job, as a file of receipts: specs/ledger.md §8. While a job that is over is not paid yet, the answer waits a
    /// moment.
    fn job_receipts(&self, id: JobId) -> impl Future<Output = Answer<Chunks>> + Send;

    /// Stops a job. Stopping a final one changes nothing.
    fn job_stop(&self, id: JobId) -> impl Future<Output = Answer<JobSummary>> + Send;

    /// What is owed, to whom and by whom.
    fn wallet(&self) -> impl Future<Output = Answer<Wallet>> + Send;

    /// What was seen of other peers, those with a refuted claim first.
    fn reputation(&self) -> impl Future<Output = Answer<Vec<Reputation>>> + Send;

    /// The bootstrap list.
    fn bootstrap_list(&self) -> impl Future<Output = Answer<Bootstrap>> + Send;

    /// Adds an address to the list, saves it, and dials it. Adding one that is there changes nothing.
    fn bootstrap_add(&self, address: String) -> impl Future<Output = Answer<Bootstrap>> + Send;

    /// Takes an address off the list. [`Code::NotFound`](crate::Code::NotFound) if it is not there.
    fn bootstrap_rm(&self, address: String) -> impl Future<Output = Answer<Bootstrap>> + Send;

    /// Asks the daemon to stop; it answers first.
    fn stop(&self) -> impl Future<Output = Answer<()>> + Send;
}
