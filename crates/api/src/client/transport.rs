//! HTTP/1.1 over the socket, and the bounds on what a daemon may answer.

use super::{Client, ClientError, QUICK, Reply};
use crate::{Chunks, failure::Problem};
use axum::body::{Body, BodyDataStream};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The largest JSON answer: a list of all jobs.
const ANSWER_BYTES_MAX: usize = 64 << 20;

impl Client {
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Reply<T> {
        json(self.send("GET", path, Body::empty(), Some(QUICK)).await?).await
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: Body, within: Duration) -> Reply<T> {
        json(self.send("POST", path, body, Some(within)).await?).await
    }

    pub(super) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
        within: Duration,
    ) -> Reply<T> {
        let bytes = serde_json::to_vec(request).map_err(|error| ClientError::Foreign(error.to_string()))?;
        self.post(path, Body::from(bytes), within).await
    }

    pub(super) async fn download(&self, path: &str) -> Reply<Chunks> {
        let response = self.send("GET", path, Body::empty(), Some(QUICK)).await?;
        Ok(response.into_body().into_data_stream().map_err(io::Error::other).boxed())
    }

    /// Sends a request and waits for the head of the answer; a failure that the daemon explains is an error here.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Body,
        within: Option<Duration>,
    ) -> Reply<Response<Body>> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.no_daemon(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke_off)?;
        // It ends with the response's body, or with the sender.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "pocketmesh")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| ClientError::Foreign(error.to_string()))?;
        let answered = sender.send_request(request);
        let response = match within {
            Some(within) => timeout(within, answered).await.map_err(|_| ClientError::Slow(within))?,
            None => answered.await,
        };
        let response = response.map_err(broke_off)?.map(Body::new);
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    fn no_daemon(&self, error: &io::Error) -> ClientError {
        let home = self.home.display().to_string();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NoDaemon(home),
            io::ErrorKind::PermissionDenied => ClientError::NotOurs(home),
            _ => ClientError::BrokeOff(error.to_string()),
        }
    }
}

/// Reads a JSON answer whole.
pub(super) async fn json<T: DeserializeOwned>(response: Response<Body>) -> Reply<T> {
    let bytes = timeout(QUICK, collect(response)).await.map_err(|_| ClientError::Slow(QUICK))??;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Foreign(error.to_string()))
}

async fn collect(response: Response<Body>) -> Reply<Vec<u8>> {
    let mut body = response.into_body().into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(broke_off)?;
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::Foreign(format!("it is larger than {ANSWER_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn refusal(response: Response<Body>) -> ClientError {
    let status = response.status();
    match json::<Problem>(response).await {
        Ok(problem) => ClientError::Failed(problem.error),
        Err(ClientError::Foreign(_)) => ClientError::Foreign(format!("HTTP status {status}")),
        Err(error) => error,
    }
}

fn broke_off(error: impl std::fmt::Display) -> ClientError {
    ClientError::BrokeOff(error.to_string())
}

/// What is needed to cut a body into lines.
struct Lines {
    max: usize,
    body: BodyDataStream,
    ready: VecDeque<Vec<u8>>,
    rest: Vec<u8>,
}

/// The values of a stream of lines as they come, each line of at most `max` bytes; the first error ends it.
pub(super) fn lines<T: DeserializeOwned + 'static>(
    response: Response<Body>,
    max: usize,
) -> BoxStream<'static, Reply<T>> {
    let lines = Lines { max, body: response.into_body().into_data_stream(), ready: VecDeque::new(), rest: Vec::new() };
    stream::try_unfold(lines, |mut lines| async move {
        let Some(line) = lines.next().await? else { return Ok(None) };
        let value = serde_json::from_slice(&line).map_err(|error| ClientError::Foreign(error.to_string()))?;
        Ok(Some((value, lines)))
    })
    .boxed()
}

impl Lines {
    async fn next(&mut self) -> Reply<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            let Some(chunk) = self.body.next().await else { return Ok(None) };
            self.cut(&chunk.map_err(broke_off)?)?;
        }
    }

    fn cut(&mut self, chunk: &[u8]) -> Reply<()> {
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if self.rest.len() > self.max {
                return Err(ClientError::Foreign("a line is too long".into()));
            }
            if self.rest.last() == Some(&b'\n') {
                self.ready.push_back(std::mem::take(&mut self.rest));
            }
        }
        Ok(())
    }
}
