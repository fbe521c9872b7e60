//! Which request is which method of [`Control`].

use super::{answer, body, held};
use crate::{Code, Connect, Control, Failure, SubmitJob, Which, control::Answer};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use pocketmesh_types::JobId;
use std::sync::Arc;

/// Fewer digits than this would fit too many jobs by chance.
const PREFIX_DIGITS_MIN: usize = 6;

type Daemon<C> = State<Arc<C>>;

/// All requests of `specs/api.md`.
pub(super) fn router<C: Control>(control: Arc<C>) -> Router {
    held::routes(Router::new())
        .route("/v1/status", get(status::<C>))
        .route("/v1/stop", post(stop::<C>))
        .route("/v1/peers", get(peers::<C>))
        .route("/v1/peers/connect", post(connect::<C>))
        .route("/v1/bootstrap", get(bootstrap_list::<C>))
        .route("/v1/bootstrap/add", post(bootstrap_add::<C>))
        .route("/v1/bootstrap/rm", post(bootstrap_rm::<C>))
        .route("/v1/blobs", get(held::blobs::<C>).post(put_blob::<C>))
        .route("/v1/blobs/{id}", get(get_blob::<C>))
        .route("/v1/jobs", get(jobs::<C>).post(submit::<C>))
        .route("/v1/jobs/{id}", get(job::<C>))
        .route("/v1/jobs/{id}/events", get(job_events::<C>))
        .route("/v1/jobs/{id}/stdout", get(job_stdout::<C>))
        .route("/v1/jobs/{id}/files", get(job_files::<C>))
        .route("/v1/jobs/{id}/report", get(job_report::<C>))
        .route("/v1/jobs/{id}/stop", post(job_stop::<C>))
        .route("/v1/jobs/{id}/receipts", get(job_receipts::<C>))
        .route("/v1/wallet", get(wallet::<C>))
        .route("/v1/reputation", get(reputation::<C>))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(control)
}

async fn unknown() -> Response {
    Failure::new(Code::NotFound, "no such request: is the daemon of the same version?").into_response()
}

async fn status<C: Control>(State(control): Daemon<C>) -> Response {
    answer::json(control.status().await)
}

async fn stop<C: Control>(State(control): Daemon<C>) -> Response {
    answer::json(control.stop().await)
}

async fn peers<C: Control>(State(control): Daemon<C>) -> Response {
    answer::json(control.peers().await)
}

async fn connect<C: Control>(State(control): Daemon<C>, body: Body) -> Response {
    match body::json::<Connect>(body).await {
        Ok(request) => answer::json(control.connect(request.address).await),
        Err(failure) => failure.into_response(),
    }
}

async fn bootstrap_list<C: Control>(State(control): Daemon<C>) -> Response {
    answer::json(control.bootstrap_list().await)
}

async fn bootstrap_add<C: Control>(State(control): Daemon<C>, body: Body) -> Response {
    match body::json::<Connect>(body).await {
        Ok(request) => answer::json(control.bootstrap_add(request.address).await),
        Err(failure) => failure.into_response(),
    }
}

async fn bootstrap_rm<C: Control>(State(control): Daemon<C>, body: Body) -> Response {
    match body::json::<Connect>(body).await {
        Ok(request) => answer::json(control.bootstrap_rm(request.address).await),
        Err(failure) => failure.into_response(),
    }
}

async fn put_blob<C: Control>(State(control): Daemon<C>, body: Body) -> Response {
    let (chunks, feed) = body::upload(body);
    let (stored, ()) = futures::join!(control.put_blob(chunks), feed);
    answer::json(stored)
}

async fn get_blob<C: Control>(State(control): Daemon<C>, Path(id): Path<String>) -> Response {
    match id.parse() {
        Ok(id) => answer::bytes(control.get_blob(id).await),
        Err(error) => Failure::new(Code::Invalid, format!("{id:.80} is {error}")).into_response(),
    }
}

