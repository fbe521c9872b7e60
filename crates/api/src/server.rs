//! The daemon's end of the socket: accepts, bounds, answers.

mod answer;
mod body;
mod held;
mod routes;

use crate::{Control, socket::Listener};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

/// Callers served at once; the next ones wait in the kernel's queue. Each may hold a file and a few buffers.
const CALLERS_MAX: usize = 128;
/// A caller that has not sent its request head by then is a stray.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A request head: a method, a path with one id, a few headers.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// What running requests get to finish when the daemon stops.
const GRACE: Duration = Duration::from_secs(1);
/// After a failed accept, which is almost always "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests until `shutdown` completes; then gives those that run a second. The socket's file is gone when this
/// returns.
pub async fn serve<C: Control>(listener: Listener, control: Arc<C>, shutdown: impl Future<Output = ()>) {
    let router = routes::router(control);
    let mut callers = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = callers.join_next(), if !callers.is_empty() => {}
            accepted = listener.accept(), if callers.len() < CALLERS_MAX => match accepted {
                Ok(stream) => {
                    callers.spawn(talk(stream, router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let finished = async { while callers.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        tracing::debug!("requests still running were cut off");
    }
}

/// One request on one connection: over a local socket, keeping it open gains nothing.
async fn talk(stream: UnixStream, router: Router) {
    let served = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a control request broke off");
    }
}
