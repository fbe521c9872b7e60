//! The requests about the blobs of a peer.

use super::{answer, body};
use crate::{Code, CollectBlobs, Control, Failure, FetchBlob};
use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use pocketmesh_types::BlobId;
use std::sync::Arc;

type Daemon<C> = State<Arc<C>>;

/// Adds them.
pub(super) fn routes<C: Control>(router: Router<Arc<C>>) -> Router<Arc<C>> {
    router
        .route("/v1/blobs/{id}/about", get(blob::<C>))
        .route("/v1/blobs/{id}/keep", post(keep::<C>))
        .route("/v1/blobs/{id}/release", post(release::<C>))
        .route("/v1/blobs/{id}/fetch", post(fetch::<C>))
        .route("/v1/collect", post(collect::<C>))
}

/// `GET /v1/blobs`.
pub(super) async fn blobs<C: Control>(State(control): Daemon<C>) -> Response {
    answer::json(control.blobs().await)
}

async fn blob<C: Control>(State(control): Daemon<C>, Path(id): Path<String>) -> Response {
    match parse(&id) {
        Ok(id) => answer::json(control.blob(id).await),
        Err(failure) => failure.into_response(),
    }
}

async fn keep<C: Control>(State(control): Daemon<C>, Path(id): Path<String>) -> Response {
    match parse(&id) {
        Ok(id) => answer::json(control.keep_blob(id, true).await),
        Err(failure) => failure.into_response(),
    }
}

async fn release<C: Control>(State(control): Daemon<C>, Path(id): Path<String>) -> Response {
    match parse(&id) {
        Ok(id) => answer::json(control.keep_blob(id, false).await),
        Err(failure) => failure.into_response(),
    }
}

async fn fetch<C: Control>(State(control): Daemon<C>, Path(id): Path<String>, body: Body) -> Response {
    match (parse(&id), body::json::<FetchBlob>(body).await) {
        (Ok(id), Ok(request)) => answer::lines(control.fetch_blob(id, request).await),
        (Err(failure), _) | (_, Err(failure)) => failure.into_response(),
    }
}

async fn collect<C: Control>(State(control): Daemon<C>, body: Body) -> Response {
    match body::json::<CollectBlobs>(body).await {
        Ok(request) => answer::json(control.collect_blobs(request).await),
        Err(failure) => failure.into_response(),
    }
}

fn parse(id: &str) -> Result<BlobId, Failure> {
    id.parse().map_err(|error| Failure::new(Code::Invalid, format!("{id:.80} is {error}")))
}