async fn submit<C: Control>(State(control): Daemon<C>, body: Body) -> Response {
    match body::json::<SubmitJob>(body).await {
        Ok(job) => answer::json(control.submit(job).await),
        Err(failure) => failure.into_response(),
    }
}

async fn jobs<C: Control>(State(control): Daemon<C>) -> Response {
    answer::json(control.jobs().await)
}

async fn job<C: Control>(State(control): Daemon<C>, Path(id): Path<String>) -> Response {
    match resolve(&*control, &id).await {
        Ok(id) => answer::json(control.job(id).await),
        Err(failure) => failure.into_response(),
    }
}

async fn job_events<C: Control>(State(control): Daemon<C>, Path(id): Path<String>) -> Response {
    match resolve(&*control, &id).await {
        Ok(id) => answer::lines(control.job_events(id).await),
        Err(failure) => failure.into_response(),
    }
}

async fn job_stdout<C: Control>(
    State(control): Daemon<C>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    match resolve_result(&*control, &id, query.as_deref()).await {
        Ok((id, which)) => answer::bytes(control.job_stdout(id, which).await),
        Err(failure) => failure.into_response(),
    }
}

async fn job_files<C: Control>(
    State(control): Daemon<C>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    match resolve_result(&*control, &id, query.as_deref()).await {
        Ok((id, which)) => answer::lines_or_cut(control.job_files(id, which).await),
        Err(failure) => failure.into_response(),
    }
}

async fn job_report<C: Control>(
    State(control): Daemon<C>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    match resolve_result(&*control, &id, query.as_deref()).await {
        Ok((id, which)) => answer::json(control.job_report(id, which).await),
        Err(failure) => failure.into_response(),
    }
}

async fn job_stop<C: Control>(State(control): Daemon<C>, Path(id): Path<String>) -> Response {
    match resolve(&*control, &id).await {
        Ok(id) => answer::json(control.job_stop(id).await),
        Err(failure) => failure.into_response(),
    }
}

async fn job_receipts<C: Control>(State(control): Daemon<C>, Path(id): Path<String>) -> Response {
    match resolve(&*control, &id).await {
        Ok(id) => answer::bytes(control.job_receipts(id).await),
        Err(failure) => failure.into_response(),
    }
}

async fn wallet<C: Control>(State(control): Daemon<C>) -> Response {
    answer::json(control.wallet().await)
}

async fn reputation<C: Control>(State(control): Daemon<C>) -> Response {
    answer::json(control.reputation().await)
}

/// The job, and which of its results.
async fn resolve_result<C: Control>(control: &C, id: &str, query: Option<&str>) -> Answer<(JobId, Which)> {
    let which = match query {
        None | Some("") => Which::Final,
        Some("results=provisional") => Which::Provisional,
        Some("results=so-far") => Which::SoFar,
        Some(other) => {
            let message = format!(
                "`{:.80}` cannot be asked: leave it out, or write results=provisional or results=so-far",
                other.escape_debug()
            );
            return Err(Failure::new(Code::Invalid, message));
        }
    };
    Ok((resolve(control, id).await?, which))
}

/// The job that a full id or a unique prefix of one names.
async fn resolve<C: Control>(control: &C, text: &str) -> Answer<JobId> {
    let text = text.to_ascii_lowercase();
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let is_prefix = (PREFIX_DIGITS_MIN..64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_prefix {
        let message = format!(
            "{text:.80} is not a job id: give the id that `pocketmesh job list` shows, or at least its first \
             {PREFIX_DIGITS_MIN} digits"
        );
        return Err(Failure::new(Code::Invalid, message.escape_debug().to_string()));
    }
    let mut fitting =
        control.jobs().await?.into_iter().map(|job| job.id).filter(|id| id.to_string().starts_with(&text));
    match (fitting.next(), fitting.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => {
            let message = format!("no job {text} here: `pocketmesh job list` shows the jobs of this peer");
            Err(Failure::new(Code::NotFound, message))
        }
        (Some(_), Some(_)) => {
            Err(Failure::new(Code::Ambiguous, format!("more than one job starts with {text}: give more digits")))
        }
    }
}
