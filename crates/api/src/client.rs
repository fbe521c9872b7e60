//! The tools' end of the socket: one method for each request.

mod held;
mod transport;

use crate::control::Answer;
use crate::{
    Blob, Bootstrap, Chunks, Connect, Connected, Failure, JobDetail, JobSummary, Peer, Report, Reputation, Status,
    SubmitJob, Submitted, TaskFiles, Update, Wallet, Which,
};
use axum::body::Body;
use futures::stream::BoxStream;
use pocketmesh_types::BlobId;
use std::path::PathBuf;
use std::time::Duration;

/// Requests that the daemon answers from memory.
const QUICK: Duration = Duration::from_secs(20);
/// Dialling another peer, several addresses one after the other.
const DIAL: Duration = Duration::from_secs(60);
/// Cutting a large input into a million parts.
const SUBMIT: Duration = Duration::from_secs(600);

/// One line of an event stream.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// One task's files as JSON: their list has at most 1 MiB, and JSON needs more words and may have to escape.
const FILES_BYTES_MAX: usize = 4 << 20;

/// A daemon's client. Each request is a connection of its own; nothing is kept open between them.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    home: PathBuf,
}

/// Why a request brought no answer, or a bad one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon is running for {0}: start it with `pocketmesh daemon --data-dir {0}`")]
    NoDaemon(String),
    /// The socket belongs to somebody else.
    #[error("the daemon of {0} belongs to another user")]
    NotOurs(String),
    /// The daemon said why.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// It did not answer in time.
    #[error("the daemon did not answer within {} s: see its log", .0.as_secs())]
    Slow(Duration),
    /// It stopped, or died, in the middle.
    #[error("the daemon broke off: {0}")]
    BrokeOff(String),
    /// It answers something that this version does not understand.
    #[error("the daemon's answer cannot be understood: {0}; is it of the same version?")]
    Foreign(String),
}

/// What a request brings.
pub type Reply<T> = Result<T, ClientError>;

impl Client {
    /// A client of the daemon behind `socket`; `home` is its data folder, named in errors.
    pub fn new(socket: impl Into<PathBuf>, home: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), home: home.into() }
    }

    /// The whole daemon at a glance.
    pub async fn status(&self) -> Reply<Status> {
        self.get("/v1/status").await
    }

    /// Asks the daemon to stop; it answers first.
    pub async fn stop(&self) -> Reply<()> {
        self.post("/v1/stop", Body::empty(), QUICK).await
    }

    /// Connected peers.
    pub async fn peers(&self) -> Reply<Vec<Peer>> {
        self.get("/v1/peers").await
    }

    /// Dials a multiaddr and says who is there.
    pub async fn connect(&self, address: &str) -> Reply<Connected> {
        self.post_json("/v1/peers/connect", &Connect { address: address.into() }, DIAL).await
    }

    /// The bootstrap list.
    pub async fn bootstrap_list(&self) -> Reply<Bootstrap> {
        self.get("/v1/bootstrap").await
    }

    /// Adds an address to the bootstrap list.
    pub async fn bootstrap_add(&self, address: &str) -> Reply<Bootstrap> {
        self.post_json("/v1/bootstrap/add", &Connect { address: address.into() }, QUICK).await
    }

    /// Takes an address off the bootstrap list.
    pub async fn bootstrap_rm(&self, address: &str) -> Reply<Bootstrap> {
        self.post_json("/v1/bootstrap/rm", &Connect { address: address.into() }, QUICK).await
    }

    /// Uploads a blob, as fast as its bytes come.
    pub async fn put_blob(&self, bytes: Chunks) -> Reply<Blob> {
        let response = self.send("POST", "/v1/blobs", Body::from_stream(bytes), None).await?;
        transport::json(response).await
    }

    /// Downloads a blob.
    pub async fn get_blob(&self, id: BlobId) -> Reply<Chunks> {
        self.download(&format!("/v1/blobs/{id}")).await
    }

    /// Hands over a job.
    pub async fn submit(&self, job: &SubmitJob) -> Reply<Submitted> {
        self.post_json("/v1/jobs", job, SUBMIT).await
    }

    /// All jobs, newest first.
    pub async fn jobs(&self) -> Reply<Vec<JobSummary>> {
        self.get("/v1/jobs").await
    }

    /// One job, by its id or a unique prefix of at least six digits; likewise below.
    pub async fn job(&self, id: &str) -> Reply<JobDetail> {
        self.get(&job_path(id, "")?).await
    }

    /// A job's progress and events until it is final. A stream that ends before a final snapshot was cut off.
    pub async fn job_events(&self, id: &str) -> Reply<BoxStream<'static, Reply<Update>>> {
        let response = self.send("GET", &job_path(id, "/events")?, Body::empty(), Some(QUICK)).await?;
        Ok(transport::lines(response, EVENT_BYTES_MAX))
    }

    /// The result's standard output.
    pub async fn job_stdout(&self, id: &str, which: Which) -> Reply<Chunks> {
        self.download(&result_path(id, "/stdout", which)?).await
    }

    /// The files that the tasks of a finished job left under `/out`, a task at a time; `get_blob` brings their bytes.
    pub async fn job_files(&self, id: &str, which: Which) -> Reply<BoxStream<'static, Reply<TaskFiles>>> {
        let response = self.send("GET", &result_path(id, "/files", which)?, Body::empty(), Some(QUICK)).await?;
        Ok(transport::lines(response, FILES_BYTES_MAX))
    }

    /// The account of a finished job.
    pub async fn job_report(&self, id: &str, which: Which) -> Reply<Report> {
        self.get(&result_path(id, "/report", which)?).await
    }

    /// What was paid for a job: the bytes of a file of receipts.
    pub async fn job_receipts(&self, id: &str) -> Reply<Chunks> {
        self.download(&job_path(id, "/receipts")?).await
    }

    /// What is owed, to whom and by whom.
    pub async fn wallet(&self) -> Reply<Wallet> {
        self.get("/v1/wallet").await
    }

    /// What was seen of other peers.
    pub async fn reputation(&self) -> Reply<Vec<Reputation>> {
        self.get("/v1/reputation").await
    }

    /// Stops a job.
    pub async fn job_stop(&self, id: &str) -> Reply<JobSummary> {
        self.post(&job_path(id, "/stop")?, Body::empty(), QUICK).await
    }
}

/// The path of a result.
fn result_path(id: &str, rest: &str, which: Which) -> Answer<String> {
    let query = match which {
        Which::Final => "",
        Which::Provisional => "?results=provisional",
        Which::SoFar => "?results=so-far",
    };
    Ok(job_path(id, rest)? + query)
}

/// A path with what a person typed in it: anything that is no id is refused here, so that it cannot change the path.
fn job_path(id: &str, rest: &str) -> Answer<String> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let shown: String = id.chars().take(80).flat_map(char::escape_debug).collect();
        let message = format!("`{shown}` is not a job id: `pocketmesh job list` shows them");
        return Err(Failure::new(crate::Code::Invalid, message));
    }
    Ok(format!("/v1/jobs/{id}{rest}"))
}
