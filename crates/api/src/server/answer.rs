//! From answers to HTTP responses.

use crate::{Chunks, Failure, control::Answer, failure::Problem};
use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{BoxStream, Stream};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use std::io;

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(Problem { error: self })).into_response()
    }
}

/// A JSON answer.
pub(super) fn json<T: Serialize>(answer: Answer<T>) -> Response {
    answer.map_or_else(IntoResponse::into_response, |value| Json(value).into_response())
}

/// An answer of raw bytes. An error in mid-stream cuts the connection, so the reader cannot mistake it for the end.
pub(super) fn bytes(answer: Answer<Chunks>) -> Response {
    let chunks = match answer {
        Ok(chunks) => chunks.inspect_err(|error| tracing::warn!(%error, "an output could not be read to its end")),
        Err(failure) => return failure.into_response(),
    };
    ([(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(chunks)).into_response()
}

/// An answer of JSON values, one a line, each sent as it comes.
pub(super) fn lines<T: Serialize + 'static>(answer: Answer<BoxStream<'static, T>>) -> Response {
    answer.map_or_else(IntoResponse::into_response, |values| lines_of(values.map(Ok)))
}

/// The same of values that may fail to come: then the connection is cut, as with raw bytes.
pub(super) fn lines_or_cut<T: Serialize + 'static>(answer: Answer<BoxStream<'static, io::Result<T>>>) -> Response {
    answer.map_or_else(IntoResponse::into_response, |values| {
        lines_of(values.inspect_err(|error| tracing::warn!(%error, "a list could not be read to its end")))
    })
}

fn lines_of<T: Serialize>(values: impl Stream<Item = io::Result<T>> + Send + 'static) -> Response {
    let lines = values.map(|value| {
        let mut line = serde_json::to_vec(&value?)?;
        line.push(b'\n');
        io::Result::Ok(line)
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
