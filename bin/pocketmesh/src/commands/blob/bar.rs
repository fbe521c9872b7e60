//! How far a transfer is, and how fast: a bar on a terminal, nothing elsewhere.

use crate::context::Context;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pocketmesh_api::Chunks;
use std::io::{self, IsTerminal};
use std::time::Duration;

/// Looks like something that moves.
const TICK: Duration = Duration::from_millis(100);

/// Bytes on their way.
pub struct Bar(ProgressBar);

impl Bar {
    /// So many bytes are to go; 0 if that is not known.
    pub fn new(context: &Context, what: &'static str, bytes: u64) -> Self {
        if context.quiet || context.json || !io::stderr().is_terminal() {
            return Self(ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden()));
        }
        let bar = ProgressBar::new(bytes);
        let template =
            "{spinner} {bar:28.cyan/blue} {bytes} of {total_bytes} {msg}, {binary_bytes_per_sec}, {eta} left";
        // A style that does not parse is one to mend, not one to stop a transfer for.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(what);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// So many of so many bytes are here.
    pub fn set(&self, held: u64, len: u64) {
        self.0.set_length(len);
        self.0.set_position(held);
    }

    /// Counts what passes.
    pub fn watch(&self, chunks: Chunks) -> Chunks {
        let bar = self.0.clone();
        chunks.inspect(move |chunk| bar.inc(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64))).boxed()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
