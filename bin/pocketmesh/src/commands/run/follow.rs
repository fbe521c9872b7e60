//! Following a job to its end, also across a restart of the daemon: the job survives it, so the command does too.

use super::progress::Progress;
use crate::context::Context;
use crate::exit::Error;
use futures::StreamExt;
use pocketmesh_api::{Client, ClientError, JobSummary, Regime, Update, Which};
use pocketmesh_types::UnixTime;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a daemon that is gone is waited for.
const RETURN_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at whether it is back.
const RETRY: Duration = Duration::from_millis(300);

/// Shows a job's progress until it is final, or, if that is enough, until every task has a result; the last snapshot.
pub async fn follow(context: &Context, client: &Client, id: &str, which: Which) -> Result<JobSummary, Error> {
    let (progress, verbose) = (Progress::new(context), context.verbose > 0);
    let mut view = View { progress, verbose, which, told: UnixTime(0), regime: Regime::Unknown };
    let mut gone: Option<Instant> = None;
    loop {
        let error = match view.watch(client, id, &mut gone).await {
            Ok(last) => return Ok(last),
            Err(error @ (ClientError::NoDaemon(_) | ClientError::BrokeOff(_) | ClientError::Slow(_))) => error,
            Err(error) => return Err(error.into()),
        };
        let since = *gone.get_or_insert_with(|| {
            view.progress.line("the daemon is gone; the job goes on when it is started again: waiting for it");
            Instant::now()
        });
        if since.elapsed() > RETURN_WITHIN {
            return Err(error.into());
        }
        sleep(RETRY).await;
    }
}

struct View {
    progress: Progress,
    verbose: bool,
    /// The time of the last event shown: a new stream begins with the old ones.
    told: UnixTime,
    which: Which,
    /// By what means results are checked, as far as it was told.
    regime: Regime,
}

impl View {
    async fn watch(
        &mut self,
        client: &Client,
        id: &str,
        gone: &mut Option<Instant>,
    ) -> Result<JobSummary, ClientError> {
        let mut updates = client.job_events(id).await?;
        if gone.take().is_some() {
            self.progress.line("the daemon is back");
        }
        while let Some(update) = updates.next().await {
            match update? {
                Update::Progress(job) => {
                    self.progress.update(&job);
                    if job.regime != self.regime {
                        self.regime = job.regime;
                        self.tell_promise(client, id).await?;
                    }
                    let is_enough = self.which == Which::Provisional && job.done + job.held == job.tasks;
                    if job.state.is_final() || is_enough {
                        return Ok(job);
                    }
                }
                Update::Event(event) if self.verbose && event.time > self.told => {
                    self.told = event.time;
                    self.progress.line(&event.text);
                }
                Update::Event(_) => {}
            }
        }
        Err(ClientError::BrokeOff("it ended the event stream before the job was final".into()))
    }

    /// It is known now how many workers there are, or how long the job takes: says what holds from here on.
    async fn tell_promise(&self, client: &Client, id: &str) -> Result<(), ClientError> {
        if matches!(self.regime, Regime::Small | Regime::Middle | Regime::Big) {
            let promise = client.job(id).await?.promise;
            self.progress.line(&format!("audits: {}", promise.text));
        }
        Ok(())
    }
}
