//! The log: lines on standard error.
//!
//! A thread of its own writes them, since their reader may stop: a terminal after Ctrl-S, a pager, a log service that
//! hangs. Lines are told under the endpoint's lock, too; nobody may wait for that reader.

use crate::patience;
use std::io::IsTerminal as _;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that wait for the reader; more are lost. `RUST_LOG=trace` has several for each packet.
const LINES: usize = 1_000;

/// The log of the process. What waits is written when this is dropped, if somebody reads it.
pub(super) struct Log(Option<WorkerGuard>);

impl Log {
    /// Begins to write, at the level that `RUST_LOG` says.
    pub(super) fn start() -> Self {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(LINES)
            .lossy(true)
            .thread_name("mpt-log")
            .finish(std::io::stderr());
        // A second daemon in one process has its log already.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(writer)
            .with_target(false)
            // A line that cannot be written (a full disk, a reader that has gone) is lost; to complain of it there would panic.
            .log_internal_errors(false)
            .with_ansi(std::io::stderr().is_terminal())
            .try_init();
        Self(Some(guard))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let guard = self.0.take();
        patience::wait_for(move || drop(guard));
    }
}
