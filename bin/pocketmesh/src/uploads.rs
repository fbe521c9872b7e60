//! How far a long upload is: a bar on a terminal, nothing elsewhere, and nothing for what takes no time.

use crate::context::Context;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use pocketmesh_api::Chunks;
use std::io::{self, IsTerminal};

/// Less than this is on the disk before a bar could be read.
const SHOWN_FROM_BYTES: u64 = 64 << 20;

/// Bytes on their way to the daemon.
pub struct Uploads(Option<ProgressBar>);

impl Uploads {
    /// So many bytes are to go.
    pub fn new(context: &Context, bytes: u64) -> Self {
        let is_shown = bytes >= SHOWN_FROM_BYTES && !context.quiet && io::stderr().is_terminal();
        Self(is_shown.then(|| {
            let bar = ProgressBar::new(bytes);
            // A style that does not parse is one to mend, not one to stop an upload for.
            if let Ok(style) = ProgressStyle::with_template("  {bar:28.cyan/blue} {bytes} of {total_bytes} handed over")
            {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar
        }))
    }

    /// Counts what passes.
    pub fn watch(&self, chunks: Chunks) -> Chunks {
        let Some(bar) = self.0.clone() else { return chunks };
        chunks.inspect(move |chunk| bar.inc(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64))).boxed()
    }

    /// All is handed over; what comes next takes a while too, if there was much.
    pub fn end(self, context: &Context) {
        if self.0.is_some() {
            drop(self);
            context.note("all is handed over: the daemon cuts it into tasks");
        }
    }

    /// Counts what need not pass, because it has passed before.
    pub fn skip(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
