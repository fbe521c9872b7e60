//! A job's receipts, taken out of the journal for whoever asks.

use super::Desk;
use crate::money::receipts::{self, GatherError};
use futures::{StreamExt, stream};
use pocketmesh_api::{Answer, Chunk, Chunks, Code, Failure};
use pocketmesh_types::JobId;
use std::time::Duration;

/// How long the last payments of a job that is over may take to be on disk: a worker that is not here is paid when it comes back.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);
const SETTLED_POLL: Duration = Duration::from_millis(20);

/// The bytes of a file with all that was paid for a job.
pub(super) async fn receipts(desk: &Desk, id: JobId) -> Answer<Chunks> {
    if desk.summary(id).await?.state.is_final() {
        // If the time is up, the file holds what there is.
        let _ = tokio::time::timeout(SETTLED_WITHIN, settled(desk, id)).await;
    }
    let home = desk.home().clone();
    let gathered = tokio::task::spawn_blocking(move || receipts::gather(&home, id)).await.map_err(Failure::internal)?;
    let bytes = gathered.map_err(|error| match error {
        GatherError::TooLong(_) => Failure::new(Code::TooLarge, error.to_string()),
        GatherError::Read(_) => Failure::internal(error),
    })?;
    let bytes = Chunk::from(bytes);
    let pieces = (0..bytes.len()).step_by(super::PIECE_BYTES);
    let pieces: Vec<_> = pieces.map(|at| Ok(bytes.slice(at..bytes.len().min(at + super::PIECE_BYTES)))).collect();
    Ok(stream::iter(pieces).boxed())
}

async fn settled(desk: &Desk, id: JobId) -> Answer<()> {
    let is_settled =
        move |driver: &mut crate::driver::Driver| driver.till.is_settled(&id) || driver.money_stopped().is_some();
    while !desk.ask(is_settled).await? {
        tokio::time::sleep(SETTLED_POLL).await;
    }
    Ok(())
}
